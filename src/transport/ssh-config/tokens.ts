import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { homedir, hostname, userInfo } from "node:os";
import { VolleyError } from "../../core/errors.ts";
import { printable } from "../../core/text.ts";

/** What `%h` and the like stand for, by their letter (ssh_config(5), TOKENS). */
export type Tokens = Readonly<Record<string, string>>;

/** What is known of a host when tokens are filled in. */
export interface TokenSubject {
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
export function fillAll(text: string, tokens: Tokens): string {
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
