import { lstatSync, readdirSync, statSync } from "node:fs";
import { posix } from "node:path";
import { matchesGlob, setGlobPieces } from "../../core/unix/shell.ts";
import { fail } from "../errors.ts";
import { type Callable, type CallState, callable, str, text, tuple } from "../values.ts";
import { below } from "./random.ts";

/** List the paths of this machine that a glob matches in its last part. */
function glob(pattern: string): string[] {
  const directory = posix.dirname(pattern);
  const name = posix.basename(pattern);
  const pieces = setGlobPieces(name, "fnmatch");
  const names = (): string[] => {
    try {
      return readdirSync(directory);
    } catch {
      return [];
    }
  };
  return names()
    .filter((one) => (name.startsWith(".") || !one.startsWith(".")) && matchesGlob(pieces, one))
    .map((one) => posix.join(directory, one))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true);
}

function randomMac(value: unknown, seed: unknown = null): string {
  if (typeof value !== "string") fail("Invalid value type for random_mac");
  const prefix = str(value).toLowerCase().replace(/:$/, "");
  const parts = prefix.split(":");
  if (parts.length > 5) fail(`Invalid value (${prefix}) for random_mac: 5 colon(:) separated items max`);
  for (const part of parts)
    if (!/^[\da-f]{2}$/.test(part)) fail(`Invalid value (${prefix}) for random_mac: ${part} not hexa byte`);
  const pick = below(seed);
  // A number of at least 68719476736 has ten hexadecimal digits after the first one.
  const [low, high] = [68_719_476_736, 1_099_511_627_775];
  const digits = (low + pick(high - low + 1)).toString(16);
  const bytes = digits.match(/..?/g) ?? [];
  return [...parts, ...bytes].slice(0, 6).join(":");
}

function crc32(value: unknown): string {
  let crc = -1;
  for (const byte of Buffer.from(str(value))) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ((crc ^ -1) >>> 0).toString(16);
}

function normalize(value: unknown, form: unknown = "NFC"): string {
  if (typeof value !== "string") return fail(`${str(value)} is not a valid input type`);
  const name = str(form);
  return /^NFK?[CD]$/.test(name) ? value.normalize(name) : fail(`${name} is not a valid form`);
}

function splitPem(value: unknown): string[] {
  return str(value).match(/^-----BEGIN [A-Z0-9 ]+-----\r?\n[\s\S]*?^-----END [A-Z0-9 ]+-----\r?\n?/gm) ?? [];
}

/** Filters of paths and of this machine, and single ones from collections. */
export const systemFilters: Readonly<Record<string, Callable>> = {
  expandvars: callable(["value"], (value: unknown, { env }: CallState) =>
    text(value).replace(/\$(?:(\w+)|\{([^}]*)\})/g, (whole, name?: string, braced?: string) => {
      const found = env[name ?? braced ?? ""];
      return found ?? whole;
    }),
  ),
  fileglob: callable(["value"], (value: unknown, state: CallState) => {
    if (state.ask === undefined) return glob(text(value));
    return [...state.ask("fileglob", [text(value)], {})];
  }),
  win_splitdrive: callable(["value"], (value: unknown) => {
    const path = text(value);
    const [drive = ""] = /^[A-Za-z]:|^[\\/]{2}[^\\/]+[\\/][^\\/]+/.exec(path) ?? [];
    return tuple(drive, path.slice(drive.length));
  }),
  random_mac: callable(["value", "seed"], randomMac),
  crc32: callable(["value"], crc32),
  unicode_normalize: callable(["value", "form"], normalize),
  split_pem: callable(["value"], splitPem),
};

function isSameFile(one: unknown, other: unknown): boolean {
  const [a, b] = [statSync(text(one)), statSync(text(other))];
  return a.dev === b.dev && a.ino === b.ino;
}

function isMount(value: unknown): boolean {
  const path = text(value);
  const own = lstatSync(path, { throwIfNoEntry: false });
  if (own === undefined || own.isSymbolicLink()) return false;
  const above = lstatSync(posix.join(path, ".."), { throwIfNoEntry: false });
  return above !== undefined && (own.dev !== above.dev || own.ino === above.ino);
}

const SCHEME = /^([A-Za-z][\w+.-]*):/;

function isUri(value: unknown, schemes: unknown = null): boolean {
  if (typeof value !== "string") return false;
  const [, scheme] = SCHEME.exec(value) ?? [];
  const list = Array.isArray(schemes) ? schemes.map(str) : [];
  return list.length === 0 || (scheme !== undefined && list.includes(scheme.toLowerCase()));
}

const mount = callable(["value"], (value: unknown, state: CallState) =>
  state.ask === undefined ? isMount(value) : state.ask("mount", [text(value)], {})[0],
);
const sameFile = callable(["value", "other"], (value: unknown, other: unknown, state: CallState) =>
  state.ask === undefined
    ? isSameFile(value, other)
    : state.ask("same_file", [text(value), text(other)], {})[0],
);

/** Tests of paths and URLs that are seldom used. */
export const systemTests: Readonly<Record<string, Callable>> = {
  mount,
  is_mount: mount,
  same_file: sameFile,
  is_same_file: sameFile,
  uri: callable(["value", "schemes"], isUri),
  url: callable(
    ["value", "schemes"],
    (value: unknown, schemes: unknown = null) =>
      isUri(value, schemes) && /^[A-Za-z][\w+.-]*:\/\/[^/?#]/.test(str(value)),
  ),
  urn: callable(["value"], (value: unknown) => isUri(value, ["urn"])),
  // Vaulted values are opened before templates see them.
  vault_encrypted: callable(["value"], () => false),
};
