import { createHash, getHashes } from "node:crypto";
import { isVolleyError, messageOf } from "../../core/errors.ts";
import { bytesToText, textToBytes } from "../../core/values/bytes.ts";
import { parseJson, writeJson } from "../../core/values/value.ts";
import { parseYamlDocument, parseYamlStream, type YamlDialect } from "../../yaml/document.ts";
import { writeYaml } from "../../yaml/write.ts";
import { fail } from "../errors.ts";
import { order } from "../operators.ts";
import {
  Attributes,
  type Callable,
  callable,
  defined,
  dictEntries,
  dictKeys,
  intArgument,
  isDict,
  iterate,
  type Keywords,
  repr,
  str,
  truth,
  tuple,
} from "../values.ts";
import { date, datetime } from "./date.ts";

/** Fail on keyword arguments that would have no effect; those for vaulted and unsafe texts have none here. */
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
  return writeJson(value, {
    indent: indent === null || typeof indent === "string" ? indent : " ".repeat(intArgument(indent, 4)),
    ...(truth(sortKeys) ? { compareKeys: order } : {}),
    ensureAscii: truth(ensureAscii),
    separators: [item ?? ", ", key ?? ": "],
    other: otherJson,
  });
}

function otherJson(value: unknown): string {
  defined(value);
  return value instanceof Attributes ? str(value) : fail(`${str(value)} is not JSON serializable`);
}

function fromJson(text: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    return fail(`not JSON: ${messageOf(error)}`);
  }
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
  return writeYaml(value, {
    indent: intArgument(indent, 2),
    width: intArgument(width, 80),
    compareKeys: truth(sortKeys) ? order : null,
    flow: flow === null ? null : truth(flow),
    allowUnicode: truth(unicode),
    explicitStart: truth(start),
    explicitEnd: truth(end),
    other: (item) => (item instanceof Attributes ? str(item) : str(defined(item))),
  });
}

/** YAML as PyYAML's SafeLoader reads it, except that a tag it does not know is ignored. */
const PYYAML: YamlDialect = {
  code: "TEMPLATE_FAILED",
  lastWins: true,
  timestamp: (time, hasClock) => (hasClock ? datetime : date)(time),
  tagged: ({ tag, text = "", value }) => {
    switch (tag) {
      case "!!binary":
        return bytesToText(Buffer.from(text, "base64"));
      case "!!set": {
        const members = value();
        return isDict(members) ? dictKeys(members) : members;
      }
      case "!!omap":
      case "!!pairs":
        return iterate(value()).flatMap((pair) =>
          isDict(pair) ? dictEntries(pair).map(([key, item]) => tuple(key, item)) : [pair],
        );
      default:
        return value();
    }
  },
};

function readYaml(text: string, parse: typeof parseYamlStream): unknown[] {
  try {
    return parse(text, "<yaml>", PYYAML).map((reader) => reader.value(reader.root));
  } catch (error) {
    if (!isVolleyError(error)) throw error;
    const { message, location } = error;
    return fail(`not YAML: line ${location?.line ?? 1}: ${message.replace("not valid YAML: ", "")}`);
  }
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
  from_json: callable(["value"], (value: unknown) => fromJson(str(value))),
  to_yaml: ([value], keywords) => toYaml(value, keywords, false),
  to_nice_yaml: ([value, indent], keywords) =>
    toYaml(value, indent === undefined ? keywords : { indent, ...keywords }, true),
  from_yaml: callable(["value"], (value: unknown) =>
    typeof value === "string" ? readYaml(value, (...given) => [parseYamlDocument(...given)])[0] : value,
  ),
  from_yaml_all: callable(["value"], (value: unknown) =>
    typeof value === "string" ? readYaml(value, parseYamlStream) : value,
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

function digest(algorithm: string, value: unknown): string {
  if (!getHashes().includes(algorithm)) return fail(`unsupported hash type ${algorithm}`);
  return createHash(algorithm)
    .update(textToBytes(str(value)))
    .digest("hex");
}

/** Ansible's filters of digests. */
export const hashFilters: Readonly<Record<string, Callable>> = {
  hash: callable(["value", "hashtype"], (value: unknown, type: unknown = "sha1") => digest(str(type), value)),
  checksum: callable(["value"], (value: unknown) => digest("sha1", value)),
  md5: callable(["value"], (value: unknown) => digest("md5", value)),
  sha1: callable(["value"], (value: unknown) => digest("sha1", value)),
};
