import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach } from "vitest";
import {
  openFileSession,
  SFTP_SERVER_PATHS,
  type SftpDuplex,
} from "../../../src/transport/sftp/open-file-session.ts";
import type { FileSession, RemoteExit } from "../../../src/transport/transport.ts";

/** OpenSSH's own server, where this machine has one. */
export const sftpServer = SFTP_SERVER_PATHS.find((path) => existsSync(path));

/** A child process as a session takes it. */
export function duplexOf(child: ChildProcessWithoutNullStreams): SftpDuplex {
  const exit = new Promise<RemoteExit>((resolve) => {
    child.once("close", (code, signal) =>
      resolve(code === null ? { kind: "signalled", signal: signal ?? "?" } : { kind: "exited", code }),
    );
  });
  return { stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, exit };
}

/** Directories that are removed after the test. */
export function scratchDirectory(): () => string {
  const made: string[] = [];
  afterEach(() => {
    for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
  });
  return () => {
    const path = mkdtempSync(join(tmpdir(), "volley-sftp-"));
    made.push(path);
    return path;
  };
}

/** Sessions with a real server, ended after the test. */
export function realSessions(): (words?: readonly string[]) => Promise<FileSession> {
  const children: ChildProcessWithoutNullStreams[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill();
  });
  return async (words = []) => {
    const child = spawn(sftpServer!, words);
    children.push(child);
    return await openFileSession(duplexOf(child), { host: "web01", signal: new AbortController().signal });
  };
}

/** A server whose messages the test writes. */
export interface ScriptedServer {
  readonly duplex: SftpDuplex;
  /** Send bytes to the client. */
  say(bytes: Buffer): void;
  /** The next request, without its length. */
  next(): Promise<Buffer>;
  exit(how: RemoteExit): void;
}

/** Make a {@link ScriptedServer}. */
export function scriptedServer(): ScriptedServer {
  const [stdin, stdout] = [new PassThrough(), new PassThrough()];
  let exit!: (how: RemoteExit) => void;
  const ended = new Promise<RemoteExit>((resolve) => {
    exit = resolve;
  });
  let held = Buffer.alloc(0);
  const requests: Buffer[] = [];
  const takers: ((request: Buffer) => void)[] = [];
  stdin.on("data", (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    while (held.length >= 4 && held.length >= 4 + held.readUInt32BE()) {
      const end = 4 + held.readUInt32BE();
      const request = held.subarray(4, end);
      held = held.subarray(end);
      const taker = takers.shift();
      if (taker === undefined) requests.push(request);
      else taker(request);
    }
  });
  return {
    duplex: { stdin, stdout, exit: ended },
    say: (bytes) => void stdout.write(bytes),
    next: () => {
      const request = requests.shift();
      return request === undefined
        ? new Promise((resolve) => takers.push(resolve))
        : Promise.resolve(request);
    },
    exit,
  };
}
