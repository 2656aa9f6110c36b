import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { homedir, hostname, userInfo } from "node:os";
import { join } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { printable } from "../../core/text.ts";
import type { HostKeyPolicy, LoginMethod } from "../transport.ts";
import { ALGORITHM_OPTIONS, ALGORITHMS, algorithmsOf } from "./option-readers.ts";
import { type SshOptions, saysYes } from "./options.ts";
import { matchesPattern } from "./pattern.ts";

/** Path of the agent's socket, by what IdentityAgent says; undefined: none. */
export function agentOf(text: string | undefined, tokens: Tokens): string | undefined {
  if (text === undefined || text === "SSH_AUTH_SOCK") return process.env.SSH_AUTH_SOCK || undefined;
  return text === "none" ? undefined : socketOf(text, tokens);
}

function socketOf(text: string, tokens: Tokens): string | undefined {
  const variable = /^\$(\w+)$/.exec(text)?.[1];
  return variable === undefined ? fillPath(text, tokens) : process.env[variable] || undefined;
}

/** Whether an agent is forwarded, and which, where it is not the one logged in with. */
export function forwardingOf(
  text: string | undefined,
  tokens: Tokens,
): { readonly forwardAgent: boolean; readonly forwardedAgent: string | undefined } {
  if (text === undefined || text === "yes" || text === "no")
    return { forwardAgent: text === "yes", forwardedAgent: undefined };
  return { forwardAgent: true, forwardedAgent: socketOf(text, tokens) };
}

const DEFAULT_KEYS = ["id_ed25519", "id_ecdsa", "id_rsa"];

/** The keys ssh tries by itself, whether they are there or not. */
export function defaultKeyFiles(): readonly string[] {
  return DEFAULT_KEYS.map((name) => join(homedir(), ".ssh", name));
}

/** The key files to try; `fallbackKey` comes last. */
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

/** The known_hosts files, the user's first, and the one that new keys are added to. */
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

/** What StrictHostKeyChecking says; where nobody can be asked, asking is refusing. */
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

/** The ways to log in that the options leave, in the order they ask for. */
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

/** The algorithms that an option stands for; undefined where it is not set. */
export function listOf(
  options: SshOptions,
  name: keyof typeof ALGORITHM_OPTIONS,
): readonly string[] | undefined {
  const written = options.first(name);
  return written === undefined ? undefined : algorithmsOf(written, ALGORITHMS[ALGORITHM_OPTIONS[name]]);
}

/** A run must not depend on the language of whoever starts it. */
const LOCALE = /^(LANG|LANGUAGE|LC_.*)$/;

/** The variables that SendEnv and SetEnv give to commands on the host; those that say a language are left out of SendEnv. */
export function environmentOf(options: SshOptions): Readonly<Record<string, string>> {
  // Debian asks for LANG and LC_* everywhere: those patterns can name no other variables.
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

/** What `%h` and the like stand for, by their letter (ssh_config(5), TOKENS). */
export type Tokens = Readonly<Record<string, string>>;

/** What is known of a host when tokens are filled in. */
interface TokenSubject {
  /** As it was given. */
  readonly name: string;
  /** With HostName. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly alias: string | undefined;
}

/** The tokens that most options take. */
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

/** Fills tokens in. Fails with `USAGE` for one that is not known, as `ssh` does. */
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

/** Fills in tokens and `${NAME}` from the environment. Fails with `USAGE` where there is none of that name. */
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

/** A path as ssh_config gives it: with `~`, `${NAME}` from the environment, and tokens. Fails with `USAGE`. */
export function fillPath(text: string, tokens: Tokens): string {
  return fillAll(expandHome(text), tokens);
}

/** A path that may begin with `~` or `~user`. Fails with `USAGE` when there is no such user. */
export function expandHome(path: string): string {
  const [, user, rest] = /^~([^/]*)\/*(.*)$/s.exec(path) ?? [];
  if (user === undefined) return path;
  const home = user === "" ? homedir() : homeOf(user);
  return `${home.endsWith("/") ? home : `${home}/`}${rest}`;
}

function homeOf(user: string): string {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((each) => each.startsWith(`${user}:`));
  const home = line?.split(":")[5];
  if (home !== undefined) return home;
  throw new VolleyError("USAGE", `ssh_config: there is no user ${printable(JSON.stringify(user), 100)}`);
}
