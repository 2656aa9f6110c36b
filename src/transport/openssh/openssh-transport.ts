import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { loginShellLine } from "../../core/shell-quote.ts";
import { DEFAULT_RETRIES, withRetries } from "../retry.ts";
import { timedOut } from "../ssh/open-socket.ts";
import { quotePath } from "../ssh-config/openssh-arguments.ts";
import type { Connection, Endpoint, Transport } from "../transport.ts";
import { passwordEnvironment } from "./askpass.ts";
import { createOpenSshConnection, type Master } from "./connection.ts";
import { explainSsh } from "./explain.ts";
import { makePrivateDirectory, removePrivateDirectory } from "./private-directory.ts";

/** What an OpenSSH transport is made with. */
export interface OpenSshTransportOptions {
  /** How often to try again when a host refuses or resets the connection. Default: what ssh_config says, else 2. */
  readonly connectRetries: number | undefined;
}

const STDERR_KEPT = 8_000;
const READY = "volley-is-in";
/** Ends when its input does: so the connection ends with this process, however that ends. */
const STAY = `echo ${READY}; exec cat >/dev/null`;

/** Reaches hosts with the system's `ssh`: it can do what ssh2 cannot, at several times the cost. One login per host. */
export function createOpenSshTransport({ connectRetries }: OpenSshTransportOptions): Transport {
  let directory: string | undefined;
  let count = 0;
  const children = new Set<ChildProcess>();
  return {
    connect: async (endpoint, signal) => {
      const startedAt = performance.now();
      const attempt = async (): Promise<Connection> => {
        directory ??= makePrivateDirectory();
        const name = (count++).toString(36);
        const master = await startMaster(endpoint, directory, name, signal, children);
        // ssh does not say when it had connected and began to log in.
        return createOpenSshConnection(master, endpoint, {
          connectMs: performance.now() - startedAt,
          authenticateMs: 0,
        });
      };
      const retries = connectRetries ?? endpoint.ssh?.connectRetries ?? DEFAULT_RETRIES;
      return await withRetries(attempt, { retries, signal });
    },
    close: () => {
      for (const child of children) child.kill();
      if (directory !== undefined) removePrivateDirectory(directory);
      directory = undefined;
    },
  };
}

/** Logs in, and leaves a socket for others to use the connection by (ssh_config(5), ControlMaster). */
function startMaster(
  endpoint: Endpoint,
  directory: string,
  name: string,
  signal: AbortSignal,
  children: Set<ChildProcess>,
): Promise<Master> {
  const { host } = endpoint;
  const { openSsh, password, connectTimeoutMs } = endpoint.ssh!;
  const socket = join(directory, name);
  const options = {
    ControlMaster: "yes",
    ControlPath: quotePath(socket),
    ControlPersist: "no",
    RequestTTY: "no",
    RemoteCommand: "none",
    PermitLocalCommand: "no",
    LogLevel: "INFO",
    ...(password === undefined ? { BatchMode: "yes" } : { BatchMode: "no", NumberOfPasswordPrompts: "1" }),
  };
  const args = [
    ...Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]),
    ...openSsh.arguments,
    "--",
    openSsh.destination,
    loginShellLine(STAY),
  ];
  const env = { ...process.env, LC_ALL: "C" };
  if (password !== undefined) Object.assign(env, passwordEnvironment(directory, name, password));
  return new Promise((resolve, reject) => {
    // A group of its own: Ctrl-C at the terminal is for Volley.
    const child = spawn("ssh", args, { stdio: ["pipe", "pipe", "pipe"], env, detached: true });
    children.add(child);
    let stdout = "";
    let stderr = "";
    let ready = false;
    const fail = (error: VolleyError): void => {
      settle();
      child.kill();
      reject(error);
    };
    const onAbort = (): void => fail(new VolleyError("CANCELLED", `connecting to ${host} was cancelled`));
    // Connecting and logging in have the limit each.
    const timer = setTimeout(() => fail(timedOut(endpoint, connectTimeoutMs)), connectTimeoutMs * 2);
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    const closed = new Promise<string>((resolveClosed) => {
      child.once("error", (error: NodeJS.ErrnoException) => {
        children.delete(child);
        const missing = error.code === "ENOENT";
        const message = missing
          ? "there is no ssh on this machine"
          : `ssh cannot be started: ${error.message}`;
        fail(
          new VolleyError("CONNECT_FAILED", `${host}: ${message}`, {
            hint: "install OpenSSH's client, or use --transport ssh2",
          }),
        );
        resolveClosed(message);
      });
      child.once("close", () => {
        children.delete(child);
        if (!ready) fail(explainSsh(stderr, endpoint, connectTimeoutMs));
        resolveClosed(stderr.trim().split("\n").at(-1) || "the connection was closed by the host");
      });
    });
    child.stdin.on("error", () => {});
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      stderr = (stderr + chunk).slice(-STDERR_KEPT);
    });
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      if (ready) return;
      stdout = (stdout + chunk).slice(-STDERR_KEPT);
      if (!stdout.includes(READY)) return;
      ready = true;
      settle();
      resolve({ child, socket, closed });
    });
  });
}
