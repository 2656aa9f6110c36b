import { type AssetStore, PLAYBOOK_ROLE, searchAsset, searchTree } from "../core/asset.ts";
import type { Vars } from "../core/json.ts";
import { bytesToText } from "../core/lossless-text.ts";
import type { createTemplates, TemplateLoader, Templates } from "../template/index.ts";
import type { RenderVar } from "../vars/scope.ts";
import type { Render } from "./action-context.ts";
import type { HostLook } from "./host-look.ts";
import { mayTakeLong, RENDER_MS, renderWithin } from "./limits.ts";

/** Renders templates: the engine is loaded when the first is rendered, and keeps what it compiled. */
export interface Renderer {
  /** A template of a role. */
  readonly render: Render;
  readonly renderVar: RenderVar;
}

/** Whose files and templates a var means: those of the role whose task asks for it. */
function roleOf({ role_path: path }: Vars): string {
  return typeof path === "string" ? path : PLAYBOOK_ROLE;
}

/** Makes a Renderer over roles' assets; `env` is what `lookup("env")` finds, `limitMs` what each template may take, `look` what its tests of paths see: unless given, this machine. */
export function createRenderer(
  assets: AssetStore,
  loadEngine: () => typeof createTemplates,
  env: NodeJS.ProcessEnv = process.env,
  limitMs = RENDER_MS,
  look?: HostLook,
): Renderer {
  const byRole = new Map<string, Templates>();
  const templatesOf = (role: string): Templates => {
    let templates = byRole.get(role);
    if (templates === undefined) {
      const loader: TemplateLoader = {
        // Bytes that are not UTF-8 are the same in what is rendered.
        read: (name, kind = "templates") => {
          const asset = searchAsset(assets, role, kind, name);
          return asset === null ? null : bytesToText(asset.read());
        },
        list: (name) => searchTree(assets, role, "files", name) ?? [],
      };
      templates = loadEngine()({ loader, env, ...(look === undefined ? {} : { look }) });
      byRole.set(role, templates);
    }
    return templates;
  };
  return {
    render: (role, src, vars, style) =>
      renderWithin(limitMs, `the template ${src}`, () => templatesOf(role).render(src, vars, style)),
    renderVar: (text, scope, origin) => {
      const render = () => templatesOf(roleOf(scope.vars)).renderValue(text, scope, origin);
      return mayTakeLong(text) ? renderWithin(limitMs, `the var "${origin.name}"`, render) : render();
    },
  };
}
