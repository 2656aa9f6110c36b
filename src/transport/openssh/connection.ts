import { type ChildProcess, spawn } from "node:child_process";
import { PassThrough } from "node:stream";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import { commandLine, loginShellLine } from "../../core/unix/shell.ts";
import { spawnOnTerminal } from "../../system/terminal-child.ts";
import { sessionRefused } from "../connect-errors.ts";
import { openFileSession } from "../sftp/open-file-session.ts";
import { quotePath } from "../ssh-config/openssh.ts";
import type {
  Connection,
  Endpoint,
  FileSession,
  PtyOptions,
  RemoteExit,
  RemoteProcess,
} from "../transport.ts";
import { uploadByCommand } from "../upload-by-command.ts";

/** An `ssh` process that has logged in and shares its connection. */
export interface Master {
  readonly child: ChildProcess;
  readonly socket: string;
  /** Resolves when the process has ended, with its last line. */
  readonly closed: Promise<string>;
}

/** The exit code of `ssh` for its own errors (ssh(1), EXIT STATUS). */
const SSH_FAILED = 255;
/** The message of `ssh` when the server refuses a session on a shared connection. */
const REFUSED = /session request failed: Session open refused by peer/;
const STDERR_KEPT = 1_000;
type Kind = "command" | "terminal" | "subsystem";

/** Make a Connection through an `ssh` that shares its own. */
export function createOpenSshConnection(
  master: Master,
  endpoint: Endpoint,
  timings: Connection["timings"],
): Connection {
  let closedHere = false;
  let isGone = false;
  const closed = master.closed.then((reason) => {
    isGone = true;
    return closedHere ? undefined : reason;
  });
  const environment = endpoint.ssh?.environment ?? {};
  const env = { ...process.env, LC_ALL: "C", ...environment };
  const argumentsFor = (command: string | undefined, kind: Kind): readonly string[] => {
    const options = ["-o", "ControlMaster=no", "-o", `ControlPath=${quotePath(master.socket)}`];
    const names = Object.keys(environment);
    if (names.length > 0) options.push("-o", `SendEnv=${names.join(" ")}`);
    // Without the shared connection, ssh would open another one: these options stop it.
    const alone = ["-F", "none", "-o", "ProxyCommand=false", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"];
    const agent = endpoint.ssh?.forwardAgent === true ? ["-A"] : [];
    const flag = { command: "-T", terminal: "-tt", subsystem: "-s" }[kind];
    return [
      ...options,
      ...alone,
      ...agent,
      flag,
      "--",
      "volley",
      ...(command === undefined ? [] : [command]),
    ];
  };
  const exitOf = (child: ChildProcess, said: () => string = () => ""): Promise<RemoteExit> =>
    new Promise((resolve) => {
      child.once("error", (error) => resolve({ kind: "lost", reason: error.message }));
      child.once("close", async (code, signal) => {
        if (code !== SSH_FAILED && code !== null) return resolve({ kind: "exited", code });
        if (REFUSED.test(said())) {
          return resolve({ kind: "lost", reason: sessionRefused(endpoint.host).message, refused: true });
        }
        // 255 may also be the command's exit code: it is that of ssh when the connection is gone.
        await new Promise((wait) => setTimeout(wait, 50));
        if (isGone) resolve({ kind: "lost", reason: (await closed) ?? "the connection was closed" });
        else
          resolve(
            code === null ? { kind: "signalled", signal: signal ?? "unknown" } : { kind: "exited", code },
          );
      });
    });
  const exec = (command: string | undefined, kind: Kind = "command"): RemoteProcess => {
    const child = spawn("ssh", argumentsFor(command, kind), {
      stdio: ["pipe", "pipe", "pipe"],
      env,
      detached: true,
    });
    child.stdin.on("error", () => {});
    let said = "";
    const stderr = child.stderr.pipe(new PassThrough());
    child.stderr.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString("utf8")).slice(-STDERR_KEPT);
    });
    return { stdin: child.stdin, stdout: child.stdout, stderr, exit: exitOf(child, () => said) };
  };
  const files = async (signal: AbortSignal): Promise<FileSession> => {
    const process = exec("sftp", "subsystem");
    try {
      return await openFileSession(process, { host: endpoint.host, signal });
    } catch (thrown) {
      if (!isVolleyError(thrown) || thrown.code !== "SFTP_UNAVAILABLE") throw thrown;
      const exit = await process.exit;
      throw exit.kind === "lost" && exit.refused === true ? sessionRefused(endpoint.host, thrown) : thrown;
    }
  };
  const execOnTerminal = (
    command: string | undefined,
    { columns, rows, term = "xterm" }: PtyOptions,
  ): RemoteProcess => {
    // ssh takes the size from its own terminal. `-e none`: `~` goes to the host.
    const words = ["ssh", "-e", "none", ...argumentsFor(command, "terminal")];
    const line = `exec ${commandLine(words)}`;
    const { child, resize, ...streams } = spawnOnTerminal(line, {
      columns,
      rows,
      env: { ...env, TERM: term },
    });
    return { ...streams, resize, exit: exitOf(child) };
  };
  return {
    closed,
    timings,
    exec: async (command, signal, { pty } = {}) => {
      if (signal.aborted) throw new VolleyError("CANCELLED", "cancelled before it started");
      const line = command === undefined ? undefined : loginShellLine(command);
      if (pty?.resizable === true) return execOnTerminal(line, pty);
      return exec(line, pty === undefined ? "command" : "terminal");
    },
    files,
    upload: (bytes, path, options) =>
      uploadByCommand((script) => exec(loginShellLine(script)), endpoint.host, bytes, path, options),
    close: () => {
      closedHere = true;
      // At the end of input, the command that keeps the connection open ends, and ssh with it.
      master.child.stdin?.end();
      setTimeout(() => master.child.kill(), 1_000).unref();
    },
  };
}
