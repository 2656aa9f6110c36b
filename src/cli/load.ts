import * as fs from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Script } from "node:vm";

/** The script with all chunks that are too small for one of their own. */
const SMALL = "small.js";

/** A module as a function; build.mjs names its parameters. */
type Chunk = (
  exports: object,
  addExports: typeof addGetters,
  toModule: typeof asModule,
  require: (name: string) => unknown,
  requireLate: (name: string) => object,
  load: (name: string) => Promise<unknown>,
  importHere: (specifier: string) => Promise<unknown>,
  url: string,
  filename: string,
  directory: string,
) => void;

/** Compile a script of the program; `name` is its file's. */
export type CompileScript = (name: string, source: string, options: { readonly filename: string }) => Script;

/** The chunks that the command begins with. */
export interface BuiltProgram {
  load(chunk: "program.js"): typeof import("./program.ts");
  load(chunk: "early.js"): typeof import("./persist/early.ts");
}

/**
 * Open the built program. Its chunks are the build's (build.mjs): functions in scripts of
 * dist/cli/program, which are read and compiled when a command first needs one of them.
 * @param directory dist/cli
 * @param importHere imports by the caller: V8 forgets how to import for a script that it has kept (Node 20).
 * @param compile default: from the source alone
 */
export function openProgram(
  directory: string,
  importHere: (specifier: string) => Promise<unknown>,
  compile: CompileScript = (_name, source, options) => new Script(source, options),
): BuiltProgram {
  const main = join(directory, "main.js");
  const url = pathToFileURL(main).href;
  const requireNode = createRequire(main);
  const scripts = new Map<string, Readonly<Record<string, Chunk>>>();
  const modules = new Map<string, object>();

  const readScript = (name: string): Readonly<Record<string, Chunk>> => {
    const known = scripts.get(name);
    if (known !== undefined) return known;
    const filename = join(directory, "program", name);
    // The build makes the program pure ASCII: latin1 needs no decoding, and half the memory.
    const script = compile(name, fs.readFileSync(filename, "latin1"), { filename });
    const chunks = script.runInThisContext() as Readonly<Record<string, Chunk>>;
    scripts.set(name, chunks);
    return chunks;
  };
  const loadChunk = (name: string): object => {
    const known = modules.get(name);
    if (known !== undefined) return known;
    const chunk = readScript(SMALL)[name] ?? readScript(name)[name]!;
    const exports = Object.defineProperty({}, "__esModule", { value: true });
    // Known from now on: chunks may need each other.
    modules.set(name, exports);
    chunk(exports, addGetters, asModule, require, requireLate, load, importHere, url, main, directory);
    return exports;
  };
  const require = (name: string): unknown =>
    name.startsWith("./") ? loadChunk(name.slice(2)) : requireNode(name);
  /** Return a module of Node's that is loaded when the program first uses an export of it. */
  const requireLate = (name: string): object =>
    new Proxy(
      {},
      {
        get: (_none, key) => {
          const module = requireNode(name) as Readonly<Record<PropertyKey, unknown>>;
          return key === "default" ? module : module[key];
        },
      },
    );
  const load = async (name: string): Promise<unknown> => loadChunk(name.slice(2));
  return { load: loadChunk as BuiltProgram["load"] };
}

function addGetters(target: object, getters: Readonly<Record<string, () => unknown>>): void {
  for (const [name, get] of Object.entries(getters))
    Object.defineProperty(target, name, { get, enumerable: true });
}

const asModules = new Map<object, object>();

/** Return the exports of a module for `require` as `import` gives them. */
function asModule(required: object): object {
  // A package made of modules may export no default; Node's `import` gives all of it as one.
  if (Object.hasOwn(required, "__esModule") && Object.hasOwn(required, "default")) return required;
  const known = asModules.get(required);
  if (known !== undefined) return known;
  const module = { default: required };
  // Of Node's own modules, some values are read only when they are needed, or warn when they are read.
  const names = Object.keys(required).filter((name) => name !== "default") as (keyof typeof required)[];
  addGetters(module, Object.fromEntries(names.map((name) => [name, () => required[name]])));
  asModules.set(required, module);
  return module;
}
