import { quote } from "./shell-quote.ts";

/** How one user becomes another. */
export type BecomeMethod = "sudo" | "doas" | "su";

/** The user to become on a host, and how. */
export interface Become {
  readonly user: string;
  readonly method: BecomeMethod;
  /** The program instead of the one the method is named after. */
  readonly exe?: string;
  /** More options for it, in front of Volley's own. */
  readonly flags?: readonly string[];
  /** What it asks for; without one it must not ask. Never on a command line, never in a bundle. */
  readonly password?: string;
}

/** The user that `become: true` stands for. */
export const DEFAULT_BECOME_USER = "root";

/** The user that a `become` names; null for none. */
export function becomeUser(become: boolean | string): string | null {
  return become === true ? DEFAULT_BECOME_USER : become === false ? null : become;
}

/** What is said on the way to becoming another user; each is told from other output by a nonce that only the two ends know. */
export const BECOME_WORDS = {
  /** su and doas write a prompt of their own from here on. */
  begin: "begin",
  /** sudo's prompt, behind which stands whose password it wants: see {@link PROMPT_END}. */
  password: "password:",
  /** This is the user now, and all is there. */
  ready: "ready",
  /** This is the user now, and the bundle is to be sent. */
  want: "want",
} as const;

/** Ends sudo's prompt; no user has it in the name. */
export const PROMPT_END = ",";

/** The line of shell that says a word, on standard error. */
export function sayWord(nonce: string, word: "begin" | "ready" | "want"): string {
  return `echo ${nonce}:${BECOME_WORDS[word]} >&2`;
}

/** Whether words must be waited for before anything else is sent: what asks would take it for the password. */
export function isTalked({ method, password }: Pick<Become, "method" | "password">): boolean {
  return password !== undefined || method === "su";
}

/**
 * Whether a user keeps a copy of its own, sent to it once it is there. Only root can read the login user's home; and
 * root, where it is guarded by a password, runs nothing that whoever has the login user's files could have replaced.
 */
export function keepsOwnCopy({ user, password }: Pick<Become, "user" | "password">): boolean {
  return user !== DEFAULT_BECOME_USER || password !== undefined;
}

/** Whether it asks only at a terminal: doas(1) reads no password from anywhere else. */
export function needsTerminal({ method, password }: Pick<Become, "method" | "password">): boolean {
  return method === "doas" && password !== undefined;
}

/** What sudo and doas are told by options that Volley gives as it needs them. */
const OWN_FLAGS: ReadonlySet<string> = new Set(["-n", "-S", "--non-interactive", "--stdin"]);

/**
 * The line of shell that goes on as another user, with a script for `sh`. `words`, shell text, are its `$0` and on. Its own messages
 * are in English, because they are read; the script runs in the language of the host.
 */
export function becomeCommand(become: Become, nonce: string, script: string, words = ""): string {
  const { user, method, password, exe = method } = become;
  const program = `exec env LC_ALL=C ${quote(exe)}`;
  const given = (become.flags ?? []).filter((flag) => !OWN_FLAGS.has(flag)).map((flag) => ` ${quote(flag)}`);
  const flags = given.join("");
  const shell = quote(`unset LC_ALL; ${script}`);
  const rest = words === "" ? "" : ` ${words}`;
  switch (method) {
    case "sudo": {
      const ask = password === undefined ? "-n" : `-S -p ${nonce}:${BECOME_WORDS.password}%p${PROMPT_END}`;
      const as = user === DEFAULT_BECOME_USER ? "" : ` -u ${quote(user)}`;
      return `${program} ${ask} -H${as}${flags} -- sh -c ${shell}${rest}`;
    }
    case "doas":
      return `${program}${password === undefined ? " -n" : ""} -u ${quote(user)}${flags} -- sh -c ${shell}${rest}`;
    case "su":
      // What begins with a dash is no option.
      return `${program}${flags} -s /bin/sh -c ${shell} ${user.startsWith("-") ? "-- " : ""}${quote(user)}${rest}`;
  }
}
