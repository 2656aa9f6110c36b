import { parse, parseAllDocuments, type Tags } from "yaml";
import { bytesToText, textToBytes } from "../../core/text.ts";
import { integer, makeMap } from "../../core/value.ts";
import { fail } from "../errors.ts";
import { dumpJson, parseJson } from "../json.ts";
import {
  type Callable,
  callable,
  float,
  intArgument,
  isList,
  type Keywords,
  repr,
  str,
  truth,
} from "../values.ts";
import { dumpYaml } from "../yaml.ts";
import { date, datetime } from "./date.ts";

/** Fails on keyword arguments that would silently be without effect; those of vaulted and unsafe texts have none here. */
function refuse(keywords: Keywords): void {
  const name = Object.keys(keywords).find((one) => one !== "vault_to_text" && one !== "preprocess_unsafe");
  if (name !== undefined) fail(`got an unexpected keyword argument '${name}'`);
}

function toJson(value: unknown, keywords: Keywords, nice: boolean): string {
  const {
    indent = nice ? 4 : null,
    sort_keys: sortKeys = nice,
    ensure_ascii: ensureAscii = true,
    separators,
    ...unknown
  } = keywords;
  refuse(unknown);
  const [item, key] = Array.isArray(separators) ? separators.map(str) : [nice ? "," : ", ", ": "];
  return dumpJson(value, {
    indent: indent === null || typeof indent === "string" ? indent : " ".repeat(intArgument(indent, 4)),
    sortKeys: truth(sortKeys),
    ensureAscii: truth(ensureAscii),
    separators: [item ?? ", ", key ?? ": "],
  });
}

function toYaml(value: unknown, keywords: Keywords, nice: boolean): string {
  const {
    indent = nice ? 4 : 2,
    width,
    sort_keys: sortKeys = true,
    default_flow_style: flow = nice ? false : null,
    allow_unicode: unicode = true,
    explicit_start: start = false,
    explicit_end: end = false,
    ...unknown
  } = keywords;
  refuse(unknown);
  return dumpYaml(value, {
    indent: intArgument(indent, 2),
    width: intArgument(width, 80),
    sortKeys: truth(sortKeys),
    flow: flow === null ? null : truth(flow),
    allowUnicode: truth(unicode),
    explicitStart: truth(start),
    explicitEnd: truth(end),
  });
}

// 1.1 is what PyYAML reads: yes and on are true, 0755 is octal, << merges.
const PYTHON_TESTS: Readonly<Record<string, RegExp>> = {
  true: /^(?:[Yy]es|YES|[Tt]rue|TRUE|[Oo]n|ON)$/,
  false: /^(?:[Nn]o|NO|[Ff]alse|FALSE|[Oo]ff|OFF)$/,
  exponent: /^[-+]?(?:[0-9][0-9_]*)\.[0-9_]*[eE][-+][0-9]+$/,
};

/** A tag of the yaml package with PyYAML's narrower idea of what is a bool (not `y`) or a float (not `1e3`). */
function asPyYaml<T>(tag: T): T {
  const { tag: name, test, format } = tag as { tag?: string; test?: RegExp; format?: string };
  if (test === undefined || name === undefined) return tag;
  if (name.endsWith(":bool")) return { ...tag, test: PYTHON_TESTS[String(test.test("true"))] };
  return name.endsWith(":float") && format === "EXP" ? { ...tag, test: PYTHON_TESTS.exponent } : tag;
}

const YAML_OPTIONS = {
  version: "1.1",
  merge: true,
  mapAsMap: true,
  intAsBigInt: true,
  logLevel: "error",
  customTags: (tags: Tags) => tags.map(asPyYaml),
} as const;

/** Tells ints (read as bigint) from whole floats, and gives dates Python's attributes; `!!binary` is text, `!!set` a list. */
function fromYaml(value: unknown): unknown {
  if (typeof value === "bigint") return integer(value);
  if (typeof value === "number") return float(value);
  if (value instanceof Date) return value.getTime() % 86_400_000 === 0 ? date(value) : datetime(value);
  if (value instanceof Uint8Array) return bytesToText(value);
  if (value instanceof Set) return [...value].map(fromYaml);
  if (isList(value)) return value.map(fromYaml);
  return value instanceof Map
    ? makeMap([...value].map(([key, item]) => [fromYaml(key), fromYaml(item)]))
    : value;
}

/** Reads one YAML 1.1 document; fails on what is not YAML. */
function parseYaml(text: string): unknown {
  try {
    return fromYaml(parse(text, YAML_OPTIONS));
  } catch (error) {
    return fail(`not YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function parseYamlStream(text: string): unknown[] {
  const documents = [...parseAllDocuments(text, YAML_OPTIONS)];
  return documents.map((document) => {
    const [error] = document.errors ?? [];
    return error === undefined
      ? fromYaml(document.toJS({ mapAsMap: true }))
      : fail(`not YAML: ${error.message}`);
  });
}

const HTML_UNSAFE: Readonly<Record<string, string>> = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "'": "\\u0027",
};

function toBytes(text: string, encoding: BufferEncoding): Buffer {
  return encoding === "utf8" ? textToBytes(text) : Buffer.from(text, encoding);
}

function fromBytes(bytes: Buffer, encoding: BufferEncoding): string {
  return encoding === "utf8" ? bytesToText(bytes) : bytes.toString(encoding);
}

/** Filters that write or read JSON, YAML and base64. */
export const dataFilters: Readonly<Record<string, Callable>> = {
  tojson: callable(["value", "indent"], (value: unknown, indent: unknown = null) =>
    toJson(value, { indent, sort_keys: true }, false).replace(/[<>&']/g, (char) => HTML_UNSAFE[char] ?? char),
  ),
  to_json: ([value], keywords) => toJson(value, keywords, false),
  to_nice_json: ([value, indent], keywords) =>
    toJson(value, indent === undefined ? keywords : { indent, ...keywords }, true),
  from_json: callable(["value"], (value: unknown) => parseJson(str(value))),
  to_yaml: ([value], keywords) => toYaml(value, keywords, false),
  to_nice_yaml: ([value, indent], keywords) =>
    toYaml(value, indent === undefined ? keywords : { indent, ...keywords }, true),
  from_yaml: callable(["value"], (value: unknown) => (typeof value === "string" ? parseYaml(value) : value)),
  from_yaml_all: callable(["value"], (value: unknown) =>
    typeof value === "string" ? parseYamlStream(value) : value,
  ),
  b64encode: callable(["value", "encoding"], (value: unknown, encoding: unknown = "utf-8") =>
    toBytes(str(value), nodeEncoding(encoding)).toString("base64"),
  ),
  b64decode: callable(["value", "encoding"], (value: unknown, encoding: unknown = "utf-8") =>
    fromBytes(Buffer.from(str(value), "base64"), nodeEncoding(encoding)),
  ),
  pprint: callable(["value"], repr),
};

function nodeEncoding(name: unknown): BufferEncoding {
  const known: Readonly<Record<string, BufferEncoding>> = {
    "utf-8": "utf8",
    utf8: "utf8",
    "utf-16-le": "utf16le",
    "utf-16le": "utf16le",
    "latin-1": "latin1",
    ascii: "ascii",
  };
  return known[str(name).toLowerCase()] ?? fail(`unknown encoding '${str(name)}'`);
}
