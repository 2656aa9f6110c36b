import { isVolleyError, messageOf } from "../core/errors.ts";
import { isRecord } from "../core/values/value.ts";
import type { Vars } from "../core/values/vars.ts";
import type { Templates } from "../template/index.ts";
import { createScope, stackLayers } from "../vars/scope.ts";
import type { YamlEntry, YamlReader } from "../yaml/document.ts";
import {
  addChild,
  type Draft,
  type DraftGroup,
  declareGroup,
  type Entries,
  entry,
  invalid,
  type ReadContext,
} from "./draft.ts";

// Files of the inventory plugin `constructed`: vars and groups computed of the hosts that earlier sources have.

/** The names under which a file asks for the plugin. */
export const CONSTRUCTED = ["constructed", "ansible.builtin.constructed"];

interface Constructed {
  readonly strict: boolean;
  readonly leadingSeparator: boolean;
  readonly useExtraVars: boolean;
  readonly compose: readonly (readonly [string, string])[];
  readonly groups: readonly (readonly [string, unknown])[];
  readonly keyedGroups: readonly KeyedGroup[];
}

interface KeyedGroup {
  readonly key: string;
  readonly prefix: string;
  readonly separator: string;
  readonly parent: string | undefined;
  readonly standard: string | undefined;
  readonly trailingSeparator: boolean;
}

const KEYS = [
  ...["plugin", "strict", "compose", "groups", "keyed_groups", "leading_separator"],
  ...["use_extra_vars", "use_vars_plugins"],
];
const KEYED = [...["key", "prefix", "separator", "parent_group", "default_value", "trailing_separator"]];

/**
 * Read a file of the plugin `constructed` into a draft: `compose`, `groups` and `keyed_groups` as Ansible has them. An
 * expression that fails is passed over, unless the file says `strict: true`. As in Ansible a host has the vars of `all`
 * only where its groups are declared below `all`. Fails with `INVENTORY_INVALID`.
 */
export async function readConstructed(
  context: ReadContext,
  reader: YamlReader,
  entries: readonly YamlEntry[],
  extraVars: Entries | undefined,
): Promise<void> {
  const wanted = readWishes(context, reader, entries);
  const { createTemplates } = await import("../template/index.ts");
  const templates = createTemplates();
  const extra = wanted.useExtraVars ? valuesOf(extraVars) : {};
  for (const host of context.draft.hosts.keys()) construct(context, host, wanted, { templates, extra });
}

function readWishes({ file }: ReadContext, reader: YamlReader, entries: readonly YamlEntry[]): Constructed {
  const values = new Map<string, unknown>();
  for (const { key, value, location } of entries) {
    if (!KEYS.includes(key)) throw invalid(`the plugin constructed has no option "${key}"`, location);
    if (key === "use_vars_plugins" && reader.value(value) === true)
      throw invalid("use_vars_plugins is not supported: files of group_vars are read last", location);
    values.set(key, reader.value(value));
  }
  const dict = (key: string): readonly (readonly [string, unknown])[] => {
    const value = values.get(key) ?? {};
    if (!isRecord(value)) throw invalid(`${key} must be a mapping`, { file });
    return Object.entries(value);
  };
  const list = values.get("keyed_groups") ?? [];
  if (!Array.isArray(list)) throw invalid("keyed_groups must be a list", { file });
  return {
    strict: values.get("strict") === true,
    leadingSeparator: values.get("leading_separator") !== false,
    useExtraVars: values.get("use_extra_vars") === true,
    compose: dict("compose").map(([name, text]) => [name, String(text)]),
    groups: dict("groups"),
    keyedGroups: list.map((each: unknown) => readKeyed(each, file)),
  };
}

function readKeyed(given: unknown, file: string): KeyedGroup {
  if (!isRecord(given)) throw invalid("an item of keyed_groups must be a mapping", { file });
  const unknown = Object.keys(given).find((key) => !KEYED.includes(key));
  if (unknown !== undefined) throw invalid(`keyed_groups has no option "${unknown}"`, { file });
  const text = (key: string): string | undefined =>
    given[key] === undefined || given[key] === null ? undefined : String(given[key]);
  const key = text("key");
  if (key === undefined) throw invalid("an item of keyed_groups needs a key", { file });
  if (text("default_value") !== undefined && given.trailing_separator !== undefined)
    throw invalid("keyed_groups takes either default_value or trailing_separator", { file });
  return {
    key,
    prefix: text("prefix") ?? "",
    separator: text("separator") ?? "_",
    parent: text("parent_group"),
    standard: text("default_value"),
    trailingSeparator: given.trailing_separator !== false,
  };
}

interface Means {
  readonly templates: Templates;
  readonly extra: Vars;
}

function construct(
  context: ReadContext,
  host: string,
  wanted: Constructed,
  { templates, extra }: Means,
): void {
  const { draft, file } = context;
  const { strict } = wanted;
  const own = draft.hosts.get(host)!;
  /** Do work whose failure is passed over, unless the file is strict. */
  const attempt = <T>(what: string, work: () => T): T | undefined => {
    try {
      return work();
    } catch (thrown) {
      if (!isVolleyError(thrown) || strict) {
        throw invalid(`${what} for host ${host}: ${messageOf(thrown)}`, { file }, { cause: thrown });
      }
      return undefined;
    }
  };
  const scopeNow = (): Vars => scopeOf(draft, host, extra, templates);
  const evaluate = (expression: string, scope: Vars): unknown =>
    stackLayers(scope, {
      kind: "template",
      vars: { wanted: `{{ ${expression} }}` },
      origin: () => ({ name: expression }),
    }).wanted;
  const before = scopeNow();
  for (const [name, expression] of wanted.compose) {
    const value = attempt(`cannot set ${name}`, () => evaluate(expression, before));
    if (value !== undefined) own.set(name, entry(context, value, `host ${host}`));
  }
  const vars = scopeNow();
  const join = (group: string): DraftGroup => {
    const made = declareGroup(draft, safeName(group), { file });
    made.hosts.add(host);
    return made;
  };
  for (const [group, condition] of wanted.groups) {
    if (attempt(`cannot decide about group ${group}`, () => templates.condition(condition, vars)) === true)
      join(group);
  }
  for (const keyed of wanted.keyedGroups) {
    const value = attempt(`cannot group by ${keyed.key}`, () => evaluate(keyed.key, vars));
    if (value === undefined || value === null) continue;
    const names = namesOf(value, keyed);
    if (names === undefined) {
      throw invalid(
        `cannot group host ${host} by ${keyed.key}: it must be text, a list or a dict`,
        { file },
        {
          hint: "make text of it with the filter string",
        },
      );
    }
    for (const name of names) {
      const group = join(nameOf(name, keyed, wanted.leadingSeparator));
      if (keyed.parent === undefined) continue;
      const parent = attempt(`cannot fill in ${keyed.parent}`, () => filled(keyed.parent!, vars, templates));
      if (parent === undefined || parent === "") continue;
      addChild(declareGroup(draft, safeName(parent), { file }), group.name, { file });
    }
  }
}

function filled(text: string, vars: Vars, templates: Templates): string {
  return text.includes("{{") ? templates.renderString(text, vars) : text;
}

/**
 * Return the names that a value stands for: a text's own, those in a list, or pairs of a dict. An empty text stands for
 * `default_value`, or for nothing. Undefined for other values.
 */
function namesOf(value: unknown, keyed: KeyedGroup): readonly string[] | undefined {
  const { separator, standard, trailingSeparator } = keyed;
  const one = (name: unknown): string => (name === "" && standard !== undefined ? standard : String(name));
  if (typeof value === "string") return value === "" && standard === undefined ? [] : [one(value)];
  if (Array.isArray(value)) return value.map(one);
  if (!isRecord(value)) return undefined;
  return Object.entries(value).map(([key, each]) => {
    const name = one(each);
    return name === "" && !trailingSeparator ? key : `${key}${separator}${name}`;
  });
}

function nameOf(name: string, { prefix, separator }: KeyedGroup, leading: boolean): string {
  return prefix === "" && !leading ? name : `${prefix}${separator}${name}`;
}

/** Make a text the name of a group, as Ansible does for groups that it makes. */
function safeName(name: string): string {
  return name.replace(/[^A-Za-z0-9_]/g, "_");
}

/** The vars of a host as far as sources have set them: its own over those of its groups, the nearest last. */
function scopeOf(draft: Draft, host: string, extra: Vars, templates: Templates): Vars {
  const groups = groupsAbove(draft, host);
  const layers = [...groups.map(({ vars }) => vars), draft.hosts.get(host)!];
  const vars = Object.assign({}, ...layers.map(valuesOf), extra) as Vars;
  const magic = {
    inventory_hostname: host,
    inventory_hostname_short: host.split(".")[0],
    group_names: groups.map(({ name }) => name).filter((name) => name !== "all"),
  };
  return createScope(
    [
      { kind: "template", vars, origin: (name) => ({ name }) },
      { kind: "data", vars: magic },
    ],
    templates.renderValue,
  );
}

/** The groups of a host that are declared by now, the outermost first. */
function groupsAbove(draft: Draft, host: string): readonly DraftGroup[] {
  const found: DraftGroup[] = [];
  const add = (group: DraftGroup): void => {
    if (found.includes(group)) return;
    for (const above of draft.groups.values()) if (above.children.has(group.name)) add(above);
    found.push(group);
  };
  for (const group of draft.groups.values()) if (group.hosts.has(host)) add(group);
  return found;
}

function valuesOf(entries: Entries | undefined): Vars {
  return Object.fromEntries([...(entries ?? [])].map(([name, { value }]) => [name, value]));
}
