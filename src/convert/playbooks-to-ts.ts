import { BLOCK_KEYWORDS } from "../ansible/keywords.ts";
import { type Mapping, mappingOf, parseSource, readText, type SourceFile } from "../ansible/load/read.ts";
import { placeText } from "../ansible/place.ts";
import { patternOf } from "../ansible/static/schedule-faults.ts";
import { type Code, call, keyText, list, object, print, quote } from "./code.ts";
import { isTemplated, valueCode } from "./values.ts";

// Plays in Ansible's YAML that only give roles to hosts, as a playbook in TypeScript that does the same.

type YamlNode = NonNullable<Parameters<typeof mappingOf>[1]>;

/** A playbook in TypeScript made of others. */
export interface ConvertedPlaybooks {
  /** Undefined where no play could be taken. */
  readonly text: string | undefined;
  /** The number of plays in it. */
  readonly plays: number;
  /** The plays that were left out, each with its place and the reason. */
  readonly leftOut: readonly string[];
}

/** Keys of a play that have a form here, or need none. */
const PLAY_KEYS = ["name", "hosts", "become", "become_user", "gather_facts", "roles", "tags", "vars"];
const ROLE_KEYS = ["role", "name", "tags", "vars", "become", "become_user"];

/** The reason why a play stays in YAML. */
class StaysInYaml extends Error {
  override readonly name = "StaysInYaml";
}

/**
 * Write the plays of playbooks that only give roles to hosts as one playbook in TypeScript, whose roles stay in YAML. All
 * other plays are left out, because half of a play would be a wrong one. `shown` is the name of a file in messages.
 */
export function convertPlaybooks(
  files: readonly string[],
  shown: (file: string) => string,
): ConvertedPlaybooks {
  const plays: Code[] = [];
  const leftOut: string[] = [];
  for (const file of files) {
    const source = parseSource(readText(file, shown(file)), shown(file), () => "");
    for (const item of source.reader.items(source.reader.root) ?? []) {
      try {
        plays.push(playCode(source, item));
      } catch (thrown) {
        if (!(thrown instanceof StaysInYaml)) throw thrown;
        leftOut.push(`${placeText(source.reader.locate(item))}: ${thrown.message}`);
      }
    }
  }
  if (plays.length === 0) return { text: undefined, plays: 0, leftOut };
  const playbook = print(call("definePlaybook", list(plays)), "", "export default ".length, 1);
  const text = `import { ansibleRole, definePlaybook } from "volley";\n\nexport default ${playbook};\n`;
  return { text, plays: plays.length, leftOut };
}

function playCode(source: SourceFile, item: YamlNode | null): Code {
  const mapping = mappingOf(source, item);
  if (mapping === undefined) throw new StaysInYaml("this is no play");
  const value = readerOf(source, mapping);
  const other = [...mapping.entries.keys()].find((key) => !PLAY_KEYS.includes(key));
  if (other !== undefined) throw new StaysInYaml(`the play has ${other}`);
  const roles = source.reader.items(mapping.entries.get("roles")?.node ?? null) ?? [];
  if (roles.length === 0) throw new StaysInYaml("the play has no roles");
  const hosts = patternOf(value("hosts"));
  if (hosts === undefined || isTemplated(hosts)) throw new StaysInYaml("its hosts are known only in a run");
  const at = placeText(mapping.location);
  return object([
    ...(typeof value("name") === "string" ? [["name", quote(value("name") as string)] as const] : []),
    ["hosts", quote(hosts)],
    ...becomeEntry(value),
    ...tagsEntry(value),
    ...(value("vars") === null ? [] : [["vars", valueCode(value("vars"), at)] as const]),
    ["roles", list(roles.map((role) => roleCode(source, role)))],
  ]);
}

/** Write the use of a role: its name alone, or a mapping whose other keys are keywords or parameters. */
function roleCode(source: SourceFile, node: YamlNode | null): Code {
  const written = source.reader.value(node);
  const mapping = mappingOf(source, node);
  if (mapping === undefined) return call("ansibleRole", nameCode(written));
  const value = readerOf(source, mapping);
  const keys = [...mapping.entries.keys()].filter((key) => !ROLE_KEYS.includes(key));
  const keyword = keys.find((key) => key === "when" || key === "vars_files" || BLOCK_KEYWORDS.has(key));
  if (keyword !== undefined) throw new StaysInYaml(`a role of the play has ${keyword}`);
  const vars = new Map([
    ...keys.map((key) => [key, value(key)] as const),
    ...(mapping.entries.has("vars") ? entriesOf(value("vars")) : []),
  ]);
  const at = placeText(mapping.location);
  const options: readonly (readonly [string, Code])[] = [
    ...(vars.size === 0
      ? []
      : [["vars", object([...vars].map(([key, given]) => [keyText(key), valueCode(given, at)]))] as const]),
    ...tagsEntry(value),
    ...becomeEntry(value),
  ];
  const name = nameCode(value("role") ?? value("name"));
  return options.length === 0 ? call("ansibleRole", name) : call("ansibleRole", name, object(options));
}

function nameCode(name: unknown): Code {
  if (typeof name !== "string" || name === "" || isTemplated(name))
    throw new StaysInYaml("the name of a role is known only in a run");
  return quote(name);
}

type Value = (key: string) => unknown;

function readerOf({ reader }: SourceFile, { entries }: Mapping): Value {
  return (key) => reader.value(entries.get(key)?.node ?? null);
}

function entriesOf(vars: unknown): readonly (readonly [string, unknown])[] {
  if (vars instanceof Map) return [...vars].map(([key, given]) => [String(key), given]);
  return Object.entries((vars ?? {}) as Readonly<Record<string, unknown>>);
}

function becomeEntry(value: Value): readonly (readonly [string, Code])[] {
  const [become, user] = [value("become"), value("become_user")];
  if (become === null && user === null) return [];
  if (typeof become !== "boolean" || !(user === null || (typeof user === "string" && !isTemplated(user))))
    throw new StaysInYaml("the user it becomes is known only in a run");
  return [["become", become && user !== null && user !== "root" ? quote(user as string) : String(become)]];
}

function tagsEntry(value: Value): readonly (readonly [string, Code])[] {
  const tags = value("tags");
  if (tags === null) return [];
  if (isTemplated(tags)) throw new StaysInYaml("its tags are known only in a run");
  const names = [tags].flat().flatMap((tag) => String(tag).split(","));
  return [["tags", names.length === 1 ? quote(names[0]!) : list(names.map((name) => quote(name.trim())))]];
}
