import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { VolleyError } from "../core/errors.ts";
import type { Connection, RemoteExit, RemoteProcess, Transport } from "./transport.ts";

/** Reaches this machine itself, for hosts with `ansible_connection: local`. */
export function createLocalTransport(): Transport {
  return { connect: async () => createLocalConnection(), close: () => {} };
}

function createLocalConnection(): Connection {
  let resolveClosed!: (reason: undefined) => void;
  const closed = new Promise<undefined>((resolve) => {
    resolveClosed = resolve;
  });
  return {
    closed,
    timings: { connectMs: 0, authenticateMs: 0 },
    exec: async (command) => execute(command),
    upload: async (bytes, path, { mode, onProgress }) => {
      const full = join(homedir(), path);
      try {
        await mkdir(dirname(full), { recursive: true, mode: 0o700 });
        await writeFile(full, bytes, { mode, flag: "wx" });
      } catch (thrown) {
        throw new VolleyError("UPLOAD_FAILED", `cannot write ${full}: ${(thrown as Error).message}`, {
          cause: thrown,
        });
      }
      onProgress?.(bytes.length);
    },
    close: () => resolveClosed(undefined),
  };
}

function execute(command: string): RemoteProcess {
  // A group of its own: Ctrl-C at the terminal is for the controller, which tells the process in its own way.
  const child = spawn("/bin/sh", ["-c", command], {
    cwd: homedir(),
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  child.stdin.on("error", () => {});
  const exit = new Promise<RemoteExit>((resolve) => {
    child.once("error", (error) => resolve({ kind: "lost", reason: error.message }));
    child.once("close", (code, signal) =>
      resolve(code === null ? { kind: "signalled", signal: signal ?? "unknown" } : { kind: "exited", code }),
    );
  });
  return { stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, exit };
}
