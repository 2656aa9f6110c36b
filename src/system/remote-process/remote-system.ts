import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { type ErrorCode, type SerializedError, VolleyError } from "../../core/errors.ts";
import { textToBytes } from "../../core/lossless-text.ts";
import type {
  Content,
  CopyOf,
  ProcessOptions,
  ProcessResult,
  System,
  WriteOptions,
  Written,
} from "../../core/system.ts";
import { isCopy } from "../../core/system.ts";
import {
  decodeMessage,
  encodeMessage,
  onLines,
  SYSTEM_CALLS,
  type SystemCall,
  type SystemReply,
  type SystemRequest,
  type SystemUser,
} from "./messages.ts";

/** A process that serves a System. */
export interface SystemProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Resolves with the reason once it is gone. */
  readonly ended: Promise<string>;
}

/** A System in another process. */
export interface RemoteSystem {
  readonly system: System;
  readonly env: SystemUser["env"];
  /** Lets the process end, which removes what it has for the time of the run. */
  close(): Promise<void>;
}

const PIECE_BYTES = 256 << 10;

interface Waiting {
  resolve(value: unknown): void;
  reject(thrown: unknown): void;
  readonly onOutput: ProcessOptions["onOutput"];
}

/** Waits for a process to say that it serves a System. Fails with what `ended` says when it does not. */
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
  onLines(stdout, (line) => {
    const reply = decodeMessage<SystemReply>(line);
    if (reply === undefined) return;
    if ("ready" in reply) return greet(reply.ready);
    const asked = waiting.get(reply.id);
    if (asked === undefined) return;
    if ("stream" in reply) return asked.onOutput?.(reply.stream, reply.text);
    waiting.delete(reply.id);
    if ("error" in reply) asked.reject(revive(reply.error));
    else asked.resolve(reply.value);
  });
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
    // What the content itself fails with says more than that it broke off.
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

/** An error of the other process as one of this: actions look at its code. */
function revive({ code, message, hint, location }: SerializedError): VolleyError {
  return new VolleyError(code as ErrorCode, message, {
    ...(hint === undefined ? {} : { hint }),
    ...(location === undefined ? {} : { location }),
  });
}
