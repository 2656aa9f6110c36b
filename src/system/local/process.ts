import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { constants } from "node:os";
import { StringDecoder } from "node:string_decoder";
import { VolleyError } from "../../core/errors.ts";
import type { ProcessOptions, ProcessResult } from "../../core/system.ts";
import { bytesToText, textToBytes } from "../../core/values/bytes.ts";

/** The default limit of kept output, in bytes a stream. */
export const DEFAULT_MAX_OUTPUT = 1 << 20;
const KILL_GRACE_MS = 5_000;
const GONE_POLL_MS = 20;
/** After that long a killed process that is still in the table is a zombie. */
const KILLED_MS = 1_000;
/** After the end of a process its output counts as complete after SILENT_MS of silence, and after LAST_MS at the latest. */
const SILENT_MS = 1_000;
const LAST_MS = 5_000;

/** Collects one stream of a process up to a limit, and passes every piece on as text. */
export class Capture {
  #chunks: Buffer[] = [];
  #bytes = 0;
  readonly #decoder = new StringDecoder("utf8");
  readonly #limit: number;
  readonly #onText: ((text: string) => void) | undefined;
  truncated = false;

  constructor(limit: number, onText: ((text: string) => void) | undefined) {
    this.#limit = limit;
    this.#onText = onText;
  }

  add(chunk: Buffer): void {
    const kept = chunk.subarray(0, this.#limit - this.#bytes);
    if (kept.length < chunk.length) this.truncated = true;
    if (kept.length > 0) this.#chunks.push(kept);
    this.#bytes += kept.length;
    if (this.#onText !== undefined) {
      const text = this.#decoder.write(chunk);
      if (text !== "") this.#onText(text);
    }
  }

  end(keepsBytes = false): string {
    const rest = this.#decoder.end();
    if (rest !== "") this.#onText?.(rest);
    const bytes = Buffer.concat(this.#chunks);
    return keepsBytes ? bytesToText(bytes) : bytes.toString("utf8");
  }
}

/**
 * Run a process, in a process group of its own, to its end. Timeout and abort end the whole group. A child that the
 * process leaves behind may hold its output open: it is neither ended nor waited for.
 */
export function runProcess(argv: readonly string[], options: ProcessOptions = {}): Promise<ProcessResult> {
  const [command, ...args] = argv;
  if (command === undefined) throw new VolleyError("PROCESS_FAILED", "cannot run an empty command");
  const {
    cwd,
    env,
    input,
    onOutput,
    timeoutMs,
    signal,
    keepsBytes,
    maxOutput = DEFAULT_MAX_OUTPUT,
  } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(cancelled(command));
    const child = spawn(command, args, {
      ...(cwd === undefined ? {} : { cwd }),
      env: env === undefined ? process.env : mergeEnvironment(env),
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      detached: true,
    });
    const stdout = new Capture(maxOutput, onOutput && ((text) => onOutput("stdout", text)));
    const stderr = new Capture(maxOutput, onOutput && ((text) => onOutput("stderr", text)));
    let heardAt = 0;
    const outputs = [child.stdout, child.stderr].filter((stream) => stream !== null) as Socket[];
    outputs.forEach((stream, index) => {
      stream.on("data", (chunk: Buffer) => {
        heardAt = Date.now();
        [stdout, stderr][index]!.add(chunk);
      });
    });

    let stopped: VolleyError | undefined;
    let stoppedAt = 0;
    let killTimer: NodeJS.Timeout | undefined;
    const endGroup = (name: NodeJS.Signals): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, name);
      } catch {
        // The group has ended already.
      }
    };
    const stop = (reason: VolleyError): void => {
      if (stopped !== undefined) return;
      stopped = reason;
      stoppedAt = Date.now();
      endGroup("SIGTERM");
      killTimer = setTimeout(() => endGroup("SIGKILL"), KILL_GRACE_MS);
    };
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(
            () => stop(new VolleyError("TIMEOUT", `${command} took longer than ${timeoutMs / 1000} s`)),
            timeoutMs,
          );
    const onAbort = (): void => stop(cancelled(command));
    signal?.addEventListener("abort", onAbort, { once: true });
    let silence: NodeJS.Timeout | undefined;
    const release = (): void => {
      clearInterval(silence);
      clearTimeout(timer);
      clearTimeout(killTimer);
      signal?.removeEventListener("abort", onAbort);
    };

    child.once("error", (error: NodeJS.ErrnoException) => {
      release();
      reject(new VolleyError("PROCESS_FAILED", explainStart(command, cwd, error), { cause: error }));
    });
    child.once("exit", (code, signalName) => {
      const endedAt = Date.now();
      silence = setInterval(() => {
        const now = Date.now();
        if (now - Math.max(heardAt, endedAt) < SILENT_MS && now - endedAt < LAST_MS) return;
        // Read on: a closed pipe would kill the child that is left behind.
        for (const stream of outputs) stream.removeAllListeners("data").resume().unref();
        child.off("close", done);
        done(code, signalName);
      }, 100);
    });
    // Other processes of the group may take longer to end, or ignore the signal.
    const whenGone = (then: () => void): void => {
      let killed = false;
      const timer = setInterval(() => {
        const sinceMs = Date.now() - stoppedAt;
        if (hasProcesses(child.pid) && sinceMs < KILL_GRACE_MS + KILLED_MS) {
          if (sinceMs >= KILL_GRACE_MS && !killed) endGroup("SIGKILL");
          killed = sinceMs >= KILL_GRACE_MS;
          return;
        }
        clearInterval(timer);
        then();
      }, GONE_POLL_MS);
    };
    const done = (code: number | null, signalName: NodeJS.Signals | null): void => {
      release();
      if (stopped !== undefined) return whenGone(() => reject(stopped));
      resolve({
        argv,
        code: code ?? 128 + (signalName === null ? 0 : constants.signals[signalName]),
        ...(signalName === null ? {} : { signal: signalName }),
        stdout: stdout.end(keepsBytes),
        stderr: stderr.end(keepsBytes),
        ...(stdout.truncated || stderr.truncated ? { truncated: true } : {}),
      });
    };
    child.once("close", done);
    if (input !== undefined && child.stdin !== null) {
      // A process need not read its input: a closed pipe is no error.
      child.stdin.on("error", () => {});
      child.stdin.end(typeof input === "string" ? textToBytes(input) : input);
    }
  });
}

/** Return whether a process group still has a process that can be signalled. */
function hasProcesses(group: number | undefined): boolean {
  try {
    return group !== undefined && process.kill(-group, 0);
  } catch {
    return false;
  }
}

function cancelled(command: string): VolleyError {
  return new VolleyError("CANCELLED", `${command} was cancelled`);
}

function explainStart(command: string, cwd: string | undefined, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT":
      return cwd === undefined
        ? `cannot run ${command}: no such command`
        : `cannot run ${command} in ${cwd}: no such command or directory`;
    case "EACCES":
      return `cannot run ${command}: permission denied`;
    case "E2BIG":
      return `cannot run ${command}: its arguments are too long`;
    default:
      return `cannot run ${command}: ${error.message}`;
  }
}

function mergeEnvironment(changes: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  const merged: NodeJS.ProcessEnv = { ...process.env };
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) delete merged[name];
    else merged[name] = value;
  }
  return merged;
}
