import { randomBytes } from "node:crypto";
import { PassThrough, type Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { VolleyError } from "../core/errors.ts";
import {
  type Become,
  type BecomeMethod,
  becomeCommand,
  createBecomeReader,
  isTalked,
  needsTerminal,
  sayWord,
} from "../core/unix/users.ts";
import type { RemoteProcess } from "./transport.ts";

/** A login that is to become another user. */
interface BecomeAttempt {
  readonly host: string;
  /** The login user. */
  readonly login: string;
  readonly become: Become;
}

/** The user to become, and the texts for messages. */
interface StartAsOptions extends BecomeAttempt {
  readonly signal: AbortSignal;
  /** True when `start` uses a terminal: output before the change of user is then not shown. Default: false. */
  readonly onTerminal?: boolean;
  /** The hint for a password that is asked for only at a terminal, without a terminal. */
  readonly terminalHint: string;
}

const READY_MS = 30_000;
const SAID_KEPT = 4_000;

/**
 * Start a script for `sh` as another user; `start` starts a script as the login user. Resolves with the process when it
 * belongs to the other user. Fails with `BECOME_FAILED`, `CONNECTION_LOST` or `CANCELLED`.
 */
export async function startAs(
  start: (script: string) => Promise<RemoteProcess>,
  script: string,
  options: StartAsOptions,
): Promise<RemoteProcess> {
  const { host, become, onTerminal = false } = options;
  if (needsTerminal(become) && !onTerminal) {
    throw new VolleyError("BECOME_FAILED", `${host}: doas asks for a password only at a terminal`, {
      hint: options.terminalHint,
    });
  }
  const nonce = makeBecomeNonce();
  const process = await start(commandOf(become, nonce, script));
  const talk = talkBecome(process, { ...options, nonce });
  // Read both streams from the start: a process ends only when they are read, and early output holds the reason.
  const { exit } = talk.process;
  const stdout = passOn(talk.process.stdout);
  const stderr = passOn(talk.process.stderr);
  let early = "";
  const keep = (chunk: Buffer): void => {
    early = (early + chunk.toString("utf8")).slice(-SAID_KEPT);
  };
  talk.process.stderr.on("data", keep);
  const ended = exit.then((how): never => {
    if (how.kind === "lost") throw new VolleyError("CONNECTION_LOST", `${host}: ${how.reason}`);
    const code = how.kind === "exited" ? how.code : undefined;
    throw explainEnd(talk.said() || early, talk.asked(), code, options);
  });
  ended.catch(() => {});
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      process.stdin.end();
      reject(refusal(options, `${become.method} did not answer within ${READY_MS / 1_000} s`));
    }, READY_MS);
  });
  try {
    await Promise.race([talk.ready, ended, late]);
  } finally {
    clearTimeout(timer);
    talk.process.stderr.off("data", keep);
  }
  const read = exit.then(async (how) => {
    await Promise.allSettled([stdout, stderr].map((stream) => finished(stream, { writable: false })));
    return how;
  });
  return { stdin: talk.process.stdin, stdout, stderr, exit: read };
}

/** Pass a stream on. When the reader closes, read on to the end: otherwise the process would not end. */
function passOn(stream: Readable): PassThrough {
  const passed = stream.pipe(new PassThrough());
  passed.once("close", () => stream.resume());
  return passed;
}

function commandOf(become: Become, nonce: string, script: string): string {
  const begin = become.method !== "sudo" && isTalked(become) ? `${sayWord(nonce, "begin")}\n` : "";
  return `${begin}${becomeCommand(become, nonce, `${sayWord(nonce, "ready")}\n${script}`)}`;
}

function explainEnd(
  said: string,
  asked: boolean,
  code: number | undefined,
  options: StartAsOptions,
): VolleyError {
  const last = said
    .split("\n")
    .map((line) => line.trim())
    .findLast((line) => line !== "");
  const ended = code === undefined ? "a signal ended it" : `exit code ${code}`;
  return explainBecome(options, said, asked, code) ?? refusal(options, last ?? ended);
}

function refusal({ host, login, become: { user } }: BecomeAttempt, why: string): VolleyError {
  return new VolleyError("BECOME_FAILED", `${host}: ${login} cannot become ${user}: ${why}`);
}

/** The terminal of a program that asks for passwords only there; its output is never shown. */
export const BECOME_TERMINAL = { columns: 80, rows: 24 } as const;

/** Make the nonce that marks the words of the become dialogue in other output. */
export function makeBecomeNonce(): string {
  return `volley-${randomBytes(8).toString("hex")}`;
}

/** Options of a become dialogue. */
interface BecomeTalkOptions extends BecomeAttempt {
  /** The beginning of the dialogue's words. */
  readonly nonce: string;
  readonly signal: AbortSignal;
  /** Write the bundle to the process, whose user has no copy of it. Absent: the process never asks. */
  sendBundle?(): Promise<void>;
  /** Write a runtime's archive to the process, from this byte on. Absent: the process never asks. */
  sendRuntime?(from: number): Promise<void>;
  /** True when the process is on a terminal: its output until it is ready is then dropped. Default: false. */
  readonly onTerminal?: boolean;
}

/** A process that is becoming another user. */
export interface BecomeTalk {
  /** The process; its output is without the dialogue. */
  readonly process: RemoteProcess;
  /** Resolves when the process belongs to the other user. Fails with `BECOME_FAILED` or `CANCELLED`; the process then ends. */
  readonly ready: Promise<void>;
  /** Return whether the password was sent. */
  readonly asked: () => boolean;
  /** Return the end of the output so far: on a terminal it is not on standard error. */
  readonly said: () => string;
}

/** Answer the questions of a command that becomes another user: the password once, the runtime, and the bundle. */
export function talkBecome(process: RemoteProcess, options: BecomeTalkOptions): BecomeTalk {
  const { host, become, nonce, signal, sendBundle, sendRuntime, onTerminal = false } = options;
  const hearsStdout = onTerminal || needsTerminal(options.become);
  const { password, method, user } = become;
  const reader = createBecomeReader(nonce, method);
  let asked = false;
  let settled = false;
  let resolve!: () => void;
  let reject!: (thrown: unknown) => void;
  const ready = new Promise<void>((resolveReady, rejectReady) => {
    resolve = resolveReady;
    reject = rejectReady;
  });
  // The process may end when no caller awaits this any more.
  ready.catch(() => {});
  const settle = (how: () => void): void => {
    if (settled) return;
    settled = true;
    signal.removeEventListener("abort", onAbort);
    how();
  };
  const fail = (error: unknown): void =>
    settle(() => {
      // No second try with the same password: it could lock the account.
      process.stdin.end();
      reject(error);
    });
  const onAbort = (): void => fail(new VolleyError("CANCELLED", `${host}: cancelled before it was ${user}`));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();

  const answer = (): void => {
    if (settled) return;
    if (asked) return fail(wrongPassword(options, whose));
    if (password === undefined) return fail(wantedPassword(options));
    asked = true;
    process.stdin.write(`${password}\n`);
  };
  let said = "";
  let whose: string | undefined;
  const hear = (text: string): string => {
    const piece = reader.push(text);
    whose = piece.whose ?? whose;
    const isReady = piece.heard.includes("ready");
    const passed = !onTerminal || settled ? piece.text : isReady ? piece.text.slice(piece.readyAt) : "";
    if (!settled) said = (said + piece.text).slice(-SAID_KEPT);
    for (const word of piece.heard) {
      if (word === "ask") answer();
      else if (word === "ready") settle(resolve);
      else if (settled) continue;
      else if (word === "want") void sendBundle?.().then(() => settle(resolve), fail);
      else if (word === "part") void sendRuntime?.(piece.from ?? 0).catch(fail);
    }
    return passed;
  };
  const filtered = filter(hearsStdout ? process.stdout : process.stderr, hear, reader.end);
  const exit = process.exit.then(async (how) => {
    signal.removeEventListener("abort", onAbort);
    await finished(filtered, { readable: false }).catch(() => {});
    return how;
  });
  const talked = hearsStdout ? { ...process, stdout: filtered } : { ...process, stderr: filtered };
  return { process: { ...talked, exit }, ready, asked: () => asked, said: () => said };
}

/** Pass a stream on, byte for byte, without the words that `hear` removes. */
function filter(stream: Readable, hear: (text: string) => string, end: () => string): PassThrough {
  const passed = new PassThrough();
  stream.on("data", (chunk: Buffer) => {
    const text = hear(chunk.toString("latin1"));
    if (text !== "") passed.write(Buffer.from(text, "latin1"));
  });
  let ended = false;
  const finish = (): void => {
    if (ended) return;
    ended = true;
    passed.end(Buffer.from(end(), "latin1"));
  };
  stream.once("end", finish);
  stream.once("close", finish);
  stream.once("error", finish);
  return passed;
}

const GIVE_PASSWORD =
  "-K asks for it; --become-password-file, VOLLEY_BECOME_PASSWORD and ansible_become_password give it";

/** Return the hint for a missing password. */
function hintPassword(method: BecomeMethod): string {
  switch (method) {
    case "sudo":
      return `give the password that sudo asks for (${GIVE_PASSWORD}), or add a NOPASSWD rule for the user`;
    case "doas":
      return `give the user's password (${GIVE_PASSWORD}), or add a nopass rule to doas.conf`;
    case "su":
      return `give the password of the user to become: ${GIVE_PASSWORD}`;
  }
}

/** Return the error of a missing password. */
function wantedPassword({ host, login, become: { user, method } }: BecomeAttempt): VolleyError {
  return new VolleyError(
    "BECOME_FAILED",
    `${host}: ${login} cannot become ${user}: ${method} wants a password`,
    {
      hint: hintPassword(method),
    },
  );
}

/** Return the error of a wrong password; `asks` is the user whose password sudo asked for. */
export function wrongPassword(
  { host, login, become: { user, method } }: BecomeAttempt,
  asks: string = method === "su" ? user : login,
): VolleyError {
  return new VolleyError(
    "BECOME_FAILED",
    `${host}: ${login} cannot become ${user}: ${method} does not take the password`,
    { hint: `it must be ${asks}'s password on that host; it was given once and will not be tried again` },
  );
}

interface Reason {
  readonly said: RegExp;
  readonly hint: (failed: BecomeAttempt) => string;
}

/** English messages of sudo, doas, su and PAM, with hints; the first match counts. */
const REASONS: readonly Reason[] = [
  {
    said: /must have a tty to run sudo/i,
    hint: ({ login }) =>
      `its sudoers say requiretty: add the line "Defaults:${login} !requiretty", or become with su or doas (ansible_become_method)`,
  },
  {
    said: /a password is required|terminal is required|no askpass program|authentication (?:is )?required|interaction is required/i,
    hint: ({ become }) => hintPassword(become.method),
  },
  {
    said: /not in the sudoers|may not run sudo|not allowed to (?:execute|run|authenticate)|Operation not permitted|afraid I can't do that/i,
    hint: ({ login, become: { user, method } }) =>
      method === "doas"
        ? `add the rule "permit nopass ${login} as ${user}" to its doas.conf, or log in as the user to become`
        : `add a rule for the user to its sudoers, such as "${login} ALL=(${user}) NOPASSWD: ALL", or log in as the user to become`,
  },
  {
    said: /unknown user|does not exist|no passwd entry|user '.*' not found/i,
    hint: ({ become }) => `there is no user ${become.user} on that host`,
  },
  {
    said: /expired|change your password|Authentication token/i,
    hint: () => "the account's password must be renewed on the host first",
  },
  {
    said: /too many logins/i,
    hint: ({ become }) =>
      `its limits (maxlogins, see limits.conf) allow no further session of ${become.user}: end some there, or raise the limit`,
  },
  {
    said: /(?:account|user)\b.*\blocked|locked due to|faillock|too many (?:failed|failures|authentication|password|unsuccessful)|exhausted maximum number/i,
    hint: () => "the account is locked for now: wait, or unlock it with faillock --reset",
  },
  {
    said: /not available|restricted shell|nologin/i,
    hint: ({ become }) => `${become.user} has no login shell, which su insists on: become it with sudo`,
  },
];

const WRONG =
  /incorrect (?:password|authentication)|Authentication fail|Sorry, try again|auth(?:entication)? error/i;
const MISSING = /(?:not found|No such file or directory)\s*$/i;
/** Warnings, which are no reason. */
const ASIDE = /unable to resolve host/;

/** Explain by a command's output why the login did not become another user; undefined when the output names no reason. */
export function explainBecome(
  failed: BecomeAttempt,
  stderr: string,
  asked: boolean,
  code: number | undefined,
): VolleyError | undefined {
  const { host, login, become } = failed;
  const { user, method, exe = method } = become;
  const lines = stderr
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !ASIDE.test(line));
  const last = lines.at(-1) ?? "";
  const cannot = `${host}: ${login} cannot become ${user}`;
  if ((code === 127 || code === 126) && MISSING.test(last) && last.includes(exe)) {
    return new VolleyError("BECOME_FAILED", `${cannot}: there is no ${exe} there`, {
      hint: `install ${exe} on the host, choose another way with ansible_become_method, or log in as the user to become`,
    });
  }
  if (lines.some((line) => WRONG.test(line))) {
    if (asked) return wrongPassword(failed);
    return new VolleyError("BECOME_FAILED", `${cannot}: ${last}`, { hint: hintPassword(method) });
  }
  for (const line of [...lines].reverse()) {
    const reason = REASONS.find(({ said }) => said.test(line));
    if (reason !== undefined)
      return new VolleyError("BECOME_FAILED", `${cannot}: ${line}`, { hint: reason.hint(failed) });
  }
  if (!new RegExp(`^(?:${method}|${exe.replace(/[^\w/.-]/g, ".")}): `).test(last)) return undefined;
  return new VolleyError("BECOME_FAILED", `${cannot}: ${last}`, { hint: hintPassword(method) });
}
