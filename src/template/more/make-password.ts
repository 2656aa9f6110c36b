import { fail } from "../errors.ts";
import { intArgument, isList, type Keywords, str } from "../values.ts";
import { hashPassword } from "./password.ts";
import { below } from "./random.ts";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";
const PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/** The names of sets of characters, those of Python's module string. */
const SETS: Readonly<Record<string, string>> = {
  ascii_lowercase: LETTERS,
  ascii_uppercase: LETTERS.toUpperCase(),
  ascii_letters: LETTERS + LETTERS.toUpperCase(),
  digits: "0123456789",
  hexdigits: "0123456789abcdefABCDEF",
  octdigits: "01234567",
  punctuation: PUNCTUATION,
  printable: `0123456789${LETTERS}${LETTERS.toUpperCase()}${PUNCTUATION} \t\n\r\v\f`,
  whitespace: " \t\n\r\v\f",
};

/** The options of the lookup `password`. */
export interface PasswordOptions {
  /** Default: 20. */
  readonly length?: number;
  /** Names of sets, or characters. */
  readonly chars?: readonly string[];
  /** The scheme to hash by. */
  readonly encrypt?: string;
  readonly ident?: string;
  readonly seed?: unknown;
}

const NAMES = ["length", "chars", "encrypt", "ident", "seed"];

function readChars(given: unknown): string[] {
  if (isList(given)) return given.map(str);
  const text = str(given);
  const parts = text
    .replaceAll(",,", ",")
    .split(",")
    .filter((part) => part !== "");
  return text.includes(",,") ? [",", ...parts] : parts;
}

/** Read a term such as `path/to/file length=15 chars=digits`, with the options that are given beside it. */
export function readPasswordTerm(
  term: string,
  keywords: Keywords,
): { readonly path: string; readonly options: PasswordOptions } {
  const [, path = term, rest = ""] = /^(.*?)((?:\s+\w+=\S*)*)\s*$/s.exec(term) ?? [];
  const inline = [...rest.matchAll(/(\w+)=(\S*)/g)].map(([, name = "", value]) => [name, value] as const);
  const given: Keywords = { ...keywords, ...Object.fromEntries(inline) };
  const unknown = Object.keys(given).filter((name) => !NAMES.includes(name));
  if (unknown.length > 0) fail(`Unrecognized parameter(s) given to password lookup: ${unknown.join(", ")}`);
  const { length, chars, encrypt = null, ident = null, seed = null } = given;
  return {
    path: path.trim(),
    options: {
      length: intArgument(length, 20),
      ...(chars === undefined ? {} : { chars: readChars(chars) }),
      ...(encrypt === null || encrypt === "" ? {} : { encrypt: str(encrypt) }),
      ...(ident === null ? {} : { ident: str(ident) }),
      ...(seed === null ? {} : { seed }),
    },
  };
}

/** A password as its file keeps it, and as the lookup gives it. */
export interface MadePassword {
  readonly clear: string;
  /** Known where the password is hashed. */
  readonly salt?: string;
  readonly text: string;
}

/** Make a password, or give the one that is known, hashed if the options say so. */
export function makePassword(
  options: PasswordOptions,
  known: { readonly clear?: string | undefined; readonly salt?: string | undefined } = {},
): MadePassword {
  const { length = 20, chars = ["ascii_letters", "digits", ".,:-_"], encrypt, ident, seed } = options;
  const pick = below(seed);
  const from = (set: string, size: number): string =>
    Array.from({ length: size }, () => set.charAt(pick(set.length))).join("");
  const allowed = chars.map((one) => SETS[one] ?? one).join("");
  if (allowed === "") fail("lookup password: there are no characters to choose from");
  const clear = known.clear ?? from(allowed, length);
  if (encrypt === undefined) return { clear, text: clear };
  const digits = `${SETS.ascii_letters}0123456789./`;
  const size = /bcrypt|blowfish/.test(encrypt) ? 22 : encrypt.startsWith("md5") ? 8 : 16;
  const salt = known.salt ?? from(digits, size);
  return { clear, salt, text: hashPassword(clear, encrypt, { salt, ident }) };
}
