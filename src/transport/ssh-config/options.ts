import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { homedir, hostname, userInfo } from "node:os";
import { join } from "node:path";
import { printable, VolleyError } from "../../core/errors.ts";
import { parseSeconds } from "../../core/unix/duration.ts";
import { findPasswd } from "../../core/unix/users.ts";
import type { HostKeyPolicy, LoginMethod } from "../transport.ts";
import type { WrittenOption } from "./parse.ts";
import { ALGORITHM_OPTIONS, ALGORITHMS, algorithmsOf, matchesPattern } from "./values.ts";

/** ssh_config(5) options by their names in lower case. */
export interface SshOptions {
  /** Return the first word of the value; the first value wins (ssh_config(5)). */
  first(name: string): string | undefined;
  /** Return every word, for options with a list, or with several values. */
  all(name: string): readonly string[];
  readonly names: readonly string[];
}

/** Collects options, the most important first. */
export interface OptionStore extends SshOptions {
  /** Add an option; `isUsers`: it comes from the user's own file or the command line. */
  add(option: WrittenOption, isUsers: boolean): void;
}

const FILES_THAT_ADD_UP = new Set(["identityfile", "certificatefile"]);
const ADDING_UP = new Set([
  ...FILES_THAT_ADD_UP,
  "sendenv",
  "localforward",
  "remoteforward",
  "dynamicforward",
]);
/** Return whether an earlier ProxyJump or ProxyCommand keeps the other one out; `ProxyJump none` allows a ProxyCommand. */
function isKeptOut(name: string, found: ReadonlyMap<string, readonly string[]>): boolean {
  if (name === "proxyjump") return found.has("proxycommand");
  return name === "proxycommand" && (found.get("proxyjump")?.[0] ?? "none").toLowerCase() !== "none";
}

/** Make an {@link OptionStore}. */
export function createOptions(): OptionStore {
  const found = new Map<string, readonly string[]>();
  const files = new Set<string>();
  return {
    first: (name) => found.get(name)?.[0],
    all: (name) => found.get(name) ?? [],
    get names() {
      return [...found.keys()];
    },
    add: ({ name, words }, isUsers) => {
      if (words.length === 0) return;
      const before = found.get(name);
      if (name === "sendenv") found.set(name, words.reduce(addVariable, before ?? []));
      else if (FILES_THAT_ADD_UP.has(name)) {
        const key = `${name} ${isUsers} ${words[0]}`;
        if (!files.has(key)) found.set(name, [...(before ?? []), ...words]);
        files.add(key);
      } else if (name === "forwardagent" && before?.[0] === "yes" && words[0] !== "no") {
        // A later value may name the agent to forward.
        found.set(name, words);
      } else if (ADDING_UP.has(name)) found.set(name, [...(before ?? []), ...words]);
      else if (before === undefined && !isKeptOut(name, found)) found.set(name, words);
    },
  };
}

/** Add a variable's name; `-NAME` removes earlier names. */
function addVariable(names: readonly string[], name: string): readonly string[] {
  if (!name.startsWith("-")) return [...names, name];
  return names.filter((each) => !matchesPattern(name.slice(1), each));
}

/** Return whether a yes/no option is set to yes. */
export function saysYes(value: string | undefined): boolean {
  return value === "yes" || value === "true";
}

/** Node ignores longer times. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Return a time option in milliseconds; undefined when it is not set. */
export function timeMs(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  return Math.min(Number(value) * 1_000, MAX_TIMER_MS);
}

/** ControlPersist without a time: `ssh` then keeps a connection without end, and Volley for this long. */
const PERSIST_WITHOUT_TIME_MS = 8 * 3_600_000;

/**
 * Return how long the background process keeps a connection after its last use, by ControlPersist; undefined: not at all.
 * As for `ssh`, ControlPersist has no effect without ControlMaster.
 */
export function persistMsOf(options: SshOptions): number | undefined {
  const master = options.first("controlmaster") ?? "no";
  const persist = options.first("controlpersist")?.toLowerCase() ?? "no";
  if (["no", "false"].includes(master) || ["no", "false"].includes(persist)) return undefined;
  const ms = timeMs(String(parseSeconds(persist) ?? 0))!;
  return ms === 0 ? PERSIST_WITHOUT_TIME_MS : ms;
}

/** Return the path of the agent's socket by IdentityAgent; undefined: no agent. */
export function agentOf(text: string | undefined, tokens: Tokens): string | undefined {
  if (text === undefined || text === "SSH_AUTH_SOCK") return process.env.SSH_AUTH_SOCK || undefined;
  return text === "none" ? undefined : socketOf(text, tokens);
}

function socketOf(text: string, tokens: Tokens): string | undefined {
  const variable = /^\$(\w+)$/.exec(text)?.[1];
  return variable === undefined ? fillPath(text, tokens) : process.env[variable] || undefined;
}

/** Return whether an agent is forwarded, and which, where it is another than that of the login. */
export function forwardingOf(
  text: string | undefined,
  tokens: Tokens,
): { readonly forwardAgent: boolean; readonly forwardedAgent: string | undefined } {
  if (text === undefined || text === "yes" || text === "no")
    return { forwardAgent: text === "yes", forwardedAgent: undefined };
  return { forwardAgent: true, forwardedAgent: socketOf(text, tokens) };
}

const DEFAULT_KEYS = ["id_ed25519", "id_ecdsa", "id_rsa"];

/** Return the paths of the keys that ssh tries by default. */
export function defaultKeyFiles(): readonly string[] {
  return DEFAULT_KEYS.map((name) => join(homedir(), ".ssh", name));
}

/** Return the key files to try; `fallbackKey` comes last. */
export function identitiesOf(
  options: SshOptions,
  tokens: Tokens,
  fallbackKey: string | undefined,
): { readonly files: readonly string[]; readonly named: boolean } {
  const written = options.all("identityfile");
  const files = written.filter((text) => text.toLowerCase() !== "none").map((text) => fillPath(text, tokens));
  const all = written.length === 0 ? defaultKeyFiles() : files;
  return {
    files: [...new Set(fallbackKey === undefined ? all : [...all, fallbackKey])],
    named: written.length > 0 || fallbackKey !== undefined,
  };
}

/** Return the known_hosts files, the user's first, and the file for new keys. */
export function knownHostsOf(
  options: SshOptions,
  tokens: Tokens,
): { readonly files: readonly string[]; readonly newKeysFile: string | undefined } {
  const own = join(homedir(), ".ssh", "known_hosts");
  const users = filesOf(options.all("userknownhostsfile"), [own, `${own}2`]);
  const mine = users.map((file) => fillPath(file, tokens));
  const system = filesOf(options.all("globalknownhostsfile"), [
    "/etc/ssh/ssh_known_hosts",
    "/etc/ssh/ssh_known_hosts2",
  ]);
  return { files: [...mine, ...system.map((file) => fillPath(file, tokens))], newKeysFile: mine[0] };
}

function filesOf(words: readonly string[], defaults: readonly string[]): readonly string[] {
  if (words.length === 0) return defaults;
  return words.filter((word) => word.toLowerCase() !== "none");
}

/** Return the policy of StrictHostKeyChecking; `ask` becomes `strict` where no person can be asked. */
export function policyOf(options: SshOptions, defaultHostKeyPolicy: HostKeyPolicy): HostKeyPolicy {
  const mayAsk = !saysYes(options.first("batchmode"));
  const otherwise = defaultHostKeyPolicy === "ask" && !mayAsk ? "strict" : defaultHostKeyPolicy;
  switch (options.first("stricthostkeychecking")) {
    case "true":
      return "strict";
    case "accept-new":
      return "accept-new";
    case "false":
      return "off";
    case "ask":
      return otherwise === "ask" ? "ask" : "strict";
    default:
      return otherwise;
  }
}

const METHODS: readonly LoginMethod[] = ["publickey", "password", "keyboard-interactive"];

/** Return the allowed authentication methods, in the preferred order. */
export function loginMethodsOf(options: SshOptions): readonly LoginMethod[] {
  const off: Readonly<Record<LoginMethod, boolean>> = {
    publickey: options.first("pubkeyauthentication") === "false",
    password: options.first("passwordauthentication") === "no",
    "keyboard-interactive": options.first("kbdinteractiveauthentication") === "no",
  };
  const preferred = options.first("preferredauthentications")?.split(",");
  const order = preferred?.flatMap((name) => METHODS.filter((method) => method === name)) ?? METHODS;
  return [...new Set(order)].filter((method) => !off[method]);
}

/** Return the algorithms of an option; undefined where it is not set. */
export function listOf(
  options: SshOptions,
  name: keyof typeof ALGORITHM_OPTIONS,
): readonly string[] | undefined {
  const written = options.first(name);
  return written === undefined ? undefined : algorithmsOf(written, ALGORITHMS[ALGORITHM_OPTIONS[name]]);
}

/** Variables of the language: a run must not depend on them. */
const LOCALE = /^(LANG|LANGUAGE|LC_.*)$/;

/** Return the environment of commands by SendEnv and SetEnv; SendEnv leaves out the language. */
export function environmentOf(options: SshOptions): Readonly<Record<string, string>> {
  // Debian sends LANG and LC_* by default; such patterns match no other variables.
  const patterns = options.all("sendenv").filter((pattern) => !LOCALE.test(pattern));
  const names = patterns.length === 0 ? [] : Object.keys(process.env);
  const sent = names
    .filter((name) => !LOCALE.test(name) && patterns.some((pattern) => matchesPattern(pattern, name)))
    .map((name) => [name, process.env[name]]);
  const set = options.all("setenv").map((text): readonly [string, string] => {
    const at = text.indexOf("=");
    return [text.slice(0, at), text.slice(at + 1)];
  });
  return Object.fromEntries([...sent, ...set]) as Record<string, string>;
}

/** The values of tokens such as `%h`, by their letter (ssh_config(5), TOKENS). */
export type Tokens = Readonly<Record<string, string>>;

/** The host whose tokens are expanded. */
interface TokenSubject {
  /** The name as given. */
  readonly name: string;
  /** The name with HostName applied. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly alias: string | undefined;
}

/** Return the tokens that most options accept. */
export function tokensOf({ name, host, port, user, alias }: TokenSubject): Tokens {
  const local = hostname();
  return {
    C: createHash("sha1").update(`${local}${host}${port}${user}`).digest("hex"),
    d: homedir(),
    h: host,
    i: String(process.getuid?.() ?? 0),
    k: alias ?? name,
    L: local.split(".")[0]!,
    l: local,
    n: name,
    p: String(port),
    r: user,
    u: userInfo().username,
  };
}

/** Expand tokens. Fails with `USAGE` for an unknown one, as `ssh` does. */
export function fillTokens(text: string, tokens: Tokens): string {
  return text.replace(/%(.?)/gs, (_whole, letter: string) => {
    if (letter === "%") return "%";
    if (!Object.hasOwn(tokens, letter)) {
      throw new VolleyError(
        "USAGE",
        `ssh_config: there is no token %${printable(letter)} for ${printable(JSON.stringify(text), 300)}`,
        { hint: "write %% for a percent sign" },
      );
    }
    return tokens[letter]!;
  });
}

/** Expand tokens, and `${NAME}` from the environment. Fails with `USAGE` for an unset variable. */
function fillAll(text: string, tokens: Tokens): string {
  return text
    .split(/(\$\{[^}]*\}?)/)
    .map((part) => (part.startsWith("${") ? variable(part, text) : fillTokens(part, tokens)))
    .join("");
}

function variable(part: string, text: string): string {
  const name = /^\$\{([^}]+)\}$/.exec(part)?.[1];
  const value = name === undefined ? undefined : process.env[name];
  if (value !== undefined) return value;
  throw new VolleyError(
    "USAGE",
    `ssh_config: ${printable(part, 100)} in ${printable(JSON.stringify(text), 300)} ${name === undefined ? "is no variable" : "is not set in the environment"}`,
  );
}

/** Expand `~`, `${NAME}` and tokens of a path. Fails with `USAGE`. */
export function fillPath(text: string, tokens: Tokens): string {
  return fillAll(expandHome(text), tokens);
}

/** Expand `~` or `~user` at the beginning of a path. Fails with `USAGE` for an unknown user. */
export function expandHome(path: string): string {
  const [, user, rest] = /^~([^/]*)\/*(.*)$/s.exec(path) ?? [];
  if (user === undefined) return path;
  const home = user === "" ? homedir() : homeOf(user);
  return `${home.endsWith("/") ? home : `${home}/`}${rest}`;
}

function homeOf(user: string): string {
  const entry = findPasswd(readFileSync("/etc/passwd", "utf8"), user);
  if (entry !== undefined) return entry.home;
  throw new VolleyError("USAGE", `ssh_config: there is no user ${printable(JSON.stringify(user), 100)}`);
}
