import { homedir } from "node:os";
import { join } from "node:path";
import { readBounded } from "./places.ts";

// Logins of servers in the file ~/.netrc, which curl, wget and git read, too.

const MAX_BYTES = 1024 * 1024;

/** A user name and password. */
export interface Login {
  readonly username: string;
  readonly password: string;
}

/** A word, or a text in double quotes, in which a backslash stands before `"` and `\`. */
const TOKEN = /"(?:[^"\\]|\\.)*"|\S+/g;

/**
 * Return the login for a server by the file that `$NETRC` names, or `~/.netrc`; undefined without such a file or login.
 * Fails with `PULL_FAILED` where the file cannot be read.
 */
export function loginFromNetrc(host: string, env: NodeJS.ProcessEnv = process.env): Login | undefined {
  const path = env.NETRC || join(env.HOME || homedir(), ".netrc");
  try {
    return findLogin(readBounded(path, MAX_BYTES).toString("utf8"), host);
  } catch (thrown) {
    if (((thrown as Error).cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT") return undefined;
    throw thrown;
  }
}

/** Find a server's login: the first entry with its name, else the one for all others. */
export function findLogin(text: string, host: string): Login | undefined {
  const tokens = wordsWithoutMacros(text.split(/\r?\n/));
  const entries: { host: string | undefined; username: string; password: string }[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const last = entries.at(-1);
    switch (tokens[at]) {
      case "machine":
        entries.push({ host: tokens[++at] ?? "", username: "", password: "" });
        break;
      case "default":
        entries.push({ host: undefined, username: "", password: "" });
        break;
      case "login":
        at++;
        if (last !== undefined) last.username = tokens[at] ?? "";
        break;
      case "password":
        at++;
        if (last !== undefined) last.password = tokens[at] ?? "";
        break;
      case "account":
        at++;
    }
  }
  const found =
    entries.find((entry) => entry.host?.toLowerCase() === host.toLowerCase()) ??
    entries.find((entry) => entry.host === undefined);
  return found === undefined || (found.username === "" && found.password === "")
    ? undefined
    : { username: found.username, password: found.password };
}

/** Words that a value follows, which may be any word. */
const VALUED = new Set(["machine", "login", "password", "account"]);

/** Return the words of all lines, without macros, which end at an empty line. */
function wordsWithoutMacros(lines: readonly string[]): readonly string[] {
  let isMacro = false;
  return lines.flatMap((line) => {
    if (line.trim() === "") isMacro = false;
    if (isMacro) return [];
    const words = wordsOf(line);
    const macro = words.findIndex((word, at) => word === "macdef" && !VALUED.has(words[at - 1] ?? ""));
    isMacro = macro >= 0;
    return isMacro ? words.slice(0, macro) : words;
  });
}

function wordsOf(line: string): readonly string[] {
  const words: string[] = [];
  for (const [word] of line.matchAll(TOKEN)) {
    // A password may begin with it.
    if (word.startsWith("#") && words.at(-1) !== "password") break;
    words.push(/^".*"$/.test(word) ? word.slice(1, -1).replace(/\\(.)/g, "$1") : word);
  }
  return words;
}
