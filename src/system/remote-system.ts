import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { ownCopyScript } from "../core/bundle.ts";
import { type ErrorCode, type SerializedError, VolleyError } from "../core/errors.ts";
import {
  type Content,
  type CopyOf,
  isCopy,
  type ProcessOptions,
  type ProcessResult,
  SYSTEM_CALLS,
  type System,
  type SystemCall,
  type WriteOptions,
  type Written,
} from "../core/system.ts";
import { quote } from "../core/unix/shell.ts";
import {
  type Become,
  becomeCommand,
  createBecomeReader,
  isTalked,
  keepsOwnCopy,
  needsTerminal,
  sayWord,
} from "../core/unix/users.ts";
import { textToBytes } from "../core/values/bytes.ts";
import { readLines } from "./output.ts";

// A System in another process of this machine: starting the process, the System that talks to it, and the messages of
// both.

/** A process that serves a System. */
interface SystemProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Resolves with the reason when the process has ended. */
  readonly ended: Promise<string>;
}

/** A System in another process of this machine. */
export interface RemoteSystem {
  readonly system: System;
  readonly env: SystemUser["env"];
  /** Let the process end: it removes its temporary directories. */
  close(): Promise<void>;
}

/** Make a System that `begin` opens at its first call; `ids` returns its user and group, also before that. */
export function createLateSystem(
  begin: () => Promise<System>,
  ids: () => { readonly uid: number; readonly gid: number },
): System {
  const methods = Object.fromEntries(
    SYSTEM_CALLS.map((call) => [
      call,
      async (...args: readonly unknown[]) => {
        const system = await begin();
        return (system[call] as (...given: readonly unknown[]) => unknown)(...args);
      },
    ]),
  );
  return {
    ...methods,
    get uid() {
      return ids().uid;
    },
    get gid() {
      return ids().gid;
    },
  } as unknown as System;
}

const STDERR_KEPT = 2_000;
const START_MS = 60_000;

/** Start a process as another user, from the file `bundle`, that serves this machine as that user's System. Fails with `BECOME_FAILED`. */
export async function startSystem(become: Become, bundle: string): Promise<RemoteSystem> {
  // Root needs no sudo: its process becomes the user itself, once it has read the bundle.
  if (process.getuid?.() === 0) {
    return talkTo(spawn("sh", [bundle, SYSTEM_ARGUMENT, become.user], options), become, undefined);
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
  // A runtime, which only this user can enter; another Node is found by the other user, too.
  const node = process.env.VOLLEY_NODE ?? "";
  const runtime = RUNTIME.exec(node);
  const lent = own && runtime !== null ? packRuntime(runtime[1]!) : undefined;
  const script = own
    ? `${lent === undefined ? "" : takeRuntimeScript(runtime![2]!, nonce, await lent.bytes)}${ownCopyScript(
        createHash("sha256").update(bytes).digest("hex"),
        nonce,
        bytes.length,
        `exec sh "$f" ${SYSTEM_ARGUMENT}`,
      )}`
    : `export VOLLEY_NODE=${quote(node)}; ${sayWord(nonce, "ready")}; exec sh "$0" ${SYSTEM_ARGUMENT}`;
  const line = `${begin}${becomeCommand(become, nonce, script, own ? "" : quote(bundle))}`;
  return talkTo(spawn("sh", ["-c", line], options), become, { nonce, bytes, lend: lent?.to });
}

/** The program of a runtime: its directory, and the runtime's id. */
const RUNTIME = /^(.+\/([0-9a-f]{64}))\/node$/;

/** Pack a directory; each use of the archive packs it anew, because nobody has room for it. */
function packRuntime(directory: string): {
  readonly bytes: Promise<number>;
  to(stream: Writable): void;
} {
  const tar = () =>
    spawn("tar", ["-cf", "-", "-C", directory, "."], { stdio: ["ignore", "pipe", "ignore"] }).stdout;
  const count = async (): Promise<number> => {
    let bytes = 0;
    for await (const chunk of tar()) bytes += (chunk as Buffer).length;
    return bytes;
  };
  return { bytes: count(), to: (stream) => void tar().pipe(stream, { end: false }) };
}

/** Have the user keep a copy of a runtime, whose archive of `bytes` the script reads from standard input after a word. */
function takeRuntimeScript(id: string, nonce: string, bytes: number): string {
  return `r="$HOME/.cache/volley/runtimes/${id}"
[ -x "$r/node" ] || { (umask 077; mkdir -p "$r.$$") && ${sayWord(nonce, "runtime")} && head -c ${bytes} | tar -xf - -C "$r.$$" && mv "$r.$$" "$r" || rm -rf "$r.$$"; }
export VOLLEY_NODE="$r/node"
`;
}

/** A process group of its own: a signal that ends a task's processes must not end the System. */
const options = { detached: true } as const;

async function talkTo(
  child: ChildProcessWithoutNullStreams,
  become: Become,
  talk:
    | { readonly nonce: string; readonly bytes: Buffer; lend?: ((stream: Writable) => void) | undefined }
    | undefined,
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
      if (word === "runtime") talk!.lend?.(child.stdin);
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

const PIECE_BYTES = 256 << 10;

interface Waiting {
  resolve(value: unknown): void;
  reject(thrown: unknown): void;
  readonly onOutput: ProcessOptions["onOutput"];
}

/** Wait until a process says that it serves a System. Fails with the reason of `ended` when it ends first. */
export async function connectSystem({ stdin, stdout, ended }: SystemProcess): Promise<RemoteSystem> {
  const waiting = new Map<number, Waiting>();
  let counted = 0;
  let gone: string | undefined;
  let greet!: (user: SystemUser) => void;
  const greeting = new Promise<SystemUser>((resolve) => {
    greet = resolve;
  });
  const lost = ended.then((reason): never => {
    gone = reason;
    for (const { reject } of waiting.values()) reject(new VolleyError("BECOME_FAILED", reason));
    waiting.clear();
    throw new VolleyError("BECOME_FAILED", reason);
  });
  lost.catch(() => {});
  stdin.on("error", () => {});
  const onLine = (line: string): void => {
    const reply = decodeMessage<SystemReply>(line);
    if (reply === undefined) return;
    if ("ready" in reply) return greet(reply.ready);
    const asked = waiting.get(reply.id);
    if (asked === undefined) return;
    if ("stream" in reply) return asked.onOutput?.(reply.stream, reply.text);
    waiting.delete(reply.id);
    if ("error" in reply) asked.reject(revive(reply.error));
    else asked.resolve(reply.value);
  };
  readLines(stdout, onLine, Number.POSITIVE_INFINITY);
  const user = await Promise.race([greeting, lost]);

  const say = (request: SystemRequest): boolean => stdin.write(encodeMessage(request));
  const ask = (
    call: SystemCall,
    args: readonly unknown[],
    onOutput?: ProcessOptions["onOutput"],
    begun: (id: number) => void = () => {},
  ): Promise<unknown> => {
    if (gone !== undefined) return Promise.reject(new VolleyError("BECOME_FAILED", gone));
    const id = ++counted;
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject, onOutput });
      say({ id, call, args });
      begun(id);
    });
  };

  const runs =
    (call: "run" | "query") =>
    async (argv: readonly string[], options: ProcessOptions = {}): Promise<ProcessResult> => {
      const { onOutput, signal, ...rest } = options;
      if (signal?.aborted === true) throw new VolleyError("CANCELLED", `${argv[0]} was cancelled`);
      let onAbort: (() => void) | undefined;
      try {
        const tells = { ...rest, told: onOutput !== undefined };
        return (await ask(call, [argv, tells], onOutput, (id) => {
          onAbort = () => void say({ id, abort: true });
          signal?.addEventListener("abort", onAbort, { once: true });
        })) as ProcessResult;
      } finally {
        if (onAbort !== undefined) signal?.removeEventListener("abort", onAbort);
      }
    };

  const send = async (id: number, content: Exclude<Content, string | CopyOf>): Promise<void> => {
    try {
      for await (const piece of content instanceof Uint8Array ? cut(content) : content) {
        if (!waiting.has(id)) return;
        if (!say({ id, piece })) await Promise.race([once(stdin, "drain"), ended]);
      }
      say({ id, piece: null });
    } catch (thrown) {
      say({ id, piece: null, broken: true });
      throw thrown;
    }
  };
  const writeFile = async (path: string, content: Content, options: WriteOptions = {}): Promise<Written> => {
    if (isCopy(content) || (typeof content === "string" && content.length < PIECE_BYTES))
      return (await ask("writeFile", [path, content, options])) as Written;
    const bytes = typeof content === "string" ? textToBytes(content) : content;
    let sending: Promise<void> | undefined;
    const writing = ask("writeFile", [path, null, options], undefined, (id) => {
      sending = send(id, bytes);
    });
    // The error of the content itself says more than that the content broke off.
    const [sent, written] = await Promise.allSettled([sending, writing]);
    if (sent.status === "rejected") throw sent.reason;
    if (written.status === "rejected") throw written.reason;
    return written.value as Written;
  };

  const methods = Object.fromEntries(
    SYSTEM_CALLS.map((call) => [call, (...args: readonly unknown[]) => ask(call, args)]),
  );
  const system = {
    ...methods,
    uid: user.uid,
    gid: user.gid,
    run: runs("run"),
    query: runs("query"),
    writeFile,
  } as unknown as System;
  return {
    system,
    env: user.env,
    close: async () => {
      stdin.end();
      await ended;
    },
  };
}

function* cut(bytes: Uint8Array): Generator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += PIECE_BYTES) yield bytes.subarray(from, from + PIECE_BYTES);
}

/** The other process's error as a VolleyError: actions look at its code. */
function revive({ code, message, hint, location }: SerializedError): VolleyError {
  return new VolleyError(code as ErrorCode, message, {
    ...(hint === undefined ? {} : { hint }),
    ...(location === undefined ? {} : { location }),
  });
}

/** A request to a System in another process: one JSON object a line. */
export type SystemRequest =
  | { readonly id: number; readonly call: SystemCall; readonly args: readonly unknown[] }
  /** The next piece of a file being written; null after the last. `broken`: the content broke off, drop the file. */
  | { readonly id: number; readonly piece: Uint8Array | null; readonly broken?: boolean }
  /** End the process that a `run` or `query` started. */
  | { readonly id: number; readonly abort: true };

/** A reply of the System. */
export type SystemReply =
  /** The first reply, before any request. */
  | { readonly ready: SystemUser }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: SerializedError }
  | { readonly id: number; readonly stream: "stdout" | "stderr"; readonly text: string };

/** The user that a System acts as. */
interface SystemUser {
  readonly uid: number;
  readonly gid: number;
  readonly env: Readonly<Record<string, string>>;
}

/** The argument that makes a bundle serve a System. */
export const SYSTEM_ARGUMENT = "--system";

const BYTES = "$bytes";
const UNDEFINED = "$undefined";

/** Encode a message as one line; bytes and undefined values survive. */
export function encodeMessage(message: SystemRequest | SystemReply): string {
  return `${JSON.stringify(withBytes(message))}\n`;
}

/** Decode a line; undefined for one that is no message. */
export function decodeMessage<Message extends SystemRequest | SystemReply>(
  line: string,
): Message | undefined {
  try {
    const value: unknown = JSON.parse(line, (_key, inner: unknown) => reviveBytes(inner));
    return typeof value === "object" && value !== null ? (value as Message) : undefined;
  } catch {
    return undefined;
  }
}

function withBytes(value: unknown): unknown {
  if (value === undefined) return { [UNDEFINED]: true };
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) {
    const { buffer, byteOffset, byteLength } = value;
    return { [BYTES]: Buffer.from(buffer, byteOffset, byteLength).toString("base64") };
  }
  if (Array.isArray(value)) return value.map(withBytes);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withBytes(inner)]));
}

/** A reviver cannot return `undefined`, which would remove the key, so {@link absent} restores it one level above. */
function reviveBytes(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const bytes = (value as Readonly<Record<string, unknown>>)[BYTES];
  if (typeof bytes === "string") return Buffer.from(bytes, "base64");
  if (Array.isArray(value)) return value.map(absent);
  for (const [key, inner] of Object.entries(value))
    if (isUndefined(inner)) (value as Record<string, unknown>)[key] = undefined;
  return value;
}

function absent(value: unknown): unknown {
  return isUndefined(value) ? undefined : value;
}

function isUndefined(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    (value as Readonly<Record<string, unknown>>)[UNDEFINED] === true
  );
}
