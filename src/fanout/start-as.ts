import { randomBytes } from "node:crypto";
import { type Become, becomeCommand, isTalked, needsTerminal, sayWord } from "../core/become.ts";
import { createBecomeReader } from "../core/become-reader.ts";
import { VolleyError } from "../core/errors.ts";
import type { Connection, RemoteProcess } from "../transport/transport.ts";
import { quoteWord } from "./remote-command.ts";

/** Whose process it is, and what the messages say. */
export interface StartAsOptions {
  readonly host: string;
  /** Who is logged in. */
  readonly login: string;
  /** Null: the login user. */
  readonly become: Become | null;
  readonly signal: AbortSignal;
}

const READY_MS = 30_000;
const SAID_KEPT = 2_000;

/** Starts a script for `sh` in a user's home. Fails with `BECOME_FAILED`, `CONNECTION_LOST` or `CANCELLED`. */
export async function startAs(
  connection: Connection,
  script: string,
  options: StartAsOptions,
): Promise<RemoteProcess> {
  const { become, signal, host, login } = options;
  if (become === null) return connection.exec(`exec sh -c ${quoteWord(script)}`, signal);
  if (needsTerminal(become)) {
    throw new VolleyError("BECOME_FAILED", `${host}: doas asks for a password only at a terminal`, {
      hint: `files need one that does not ask: permit nopass ${login}, or sudo`,
    });
  }
  const nonce = `volley-${randomBytes(8).toString("hex")}`;
  const own = `cd "$HOME" 2>/dev/null || cd /; ${sayWord(nonce, "ready")}; ${script}`;
  const begin = become.method !== "sudo" && isTalked(become) ? `${sayWord(nonce, "begin")}\n` : "";
  const command = `${begin}${becomeCommand(become, nonce, own)}`;
  const process = await connection.exec(`exec sh -c ${quoteWord(command)}`, signal);
  await answer(process, nonce, { ...options, become });
  return process;
}

/** Gives the password when it is asked for, once, and waits until the process is the user's. */
function answer(
  process: RemoteProcess,
  nonce: string,
  { become, host, login, signal }: StartAsOptions & { readonly become: Become },
): Promise<void> {
  const { method, password, user } = become;
  const reader = createBecomeReader(nonce, method);
  return new Promise((resolve, reject) => {
    let asked = false;
    let said = "";
    const settle = (error?: VolleyError): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      process.stderr.off("data", hear);
      process.stderr.resume();
      if (error === undefined) return resolve();
      process.stdin.end();
      reject(error);
    };
    const fail = (why: string): void =>
      settle(new VolleyError("BECOME_FAILED", `${host}: ${login} cannot become ${user}: ${why}`));
    const onAbort = (): void =>
      settle(new VolleyError("CANCELLED", `${host}: cancelled before it was ${user}`));
    const hear = (chunk: Buffer): void => {
      const { text, heard } = reader.push(chunk.toString("latin1"));
      said = (said + text).slice(-SAID_KEPT);
      for (const word of heard) {
        if (word === "ready") return settle();
        if (password === undefined) return fail(`${method} wants a password (give it with -K)`);
        // No second try with the same one: accounts get locked.
        if (asked) return fail("the password is wrong");
        asked = true;
        process.stdin.write(`${password}\n`);
      }
    };
    const timer = setTimeout(() => fail(`${method} did not answer within ${READY_MS / 1_000} s`), READY_MS);
    process.stderr.on("data", hear);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    const onEnd = (): void => fail(lastLine(said) ?? `${method} ended`);
    // How a process ends is known once its stdout has been read to the end, which is for whoever speaks with it.
    process.stderr.once("end", onEnd);
    void process.exit.then(onEnd);
  });
}

function lastLine(said: string): string | undefined {
  return said
    .split("\n")
    .map((line) => line.trim())
    .findLast((line) => line !== "");
}
