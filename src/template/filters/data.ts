import { createHash, getHashes, randomInt } from "node:crypto";
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

/** The digits of salts and password hashes, by value (crypt(5)). */
const CRYPT_DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

function digest(algorithm: string, value: unknown): string {
  if (!getHashes().includes(algorithm)) return fail(`there is no hash '${algorithm}'`);
  return createHash(algorithm)
    .update(textToBytes(str(value)))
    .digest("hex");
}

function passwordHash(
  value: unknown,
  scheme: unknown = "sha512",
  salt: unknown = null,
  _size: unknown = null,
  rounds: unknown = null,
): string {
  const kind = str(scheme).replace(/_?crypt$/, "");
  const random = (): string => Array.from({ length: 16 }, () => CRYPT_DIGITS.charAt(randomInt(64))).join("");
  const text = salt === null ? random() : str(salt);
  if (/[^./0-9A-Za-z]/.test(text)) fail("password_hash: the salt may hold only letters, digits, '.' and '/'");
  return sha2Crypt(kind, str(value), text, rounds === null ? undefined : intArgument(rounds, 5000));
}

/** Make a UUID as Ansible's `to_uuid` does: version 5. Default: Ansible's own namespace. */
function toUuid(value: unknown, namespace: unknown = "361E6D51-FAEC-444A-9079-341386DA8E2E"): string {
  const bytes = createHash("sha1")
    .update(Buffer.from(str(namespace).replaceAll("-", ""), "hex"))
    .update(str(value))
    .digest()
    .subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Ansible's filters of digests and password hashes. */
export const hashFilters: Readonly<Record<string, Callable>> = {
  hash: callable(["value", "hashtype"], (value: unknown, type: unknown = "sha1") => digest(str(type), value)),
  checksum: callable(["value"], (value: unknown) => digest("sha1", value)),
  md5: callable(["value"], (value: unknown) => digest("md5", value)),
  sha1: callable(["value"], (value: unknown) => digest("sha1", value)),
  password_hash: callable(["value", "hashtype", "salt", "salt_size", "rounds"], passwordHash),
  to_uuid: callable(["value", "namespace"], toUuid),
};

const DEFAULT_ROUNDS = 5000;

interface Scheme {
  readonly id: string;
  readonly hash: "sha256" | "sha512";
  readonly size: number;
  /** The order of the digest's bytes in the text, three at a time. */
  readonly order: readonly (readonly number[])[];
}

function rotating(
  size: number,
  steps: readonly [number, number, number],
  groups: number,
  tail: readonly number[],
): number[][] {
  let triple: readonly number[] = steps;
  const order: number[][] = [];
  for (let index = 0; index < groups; index++) {
    order.push([...triple]);
    const [a = 0, b = 0, c = 0] = triple;
    triple = size === 64 ? [b + 1, c + 1, a + 1] : [c + 1, a + 1, b + 1];
  }
  return [...order, [...tail]];
}

/** The schemes of Ulrich Drepper's "Unix crypt using SHA-256 and SHA-512" (public domain), by Ansible's names. */
const SCHEMES: Readonly<Record<string, Scheme>> = {
  sha512: { id: "6", hash: "sha512", size: 64, order: rotating(64, [0, 21, 42], 21, [63]) },
  sha256: { id: "5", hash: "sha256", size: 32, order: rotating(32, [0, 10, 20], 10, [31, 30]) },
};

function encode(digest: Buffer, order: Scheme["order"]): string {
  let text = "";
  for (const bytes of order) {
    let word = bytes.reduce((value, index) => (value << 8) | (digest[index] ?? 0), 0);
    for (let left = bytes.length + 1; left > 0; left--) {
      text += CRYPT_DIGITS.charAt(word & 63);
      word >>>= 6;
    }
  }
  return text;
}

function stretch(digest: Buffer, length: number): Buffer {
  return Buffer.alloc(length, digest);
}

/** Hash a password as crypt(3) does, by sha512-crypt or sha256-crypt. Rounds are written unless they are the default, 5000. */
export function sha2Crypt(kind: string, password: string, salt: string, rounds: number | undefined): string {
  const scheme = SCHEMES[kind] ?? fail(`password_hash has no scheme '${kind}': use sha512 or sha256`);
  const key = Buffer.from(password);
  const saltBytes = Buffer.from(salt).subarray(0, 16);
  const hash = (...parts: readonly Buffer[]): Buffer => {
    const state = createHash(scheme.hash);
    for (const part of parts) state.update(part);
    return state.digest();
  };
  const alternate = hash(key, saltBytes, key);
  const mixed = [key, saltBytes, stretch(alternate, key.length)];
  for (let length = key.length; length > 0; length >>= 1) mixed.push(length & 1 ? alternate : key);
  let digest = hash(...mixed);
  const passwordBytes = stretch(hash(...Array.from(key, () => key)), key.length);
  const saltSum = hash(...Array.from({ length: 16 + (digest[0] ?? 0) }, () => saltBytes));
  const saltSequence = stretch(saltSum, saltBytes.length);
  const count = Math.min(999_999_999, Math.max(1000, rounds ?? DEFAULT_ROUNDS));
  for (let round = 0; round < count; round++) {
    const parts = [round & 1 ? passwordBytes : digest];
    if (round % 3) parts.push(saltSequence);
    if (round % 7) parts.push(passwordBytes);
    parts.push(round & 1 ? digest : passwordBytes);
    digest = hash(...parts);
  }
  const prefix = rounds === undefined || count === DEFAULT_ROUNDS ? "" : `rounds=${count}$`;
  return `$${scheme.id}$${prefix}${saltBytes.toString()}$${encode(digest, scheme.order)}`;
}
