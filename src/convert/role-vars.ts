import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isDict } from "../core/values/value.ts";
import type { Vars } from "../core/values/vars.ts";
import { type Code, call, keyText, object, print } from "./code.ts";
import type { PlainValue } from "./conditions.ts";
import type { RoleSource, VarsFile } from "./role-source.ts";
import { isTemplated, permissionBits, refuse, textsIn, valueCode } from "./values.ts";

// A role's defaults and vars as the vars that a role in TypeScript declares.

/** The vars of a role. */
export interface RoleVars {
  /** `vars.ts` */
  readonly text: string;
  /** `vars-files.ts`, for `include_vars`; undefined without such files. */
  readonly filesText: string | undefined;
  /** The names of files that `include_vars` may name: `Debian.yml`. */
  readonly files: readonly string[];
  /** Defaults whose type is known, by name. */
  readonly plain: ReadonlyMap<string, PlainValue>;
  readonly hasDefaults: boolean;
  readonly hasVars: boolean;
}

const MAIN = /^(?:defaults|vars)\/main(?:\.(?:ya?ml|json)|\/.+)?$/;

/** Return the vars of all `main` files of `defaults` or `vars`. Fails with `PLAYBOOK_INVALID` for a file that cannot be read. */
function mainVars(files: Readonly<Record<string, VarsFile>>): readonly OwnVar[] {
  const found = new Map<string, OwnVar>();
  for (const [path, file] of Object.entries(files)) {
    if (!MAIN.test(path)) continue;
    for (const [name, value] of Object.entries(contentOf(path, file)))
      found.set(name, { name, value, at: `${path}:${"lines" in file ? (file.lines[name] ?? 1) : 1}` });
  }
  return [...found.values()];
}

function contentOf(path: string, file: VarsFile): Vars {
  if ("content" in file) return file.content;
  return refuse(path, file.error.replace(/^\S+:\d+(?::\d+)?: /, ""));
}

interface OwnVar {
  readonly name: string;
  readonly value: unknown;
  readonly at: string;
}

/** Convert a role's vars. `texts` are all texts of the role in which vars may be named. */
export function convertVars(source: RoleSource, texts: readonly string[]): RoleVars {
  const defaults = mainVars(source.defaults);
  const vars = mainVars(source.vars);
  const files = Object.entries(source.vars).filter(([path]) => !MAIN.test(path));
  const comments = commentsOf(source);
  const known = new Set([...defaults, ...vars].map(({ name }) => name));
  const given = namesGiven(
    texts,
    defaults,
    known,
    files.map(([path, file]) => contentOf(path, file)),
  );
  const iterated = iteratedIn(texts);
  const computed = defaults.filter(({ value }) => isTemplated(value));
  const entries = [
    ...defaults.map((each): [string, Code] => [keyText(each.name), schemaOf(each, iterated.has(each.name))]),
    ...given.map((name): [string, Code] => [keyText(name), "v.optional(v.unknown())"]),
  ];
  const noted: Record<string, readonly string[]> = {};
  for (const { name, at } of defaults) {
    const lines = comments.get(at);
    if (lines !== undefined) noted[keyText(name)] = lines;
  }
  if (given[0] !== undefined)
    noted[keyText(given[0])] ??= ["// Vars without a default, which the role asks for."];
  const constants = (name: string, doc: string, own: readonly OwnVar[]): string =>
    own.length === 0
      ? ""
      : `\n/** ${doc} */\nexport const ${name}: Vars = ${print(
          object(
            own.map(({ name: key, value, at }) => [
              keyText(key),
              permissionBits(key, value) ?? valueCode(value, at),
            ]),
          ),
          "",
          `export const ${name}: Vars = `.length,
          1,
        )};\n`;
  const usesVars = computed.length > 0 || vars.length > 0;
  const schema = print(call("v.object", object(entries, noted)), "", "export const declared = ".length, 1);
  const text = `import * as v from "valibot";
import type { AnsibleTasks } from "volley";
${usesVars ? "\ntype Vars = Readonly<Record<string, unknown>>;\n" : ""}
/** The vars that plays and inventories may give the role, with their defaults: defaults/main.yml. */
export const declared = ${schema};

/** The context of the role's tasks. */
export type Role = AnsibleTasks<v.InferOutput<typeof declared>>;
${constants("defaults", "Defaults that are templates of other vars.", computed)}${constants("vars", "Vars over those of inventories and plays: vars/main.yml.", vars)}`;
  return {
    text,
    filesText: filesText(files),
    files: files.map(([path]) => path.replace(/^vars\//, "")),
    plain: plainOf(
      defaults.filter(({ name }) => !iterated.has(name)),
      source,
      vars,
    ),
    hasDefaults: computed.length > 0,
    hasVars: vars.length > 0,
  };
}

/** Names of vars that the role loops over: false, or a text, stands for no list there. */
function iteratedIn(texts: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  const use =
    /\bin\s+([A-Za-z_]\w*)|\b([A-Za-z_]\w*)\s*\|\s*(?:join|map|list|length|count|first|last|select\w*|reject\w*|dict2items|items|union|flatten)\b|\b([A-Za-z_]\w*)\.(?:items|keys|values)\(/g;
  for (const text of texts) {
    for (const [, ...names] of text.matchAll(use))
      for (const name of names) if (name !== undefined) found.add(name);
  }
  return found;
}

function schemaOf({ name, value, at }: OwnVar, isIterated: boolean): Code {
  if (isTemplated(value)) return "v.optional(v.unknown())";
  const isScalar = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
  if (isIterated && isScalar) return call("v.optional", "v.unknown()", valueCode(value, at));
  const type =
    typeof value === "string" && value !== ""
      ? "v.string()"
      : typeof value === "number"
        ? "v.union([v.number(), v.string()])"
        : typeof value === "boolean"
          ? "v.boolean()"
          : Array.isArray(value)
            ? "v.array(v.unknown())"
            : isDict(value) && !(value instanceof Map)
              ? "v.record(v.string(), v.unknown())"
              : "v.unknown()";
  return call("v.optional", type, permissionBits(name, value) ?? valueCode(value, at));
}

/** Defaults whose value is the one that the role's tasks see, because nothing in the role sets them anew. */
function plainOf(
  defaults: readonly OwnVar[],
  { tasks, vars, handlers }: RoleSource,
  own: readonly OwnVar[],
): ReadonlyMap<string, PlainValue> {
  const text = JSON.stringify([tasks, handlers]);
  const others = new Set(
    Object.values(vars).flatMap((file) => Object.keys("content" in file ? file.content : {})),
  );
  for (const { name } of own) others.add(name);
  const plain = new Map<string, PlainValue>();
  for (const { name, value } of defaults) {
    const type = typeof value;
    if (isTemplated(value) || value === "" || others.has(name) || !/^[A-Za-z_]\w*$/.test(name)) continue;
    // A number may be given as text: 32mb.
    if (type !== "string" && type !== "boolean") continue;
    // As a key of a statement: set_fact, vars, register and the like.
    if (text.includes(`"${name}":`) || text.includes(`:"${name}"`)) continue;
    plain.set(name, { code: `vars.${name}`, type });
  }
  return plain;
}

const WORD = /(?<![\w.'"|])\s*([A-Za-z_]\w*)(?!\w|\s*[(=](?!=))/g;

/** Names that the role asks for and does not set by itself, and that look like its own. */
function namesGiven(
  texts: readonly string[],
  defaults: readonly OwnVar[],
  known: ReadonlySet<string>,
  files: readonly Vars[],
): readonly string[] {
  const prefixes = new Map<string, number>();
  for (const name of known) {
    const [prefix = ""] = /^_*[A-Za-z0-9]+_/.exec(name) ?? [];
    if (prefix !== "") prefixes.set(prefix, (prefixes.get(prefix) ?? 0) + 1);
  }
  const common = [...prefixes].filter(([, count]) => count * 4 >= defaults.length).map(([prefix]) => prefix);
  const found = new Set<string>();
  for (const text of texts)
    for (const [, name = ""] of text.replace(/'[^']*'|"[^"]*"/g, "''").matchAll(WORD))
      if (common.some((prefix) => name.startsWith(prefix)) && !known.has(name)) found.add(name);
  const isPrivate = (name: string): boolean => name.startsWith("__");
  const isOfFiles = (name: string): boolean => files.some((vars) => Object.hasOwn(vars, name));
  return [...found].filter((name) => !isPrivate(name) && !isOfFiles(name)).sort();
}

/** The comments right above each default, by place. */
function commentsOf({ defaults, role }: RoleSource): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const [path, file] of Object.entries(defaults)) {
    if ("error" in file) continue;
    const lines = readFileSync(join(role.directory, path), "utf8").split(/\r?\n/);
    for (const line of Object.values(file.lines)) {
      const above: string[] = [];
      for (let at = line - 2; at >= 0 && /^#(?!!)/.test(lines[at]!); at--) above.unshift(lines[at]!);
      const comments = above
        .map((each) => `// ${each.replace(/^#+\s?/, "").trimEnd()}`.trimEnd())
        .filter((each) => each !== "//");
      if (comments.length > 0) found.set(`${path}:${line}`, comments);
    }
  }
  return found;
}

function filesText(files: readonly (readonly [string, VarsFile])[]): string | undefined {
  if (files.length === 0) return undefined;
  const entries = files.map(([path, file]): [string, ReturnType<typeof valueCode>] => [
    keyText(path.replace(/^vars\//, "")),
    valueCode(contentOf(path, file), path),
  ]);
  const head = "export const varsFiles = ";
  return `/** The role's files of vars, for \`include\`. Texts may be templates. */
${head}${print(object(entries), "", head.length, 1)};
`;
}

/** Return all texts of a role in which vars may be named: of tasks, vars and templates. */
export function textsOfRole(source: RoleSource): readonly string[] {
  const { tasks, handlers, defaults, vars, templates, role } = source;
  const files = templates.map((path) => readFileSync(join(role.directory, path), "utf8"));
  const marked = [...textsIn([defaults, vars]), ...files].flatMap(
    (text) => text.match(/\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}/g) ?? [],
  );
  return [...textsIn([tasks, handlers]), ...marked];
}
