import { VolleyError } from "../../core/errors.ts";
import { printable } from "../../core/text.ts";
import { matchesPatternList } from "./pattern.ts";

/** What a line says behind its keyword: as words, and as written. */
export interface Written {
  readonly words: readonly string[];
  readonly rest: string;
}

/** The values of an option, in the form that `ssh -G` prints them in. */
export interface Read {
  readonly values: readonly string[];
  /** How many words they took: more of them are an error. */
  readonly took: number;
}

/** Reads an option's value; a text says what is wrong with it. */
export type Reader = (written: Written) => Read | string;

const MISSING = "missing argument";

/** One word, or what a function makes of it: undefined refuses it. */
export function one(value: (word: string) => string | undefined = (word) => word): Reader {
  return ({ words: [word] }) => {
    if (word === undefined || word === "") return MISSING;
    const made = value(word);
    return made === undefined ? `unsupported value ${JSON.stringify(word)}` : { values: [made], took: 1 };
  };
}

/** One of these; words that mean the same stand together, the first of them for all. */
export function states(...groups: readonly (readonly string[])[]): Reader {
  return one((word) => groups.find((group) => group.some((each) => isSame(each, word)))?.[0]);
}

function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

/** `yes` or `no`. */
export const flag: Reader = states(["yes", "true"], ["no", "false"]);

/** One word that fits. */
export function shaped(shape: RegExp): Reader {
  return one((word) => (shape.test(word) ? word : undefined));
}

/** A time in seconds; `none` is no value: what comes later counts. */
export const time: Reader = (written) => {
  if (written.words[0] === "none") return { values: [], took: 1 };
  return one((word) => parseSeconds(word)?.toString())(written);
};

/** A whole number that is not negative. */
export const integer: Reader = one((word) => {
  const number = /^\+?\d+$/.test(word) ? Number(word) : Number.NaN;
  return number < 2 ** 31 ? String(number) : undefined;
});

/** A port's number. */
export const port: Reader = one((word) => {
  const number = /^\+?\d+$/.test(word) ? Number(word) : word === "ssh" ? 22 : Number.NaN;
  return number >= 1 && number <= 65_535 ? String(number) : undefined;
});

/** The rest of the line as it stands: a command. */
export const line: Reader = ({ words, rest }) => {
  const text = rest.replace(/^[ \t\r\n=]+/, "");
  return text === "" ? MISSING : { values: [text], took: words.length };
};

/** Hosts to jump through. */
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

/** All words of the line, none of them empty; `alone` may stand only by itself. */
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

/** A list of algorithms. */
export function algorithms(kind: AlgorithmKind): Reader {
  return one((word) => (isAlgorithmList(kind, word) ? word : undefined));
}

/** A port to forward, and where to: one word for two. */
export function forward(needsTarget: boolean): Reader {
  return ({ words: [from, to] }) => {
    if (from === undefined || from === "") return MISSING;
    if (to === undefined || to === "")
      return needsTarget ? "missing target argument" : { values: [from], took: 1 };
    return { values: [`${from} ${to}`], took: 2 };
  };
}

/** A path of an agent's socket, or where it is to be found. */
export const agent: Reader = one((word) =>
  /^\$(?!\{)/.test(word) && !/^\$[A-Za-z_]\w*$/.test(word) ? undefined : word,
);

/** Whether to forward an agent, or which. */
export const forwardAgent: Reader = (written) => {
  const asFlag = flag(written);
  return typeof asFlag === "string" ? agent(written) : asFlag;
};

/** Names of variables to set, each with a value. */
export const settings: Reader = ({ words }) => {
  const wrong = words.find((word) => !word.includes("="));
  if (wrong !== undefined) return `${JSON.stringify(wrong)} is not NAME=value`;
  const names = words.map((word) => word.slice(0, word.indexOf("=")));
  return {
    values: words.filter((_word, index) => names.indexOf(names[index]!) === index),
    took: words.length,
  };
};

/** One word, or two. */
export function oneOrTwo(first: RegExp, second: RegExp): Reader {
  return ({ words: [one, two] }) => {
    if (one === undefined || one === "") return MISSING;
    const wrong = !first.test(one) ? one : two !== undefined && !second.test(two) ? two : undefined;
    if (wrong !== undefined) return `${JSON.stringify(wrong)} is not understood`;
    return { values: two === undefined ? [one] : [one, two], took: two === undefined ? 1 : 2 };
  };
}

const UNITS_S: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };

/** A time such as `10`, `90s` or `1m30s` in seconds (sshd_config(5), TIME FORMATS); undefined when it is none. */
export function parseSeconds(text: string): number | undefined {
  if (text === "" || !/^(?:\d+[smhdw])*\d*$/i.test(text)) return undefined;
  let seconds = 0;
  for (const [, amount, unit] of text.toLowerCase().matchAll(/(\d+)([smhdw]?)/g))
    seconds += Number(amount) * UNITS_S[unit!]!;
  return seconds < 2 ** 31 ? seconds : undefined;
}

/** Kinds of algorithms that ssh_config has lists of. */
export type AlgorithmKind = "ciphers" | "macs" | "kex" | "keys" | "signatures";

/** What there is of a kind of algorithm. */
export interface AlgorithmNames {
  /** What `ssh` takes without being told, the best first. */
  readonly defaults: readonly string[];
  /** What it knows at all, in the order of its own lists. */
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

/** OpenSSH 9.2's names: newer releases add some, and take few away. */
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

/** Options that hold such lists. */
export const ALGORITHM_OPTIONS = {
  casignaturealgorithms: "signatures",
  ciphers: "ciphers",
  hostbasedacceptedalgorithms: "keys",
  hostkeyalgorithms: "keys",
  kexalgorithms: "kex",
  macs: "macs",
  pubkeyacceptedalgorithms: "keys",
} as const satisfies Readonly<Record<string, AlgorithmKind>>;

/** Newer names, which ssh2 has none of: no reason to refuse a file. */
const NEWER = /^(mlkem|sntrup|ssh-mldsa|webauthn-)/;

/** Whether a list is one that `ssh` takes: known names, or for keys patterns of them. */
export function isAlgorithmList(kind: AlgorithmKind, list: string): boolean {
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

/** The algorithms a list stands for, with its `+`, `-` or `^` and its patterns (ssh_config(5), Ciphers). */
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

/** A host to go through, as ProxyJump names it. */
export interface JumpName {
  readonly host: string;
  readonly user: string | undefined;
  readonly port: number | undefined;
}

/** Reads `[user@]host[:port]` or an `ssh://` URI, several with commas between (ssh_config(5), ProxyJump). Fails with `USAGE`. */
export function parseJumps(text: string): readonly JumpName[] {
  if (text.toLowerCase() === "none") return [];
  return text.split(",").map((part) => parseJump(part.trim()));
}

function parseJump(text: string): JumpName {
  const uri = /^ssh:\/\/(.*?)\/?$/.exec(text)?.[1];
  const bare = uri ?? text;
  // A user name may hold an @.
  const at = bare.lastIndexOf("@");
  const user = at >= 0 ? bare.slice(0, at) : undefined;
  const rest = bare.slice(at + 1);
  const bracketed = /^\[([^\]]+)\](?::(\d*))?$/.exec(rest);
  const plain = /^([^:[\]\s/]+)(?::(\d*))?$/.exec(rest);
  // More colons than one, and no brackets: an IPv6 address without a port.
  const ipv6 = rest.split(":").length > 2 ? /^([\da-f:.]+(?:%\w+)?)$/i.exec(rest) : null;
  const [, host, port = ""] = bracketed ?? plain ?? ipv6 ?? [];
  const isPort = port === "" || (Number(port) >= 1 && Number(port) <= 65_535);
  if (host === undefined || host.startsWith("-") || user === "" || user?.startsWith("-") || !isPort) {
    throw new VolleyError("USAGE", `${printable(JSON.stringify(text), 300)} is not a host to jump through`, {
      hint: "write user@host:port, several with commas between",
    });
  }
  // Of the user in a URI parameters may follow, which ssh passes over.
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
