import type { Readable, Writable } from "node:stream";
import { serializeError, VolleyError } from "../core/errors.ts";
import type { ProcessOptions, System } from "../core/system.ts";
import { readLines } from "../system/lines.ts";
import { attempt } from "../system/local/files.ts";
import { createLocalSystem } from "../system/local/local-system.ts";
import {
  decodeMessage,
  encodeMessage,
  SYSTEM_CALLS,
  type SystemReply,
  type SystemRequest,
} from "../system/remote-process/messages.ts";
import { settleWorkingDirectory } from "../system/this-process.ts";
import { becomeThisUser } from "./become-user.ts";

/** Serves this machine as a user's System, until its input ends; `user`, for root: whom to become first. */
export async function serveSystem(
  user: string | undefined,
  input: Readable,
  output: Writable,
): Promise<number> {
  if (user !== undefined) becomeThisUser(user);
  settleWorkingDirectory(process.env.HOME);
  const system = createLocalSystem();
  const say = (reply: SystemReply): void => void output.write(encodeMessage(reply));
  // What fails to be written has nobody left to read it.
  output.on("error", () => {});
  const calls = new Calls(system, say);
  const ended = new Promise<void>((resolve) => {
    input.once("end", resolve);
    input.once("close", resolve);
    input.once("error", () => resolve());
  });
  const onLine = (line: string): void => {
    const request = decodeMessage<SystemRequest>(line);
    if (request !== undefined) calls.take(request);
  };
  readLines(input, onLine, Number.POSITIVE_INFINITY);
  const env = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  say({ ready: { uid: system.uid, gid: system.gid, env: Object.fromEntries(env) } });
  await ended;
  await calls.end();
  system.close();
  return 0;
}

/** The content of a file being written, as it comes. */
class Pieces implements AsyncIterable<Uint8Array> {
  readonly #pieces: (Uint8Array | null | "broken")[] = [];
  #wake: (() => void) | undefined;

  push(piece: Uint8Array | null | "broken"): void {
    this.#pieces.push(piece);
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece === null) return;
      if (piece === "broken") throw new VolleyError("CANCELLED", "the content broke off");
      if (piece !== undefined) yield piece;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

/** What is being done. */
class Calls {
  readonly #system: System;
  readonly #say: (reply: SystemReply) => void;
  readonly #aborts = new Map<number, AbortController>();
  readonly #contents = new Map<number, Pieces>();
  readonly #going = new Set<Promise<void>>();

  constructor(system: System, say: (reply: SystemReply) => void) {
    this.#system = system;
    this.#say = say;
  }

  take(request: SystemRequest): void {
    const { id } = request;
    if ("abort" in request) return this.#aborts.get(id)?.abort();
    if ("piece" in request)
      return this.#contents.get(id)?.push(request.broken === true ? "broken" : request.piece);
    const { args } = request;
    // What is too large for a line is told with its name.
    const going = this.#carryOut(request)
      .then((value) => attempt("read", String(args[0]), () => this.#say({ id, value })))
      .catch((thrown) => this.#say({ id, error: serializeError(thrown) }))
      .finally(() => {
        this.#aborts.delete(id);
        this.#contents.delete(id);
        this.#going.delete(going);
      });
    this.#going.add(going);
  }

  /** Ends what is being done. */
  async end(): Promise<void> {
    for (const abort of this.#aborts.values()) abort.abort();
    for (const content of this.#contents.values()) content.push("broken");
    await Promise.all(this.#going);
  }

  async #carryOut({ id, call, args }: Extract<SystemRequest, { call: string }>): Promise<unknown> {
    const system = this.#system;
    switch (call) {
      case "run":
      case "query": {
        const [argv, { told, ...options }] = args as [string[], ProcessOptions & { readonly told: boolean }];
        const abort = new AbortController();
        this.#aborts.set(id, abort);
        return system[call](argv, {
          ...options,
          signal: abort.signal,
          ...(told ? { onOutput: (stream, text) => this.#say({ id, stream, text }) } : {}),
        });
      }
      case "writeFile": {
        const [path, content, options] = args as Parameters<System["writeFile"]>;
        if (content !== null) return system.writeFile(path, content, options);
        const pieces = new Pieces();
        this.#contents.set(id, pieces);
        return system.writeFile(path, pieces, options);
      }
      default: {
        if (!SYSTEM_CALLS.includes(call))
          throw new VolleyError("INTERNAL", `a System has no ${String(call)}`);
        return (system[call] as (...given: readonly unknown[]) => Promise<unknown>)(...args);
      }
    }
  }
}
