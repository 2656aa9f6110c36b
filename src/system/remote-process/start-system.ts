import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  type Become,
  becomeCommand,
  createBecomeReader,
  isTalked,
  keepsOwnCopy,
  needsTerminal,
  sayWord,
} from "../../core/become.ts";
import { ownCopyScript } from "../../core/bundle.ts";
import { VolleyError } from "../../core/errors.ts";
import { quote } from "../../core/shell-quote.ts";
import { SYSTEM_ARGUMENT } from "./messages.ts";
import { connectSystem, type RemoteSystem } from "./remote-system.ts";

const STDERR_KEPT = 2_000;
const START_MS = 60_000;

/** Starts a process of another user's that serves this machine as that user's System. Fails with `BECOME_FAILED`. */
export async function startSystem(become: Become, bundle: string): Promise<RemoteSystem> {
  // Root needs nobody's leave, and its process becomes the user once it has read the bundle.
  if (process.getuid?.() === 0) {
    return connect(spawn("sh", [bundle, SYSTEM_ARGUMENT, become.user], options), become, undefined);
  }
  if (needsTerminal(become)) {
    throw failure(become, "doas asks for the password at a terminal only, and there is none on the host", {
      hint: "add a nopass rule to doas.conf, or let the play become root",
    });
  }
  const nonce = `volley-${randomBytes(8).toString("hex")}`;
  const begin = become.method !== "sudo" && isTalked(become) ? `${sayWord(nonce, "begin")}\n` : "";
  const own = keepsOwnCopy(become);
  const bytes = own ? readFileSync(bundle) : Buffer.alloc(0);
  const script = own
    ? ownCopyScript(
        createHash("sha256").update(bytes).digest("hex"),
        nonce,
        bytes.length,
        `exec sh "$f" ${SYSTEM_ARGUMENT}`,
      )
    : `${sayWord(nonce, "ready")}; exec sh "$0" ${SYSTEM_ARGUMENT}`;
  const line = `${begin}${becomeCommand(become, nonce, script, own ? "" : quote(bundle))}`;
  return connect(spawn("sh", ["-c", line], options), become, { nonce, bytes });
}

/** A group of its own: what ends a task's processes is not to end it. */
const options = { detached: true } as const;

async function connect(
  child: ChildProcessWithoutNullStreams,
  become: Become,
  talk: { readonly nonce: string; readonly bytes: Buffer } | undefined,
): Promise<RemoteSystem> {
  let said = "";
  let refused: string | undefined;
  let asked = false;
  const reader = talk === undefined ? undefined : createBecomeReader(talk.nonce, become.method);
  child.stdin.on("error", () => {});
  child.stderr.on("data", (chunk: Buffer) => {
    const piece = reader?.push(chunk.toString("utf8")) ?? { text: chunk.toString("utf8"), heard: [] };
    said = (said + piece.text).slice(-STDERR_KEPT);
    for (const word of piece.heard) {
      if (word === "want") child.stdin.write(talk!.bytes);
      if (word !== "ask") continue;
      if (asked || become.password === undefined) {
        refused = asked ? `${become.method} does not take the password` : `${become.method} wants a password`;
        child.stdin.end();
      } else {
        asked = true;
        child.stdin.write(`${become.password}\n`);
      }
    }
  });
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(failure(become, error.message).message));
    child.once("close", () => {
      const line =
        said
          .trim()
          .split("\n")
          .at(-1)
          ?.replace(/^volley: (?:cannot become [^:]+: )?/, "") ?? "";
      resolve(failure(become, refused ?? (line === "" ? "its process ended" : line)).message);
    });
  });
  const timer = setTimeout(() => {
    refused = `its process did not start within ${START_MS / 1_000} s`;
    child.stdin.end();
    child.kill();
  }, START_MS);
  try {
    return await connectSystem({ stdin: child.stdin, stdout: child.stdout, ended });
  } finally {
    clearTimeout(timer);
  }
}

function failure(become: Become, why: string, details: { readonly hint?: string } = {}): VolleyError {
  return new VolleyError("BECOME_FAILED", `cannot become ${become.user}: ${why}`, details);
}
