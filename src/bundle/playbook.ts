import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { createRequire, SourceMap } from "node:module";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { Script } from "node:vm";
import type { BuildFailure, BuildOptions, Message, Metafile, Plugin } from "esbuild";
import type { AnsibleSettings } from "../ansible/config/settings.ts";
import * as ansible from "../ansible/index.ts";
import { isVolleyError, messageOf, type SourceLocation, VolleyError } from "../core/errors.ts";
import { isPlaybook, type Playbook } from "../core/playbook.ts";
import { writeJson } from "../core/values/value.ts";
import type { Vars } from "../core/values/vars.ts";
import type { VaultedText } from "../core/values/vaulted.ts";
import { locateStrays } from "../system/strays.ts";
import type { ActionNames } from "./actions.ts";
import { type CacheSlot, type Fingerprint, fingerprint, isFresh, openSlot } from "./cache.ts";
import { absentNativeModules, refuseForbidden } from "./import-rules.ts";
import { volleyVersion } from "./this-package.ts";

// A playbook on the controller: found, compiled, evaluated, and its errors located in the source.

/** A playbook in Ansible's YAML that no file has. */
export interface PlaybookText {
  /** Its name in output and errors. */
  readonly name: string;
  readonly text: string;
}

/** A playbook's file and the directory that relative paths start from. */
export interface Project {
  /** Absolute. */
  readonly file: string;
  /** The nearest directory above the file with a package.json, else the file's own. */
  readonly directory: string;
  /** The playbook itself, where no file has it. */
  readonly text?: string;
}

/**
 * Find a playbook's project; that of a text is the working directory. Fails with `PLAYBOOK_MISSING`, or with
 * `BUNDLE_INVALID` for a file that is already a bundle.
 */
export function findProject(playbook: string | PlaybookText, cwd: string): Project {
  if (typeof playbook !== "string")
    return { file: join(cwd, playbook.name), directory: cwd, text: playbook.text };
  const file = resolve(cwd, playbook);
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined) {
    throw new VolleyError("PLAYBOOK_MISSING", `there is no playbook ${playbook}`, {
      hint: `looked for ${file}`,
    });
  }
  if (!stats.isFile()) throw new VolleyError("PLAYBOOK_MISSING", `${playbook} is not a file`);
  // Ansible's playbooks are known by their own directory: their roles and files lie beside them.
  if (isYaml(file)) return { file, directory: dirname(file) };
  if (!/\.[cm]?[jt]sx?$/.test(file)) {
    throw new VolleyError("BUNDLE_INVALID", `${playbook} is not a playbook`, {
      hint: file.endsWith(".run")
        ? "it looks like a bundle: give the playbook it was made from, or carry the bundle out here with volley run --local"
        : "a playbook's name ends in .ts or .js, or in .yml or .yaml for Ansible's",
    });
  }
  let directory = dirname(file);
  for (let above = directory; above !== dirname(above); above = dirname(above)) {
    if (!existsSync(join(above, "package.json"))) continue;
    directory = above;
    break;
  }
  return { file, directory };
}

/** A playbook, compiled and evaluated on the controller. */
export interface LoadedPlaybook {
  readonly project: Project;
  readonly playbook: Playbook;
  readonly compiled: Pick<Compiled, "code" | "map" | "directories" | "files" | "actions" | "vaulted">;
  /** The files it was compiled from, as they were then. */
  readonly inputs: Fingerprint;
}

/**
 * Compile a playbook, unless its files are unchanged since the last time, and evaluate it. `volley` is the module it
 * imports; names of what a playbook in YAML imports may be made of the vars in `extra`.
 */
export async function loadPlaybook(
  project: Project,
  volley: unknown,
  settings?: AnsibleSettings,
  extra?: Vars,
): Promise<LoadedPlaybook> {
  const { file, directory } = project;
  const slot = project.text === undefined ? openSlot(file) : NO_SLOT;
  let state = await compiledState(project, slot, settings, extra);
  let value = evaluate(state, file, volley);
  // Names of roles in YAML that the text of the calls does not show.
  const more = ansibleRolesOf(value).filter((name) => state.roles?.includes(name) !== true);
  if (more.length > 0) {
    state = await compiledState(project, slot, settings, extra, more);
    value = evaluate(state, file, volley);
  }
  if (!isPlaybook(value)) {
    throw new VolleyError("PLAYBOOK_INVALID", `${relative(directory, file)} exports no playbook`, {
      hint: "write `export default definePlaybook([ … ])`",
    });
  }
  return { project, playbook: value, compiled: state, inputs: state.inputs };
}

const STATE_FILE = "compiled.json";

interface CompiledState extends Omit<Compiled, "inputs"> {
  readonly volley: string;
  readonly inputs: Fingerprint;
  /** Settings of Ansible and extra vars that it was compiled with: a hash, because vars may be secrets. */
  readonly settings?: string;
}

/** The settings and extra vars that a tree is made with, as a hash. */
function settingsKey(settings: AnsibleSettings, extra: Vars): string {
  return createHash("sha256")
    .update(writeJson([settings, extra]))
    .digest("hex");
}

/** Return the names of the roles in YAML that the plays of a playbook in TypeScript list. */
function ansibleRolesOf(value: unknown): readonly string[] {
  if (!isPlaybook(value)) return [];
  const names = value.plays.flatMap(({ roles }) => roles.map(({ role }) => role.ansible?.name));
  return [...new Set(names.filter((name) => name !== undefined))];
}

/** Return the names in the calls of `ansibleRole` in compiled code. */
export function ansibleRolesIn(code: string): readonly string[] {
  return [...code.matchAll(/\bansibleRole\)?\((["'`])([^"'`\\$]+)\1/g)].map(([, , name]) => name!);
}

/** The cache of texts: each would be another, and may hold secrets. */
const NO_SLOT: Pick<CacheSlot, "readJson" | "write"> = { readJson: () => undefined, write: () => {} };

async function compiledState(
  { file, directory, text }: Project,
  slot: Pick<CacheSlot, "readJson" | "write">,
  given: AnsibleSettings | undefined,
  extra: Vars = {},
  more: readonly string[] = [],
): Promise<CompiledState> {
  const cached = slot.readJson<CompiledState>(STATE_FILE);
  const isTree = text !== undefined || isYaml(file);
  const asked = isTree || cached?.settings !== undefined || more.length > 0;
  let settings = asked ? (given ?? (await ansibleSettings())) : undefined;
  const isCurrent =
    cached?.volley === volleyVersion() &&
    cached.settings === (settings === undefined ? undefined : settingsKey(settings, extra)) &&
    more.every((name) => cached.roles?.includes(name));
  if (cached !== undefined && isCurrent && isFresh(cached.inputs)) return cached;
  let full: Compiled;
  if (isTree) full = await compileTree(file, settings!, extra, text);
  else {
    const own = await compile(file, directory);
    const roles = [...new Set([...ansibleRolesIn(own.code), ...more])];
    settings = roles.length === 0 ? undefined : (settings ?? given ?? (await ansibleSettings()));
    full = settings === undefined ? own : await addRoles(own, roles, { file, directory }, settings, extra);
  }
  const { inputs, ...compiled } = full;
  const written = settings === undefined ? undefined : settingsKey(settings, extra);
  const state: CompiledState = {
    volley: volleyVersion(),
    inputs: fingerprint(inputs),
    ...compiled,
    ...(written === undefined ? {} : { settings: written }),
  };
  slot.write(STATE_FILE, JSON.stringify(state));
  return state;
}

/** A TypeScript file and all it imports, as one CommonJS module that requires only `volley` and Node's own modules. */
export interface Compiled {
  readonly code: string;
  /** Source map of `code`, as JSON. The map stays on the controller. */
  readonly map: string;
  /** The source files, as absolute paths. */
  readonly inputs: readonly string[];
  /** The directories of the files that define roles and plays, by the name that their assets have in the bundle. */
  readonly directories: Readonly<Record<string, string>>;
  /** Further files of the playbook itself, by the path they have in the bundle. */
  readonly files?: Readonly<Record<string, string>>;
  /** The names of the roles in Ansible's YAML that a playbook in TypeScript has with it. */
  readonly roles?: readonly string[];
  /** Actions that the code reaches in ways it does not show; the bundle holds them. */
  readonly actions?: ActionNames;
  /** What is encrypted with Ansible Vault; the bundle holds none of it. */
  readonly vaulted?: readonly VaultedText[];
}

/** True for the file of a playbook in Ansible's YAML. */
function isYaml(file: string): boolean {
  return /\.(?:ya?ml|json)$/.test(file);
}

/** Load a playbook in Ansible's YAML, from its file or from `text`. Fails with `PLAYBOOK_INVALID`, with file and line. */
async function compileTree(
  file: string,
  settings: AnsibleSettings,
  extra: Vars,
  text: string | undefined,
): Promise<Compiled> {
  const { compilePlaybook, SCRIPTS } = await import("../ansible/load/compile.ts");
  const { scripts, ...tree } = compilePlaybook(file, settings, extra, text);
  const paths = Object.keys(scripts);
  if (paths.length === 0) return tree;
  const directory = dirname(file);
  const own = await compile(
    {
      file,
      text: paths
        .map((path, index) => `export { default as r${index} } from ${JSON.stringify(scripts[path])};`)
        .join("\n"),
    },
    directory,
  );
  const dict = paths.map((path, index) => `${JSON.stringify(path)}:module.exports.r${index}`).join(",");
  return {
    ...tree,
    code: `${own.code}var ${SCRIPTS}={${dict}};module.exports={};exports=module.exports;${tree.code}`,
    map: own.map,
    inputs: [...new Set([...tree.inputs, ...own.inputs])],
    directories: { ...own.directories, ...tree.directories },
  };
}

/** Put the roles in Ansible's YAML that a playbook in TypeScript uses behind its code. */
async function addRoles(
  own: Compiled,
  roles: readonly string[],
  { file, directory }: Project,
  settings: AnsibleSettings,
  extra: Vars,
): Promise<Compiled> {
  const { compileRoles } = await import("../ansible/load/compile.ts");
  const { scripts: _none, map: _map, ...tree } = compileRoles(file, directory, roles, settings, extra);
  return {
    ...own,
    ...tree,
    roles,
    code: `${own.code}${tree.code}`,
    inputs: [...new Set([...own.inputs, ...tree.inputs])],
    directories: { ...tree.directories, ...own.directories },
  };
}

async function ansibleSettings(): Promise<AnsibleSettings> {
  const { readAnsibleSettings } = await import("../ansible/config/settings.ts");
  return readAnsibleSettings({ cwd: process.cwd() });
}

/** The name of a compiled file in stacks, on the controller and on hosts. */
const FILE_NAME = "volley/playbook.js";

const SELF = "volley-self";

/** A module that no file has, in the place of one. */
interface SourceText {
  /** Absolute. */
  readonly file: string;
  readonly text: string;
}

/** Compile a playbook or an inventory. Fails with `BUILD_FAILED` (and file and line) or `BUNDLE_FORBIDDEN`. */
export async function compile(from: string | SourceText, projectDirectory: string): Promise<Compiled> {
  const entry = typeof from === "string" ? from : from.file;
  const { build } = await import("esbuild");
  const directories: Record<string, string> = {};
  const options = {
    ...(typeof from === "string"
      ? { entryPoints: [from] }
      : {
          stdin: { contents: from.text, resolveDir: dirname(from.file), sourcefile: basename(from.file) },
        }),
    absWorkingDir: projectDirectory,
    bundle: true,
    write: false,
    metafile: true,
    minifyWhitespace: true,
    minifySyntax: true,
    platform: "node",
    // Native modules are accepted here so that `refuseForbidden` can name the chain of imports.
    loader: { ".node": "empty" },
    format: "cjs",
    target: "node18",
    sourcemap: "external",
    sourcesContent: false,
    legalComments: "none",
    charset: "utf8",
    outfile: resolve(projectDirectory, "playbook.js"),
    logLevel: "silent",
    plugins: [volleyModule(projectDirectory, dirname(entry), directories)],
    // Packages that a playbook shares with Volley, such as valibot, need not be installed beside it.
    nodePaths: createRequire(import.meta.url).resolve.paths("valibot") ?? [],
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  } as const satisfies BuildOptions;
  const refuse = ({ metafile }: { readonly metafile: Metafile }): void =>
    refuseForbidden(metafile, relative(projectDirectory, entry).split(sep).join("/"), false);
  const result = await build(options).catch(async (thrown: unknown) => {
    // A package that a host cannot have may lack its native module: npm need not have built that.
    await build({ ...options, plugins: [...options.plugins, absentNativeModules] }).then(refuse, () => {});
    throw explainFailure(thrown);
  });
  refuse(result);
  const text = (ending: string): string => result.outputFiles.find(({ path }) => path.endsWith(ending))!.text;
  return {
    code: text(".js"),
    map: text(".map"),
    inputs: Object.keys(result.metafile.inputs)
      .filter((input) => !input.startsWith(`${SELF}:`))
      .map((input) => resolve(projectDirectory, input)),
    directories,
  };
}

/**
 * Leave `volley` to be given at run time. Each file that imports it gets a module of its own, whose `defineRole`,
 * `definePlay` and `definePlaybook` know the directory of that file: the role's assets are there.
 */
function volleyModule(
  projectDirectory: string,
  playbookDirectory: string,
  directories: Record<string, string>,
): Plugin {
  const nameDirectory = (directory: string): string => {
    const name = relative(playbookDirectory, directory).split(sep).map(nameSegment).join("/") || ".";
    directories[name] = directory;
    return name;
  };
  return {
    name: "volley",
    setup: ({ onResolve, onLoad }) => {
      onResolve({ filter: /^volley$/ }, ({ importer, namespace }) =>
        namespace === SELF
          ? { path: "volley", external: true }
          : { path: nameDirectory(dirname(importer)), namespace: SELF },
      );
      onResolve({ filter: /^volley\// }, ({ path }) => ({
        errors: [{ text: `"${path}" works only on the controller; a playbook imports from "volley"` }],
      }));
      onLoad({ filter: /.*/, namespace: SELF }, ({ path }) => ({
        resolveDir: projectDirectory,
        contents: `
          export * from "volley";
          import * as volley from "volley";
          const directory = ${JSON.stringify(path)};
          export const defineRole = (definition) => volley.defineRole(definition, directory);
          export const definePlay = (play) => volley.definePlay(play, directory);
          export const definePlaybook = (plays) => volley.definePlaybook(plays, directory);`,
      }));
    },
  };
}

/**
 * The name of one part of a role's path in the bundle. A role outside the playbook's directory must not climb out of the
 * bundle's own tree, nor take the place of a directory inside that has the same name.
 */
function nameSegment(segment: string): string {
  if (segment === "..") return "_";
  return /^_+$/.test(segment) ? `${segment}_` : segment;
}

function explainFailure(thrown: unknown): unknown {
  const errors: readonly Message[] | undefined = (thrown as Partial<BuildFailure>).errors;
  const [first] = errors ?? [];
  if (first === undefined) return thrown;
  const { location } = first;
  const text = first.text.startsWith("Top-level await")
    ? "a playbook cannot await at its top level: do it in a role's `tasks`, or read what you need without waiting"
    : first.text;
  const more = errors!.length > 1 ? ` (and ${errors!.length - 1} more)` : "";
  return new VolleyError("BUILD_FAILED", `${text}${more}`, {
    cause: thrown,
    ...(location === null
      ? {}
      : { location: { file: location.file, line: location.line, column: location.column + 1 } }),
  });
}

/** The default time limit of an evaluation, because a file may never end. */
const LIMIT_MS = 30_000;

/**
 * Run a compiled file on the controller and return its default export. An error that it throws gets its place in the
 * source. `print` is the `console` that the file sees. Fails with `PLAYBOOK_INVALID` after `limitMs` (default: 30 s).
 */
export function evaluate(
  compiled: Pick<Compiled, "code" | "map">,
  file: string,
  volley: unknown,
  print: Pick<Console, "log"> = console,
  limitMs = LIMIT_MS,
): unknown {
  const wrapper = "(function(exports,require,module,console){";
  const script = new Script(`${wrapper}${compiled.code}\n})`, {
    filename: FILE_NAME,
    columnOffset: -wrapper.length,
  });
  const require = createRequire(file);
  const module: { exports: { readonly default?: unknown } } = { exports: {} };
  try {
    const run = script.runInThisContext() as (
      exports: unknown,
      require: (id: string) => unknown,
      module: unknown,
      console: unknown,
    ) => void;
    const evaluateIt = () =>
      run(
        module.exports,
        (id) => (id === "volley" ? volley : id === "volley/ansible" ? ansible : require(id)),
        module,
        print,
      );
    locateStrays(
      (thrown) => locateStray(thrown, file, compiled.map),
      () => callWithin(limitMs, evaluateIt),
    );
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException | null)?.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") {
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `${basename(file)} has not ended within ${limitMs / 1000} s: does it wait, or loop forever?`,
        { cause: thrown, hint: "work that takes long belongs into a role's `tasks`, which run on the host" },
      );
    }
    throw locate(thrown, compiled.map);
  }
  return module.exports.default;
}

/** Call a function under a time limit that also ends an endless loop: V8 has such a limit for scripts only. */
function callWithin(timeout: number, call: () => void): void {
  const name = "volley.callWithin";
  Object.defineProperty(globalThis, Symbol.for(name), { value: call, configurable: true });
  try {
    new Script(`globalThis[Symbol.for("${name}")]()`).runInThisContext({ timeout });
  } finally {
    Reflect.deleteProperty(globalThis, Symbol.for(name));
  }
}

/** The error with its place in the user's source, where the stack has it. */
export function locate(thrown: unknown, map: string): unknown {
  if (!(thrown instanceof Error)) return thrown;
  const location = locateStack(thrown.stack, map);
  if (isVolleyError(thrown)) {
    if (thrown.location !== undefined || location === undefined) return thrown;
    return new VolleyError(thrown.code, thrown.message, {
      cause: thrown,
      location,
      ...(thrown.hint === undefined ? {} : { hint: thrown.hint }),
    });
  }
  return new VolleyError("PLAYBOOK_INVALID", `${thrown.name}: ${thrown.message}`, {
    cause: thrown,
    ...(location === undefined ? {} : { location }),
  });
}

/** The error that a file's code has left uncaught, with its place in the source, or at least the file. */
function locateStray(thrown: unknown, file: string, map: string): VolleyError {
  const located = locate(thrown, map);
  const [message, location] = isVolleyError(located)
    ? [located.message, located.location]
    : [messageOf(thrown), undefined];
  return new VolleyError("PLAYBOOK_INVALID", message, {
    cause: thrown,
    location: location ?? { file: basename(file) },
    hint: "nothing catches this error",
  });
}

const FRAMES = new RegExp(`${FILE_NAME.replace(".", "\\.")}:(\\d+):(\\d+)`, "g");

/** The place in the user's source of the first stack frame that is the user's own. */
export function locateStack(stack: string | undefined, map: string): SourceLocation | undefined {
  const frames = [...(stack ?? "").matchAll(FRAMES)];
  if (frames.length === 0) return undefined;
  const sources = new SourceMap(JSON.parse(map));
  for (const [, line, column] of frames) {
    const entry = sources.findEntry(Number(line) - 1, Number(column) - 1);
    if (!("originalSource" in entry) || entry.originalSource.startsWith(SELF)) continue;
    return { file: entry.originalSource, line: entry.originalLine + 1, column: entry.originalColumn + 1 };
  }
  return undefined;
}
