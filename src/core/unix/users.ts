import { quote } from "./shell.ts";

// The users of a host: passwd(5), and becoming another user by sudo, doas or su.

/** A line of `/etc/passwd` (passwd(5)). */
export interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly comment: string;
  readonly home: string;
  readonly shell: string;
}

/** Parse the text of `/etc/passwd`, or the output of `getent passwd`; lines of another form are skipped. */
export function parsePasswd(text: string): readonly PasswdEntry[] {
  return text.split("\n").flatMap(parseLine);
}

/** Find a user by name in such a text, without parsing all of it. */
export function findPasswd(text: string, name: string): PasswdEntry | undefined {
  const line = text.split("\n").find((each) => each.startsWith(`${name}:`));
  return line === undefined ? undefined : parseLine(line)[0];
}

function parseLine(line: string): readonly PasswdEntry[] {
  const [name = "", , uid = "", gid = "", comment = "", home = "", shell = ""] = line.split(":");
  if (name === "" || name.startsWith("#") || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return [];
  return [{ name, uid: Number(uid), gid: Number(gid), comment, home, shell }];
}

/** The program by which one user becomes another. */
export type BecomeMethod = "sudo" | "doas" | "su";

/** The names that Ansible has for the methods. */
export const BECOME_METHODS: Readonly<Record<string, BecomeMethod>> = {
  sudo: "sudo",
  "ansible.builtin.sudo": "sudo",
  su: "su",
  "ansible.builtin.su": "su",
  doas: "doas",
  "community.general.doas": "doas",
};

/** The user to become on a host, and how. */
export interface Become {
  readonly user: string;
  readonly method: BecomeMethod;
  /** Replaces the program that the method is named after. */
  readonly exe?: string;
  /** Options of the program, in front of Volley's own. */
  readonly flags?: readonly string[];
  /** Answers the method's prompt; without a password the method must not prompt. Never on a command line, never in a bundle. */
  readonly password?: string;
}

/** The user that `become: true` stands for. */
export const DEFAULT_BECOME_USER = "root";

/** Vars of an inventory that hold the become password. They are never sent to a host as vars. */
export const BECOME_PASSWORD_VARS: readonly string[] = ["ansible_become_password", "ansible_become_pass"];

/** The user that a `become` names; null for none. */
export function becomeUser(become: boolean | string, standard = DEFAULT_BECOME_USER): string | null {
  return become === true ? standard : become === false ? null : become;
}

/** The words said on the way to another user. A nonce that only the two ends know tells a word from other output. */
const BECOME_WORDS = {
  /** From here on su and doas write a prompt of their own. */
  begin: "begin",
  /** sudo's prompt, followed by the name of the user whose password sudo wants and {@link PROMPT_END}. */
  password: "password:",
  /** The shell runs as the user, and the bundle is there. */
  ready: "ready",
  /** The shell runs as the user, and waits for the bundle. */
  want: "want",
  /** The shell runs as the user, and waits for the runtime of this machine; another word follows. */
  runtime: "runtime",
  /** The shell runs as the user, and waits for an archive from the byte on that follows with {@link PROMPT_END}; another word follows. */
  part: "part:",
} as const;

/** Ends sudo's prompt, and a number; no user name holds this character. */
const PROMPT_END = ",";

/** Return the shell command that writes a word to standard error. */
export function sayWord(nonce: string, word: Exclude<keyof typeof BECOME_WORDS, "part">): string {
  return `echo ${nonce}:${BECOME_WORDS[word]} >&2`;
}

/** Return the shell command that asks for an archive from a byte on, which is shell text. */
export function askForPart(nonce: string, from: string): string {
  return `echo ${nonce}:${BECOME_WORDS.part}${from}${PROMPT_END} >&2`;
}

/** True when nothing may be sent before a word was heard: the prompt would take the text for the password. */
export function isTalked({ method, password }: Pick<Become, "method" | "password">): boolean {
  return password !== undefined || method === "su";
}

/**
 * True when the user keeps a bundle of its own, sent as that user. Only root can read the login user's home. Root
 * behind a password runs no file that the login user could have replaced.
 */
export function keepsOwnCopy({ user, password }: Pick<Become, "user" | "password">): boolean {
  return user !== DEFAULT_BECOME_USER || password !== undefined;
}

/** True when the method prompts only at a terminal: doas(1) reads passwords from nowhere else. */
export function needsTerminal({ method, password }: Pick<Become, "method" | "password">): boolean {
  return method === "doas" && password !== undefined;
}

/** Options of sudo and doas that Volley itself sets as needed; a user's own are dropped. */
const OWN_FLAGS: ReadonlySet<string> = new Set(["-n", "-S", "--non-interactive", "--stdin"]);

/**
 * Return the shell command that runs a script of `sh` as another user. `words` is shell text for the script's `$0` and
 * arguments. The method's own messages are in English, because Volley reads them; the script runs in the host's language.
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
      // A user name that begins with a dash must not be taken for an option.
      return `${program}${flags} -s /bin/sh -c ${shell} ${user.startsWith("-") ? "-- " : ""}${quote(user)}${rest}`;
  }
}

/** A word meant for the controller, or a prompt for a password (`ask`). */
type BecomeHeard = "ask" | "ready" | "want" | "runtime" | "part";

/** A piece of output, with the words taken out. */
interface BecomePiece {
  /** Output that belongs to the program. */
  readonly text: string;
  readonly heard: readonly BecomeHeard[];
  /** The user whose password sudo wants, where sudo says so. With `rootpw` or `targetpw` in sudoers this is not the login user. */
  readonly whose?: string;
  /** The first byte that is wanted of an archive, if `part` was heard. */
  readonly from?: number;
  /** Index of `ready` in the text, if it was heard. */
  readonly readyAt?: number;
}

/** Finds the words in the output of standard error. */
interface BecomeReader {
  push(text: string): BecomePiece;
  /** Return the text held back as a possible beginning of a word. */
  end(): string;
}

const ENDS_LIKE_PROMPT = /[:?] ?$/;

/** sudo-rs writes these around the prompt that it is given. */
const SUDO_RS = { before: "[sudo: ", after: "] Password: " } as const;

const MAX_NAME = 64;
/** The user whose password sudo wants, behind the prompt. */
const ASKED = new RegExp(`^([\\w.@$%\\\\+-]{0,${MAX_NAME}})(${PROMPT_END}?)`);

/** The first byte of an archive that is wanted, behind the word. */
const FROM = new RegExp(`^(\\d{0,12})(${PROMPT_END}?)`);

/** The number of characters kept of a line that may become a prompt. */
const MAX_PROMPT = 1_000;

const WORDS = Object.values(BECOME_WORDS);

/** Listen until `ready` or `want` is heard, and pass all later output through untouched. */
export function createBecomeReader(nonce: string, method: BecomeMethod): BecomeReader {
  const begins = `${nonce}:`;
  let held = "";
  let begun = false;
  let done = false;
  /** The end of the line that a word stood on may still arrive. */
  let endsLine = false;
  let line = "";
  /** The text that sudo-rs writes behind its prompt may still arrive. */
  let endsPrompt = false;
  const push = (text: string): BecomePiece => {
    if (done && !endsLine) return { text, heard: [] };
    const heard: BecomeHeard[] = [];
    let whose: string | undefined;
    let from: number | undefined;
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
      const wanted = word === BECOME_WORDS.part ? FROM.exec(said.slice(word.length))! : null;
      if (wanted !== null && wanted[2] === "" && wanted[0].length === said.length - BECOME_WORDS.part.length)
        break;
      if (word === undefined) {
        // Wait only for text that can still become a word.
        if (WORDS.some((candidate) => candidate.startsWith(said))) break;
        passed += begins;
        rest = said;
        continue;
      }
      // sudo's prompt ends no line; the text before the prompt belongs to the program.
      const number = asked ?? wanted;
      rest = said.slice(word.length + (number?.[2] === PROMPT_END ? number[0].length : 0));
      endsLine = true;
      line = "";
      if (word === "begin") begun = true;
      else if (isPrompt) {
        heard.push("ask");
        if (asked?.[2] === PROMPT_END && asked[1] !== "%p") whose = asked[1];
        endsPrompt = passed.endsWith(SUDO_RS.before);
        if (endsPrompt) passed = passed.slice(0, -SUDO_RS.before.length);
      } else if (word === BECOME_WORDS.part) {
        heard.push("part");
        from = Number(wanted![1]);
      } else {
        heard.push(word);
        readyAt = passed.length;
        done = word === "ready" || word === "want";
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
    return {
      ...{ text: passed + rest, heard, readyAt },
      ...(whose === undefined ? {} : { whose }),
      ...(from === undefined ? {} : { from }),
    };
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

/** Return the length of the longest end of `text` that begins `word`. */
function overlap(text: string, word: string): number {
  for (let length = Math.min(text.length, word.length - 1); length > 0; length--)
    if (word.startsWith(text.slice(-length))) return length;
  return 0;
}
