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
const BECOME_WORDS = {
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
const PROMPT_END = ",";

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

/** What was heard: a word meant for this end, or that a password is asked for. */
type BecomeHeard = "ask" | "ready" | "want";

/** What a piece of output came to. */
interface BecomePiece {
  /** What is none of ours. */
  readonly text: string;
  readonly heard: readonly BecomeHeard[];
  /** Whose password sudo asks for, where it says so: with `rootpw` or `targetpw` in its sudoers not the login user's. */
  readonly whose?: string;
  /** Where `ready` stood in the text, if it was heard. */
  readonly readyAt?: number;
}

/** Finds the words of becoming another user in what is written to standard error. */
interface BecomeReader {
  push(text: string): BecomePiece;
  /** What was held back because it might have become a word. */
  end(): string;
}

const ENDS_LIKE_PROMPT = /[:?] ?$/;

/** sudo-rs writes these around the prompt that it is given. */
const SUDO_RS = { before: "[sudo: ", after: "] Password: " } as const;

const MAX_NAME = 64;
/** Whose password sudo asks for. */
const ASKED = new RegExp(`^([\\w.@$%\\\\+-]{0,${MAX_NAME}})(${PROMPT_END}?)`);

/** What is kept of a line that may become a prompt, in characters. */
const MAX_PROMPT = 1_000;

const WORDS = Object.values(BECOME_WORDS);

/** Listens until `ready` or `want` is heard; what follows passes through untouched. */
export function createBecomeReader(nonce: string, method: BecomeMethod): BecomeReader {
  const begins = `${nonce}:`;
  let held = "";
  let begun = false;
  let done = false;
  /** The end of the line that a word stood on may still come. */
  let endsLine = false;
  let line = "";
  /** What sudo-rs writes behind its prompt may still come. */
  let endsPrompt = false;
  const push = (text: string): BecomePiece => {
    if (done && !endsLine) return { text, heard: [] };
    const heard: BecomeHeard[] = [];
    let whose: string | undefined;
    let passed = "";
    let readyAt = 0;
    let rest = held + text;
    held = "";
    for (;;) {
      if (endsPrompt) {
        if (rest.length < SUDO_RS.after.length && SUDO_RS.after.startsWith(rest)) break;
        if (rest.startsWith(SUDO_RS.after)) rest = rest.slice(SUDO_RS.after.length);
        endsPrompt = false;
      }
      if (endsLine) {
        if (rest === "" || rest === "\r") break;
        rest = rest.replace(/^\r?\n/, "");
        endsLine = false;
      }
      const at = done ? -1 : rest.indexOf(begins);
      if (at < 0) break;
      passed += rest.slice(0, at);
      rest = rest.slice(at);
      const said = rest.slice(begins.length);
      const word = WORDS.find((candidate) => said.startsWith(candidate));
      const isPrompt = word === BECOME_WORDS.password;
      const asked = isPrompt ? ASKED.exec(said.slice(word.length)) : null;
      // The name may be cut off.
      if (asked !== null && asked[2] === "" && asked[0].length === said.length - BECOME_WORDS.password.length)
        if (asked[0].length < MAX_NAME) break;
      if (word === undefined) {
        // It may be cut off; what can become no word is not waited for.
        if (WORDS.some((candidate) => candidate.startsWith(said))) break;
        passed += begins;
        rest = said;
        continue;
      }
      // sudo's prompt ends no line; what stands before it on its own is none of ours.
      rest = said.slice(word.length + (asked?.[2] === PROMPT_END ? asked[0].length : 0));
      endsLine = true;
      line = "";
      if (word === "begin") begun = true;
      else if (isPrompt) {
        heard.push("ask");
        if (asked?.[2] === PROMPT_END && asked[1] !== "%p") whose = asked[1];
        endsPrompt = passed.endsWith(SUDO_RS.before);
        if (endsPrompt) passed = passed.slice(0, -SUDO_RS.before.length);
      } else {
        heard.push(word);
        readyAt = passed.length;
        done = true;
      }
    }
    if (!done && rest.startsWith(begins) && passed.endsWith(SUDO_RS.before)) {
      passed = passed.slice(0, -SUDO_RS.before.length);
      rest = SUDO_RS.before + rest;
    }
    if (endsLine || !done) {
      const isWhole =
        endsPrompt || endsLine || rest.startsWith(begins) || rest.startsWith(SUDO_RS.before + begins);
      const cut = isWhole
        ? 0
        : rest.length - Math.max(overlap(rest, begins), overlap(rest, SUDO_RS.before + begins));
      held = rest.slice(cut);
      rest = rest.slice(0, cut);
    }
    if (begun && !done && method !== "sudo") {
      line = (line + rest).split(/\r?\n/).at(-1)!.slice(-MAX_PROMPT);
      if (held === "" && ENDS_LIKE_PROMPT.test(line)) {
        heard.push("ask");
        rest = rest.slice(0, Math.max(0, rest.length - line.length));
        line = "";
      }
    }
    return { text: passed + rest, heard, readyAt, ...(whose === undefined ? {} : { whose }) };
  };
  return {
    push,
    end: () => {
      const left = held;
      held = "";
      return left;
    },
  };
}

/** How much of a text's end is the beginning of a word. */
function overlap(text: string, word: string): number {
  for (let length = Math.min(text.length, word.length - 1); length > 0; length--)
    if (word.startsWith(text.slice(-length))) return length;
  return 0;
}
