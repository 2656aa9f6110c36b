import * as fs from "node:fs";
import { createServer, type Socket } from "node:net";
import { encodeLine, PROTOCOL_VERSION } from "../core/protocol.ts";
import { readLines } from "../system/lines.ts";
import { tellable } from "./result-store.ts";
import type { RunStore } from "./run-store.ts";

/** The longest line that the agent takes from a controller, in UTF-16 code units. */
export const MAX_COMMAND_LENGTH = 64 << 20;

/** What a controller that has come back may leave unread, in bytes. */
const MAX_UNREAD_BYTES = 16 << 20;

/** What comes of controllers that attach. */
interface ControlHandlers {
  /** A command's line. */
  onLine(line: string): void;
  /** One has come or gone. */
  onChange(): void;
}

/** The controllers attached to a running run. */
export interface Control {
  count(): number;
  send(line: string): void;
  /** Resolves once what was sent has left. */
  close(): Promise<void>;
}

/** The first thing an attaching controller says: from which event on it wants to be told. */
export interface AttachRequest {
  readonly attach: number;
}

/** Listens on a socket in the run's directory, which only this user can reach, for controllers that come back. */
export function listenForControllers(
  store: RunStore,
  bundle: string,
  { onLine, onChange }: ControlHandlers,
): Control {
  const attached = new Set<Socket>();
  const greet = (socket: Socket, request: string): void => {
    const from = readRequest(request);
    if (from === undefined) {
      socket.destroy();
      return;
    }
    const missed = tellable(
      store.directory,
      store.lines().filter(({ event }) => event.seq >= from),
    );
    socket.write(greeting(bundle, process.pid, from));
    // Nothing can be emitted in between: what was missed is read, and the socket added, in one go.
    for (const { line } of missed) socket.write(line);
    attached.add(socket);
    onChange();
  };
  const server = createServer((socket) => {
    let greeted = false;
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      attached.delete(socket);
      onChange();
    });
    readLines(
      socket,
      (line) => {
        if (greeted) return onLine(line);
        greeted = true;
        greet(socket, line);
      },
      MAX_COMMAND_LENGTH,
    );
  });
  server.on("error", () => {
    // No socket, no coming back: the run itself goes on.
  });
  fs.rmSync(store.socket, { force: true });
  server.listen(socketPath(store.directory, store.socket));
  server.unref();
  return {
    count: () => attached.size,
    send: (line) => {
      for (const socket of attached) {
        socket.write(line);
        // It finds the rest in the journal.
        if (socket.writableLength > MAX_UNREAD_BYTES) socket.destroy();
      }
    },
    close: async () => {
      server.close();
      fs.rmSync(store.socket, { force: true });
      await Promise.all([...attached].map((socket) => new Promise<void>((resolve) => socket.end(resolve))));
    },
  };
}

function readRequest(line: string): number | undefined {
  try {
    const { attach } = JSON.parse(line) as Partial<AttachRequest>;
    return Number.isInteger(attach) ? attach : undefined;
  } catch {
    return undefined;
  }
}

/** The `hello` of a process that was started before. */
export function greeting(bundle: string, pid: number, next: number): string {
  const hello = {
    type: "hello",
    seq: next - 1,
    time: Date.now(),
    protocol: PROTOCOL_VERSION,
    bundle,
    pid,
    node: process.version,
    next,
  };
  return encodeLine(hello);
}

/** A socket's path may hold 107 bytes only (unix(7)): through an open directory it is always short. */
export function socketPath(directory: string, path: string): string {
  if (Buffer.byteLength(path) <= 100) return path;
  return `/proc/self/fd/${fs.openSync(directory, "r")}/control`;
}
