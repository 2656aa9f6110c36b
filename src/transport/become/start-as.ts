import { PassThrough, type Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { VolleyError } from "../../core/errors.ts";
import { type Become, becomeCommand, isTalked, needsTerminal, sayWord } from "../../core/unix/become.ts";
import type { RemoteProcess } from "../transport.ts";
import { explainBecome, type FailedBecome } from "./explain.ts";
import { makeBecomeNonce, talkBecome } from "./talk.ts";

/** The user to become, and the texts for messages. */
export interface StartAsOptions extends FailedBecome {
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
  const { host, login, become, signal, onTerminal = false } = options;
  if (needsTerminal(become) && !onTerminal) {
    throw new VolleyError("BECOME_FAILED", `${host}: doas asks for a password only at a terminal`, {
      hint: options.terminalHint,
    });
  }
  const nonce = makeBecomeNonce();
  const process = await start(commandOf(become, nonce, script));
  const talk = talkBecome(process, {
    host,
    login,
    become,
    nonce,
    signal,
    onTerminal,
  });
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

function refusal({ host, login, become: { user } }: FailedBecome, why: string): VolleyError {
  return new VolleyError("BECOME_FAILED", `${host}: ${login} cannot become ${user}: ${why}`);
}
