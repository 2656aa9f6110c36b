import { renameSync, statSync, unlinkSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { VolleyError } from "../../core/errors.ts";
import { serveChannel } from "./channel-server.ts";
import { onFrames, sendMessage } from "./frames.ts";
import { forgetProcess, recordProcess } from "./hung.ts";
import {
  checkDirectory,
  isProof,
  makePersistNonce,
  preparePlace,
  proofOf,
  readKey,
  socketPath,
} from "./place.ts";
import { createKeptPool, type KeptPool, type Loan } from "./pool.ts";
import {
  type ChannelRequest,
  type LoanRequest,
  PERSIST_PROTOCOL,
  type PersistAnswer,
  type PersistRequest,
  plainError,
  tolerant,
} from "./protocol.ts";

const EMPTY_MS = 3_000;
/** A client that connects must speak within this time. */
const GREETING_MS = 5_000;
const WORKING_MS = 1_000;
const LOOK_MS = 1_000;

/** The place of a background process. */
export interface BackgroundOptions {
  readonly directory: string;
  /** Volley's version: each has a socket of its own. */
  readonly version: string;
  /** Time without a connection after which the process ends: a client may be about to ask for one. Default: 3 s. */
  readonly emptyMs?: number;
}

/** A background process that listens. */
export interface Background {
  /** Resolves when all connections are closed and the socket is gone. */
  readonly ended: Promise<void>;
  /** Carry out the requests of the client that started this process, which ends their stream. */
  attend(requests: Readable): void;
  /** Close everything. */
  close(): void;
}

/**
 * Keep connections for the clients of a socket, until the last one's time is up, `stop` is asked for, or the socket is
 * removed or replaced. Fails with `USAGE` where the directory is not this user's alone, or another process listens.
 */
export async function openBackground({
  directory,
  version,
  emptyMs = EMPTY_MS,
}: BackgroundOptions): Promise<Background> {
  const path = socketPath(directory, version);
  preparePlace(directory);
  const key = readKey(directory);
  if (await isAnswered(path)) throw new VolleyError("USAGE", "another process keeps the connections already");
  const clients = new Set<Socket>();
  const loans = new Map<string, Loan>();
  let resolveEnded!: () => void;
  const ended = new Promise<void>((resolve) => {
    resolveEnded = resolve;
  });
  let emptyTimer: NodeJS.Timeout | undefined;
  let isClosing = false;
  let isAttending = false;
  const close = (): void => {
    if (isClosing) return;
    isClosing = true;
    clearInterval(look);
    clearTimeout(emptyTimer);
    removeOwn(path, inode);
    pool.stop();
    server.close(() => resolveEnded());
    for (const client of clients) client.destroySoon();
  };
  const endWhenEmpty = (): void => {
    clearTimeout(emptyTimer);
    if (isClosing) return;
    emptyTimer = setTimeout(() => {
      if (!pool.isEmpty()) return;
      // A client that has connected may be about to ask.
      if (clients.size > 0 || isAttending) endWhenEmpty();
      else close();
    }, emptyMs);
  };
  const pool: KeptPool = createKeptPool(endWhenEmpty);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    clients.add(tolerant(socket));
    socket.once("close", () => clients.delete(socket));
    serveClient(socket, { key, version, pool, loans, close });
  });
  // A name of its own first: the rename replaces the socket of a process that has crashed.
  const temporary = join(directory, `.${process.pid}.sock`);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(temporary, resolve);
  });
  renameSync(temporary, path);
  const inode = inodeOf(path);
  recordProcess(path);
  const look = setInterval(() => {
    if (inodeOf(path) === inode && isStillOwn(directory)) return;
    // Nobody can reach this process any more: its clients may finish.
    clearInterval(look);
    pool.retire();
    endWhenEmpty();
  }, LOOK_MS);
  endWhenEmpty();
  const attend = (requests: Readable): void => {
    isAttending = true;
    const leave = (): void => {
      isAttending = false;
    };
    // A file, such as /dev/null, ends without being closed.
    requests
      .on("error", () => {})
      .once("end", leave)
      .once("close", leave);
    onFrames(requests, {
      message: (message) => {
        if (message.type === "loan") void pool.keep(message as unknown as LoanRequest);
      },
      data: () => void requests.destroy(),
    });
  };
  return { ended, attend, close };
}

interface Service {
  readonly key: Buffer;
  readonly version: string;
  readonly pool: KeptPool;
  readonly loans: Map<string, Loan>;
  close(): void;
}

/** Serve one socket: a channel of a loan, or a client that proves itself and asks for something. */
function serveClient(socket: Socket, service: Service): void {
  const { key, version } = service;
  const nonce = makePersistNonce();
  let clientNonce: string | undefined;
  let words: string | undefined;
  const timer = setTimeout(() => socket.destroy(), GREETING_MS);
  let isAsked = false;
  const listener: Parameters<typeof onFrames>[1] = {
    message: (message) => {
      clearTimeout(timer);
      if (isAsked) return void socket.destroy();
      if (message.type === "channel") {
        isAsked = true;
        const request = message as unknown as ChannelRequest;
        const loan = service.loans.get(request.loan);
        if (loan === undefined) return void socket.destroy();
        listener.data = serveChannel(socket, loan, request.open);
        return;
      }
      if (message.type === "hello" && clientNonce === undefined) {
        clientNonce = String(message.nonce);
        if (typeof message.words === "string") words = message.words;
        socket.once("close", service.pool.warm(words));
        sendMessage(socket, {
          type: "hello",
          protocol: PERSIST_PROTOCOL,
          version,
          nonce,
          proof: proofOf(key, "background", [clientNonce, nonce]),
        });
        return;
      }
      if (clientNonce === undefined || !isProof(message.proof, proofOf(key, "client", [clientNonce, nonce])))
        return void socket.destroy();
      isAsked = true;
      carryOut(socket, message as unknown as PersistRequest, service, words);
    },
    data: () => void socket.destroy(),
  };
  onFrames(socket, listener);
  // A client that goes without a request: the socket would stay half open.
  socket.once("end", () => isAsked || socket.destroy());
  socket.once("close", () => clearTimeout(timer));
}

function carryOut(
  socket: Socket,
  request: PersistRequest,
  { pool, loans, close }: Service,
  words: string | undefined,
): void {
  const answer = (given: PersistAnswer): void => {
    if (!socket.destroyed) sendMessage(socket, given);
  };
  switch (request.type) {
    case "list":
      answer({ type: "listed", kept: pool.list() });
      return void socket.end();
    case "stop":
      answer({ type: "stopped", hosts: pool.stop(request.hosts) });
      socket.end();
      if (request.hosts === undefined) socket.once("close", close);
      return;
    case "loan":
      return lend();
    default:
      return void socket.destroy();
  }

  function lend(): void {
    const gone = new AbortController();
    // A client that has crashed, or has closed its connection.
    socket.once("end", () => socket.destroy()).once("close", () => gone.abort());
    const working = setInterval(() => answer({ type: "working" }), WORKING_MS);
    pool
      .loan(request as Extract<PersistRequest, { type: "loan" }>, gone.signal, words)
      .finally(() => clearInterval(working))
      .then(
        (loan) => {
          const name = makePersistNonce();
          loans.set(name, loan);
          const release = (): void => {
            loans.delete(name);
            loan.release();
          };
          if (socket.destroyed) return release();
          socket.once("close", release);
          void loan.channels.closed.then((reason) => {
            answer({ type: "lost", ...(reason === undefined ? {} : { reason }) });
            socket.end();
          });
          answer({ type: "lent", loan: name, ...loan.timings });
        },
        (thrown: unknown) => {
          answer({ type: "failed", error: plainError(thrown) });
          socket.end();
        },
      );
  }
}

/** Return whether a process listens on a socket. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

function removeOwn(path: string, inode: number | undefined): void {
  if (inodeOf(path) !== inode) return;
  try {
    unlinkSync(path);
    forgetProcess(path);
  } catch {
    // The directory is gone, or another user's: nothing of it is this process's to change.
  }
}

function isStillOwn(directory: string): boolean {
  try {
    checkDirectory(directory);
    return true;
  } catch {
    return false;
  }
}
