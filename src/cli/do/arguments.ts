import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { buffer } from "node:stream/consumers";
import { parametersOf } from "../../actions/coerce.ts";
import type { ActionDescription } from "../../actions/define.ts";
import { FREE_FORM, shortModuleName } from "../../ansible/keywords.ts";
import { Collection } from "../../ansible/load/collection.ts";
import { parseSource } from "../../ansible/load/read.ts";
import { readArguments } from "../../ansible/load/words.ts";
import { moduleFault } from "../../ansible/module-names.ts";
import { PLAY_MODULES } from "../../ansible/modules/play-modules.ts";
import { createModules } from "../../ansible/modules/registry.ts";
import { OWN_PARAMETERS } from "../../ansible/own-parameters.ts";
import { taskFaults } from "../../ansible/task-faults.ts";
import { didYouMean, isVolleyError, VolleyError } from "../../core/errors.ts";
import { commandLine } from "../../core/unix/shell.ts";
import { decodeUtf8, fileReason } from "../../core/unix/user-file.ts";
import { Data, isDict, isRecord, mapLeaves } from "../../core/values/value.ts";
import * as volley from "../../index.ts";
import { expandHome } from "../terminal.ts";
import { isCommandOption, pairOf, takesCommand } from "./words.ts";

// The arguments of an action, as a command line gives them.

/** The words that name an action and its arguments. */
export interface ActionWords {
  /** As it is written, maybe with a collection in front. */
  readonly action: string;
  readonly words: readonly string[];
  /** The arguments in one text, as `ansible -a` takes them. */
  readonly text?: string | undefined;
}

/** Where arguments come from, beside the words. */
export interface ArgumentSources {
  readonly cwd: string;
  /** Directories of modules of one's own, beside `library` of the working directory. */
  readonly library: readonly string[];
  /** Undefined when standard input is spoken for. */
  readonly stdin: NodeJS.ReadableStream | undefined;
}

/** An action and its arguments, of which text that is no template is `Data`. */
export interface CalledAction {
  /** Under the name that playbooks call it by. */
  readonly module: string;
  /** Without a collection that Volley knows. */
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
}

const modules = createModules(volley);

/** Read an action and its arguments. Fails with `USAGE`: of everything that can be wrong, before any host is touched. */
export async function readAction(given: ActionWords, sources: ArgumentSources): Promise<CalledAction> {
  const collection = new Collection(sources.cwd);
  for (const directory of [join(sources.cwd, "library"), ...sources.library])
    collection.takeLibrary(directory);
  const { library } = collection;
  const [module, name] = nameOf(given.action, library);
  const reader = new ArgumentReader(name, sources);
  const args = takesCommand(name) ? await reader.command(given) : await reader.parameters(given);
  // The parameters of a module of one's own are its own business.
  if (!Object.hasOwn(library, name)) checkArguments(name, args);
  return { module, name, args };
}

type Library = Collection["library"];

/** Return an action's name as it is called, and its short name. Fails with `USAGE` for one that nobody has. */
function nameOf(written: string, library: Library): readonly [module: string, name: string] {
  for (const module of [written, written.replaceAll("-", "_")]) {
    const name = shortModuleName(module);
    const fault = moduleFault(name, library, modules);
    if (fault === undefined) return [module, name];
    if (fault.kind === "python") throw new VolleyError("USAGE", fault.message);
  }
  const names = [...Object.keys(PLAY_MODULES), ...modules.names()];
  throw new VolleyError(
    "USAGE",
    `there is no action "${written}"${didYouMean(shortModuleName(written), names)}`,
    { hint: "`volley do --list` lists them" },
  );
}

/** Reads the words of one action. */
class ArgumentReader {
  readonly #name: string;
  readonly #sources: ArgumentSources;
  readonly #description: ActionDescription | undefined;
  #isStdinRead = false;

  constructor(name: string, sources: ArgumentSources) {
    this.#name = name;
    this.#sources = sources;
    this.#description = modules.find(name)?.description;
  }

  /** Read the arguments of an action that runs a command: words are the command's but for options such as `chdir=`. */
  async command({ words, text }: ActionWords): Promise<Record<string, unknown>> {
    const name = this.#name;
    const args: Record<string, unknown> = text === undefined ? {} : this.#text(text);
    const rest: string[] = [];
    for (const word of words) {
      const [key, value] = pairOf(word) ?? [];
      const isWhole = (key === "argv" || key === "cmd") && words.every((each) => pairOf(each) !== undefined);
      if (key !== undefined && (isCommandOption(word) || isWhole)) args[key] = await this.#value(key, value!);
      else rest.push(word);
    }
    if (rest.length === 0) return args;
    if (args._raw_params !== undefined)
      throw new VolleyError("USAGE", "the command is given twice: with -a, and in words");
    const [only] = rest;
    if (rest.length === 1) args._raw_params = only;
    else if (name === "command") args.argv = rest;
    else args._raw_params = name === "script" ? commandLine(rest) : rest.join(" ");
    return args;
  }

  /** Read `key=value` words, JSON, and files of arguments. */
  async parameters({ action, words, text }: ActionWords): Promise<Record<string, unknown>> {
    const args: Record<string, unknown> = text === undefined ? {} : this.#text(text);
    const given = new Map<string, unknown>();
    const free: string[] = [];
    for (const word of words) {
      const pair = pairOf(word);
      if (pair !== undefined) {
        const [key, written] = pair;
        const value = await this.#value(key, written);
        if (!given.has(key)) given.set(key, value);
        else if (this.#takesList(key)) given.set(key, [given.get(key), value].flat());
        else throw new VolleyError("USAGE", `${this.#name}: ${key} is given twice`);
      } else if (word.startsWith("{")) Object.assign(args, jsonArguments(word));
      else if (word.startsWith("@")) Object.assign(args, await this.#file(word.slice(1)));
      else free.push(word);
    }
    Object.assign(args, Object.fromEntries(given));
    if (free.length === 0) return args;
    if (!FREE_FORM.has(this.#name)) throw this.#noParameter(action, free[0]!);
    args._raw_params = free.join(" ");
    return args;
  }

  #noParameter(action: string, word: string): VolleyError {
    const names = this.#names();
    const first = names.find((name) => name === "name") ?? names[0];
    const example = first === undefined ? "" : `, such as ${first}=${/^[\w./-]+$/.test(word) ? word : "…"}`;
    return new VolleyError("USAGE", `"${word}" is no parameter of ${action}`, {
      hint: names.length === 0 ? "it takes none" : `parameters are written key=value${example}`,
    });
  }

  #names(): readonly string[] {
    return parameterNames(this.#name);
  }

  /** Read `-a`. */
  #text(text: string): Record<string, unknown> {
    if (/^\s*\{(?![{%#])/.test(text)) return jsonArguments(text);
    try {
      return readArguments(this.#name, text);
    } catch (thrown) {
      throw isVolleyError(thrown) ? new VolleyError("USAGE", `-a: ${thrown.message}`) : thrown;
    }
  }

  /** Return the value of a parameter: a text, JSON where the parameter takes lists or dicts, or the content of a file. */
  async #value(key: string, written: string): Promise<unknown> {
    if (written.startsWith("@@")) return written.slice(1);
    if (written.startsWith("@")) {
      const text = await this.#content(written.slice(1), `${key}=`);
      return this.#takesData(key) ? literal(dataOf(text, this.#takesList(key))) : new Data(text);
    }
    const opens = /^\s*(?:\[|\{(?![{%#]))/.test(written);
    return opens && this.#takesData(key) ? (parsedJson(written) ?? written) : written;
  }

  /** Return whether a parameter takes a list. */
  #takesList(key: string): boolean {
    return this.#kinds(key).includes("array");
  }

  /** Return whether JSON is no text for a parameter. */
  #takesData(key: string): boolean {
    const kinds = this.#kinds(key);
    if (kinds.includes("string")) return kinds.includes("array") && !kinds.includes("unknown");
    return kinds.some((kind) => /^(?:array|record|(?:strict_|loose_)?object)$/.test(kind));
  }

  #kinds(key: string): readonly string[] {
    const description = this.#description;
    if (description === undefined) return key === "argv" ? ["array"] : [];
    const { aliases } = description;
    const shape = parametersOf({ description })[Object.hasOwn(aliases, key) ? aliases[key]! : key];
    return shape === undefined ? [] : kindsOf(shape);
  }

  /** Read all arguments from a file in YAML or JSON. */
  async #file(path: string): Promise<Readonly<Record<string, unknown>>> {
    const text = await this.#content(path, "@");
    const value = yamlOf(text, path);
    if (isRecord(value) && !Array.isArray(value)) return value;
    throw new VolleyError("USAGE", `${nameOfFile(path)} holds no mapping of parameters to values`);
  }

  /** Read a file, or standard input, that an argument names. */
  async #content(path: string, before: string): Promise<string> {
    let bytes: Uint8Array;
    if (path === "-") {
      if (this.#isStdinRead || this.#sources.stdin === undefined)
        throw new VolleyError("USAGE", `${before}@-: standard input can be read only once`);
      this.#isStdinRead = true;
      bytes = await buffer(this.#sources.stdin);
    } else {
      try {
        bytes = await readFile(resolve(this.#sources.cwd, expandHome(path)));
      } catch (cause) {
        throw new VolleyError(
          "USAGE",
          `cannot read ${path || "a file without a name"}: ${fileReason(cause)}`,
          {
            cause,
            ...(before === "@" ? {} : { hint: `${before}@@${path} stands for the text @${path}` }),
          },
        );
      }
    }
    const decoded = decodeUtf8(bytes);
    if ("text" in decoded) return decoded.text;
    throw new VolleyError("USAGE", `${nameOfFile(path)} is not UTF-8, line ${decoded.line}`, {
      hint: "copy sends files of bytes: copy src=FILE dest=…",
    });
  }
}

/** Return the names of an action's parameters; none where they are not known. */
export function parameterNames(name: string): readonly string[] {
  if (Object.hasOwn(OWN_PARAMETERS, name))
    return OWN_PARAMETERS[name]!.known.filter((each) => each !== "_raw_params");
  const description = modules.find(name)?.description;
  return description === undefined ? [] : Object.keys(parametersOf({ description }));
}

type Shape = ReturnType<typeof parametersOf>[string];

/** The kinds of values that a schema takes; `unknown` where it takes lists of anything. */
function kindsOf({ type, wrapped, options, item }: Shape): readonly string[] {
  if (wrapped !== undefined) return kindsOf(wrapped);
  if (type === "union") return ((options ?? []) as readonly Shape[]).flatMap(kindsOf);
  const isAny = item !== undefined && kindsOf(item).some((kind) => kind === "unknown" || kind === "any");
  return isAny ? [type, "unknown"] : [type];
}

function nameOfFile(path: string): string {
  return path === "-" ? "standard input" : path;
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function jsonArguments(text: string): Record<string, unknown> {
  const value = parsedJson(text);
  if (isRecord(value)) return { ...value };
  throw new VolleyError("USAGE", "the arguments begin with { and are no JSON", {
    hint: `write '{"name": "nginx"}', or name=nginx`,
  });
}

/** Read a list or dict from a file: YAML, JSON, or a list with a line for each entry. */
function dataOf(text: string, isList: boolean): unknown {
  const lines = text
    .split("\n")
    .map((line) => line.replace(/(?:^|\s)#.*$/, "").trim())
    .filter((line) => line !== "");
  return isList && !/^(?:[-[{]|%)/.test(lines[0] ?? "") ? lines : yamlOf(text, "the file");
}

function yamlOf(text: string, path: string): unknown {
  try {
    const { reader } = parseSource(text, nameOfFile(path), () => undefined);
    return reader.value(reader.root);
  } catch (thrown) {
    throw isVolleyError(thrown) ? new VolleyError("USAGE", thrown.message, { cause: thrown }) : thrown;
  }
}

/** Let texts stand for themselves. */
function literal(value: unknown): unknown {
  return mapLeaves(value, (leaf) => (typeof leaf === "string" ? new Data(leaf) : leaf));
}

/** Fail with `USAGE` for arguments that no host could take. */
function checkArguments(name: string, args: Readonly<Record<string, unknown>>): void {
  // A text of a file is a text to the action.
  const told = mapLeaves(args, (leaf) => (leaf instanceof Data ? leaf.text : leaf)) as typeof args;
  const faults = taskFaults({ module: name, args: told }, modules).filter(({ isWarning }) => !isWarning);
  if (faults.length === 0) return;
  const isUnknown = faults.some(({ kind }) => kind === "unknown");
  const names = parameterNames(name);
  const hint = isUnknown && names.length > 0 ? `it takes: ${names.join(", ")}` : faults[0]!.hint;
  throw new VolleyError("USAGE", faults.map(({ message }) => message).join("\n"), { hint });
}

/** Return whether a value is, or holds, a template. */
export function holdsTemplates(value: unknown): boolean {
  let found = false;
  mapLeaves(value, (leaf) => {
    found ||= typeof leaf === "string" && /\{[{%#]/.test(leaf);
    return leaf;
  });
  return found || (isDict(value) && !(value instanceof Map) && Object.keys(value).some(holdsTemplates));
}
