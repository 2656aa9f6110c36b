import * as valibot from "../actions/valibot.ts";
import { PRECOMPILED } from "../core/bundle.ts";
import { VolleyError } from "../core/errors.ts";
import * as api from "../playbook-api.ts";
import type { createTemplates, PrecompiledTemplates } from "../template/index.ts";
import * as core from "./shared-core.ts";

// The parts of a bundle beside the runner, each loaded ahead of the job or when the run first asks for it.

/** The bundle that the runner was started from, as the bootstrap gives it. */
export interface BundleReader {
  /** The bundle's own path. */
  readonly file: string;
  /** Names of the zip's entries, in order. */
  readonly names: readonly string[];
  /** Bytes of an entry, uncompressed; undefined when there is no such entry. */
  size(name: string): number | undefined;
  /** Permission bits of an entry; 0 when there is no such entry. */
  mode(name: string): number;
  /** An entry's content; undefined when there is no such entry. */
  read(name: string): Buffer | undefined;
  /** Compile and run an entry that is a CommonJS module, and return its exports; `imports` answer its `require` before Node does. */
  load(name: string, imports?: Readonly<Record<string, unknown>>): unknown;
  /** Keep the compiled form of the modules that were loaded for the next start, unless the bundle is carried about. */
  keepCompiled(): void;
}

/** What code of a bundle may require beside Node's own modules. */
export interface Parts {
  /** The files that the runner lends. */
  readonly core: typeof core;
  /** The functions of valibot that the runner lends. */
  readonly valibot: typeof valibot;
  /** The module that playbooks import: the actions that the bundle holds, and all else. */
  readonly volley: Readonly<Record<string, unknown>>;
  readonly template: { readonly createTemplates: typeof createTemplates };
  /** The templates that were compiled when the bundle was built; undefined where there are none. */
  readonly precompiled: PrecompiledTemplates | undefined;
  /** What templates seldom use. */
  readonly "template-more": unknown;
  readonly yaml: unknown;
  /** The interpreter of Ansible's playbooks, whose code requires it as `volley/ansible`. */
  readonly ansible: unknown;
  /** The command line of a bundle that is carried to its hosts. */
  readonly local: unknown;
}

/** Open the parts of a bundle. A part that the bundle does not hold fails with `BUNDLE_INVALID` when it is used. */
export function openParts(bundle: BundleReader): Parts {
  const loaded = new Map<string, unknown>();
  const load = (name: string): unknown => {
    if (!loaded.has(name)) {
      // The template engine is packed with the runner.
      if (name !== "template" && !holds(bundle, name)) throw missing(`part "${name}"`);
      loaded.set(name, bundle.load(`${name}.js`, parts as unknown as Readonly<Record<string, unknown>>));
    }
    return loaded.get(name);
  };
  let volley: Parts["volley"] | undefined;
  const parts: Parts = {
    core,
    valibot,
    get volley() {
      volley ??= makeVolley(load("actions") as ActionsScript);
      return volley;
    },
    get template() {
      return load("template") as Parts["template"];
    },
    get precompiled() {
      return holds(bundle, PRECOMPILED) ? (load(PRECOMPILED) as PrecompiledTemplates) : undefined;
    },
    get "template-more"() {
      return load("template-more");
    },
    get yaml() {
      return load("yaml");
    },
    get ansible() {
      return load("ansible");
    },
    get local() {
      return load("local");
    },
  };
  return parts;
}

function holds({ names }: BundleReader, part: string): boolean {
  return names.includes(`${part}.js.br`);
}

/**
 * Load Volley's own code, and the templates that it compiled, while the controller prepares the job: what a run of such a
 * bundle uses anyway, and nothing of the playbook. A part that cannot be loaded fails when the run uses it.
 */
export function loadAhead(bundle: BundleReader, parts: Parts): void {
  try {
    Object.values(parts.volley);
    if (holds(bundle, PRECOMPILED)) void [parts.template, parts.precompiled];
    if (holds(bundle, "ansible")) void [parts.template, parts.ansible];
  } catch {
    // See above.
  }
}

/** The actions that a bundle holds: `bundle/actions.ts` writes it. */
interface ActionsScript {
  /** The module of each action. */
  readonly actions: Readonly<Record<string, string>>;
  readonly modules: Readonly<Record<string, (require: (id: string) => unknown) => Record<string, unknown>>>;
  /** Gives what the runner lends, and Node's own modules. */
  require(id: string): unknown;
}

/** Make the module that playbooks import. The code of an action runs when the playbook first names the action. */
function makeVolley({ actions, modules, require }: ActionsScript): Parts["volley"] {
  const loaded = new Map<string, unknown>();
  const load = (id: string): unknown => {
    if (!loaded.has(id)) {
      const module = modules[id];
      if (module === undefined && /^[^:]+\//.test(id)) throw missing(`module "${id}"`);
      loaded.set(id, module === undefined ? require(id) : module(load));
    }
    return loaded.get(id);
  };
  const volley: Record<string, unknown> = { ...api };
  for (const [name, id] of Object.entries(actions))
    Object.defineProperty(volley, name, {
      enumerable: true,
      get: () => (load(id) as Record<string, unknown>)[name],
    });
  return volley;
}

function missing(what: string): VolleyError {
  return new VolleyError("BUNDLE_INVALID", `the bundle does not hold the ${what}`, {
    hint: "bundle the playbook again; if that does not help, the playbook asks for the part in a way that Volley cannot see",
  });
}
