import { randomInt } from "node:crypto";
import { matchesGlob, setGlobPieces } from "../../core/unix/shell.ts";
import { textToBytes } from "../../core/values/bytes.ts";
import { pythonRegex } from "../../core/values/python-regex.ts";
import { fail } from "../errors.ts";
import { lookedUpText } from "../lookup-text.ts";
import {
  type Callable,
  type CallState,
  dictGet,
  intArgument,
  isDict,
  isList,
  iterate,
  type Keywords,
  str,
  textArgument,
  truth,
} from "../values.ts";
import { csvRows } from "./csv.ts";
import { makePassword, type PasswordOptions, readPasswordTerm } from "./make-password.ts";
import { readProperties, sectionOf } from "./properties.ts";

/** Split `key name=value …` into the words before the first option, and the options, whose names are known. */
function splitTerm(lookup: string, term: string, known: readonly string[]): [string, Record<string, string>] {
  const words = term.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  const options: Record<string, string> = {};
  const key: string[] = [];
  for (const word of words) {
    const [, name, value = ""] = /^([A-Za-z_]\w*)=(.*)$/s.exec(word) ?? [];
    if (name === undefined) key.push(word);
    else if (!known.includes(name)) fail(`${lookup}: ${name} is not a valid option`);
    else options[name] = value.replace(/^(["'])(.*)\1$/s, "$2");
  }
  return [key.join(" "), options];
}

/** Decode a text that was read as UTF-8, with what is none kept, by the encoding that its file has. */
function decoded(text: string, encoding: unknown = "utf-8"): string {
  const name = str(encoding).replace(/^iso_?-?8859-?_?/i, "iso-8859-");
  if (/^utf-?8$/i.test(name)) return text;
  try {
    return new TextDecoder(name).decode(textToBytes(text));
  } catch {
    return fail(`unknown encoding: ${str(encoding)}`);
  }
}

const CSV_OPTIONS = ["file", "delimiter", "col", "keycol", "default", "encoding"];

const csvfile: Callable = (terms, keywords, state) =>
  terms.flatMap((term) => {
    const [key, inline] = splitTerm("csvfile", str(term), CSV_OPTIONS);
    if (key === "") fail("Search key is required but was not found");
    const given: Keywords = { ...keywords, ...inline };
    const file = textArgument(given.file, "ansible.csv");
    const delimiter = textArgument(given.delimiter, "TAB");
    const rows = csvRows(
      decoded(lookedUpText("csvfile", file, state), given.encoding),
      delimiter === "TAB" || delimiter === "t" ? "\t" : delimiter,
    );
    const keyColumn = intArgument(given.keycol, 0);
    const row = rows.find((one) => one[keyColumn] === key);
    if (row !== undefined)
      return [row[intArgument(given.col, 1)] ?? fail("csvfile: list index out of range")];
    return given.default === undefined || given.default === null || given.default === ""
      ? []
      : [given.default];
  });

const INI_OPTIONS = [
  "file",
  "section",
  "re",
  "default",
  "type",
  "encoding",
  "case_sensitive",
  "allow_no_value",
  "allow_none",
];

const ini: Callable = (terms, keywords, state) =>
  terms.flatMap((term) => {
    const [key, inline] = splitTerm("ini", str(term), INI_OPTIONS);
    if (key === "")
      fail(`No key to lookup was provided as first term with in string inline options: ${str(term)}`);
    const given: Keywords = { ...keywords, ...inline };
    const isProperties = given.type === "properties";
    const file = textArgument(given.file, "ansible.ini");
    const exact = isTrue(given.case_sensitive);
    const sections = readProperties(decoded(lookedUpText("ini", file, state), given.encoding), {
      file,
      allowsNoValue: isTrue(given.allow_no_value ?? given.allow_none),
      exact,
      isProperties,
    });
    const section = isProperties ? "" : textArgument(given.section, "global");
    const values = sectionOf(sections, section) ?? fail(`No section '${section}' in ${file}`);
    if (isTrue(given.re)) {
      const pattern = pythonRegex(key, { unicode: true, anchored: "start", ignoreCase: !exact });
      return [...values].filter(([name]) => pattern.test(name)).map(([, value]) => value ?? "");
    }
    const value = values.get(exact || isProperties ? key : key.toLowerCase());
    return value === undefined ? [given.default ?? ""] : value === null ? [] : [value];
  });

function isTrue(value: unknown): boolean {
  return typeof value === "string"
    ? /^(?:yes|on|true|1|y|t)$/i.test(value)
    : value !== undefined && truth(value);
}

/** Make a lookup that the controller performs alone. */
function onController(name: string): Callable {
  return (terms, options, { ask }) =>
    ask === undefined
      ? fail(`lookup ${name} is made on the controller, which these templates cannot ask`)
      : [...ask(name, terms, options)];
}

/** The options of plugins that vars set, by the plugins' type: the names of the vars, and the value without. */
const PLUGIN_OPTIONS: Readonly<Record<string, Readonly<Record<string, readonly [string[], unknown]>>>> = {
  connection: {
    host: [["inventory_hostname", "ansible_host", "ansible_ssh_host"], null],
    port: [["ansible_port", "ansible_ssh_port"], null],
    private_key_file: [["ansible_private_key_file", "ansible_ssh_private_key_file"], null],
    remote_user: [["ansible_user", "ansible_ssh_user"], null],
    timeout: [["ansible_ssh_timeout"], 10],
  },
  shell: { remote_tmp: [["ansible_remote_tmp"], "~/.ansible/tmp"] },
};

/** Return the value of a plugin's option, as `config` gives it with `plugin_type`; of several vars the last wins. */
function pluginOption(name: string, { plugin_type: type }: Keywords, { vars }: CallState): unknown {
  const option = PLUGIN_OPTIONS[str(type)]?.[name] ?? fail(`Unable to find setting ${name}`);
  const [names, value] = option;
  const found = names.filter((each) => Object.hasOwn(vars, each)).at(-1);
  return found === undefined ? value : vars[found];
}

const password: Callable = (terms, keywords, { ask }) =>
  terms.map((term) => {
    const { path, options } = readPasswordTerm(str(term), keywords);
    if (path === "/dev/null") return makePassword(options).text;
    if (ask === undefined)
      return fail("lookup password keeps a file on the controller, which these templates cannot ask");
    return ask("password", [path], { ...options } satisfies PasswordOptions as Keywords)[0];
  });

/** Return the hosts that a pattern of Ansible's selects among the groups that the vars name. */
function hostsOf(pattern: string, { vars }: CallState): unknown[] {
  const groups = isDict(vars.groups)
    ? vars.groups
    : fail("lookup inventory_hostnames: there is no var 'groups'");
  const all = iterate(dictGet(groups, "all") ?? []).map(str);
  const one = (name: string): string[] => {
    const group = name === "*" ? all : dictGet(groups, name);
    if (isList(group)) return group.map(str);
    const matches = (text: string): boolean =>
      name.startsWith("~")
        ? pythonRegex(name.slice(1), { unicode: true, anchored: "start" }).test(text)
        : matchesGlob(setGlobPieces(name, "fnmatch"), text);
    const names = isDict(groups) ? [...(groups instanceof Map ? groups.keys() : Object.keys(groups))] : [];
    const members = names
      .filter((group) => matches(str(group)))
      .flatMap((group) => iterate(dictGet(groups, group)));
    return [...new Set([...members.map(str), ...all.filter(matches)])];
  };
  const parts = pattern
    .split(pattern.includes(",") ? /\s*,\s*/ : /:(?![^[]*\])/)
    .filter((part) => part !== "");
  const rank = (part: string): number => (part.startsWith("&") ? 1 : part.startsWith("!") ? 2 : 0);
  let hosts: string[] = parts.some((part) => rank(part) === 0) ? [] : all;
  for (const part of parts.toSorted((a, b) => rank(a) - rank(b))) {
    const found = one(part.replace(/^[&!]/, ""));
    if (rank(part) === 0) hosts = [...new Set([...hosts, ...found])];
    else hosts = hosts.filter((host) => found.includes(host) === (rank(part) === 1));
  }
  return hosts;
}

const DIGITS = "0123456789";
const LOWER = "abcdefghijklmnopqrstuvwxyz";

/** Make a text by chance, as `community.general.random_string` does. */
function randomString(options: Keywords): string {
  const is = (name: string): boolean => isTrue(options[name] ?? true);
  const special = textArgument(options.override_special, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~");
  const sets: readonly (readonly [string, string])[] = [
    ["numeric", is("numbers") ? DIGITS : ""],
    ["lower", is("lower") ? LOWER : ""],
    ["upper", is("upper") ? LOWER.toUpperCase() : ""],
    ["special", is("special") ? special : ""],
  ];
  const similar = isTrue(options.ignore_similar_chars) ? textArgument(options.similar_chars, "il1LoO0") : "";
  const allowed = (set: string): string => [...set].filter((char) => !similar.includes(char)).join("");
  const pick = (set: string, count: number): string[] =>
    Array.from({ length: count }, () => set.charAt(randomInt(set.length)));
  const every =
    options.override_all === undefined || options.override_all === null
      ? allowed(sets.map(([, set]) => set).join(""))
      : str(options.override_all);
  if (every === "") fail("Available characters cannot be None, please change constraints");
  const least = sets.flatMap(([name, set]) => pick(allowed(set), intArgument(options[`min_${name}`], 0)));
  const chars = [...least, ...pick(every, Math.max(0, intArgument(options.length, 8) - least.length))];
  for (let index = chars.length - 1; index > 0; index--) {
    const other = randomInt(index + 1);
    [chars[index], chars[other]] = [chars[other]!, chars[index]!];
  }
  return isTrue(options.base64) ? Buffer.from(chars.join("")).toString("base64") : chars.join("");
}

/** The lookups that are seldom used, by their short names. */
export const moreLookups: Readonly<Record<string, Callable>> = {
  csvfile,
  ini,
  password,
  filetree: onController("filetree"),
  lines: onController("lines"),
  url: onController("url"),
  unvault: onController("unvault"),
  config: (terms, options, state) =>
    options.plugin_type === undefined
      ? onController("config")(terms, options, state)
      : terms.map((term) => pluginOption(str(term), options, state)),
  random_choice: (terms) => (terms.length === 0 ? [] : [terms[randomInt(terms.length)]]),
  random_string: (_terms, options) => [randomString(options)],
  inventory_hostnames: (terms, _options, state) => terms.flatMap((term) => hostsOf(str(term), state)),
};
