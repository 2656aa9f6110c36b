import { type ChildProcess, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { homedir, userInfo } from "node:os";
import { dirname, resolve } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { makeDirectories } from "../system/directories.ts";
import { spawnOnTerminal } from "../system/terminal-child.ts";
import { closeWhenSilent } from "./left-open.ts";
import { FILE_SERVER_SCRIPT, openFileSession } from "./sftp/open-file-session.ts";
import type { Connection, PtyOptions, RemoteExit, RemoteProcess, Transport } from "./transport.ts";

/** Make the transport to this machine itself, for hosts with `ansible_connection: local`. */
export function createLocalTransport(): Transport {
  return { connect: async ({ host }) => createLocalConnection(host), close: () => {} };
}

function createLocalConnection(host: string): Connection {
  let resolveClosed!: (reason: undefined) => void;
  const closed = new Promise<undefined>((resolve) => {
    resolveClosed = resolve;
  });
  return {
    closed,
    timings: { connectMs: 0, authenticateMs: 0 },
    exec: async (command, _signal, { pty } = {}) =>
      pty?.resizable === true
        ? executeOnTerminal(command, pty, closed)
        : execute(command ?? LOGIN_SHELL, closed),
    upload: async (bytes, path, { mode, resumes = false, onProgress }) => {
      const full = resolve(homedir(), path);
      try {
        makeDirectories(dirname(full), 0o700);
        await writeFile(full, bytes, { mode, flag: resumes ? "w" : "wx" });
      } catch (thrown) {
        throw new VolleyError("UPLOAD_FAILED", `cannot write ${full}: ${(thrown as Error).message}`, {
          cause: thrown,
        });
      }
      onProgress?.(bytes.length);
    },
    files: async (signal) => await openFileSession(execute(FILE_SERVER_SCRIPT, closed), { host, signal }),
    close: () => resolveClosed(undefined),
  };
}

const LOGIN_SHELL = 'exec "$SHELL" -l';

function executeOnTerminal(
  command: string | undefined,
  { columns, rows, term = "xterm" }: PtyOptions,
  closed: Promise<undefined>,
): RemoteProcess {
  const { shell } = userInfo();
  // script(1), which makes the terminal, sets another SHELL.
  const line = `SHELL='${shell ?? "/bin/sh"}'; export SHELL; ${command ?? LOGIN_SHELL}`;
  const env = { ...process.env, TERM: term };
  const { child, resize, ...streams } = spawnOnTerminal(line, { columns, rows, env, cwd: homedir() });
  // The terminal closes with it, and the kernel hangs up the processes on the terminal.
  void closed.then(() => child.kill("SIGKILL"));
  return { ...streams, resize, exit: exitOf(child) };
}

function execute(command: string, closed: Promise<undefined>): RemoteProcess {
  // A process group of its own: Ctrl-C at the terminal must reach only the controller, which cancels the process itself.
  const child = spawn("/bin/sh", ["-c", command], {
    cwd: homedir(),
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  child.stdin.on("error", () => {});
  // A process that outlives its connection must not keep the controller from exiting.
  void closed.then(() => {
    child.stdin.end();
    child.stdout.destroy();
    child.stderr.destroy();
    child.unref();
  });
  return { stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, exit: exitOf(child) };
}

function exitOf(child: ChildProcess): Promise<RemoteExit> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ kind: "lost", reason: error.message }));
    child.once("exit", () => {
      const outputs = [child.stdout, child.stderr].filter((stream) => stream !== null);
      closeWhenSilent(outputs, () => {
        for (const stream of outputs) stream.destroy();
      });
    });
    child.once("close", (code, signal) =>
      resolve(code === null ? { kind: "signalled", signal: signal ?? "unknown" } : { kind: "exited", code }),
    );
  });
}
