import type { AssetStore } from "../core/asset.ts";
import type { createTemplates, Templates } from "../template/index.ts";
import type { RenderVar } from "../vars/scope.ts";
import type { Render } from "./action-context.ts";

/** Renders templates: the engine is loaded when the first is rendered, and keeps what it compiled. */
export interface Renderer {
  /** A template of a role. */
  readonly render: Render;
  readonly renderVar: RenderVar;
}

/** Makes a Renderer over roles' assets; `env` is what `lookup("env")` finds. */
export function createRenderer(
  assets: AssetStore,
  loadEngine: () => typeof createTemplates,
  env: NodeJS.ProcessEnv = process.env,
): Renderer {
  const byRole = new Map<string, Templates>();
  const templatesOf = (role: string): Templates => {
    let templates = byRole.get(role);
    if (templates === undefined) {
      const read = (name: string): string | null =>
        (assets.file(role, `templates/${name}`) ?? assets.file(role, name))?.read().toString("utf8") ?? null;
      templates = loadEngine()({ loader: { read }, env });
      byRole.set(role, templates);
    }
    return templates;
  };
  return {
    render: (role, src, vars, style) => templatesOf(role).render(src, vars, style),
    renderVar: (text, scope, origin) => templatesOf("").renderValue(text, scope, origin),
  };
}
