import { PassThrough } from "node:stream";
import { finished } from "node:stream/promises";
import { type Become, becomeCommand, isTalked, needsTerminal, sayWord } from "../core/become.ts";
import { VolleyError } from "../core/errors.ts";
import { quote } from "../core/shell-quote.ts";
import type { UserAccess } from "../direct/open-system.ts";
import { openFileSession } from "../transport/sftp/open-file-session.ts";
import { SFTP_SERVER_SCRIPT } from "../transport/sftp/server-program.ts";
import type { Connection, Endpoint, RemoteProcess } from "../transport/transport.ts";
import { makeBecomeNonce, talkBecome } from "./become.ts";
import { explainBecome } from "./explain-become.ts";

const SAID_KEPT = 4_000;

/** How to act as the login user: by the connection's own commands and SFTP. */
export function loginAccess(connection: Connection, signal: AbortSignal): UserAccess {
  return {
    start: (script) => connection.exec(`exec sh -c ${quote(script)}`, signal),
    files: () => connection.files(signal),
    forward: connection.forward,
  };
}

/** How to act as another user, by that user's leave: every shell and an sftp-server are started through sudo, doas or su. */
export function becomeAccess(
  outer: UserAccess,
  become: Become,
  { endpoint, signal }: { readonly endpoint: Endpoint; readonly signal: AbortSignal },
): UserAccess {
  const { host, user: login } = endpoint;
  const start = async (script: string): Promise<RemoteProcess> => {
    if (needsTerminal(become)) {
      throw new VolleyError(
        "BECOME_FAILED",
        `${host}: doas asks for the password at a terminal only, which a run without a bundle does not have`,
        { hint: "use --via bundle, or add a nopass rule to doas.conf" },
      );
    }
    const nonce = makeBecomeNonce();
    const begin = become.method !== "sudo" && isTalked(become) ? `${sayWord(nonce, "begin")}\n` : "";
    const command = becomeCommand(become, nonce, `${sayWord(nonce, "ready")}\n${script}`);
    const process = await outer.start(`${begin}${command}`);
    const sendBundle = async (): Promise<void> => {};
    const talk = talkBecome(process, { host, login, become, nonce, signal, sendBundle });
    // Both are read from the start, because only then does a process end; what is said early tells why it does.
    const { exit } = talk.process;
    const stdout = talk.process.stdout.pipe(new PassThrough());
    const stderr = talk.process.stderr.pipe(new PassThrough());
    let early = "";
    const keep = (chunk: Buffer): void => {
      early = (early + chunk.toString("utf8")).slice(-SAID_KEPT);
    };
    talk.process.stderr.on("data", keep);
    const ended = exit.then((how): never => {
      if (how.kind === "lost") throw new VolleyError("CONNECTION_LOST", `${host}: ${how.reason}`);
      const code = how.kind === "exited" ? how.code : undefined;
      const said = talk.said() || early;
      const last =
        said.trim().split("\n").at(-1) || (code === undefined ? "a signal ended it" : `exit code ${code}`);
      throw (
        explainBecome({ host, login, become }, said, talk.asked(), code) ??
        new VolleyError("BECOME_FAILED", `${host}: ${login} cannot become ${become.user}: ${last}`)
      );
    });
    ended.catch(() => {});
    await Promise.race([talk.ready, ended]);
    talk.process.stderr.off("data", keep);
    const read = exit.then(async (how) => {
      const ends = [stdout, stderr].map((stream) => finished(stream, { writable: false }));
      await Promise.allSettled(ends);
      return how;
    });
    return { stdin: talk.process.stdin, stdout, stderr, exit: read };
  };
  return {
    start,
    files: async () => await openFileSession(await start(SFTP_SERVER_SCRIPT), { host, signal }),
    forward: outer.forward,
    givesPassword: become.password !== undefined,
  };
}
