import { printable, VolleyError } from "../../core/errors.ts";
import { parseSeconds } from "../../core/unix/duration.ts";
import { type GlobPiece, globPieces, matchesGlob } from "../../core/unix/shell.ts";

/** A line's text after its keyword: as words, and as written. */
export interface Written {
  readonly words: readonly string[];
  readonly rest: string;
}

/** The values of an option, in the form of `ssh -G`. */
export interface Read {
  readonly values: readonly string[];
  /** Number of words that the option took; more words are an error. */
  readonly took: number;
}

/** Reads an option's value; returns a text when the value is wrong. */
export type Reader = (written: Written) => Read | string;

const MISSING = "missing argument";

/** Read one word, converted by `value`; undefined refuses the word. */
export function one(value: (word: string) => string | undefined = (word) => word): Reader {
  return ({ words: [word] }) => {
    if (word === undefined || word === "") return MISSING;
    const made = value(word);
    return made === undefined ? `unsupported value ${JSON.stringify(word)}` : { values: [made], took: 1 };
  };
}

/** Read one of these words; each group holds synonyms, of which the first is the value. */
export function states(...groups: readonly (readonly string[])[]): Reader {
  return one((word) => groups.find((group) => group.some((each) => isSame(each, word)))?.[0]);
}

function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

/** Read `yes` or `no`. */
export const flag: Reader = states(["yes", "true"], ["no", "false"]);

/** Read one word of this shape. */
export function shaped(shape: RegExp): Reader {
  return one((word) => (shape.test(word) ? word : undefined));
}

/** Read a time in seconds; `none` sets no value, so a later one counts. */
export const time: Reader = (written) => {
  if (written.words[0] === "none") return { values: [], took: 1 };
  return one((word) => parseSeconds(word)?.toString())(written);
};

/** Read a whole number from 0. */
export const integer: Reader = one((word) => {
  const number = /^\+?\d+$/.test(word) ? Number(word) : Number.NaN;
  return number < 2 ** 31 ? String(number) : undefined;
});

/** Read a port's number. */
export const port: Reader = one((word) => {
  const number = /^\+?\d+$/.test(word) ? Number(word) : word === "ssh" ? 22 : Number.NaN;
  return number >= 1 && number <= 65_535 ? String(number) : undefined;
});

/** Read the rest of the line as a command. */
export const line: Reader = ({ words, rest }) => {
  const text = rest.replace(/^[ \t\r\n=]+/, "");
  return text === "" ? MISSING : { values: [text], took: words.length };
};

/** Read the hosts to jump through. */
export const jump: Reader = ({ words, rest }) => {
  const text = rest
    .replace(/^[ \t\r\n=]+/, "")
    .replace(/#.*$/, "")
    .replace(/\s.*$/, "");
  if (text === "") return MISSING;
  try {
    parseJumps(text);
  } catch (thrown) {
    return (thrown as Error).message;
  }
  return { values: [text], took: words.length };
};

/** Read all words of the line, none of them empty; a word like `alone` allows no other. */
export function list(alone?: RegExp, fits: RegExp = /./): Reader {
  return ({ words }) => {
    const wrong = words.find((word) => !fits.test(word));
    if (wrong !== undefined)
      return wrong === "" ? "an argument is empty" : `${JSON.stringify(wrong)} is not understood`;
    const single = words.find((word) => alone?.test(word));
    if (single !== undefined && words.length > 1) return `${JSON.stringify(single)} must stand alone`;
    return { values: words, took: words.length };
  };
}

/** Read a list of algorithms. */
export function algorithms(kind: AlgorithmKind): Reader {
  return one((word) => (isAlgorithmList(kind, word) ? word : undefined));
}

/** Read a port to forward, and its target. */
export function forward(needsTarget: boolean): Reader {
  return ({ words: [from, to] }) => {
    if (from === undefined || from === "") return MISSING;
    if (to === undefined || to === "")
      return needsTarget ? "missing target argument" : { values: [from], took: 1 };
    return { values: [`${from} ${to}`], took: 2 };
  };
}

/** Read the path of an agent's socket, or the variable that holds it. */
export const agent: Reader = one((word) =>
  /^\$(?!\{)/.test(word) && !/^\$[A-Za-z_]\w*$/.test(word) ? undefined : word,
);

/** Read whether to forward an agent, or which. */
export const forwardAgent: Reader = (written) => {
  const asFlag = flag(written);
  return typeof asFlag === "string" ? agent(written) : asFlag;
};

/** Read variables to set, as NAME=value. */
export const settings: Reader = ({ words }) => {
  const wrong = words.find((word) => !word.includes("="));
  if (wrong !== undefined) return `${JSON.stringify(wrong)} is not NAME=value`;
  const names = words.map((word) => word.slice(0, word.indexOf("=")));
  return {
    values: words.filter((_word, index) => names.indexOf(names[index]!) === index),
    took: words.length,
  };
};

/** Read one word, or two. */
export function oneOrTwo(first: RegExp, second: RegExp): Reader {
  return ({ words: [one, two] }) => {
    if (one === undefined || one === "") return MISSING;
    const wrong = !first.test(one) ? one : two !== undefined && !second.test(two) ? two : undefined;
    if (wrong !== undefined) return `${JSON.stringify(wrong)} is not understood`;
    return { values: two === undefined ? [one] : [one, two], took: two === undefined ? 1 : 2 };
  };
}

/** Kinds of algorithms that options list. */
type AlgorithmKind = "ciphers" | "macs" | "kex" | "keys" | "signatures";

/** The algorithms of one kind. */
export interface AlgorithmNames {
  /** The defaults of `ssh`, the best first. */
  readonly defaults: readonly string[];
  /** All that `ssh` knows, in the order of its own lists. */
  readonly all: readonly string[];
}

const ECDSA = ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];
const SECURITY = ["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"];
const RSA = ["rsa-sha2-512", "rsa-sha2-256"];
const PLAIN = ["ssh-ed25519", ...ECDSA, ...SECURITY, ...RSA];

function certificateOf(name: string): string {
  return `${name.replace(/@openssh\.com$/, "")}-cert-v01@openssh.com`;
}

const ALL_KEYS = [
  ...["ssh-ed25519", SECURITY[0]!, ...ECDSA, SECURITY[1]!].flatMap((name) => [name, certificateOf(name)]),
  "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
  ...["ssh-dss", "ssh-rsa", "rsa-sha2-256", "rsa-sha2-512"].flatMap((name) => [name, certificateOf(name)]),
];

/** The names of OpenSSH 9.2; newer releases add some, and remove few. */
export const ALGORITHMS: Readonly<Record<AlgorithmKind, AlgorithmNames>> = {
  ciphers: {
    defaults: `chacha20-poly1305@openssh.com aes128-ctr aes192-ctr aes256-ctr aes128-gcm@openssh.com
      aes256-gcm@openssh.com`.split(/\s+/),
    all: `3des-cbc aes128-cbc aes192-cbc aes256-cbc aes128-ctr aes192-ctr aes256-ctr aes128-gcm@openssh.com
      aes256-gcm@openssh.com chacha20-poly1305@openssh.com`.split(/\s+/),
  },
  macs: {
    defaults: `umac-64-etm@openssh.com umac-128-etm@openssh.com hmac-sha2-256-etm@openssh.com
      hmac-sha2-512-etm@openssh.com hmac-sha1-etm@openssh.com umac-64@openssh.com umac-128@openssh.com hmac-sha2-256
      hmac-sha2-512 hmac-sha1`.split(/\s+/),
    all: `hmac-sha1 hmac-sha1-96 hmac-sha2-256 hmac-sha2-512 hmac-md5 hmac-md5-96 umac-64@openssh.com
      umac-128@openssh.com hmac-sha1-etm@openssh.com hmac-sha1-96-etm@openssh.com hmac-sha2-256-etm@openssh.com
      hmac-sha2-512-etm@openssh.com hmac-md5-etm@openssh.com hmac-md5-96-etm@openssh.com umac-64-etm@openssh.com
      umac-128-etm@openssh.com`.split(/\s+/),
  },
  kex: {
    defaults: `sntrup761x25519-sha512 sntrup761x25519-sha512@openssh.com curve25519-sha256
      curve25519-sha256@libssh.org ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521
      diffie-hellman-group-exchange-sha256 diffie-hellman-group16-sha512 diffie-hellman-group18-sha512
      diffie-hellman-group14-sha256`.split(/\s+/),
    all: `diffie-hellman-group1-sha1 diffie-hellman-group14-sha1 diffie-hellman-group14-sha256
      diffie-hellman-group16-sha512 diffie-hellman-group18-sha512 diffie-hellman-group-exchange-sha1
      diffie-hellman-group-exchange-sha256 ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521
      curve25519-sha256 curve25519-sha256@libssh.org sntrup761x25519-sha512
      sntrup761x25519-sha512@openssh.com`.split(/\s+/),
  },
  keys: { defaults: [...PLAIN.map(certificateOf), ...PLAIN], all: ALL_KEYS },
  signatures: { defaults: PLAIN, all: ALL_KEYS.filter((name) => !name.includes("-cert-")) },
};

/** Options with lists of algorithms. */
export const ALGORITHM_OPTIONS = {
  casignaturealgorithms: "signatures",
  ciphers: "ciphers",
  hostbasedacceptedalgorithms: "keys",
  hostkeyalgorithms: "keys",
  kexalgorithms: "kex",
  macs: "macs",
  pubkeyacceptedalgorithms: "keys",
} as const satisfies Readonly<Record<string, AlgorithmKind>>;

/** Newer names, which ssh2 lacks; they are no reason to refuse a file. */
const NEWER = /^(mlkem|sntrup|ssh-mldsa|webauthn-)/;

/** Return whether `ssh` accepts a list: known names, or patterns for keys. */
function isAlgorithmList(kind: AlgorithmKind, list: string): boolean {
  if (list.startsWith("-")) return true;
  const names = list.replace(/^[+^]/, "").split(",");
  const all = kind === "signatures" ? ALL_KEYS : ALGORITHMS[kind].all;
  const mayGlob = kind === "keys" || kind === "signatures";
  return names.every((name) => {
    if (name === "" || name.startsWith("!")) return false;
    if (all.includes(name) || NEWER.test(name)) return true;
    return mayGlob && all.some((other) => matchesPatternList(name, other));
  });
}

/** Return the algorithms of a list with `+`, `-` or `^` and patterns (ssh_config(5), Ciphers). */
export function algorithmsOf(list: string, { defaults, all }: AlgorithmNames): readonly string[] {
  const names = list.replace(/^[+^-]/, "");
  if (list.startsWith("-")) return defaults.filter((name) => !matchesPatternList(names, name));
  const wanted = names.split(",");
  const patterns = list.startsWith("+")
    ? [...defaults, ...wanted]
    : list.startsWith("^")
      ? [...wanted, ...defaults]
      : wanted;
  return [...new Set(patterns.flatMap((pattern) => all.filter((name) => matchesPatternList(pattern, name))))];
}

/** A jump host as ProxyJump names it. */
export interface JumpName {
  readonly host: string;
  readonly user: string | undefined;
  readonly port: number | undefined;
}

/** Parse a list of `[user@]host[:port]` or `ssh://` URIs, separated by commas (ssh_config(5), ProxyJump). Fails with `USAGE`. */
export function parseJumps(text: string): readonly JumpName[] {
  if (text.toLowerCase() === "none") return [];
  return text.split(",").map((part) => parseJump(part.trim()));
}

function parseJump(text: string): JumpName {
  const uri = /^ssh:\/\/(.*?)\/?$/.exec(text)?.[1];
  const bare = uri ?? text;
  // A user name may contain an @.
  const at = bare.lastIndexOf("@");
  const user = at >= 0 ? bare.slice(0, at) : undefined;
  const rest = bare.slice(at + 1);
  const bracketed = /^\[([^\]]+)\](?::(\d*))?$/.exec(rest);
  const plain = /^([^:[\]\s/]+)(?::(\d*))?$/.exec(rest);
  // Several colons without brackets: an IPv6 address without a port.
  const ipv6 = rest.split(":").length > 2 ? /^([\da-f:.]+(?:%\w+)?)$/i.exec(rest) : null;
  const [, host, port = ""] = bracketed ?? plain ?? ipv6 ?? [];
  const isPort = port === "" || (Number(port) >= 1 && Number(port) <= 65_535);
  if (host === undefined || host.startsWith("-") || user === "" || user?.startsWith("-") || !isPort) {
    throw new VolleyError("USAGE", `${printable(JSON.stringify(text), 300)} is not a host to jump through`, {
      hint: "write user@host:port, several with commas between",
    });
  }
  // In a URI, parameters may follow the user; ssh ignores them.
  const name = uri === undefined || user === undefined ? user : decode(user.replace(/;.*$/, ""));
  return { host, user: name, port: port === "" ? undefined : Number(port) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Return whether a name matches a pattern with `*` and `?` (ssh_config(5), PATTERNS). */
export function matchesPattern(pattern: string, name: string): boolean {
  if (!/[*?]/.test(pattern)) return pattern === name;
  let pieces = compiled.get(pattern);
  if (pieces === undefined) {
    pieces = globPieces(pattern);
    compiled.set(pattern, pieces);
  }
  return matchesGlob(pieces, name);
}

/** Parsed patterns: all hosts of a fleet are matched with the same few. */
const compiled = new Map<string, readonly GlobPiece[]>();

/**
 * Return whether a name matches a pattern-list: comma-separated patterns of which one must match, and none of those with
 * `!` in front (ssh_config(5), PATTERNS).
 */
export function matchesPatternList(list: string, name: string): boolean {
  return matchesHostLine(list.split(","), name);
}

/** Match a host's name with a pattern-list, ignoring case. */
export function matchesHostList(list: string, name: string): boolean {
  return matchesPatternList(lowerAscii(list), lowerAscii(name));
}

/** Match a name with the patterns of a Host line: one must match, and none of those with `!`. Case counts. */
export function matchesHostLine(patterns: readonly string[], name: string): boolean {
  let matched = false;
  for (const pattern of patterns) {
    if (pattern.startsWith("!")) {
      if (matchesPattern(pattern.slice(1), name)) return false;
    } else if (matchesPattern(pattern, name)) matched = true;
  }
  return matched;
}

/** Lower the ASCII letters only, as `ssh` does. */
export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
