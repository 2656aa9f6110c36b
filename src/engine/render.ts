import { type AssetStore, PLAYBOOK_ROLE, searchAsset, searchTree } from "../core/asset.ts";
import { NeedsAnswer } from "../core/errors.ts";
import type { ControllerLookups } from "../core/lookup.ts";
import type { FileType, ReadSystem } from "../core/system.ts";
import { bytesToText } from "../core/values/bytes.ts";
import { writeJson } from "../core/values/value.ts";
import type { Vars } from "../core/values/vars.ts";
import type {
  createTemplates,
  PrecompiledTemplates,
  TemplateLoader,
  TemplateOptions,
  Templates,
} from "../template/index.ts";
import type { RenderVar } from "../vars/scope.ts";
import type { Render } from "./effects.ts";
import { mayTakeLong, RENDER_MS, renderWithin } from "./limits.ts";

// Rendering: the template engine, loaded with the first template, and what templates ask and cannot wait for: looks at a
// host, and lookups on the controller.

/** Renders templates: loads the template engine with the first one, and keeps what it compiled. */
export interface Renderer {
  readonly render: Render;
  readonly renderVar: RenderVar;
  /** The templates of a role, by its directory. */
  readonly templatesOf: (role: string) => Templates;
  /** Make templates over a loader of the caller's own. */
  readonly makeTemplates: (options: TemplateOptions) => Templates;
}

/** Options of a Renderer. */
export interface RendererOptions {
  /** The environment for `lookup("env")`. Default: that of this process. */
  readonly env?: NodeJS.ProcessEnv;
  /** Time limit of each template, in milliseconds. */
  readonly limitMs?: number;
  /** Answers tests of paths. Default: by this machine. */
  readonly look?: HostLook;
  /** Loads the templates that were compiled when the bundle was built. Default: none. */
  readonly precompiled?: () => PrecompiledTemplates | undefined;
}

/** Make a Renderer over roles' assets. */
export function createRenderer(
  assets: AssetStore,
  loadEngine: () => typeof createTemplates,
  { env = process.env, limitMs = RENDER_MS, look, precompiled: loadPrecompiled }: RendererOptions = {},
): Renderer {
  const makeTemplates = (options: TemplateOptions): Templates => {
    const precompiled = loadPrecompiled?.();
    return loadEngine()({
      env,
      ...(look === undefined ? {} : { look }),
      ...(precompiled === undefined ? {} : { precompiled }),
      ...options,
    });
  };
  const byRole = new Map<string, Templates>();
  const templatesOf = (role: string): Templates => {
    let templates = byRole.get(role);
    if (templates === undefined) {
      const loader: TemplateLoader = {
        // Bytes that are not UTF-8 come out as they went in.
        read: (name, kind = "templates") => {
          const asset = searchAsset(assets, role, kind, name);
          return asset === null ? null : bytesToText(asset.read());
        },
        list: (name) => searchTree(assets, role, "files", name) ?? [],
      };
      templates = makeTemplates({ loader });
      byRole.set(role, templates);
    }
    return templates;
  };
  return {
    templatesOf,
    makeTemplates,
    render: (role, src, vars, style) =>
      renderWithin(limitMs, `the template ${src}`, () => templatesOf(role).render(src, vars, style)),
    renderVar: (text, scope, origin) => {
      const render = () => templatesOf(roleOf(scope.vars)).renderValue(text, scope, origin);
      return mayTakeLong(text) ? renderWithin(limitMs, `the var "${origin.name}"`, render) : render();
    },
  };
}

/** The role whose files and templates a var means: the role of the task that asks for the var. */
function roleOf({ role_path: path }: Vars): string {
  return typeof path === "string" ? path : PLAYBOOK_ROLE;
}

/** The type of the file at a path of the host being worked on, links followed or not; null: nothing is there. */
export type HostLook = (path: string, follow: boolean) => FileType | null;

/** Look at a host over a connection for templates, which cannot wait; `forget` between tasks. */
export function createHostLook(system: ReadSystem): { readonly look: HostLook; forget(): void } {
  const seen = new Map<string, FileType | null>();
  return {
    look: (path, follow) => {
      const key = `${follow}${path}`;
      const type = seen.get(key);
      if (type !== undefined) return type;
      throw new NeedsAnswer(`what is at ${path} of the host`, async () => {
        const stat = await (follow ? system.stat(path) : system.lstat(path));
        seen.set(key, stat?.type ?? null);
      });
    },
    forget: () => seen.clear(),
  };
}

/** The answer to a lookup on the controller: what it found, or why it failed. */
type LookupAnswer = { readonly found: readonly unknown[] } | { readonly error: unknown };

/** Ask the controller for lookups of templates, which cannot wait; `forget` between tasks, which may get other answers. */
export function createLookupAnswers({ perform }: ControllerLookups): {
  readonly ask: NonNullable<TemplateOptions["ask"]>;
  forget(): void;
} {
  const answers = new Map<string, LookupAnswer>();
  return {
    ask: (question) => {
      const { plugin, terms } = question;
      const key = writeJson(question);
      const answer = answers.get(key);
      if (answer === undefined)
        throw new NeedsAnswer(`the lookup ${plugin} of ${writeJson(terms)}`, async () => {
          answers.set(
            key,
            await perform(question).then(
              (found) => ({ found }),
              // The template may have been told to ignore it.
              (error: unknown) => ({ error }),
            ),
          );
        });
      if ("error" in answer) throw answer.error;
      return answer.found;
    },
    forget: () => answers.clear(),
  };
}

/** Do work that renders templates or vars, and begin it anew after each question that it needs answered. */
export async function whenAnswered<T>(work: () => T | Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (thrown) {
      if (!(thrown instanceof NeedsAnswer)) throw thrown;
      await thrown.ask();
    }
  }
}
