import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { loginShellLine } from "../../core/unix/shell.ts";
import { makeDirectories } from "../../system/directories.ts";
import { cacheDirectory } from "../../system/own-files.ts";
import {
  connectCancelled,
  retryable,
  timedOut,
  tooManyFailures,
  whereOf,
  withRetries,
} from "../connect-errors.ts";
import { quotePath } from "../ssh-config/openssh.ts";
import type { Connection, Endpoint, Transport } from "../transport.ts";
import { createOpenSshConnection, type Master } from "./connection.ts";

/** Options of an OpenSSH transport. */
export interface OpenSshTransportOptions {
  /** Retries when a host refuses or resets the connection. Default: from ssh_config, else 2. */
  readonly connectRetries: number | undefined;
}

const STDERR_KEPT = 8_000;
const READY = "volley-is-in";
/** Ends with its input, so the connection closes with this process, however it ends. */
const STAY = `echo ${READY}; exec cat >/dev/null`;

/** Make a transport by the system's `ssh`, which can do more than ssh2 at several times the cost. The transport logs in once per host. */
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
        // ssh does not report when it has connected and begins to log in.
        return createOpenSshConnection(master, endpoint, {
          connectMs: performance.now() - startedAt,
          authenticateMs: 0,
        });
      };
      const retries = connectRetries ?? endpoint.ssh?.connectRetries;
      return await withRetries(attempt, { retries, signal });
    },
    close: () => {
      for (const child of children) child.kill();
      if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
      directory = undefined;
    },
  };
}

/** Log in, and share the connection by a socket (ssh_config(5), ControlMaster). */
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
    // A process group of its own: Ctrl-C at the terminal must reach only Volley.
    const child = spawn("ssh", args, { stdio: ["pipe", "pipe", "pipe"], env, detached: true });
    children.add(child);
    let stdout = "";
    let stderr = "";
    let isReady = false;
    const fail = (error: VolleyError): void => {
      settle();
      child.kill();
      reject(error);
    };
    const onAbort = (): void => fail(connectCancelled(endpoint));
    // Connecting and logging in have the same limit each.
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
        if (!isReady) fail(explainSsh(stderr, endpoint, connectTimeoutMs));
        resolveClosed(stderr.trim().split("\n").at(-1) || "the connection was closed by the host");
      });
    });
    child.stdin.on("error", () => {});
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      stderr = (stderr + chunk).slice(-STDERR_KEPT);
    });
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      if (isReady) return;
      stdout = (stdout + chunk).slice(-STDERR_KEPT);
      if (!stdout.includes(READY)) return;
      isReady = true;
      settle();
      resolve({ child, socket, closed });
    });
  });
}

/**
 * Make `ssh` read a password from a file in place of a terminal (ssh(1), SSH_ASKPASS), once: it gets no second one, because
 * the first was wrong. Return the environment for `ssh`.
 */
export function passwordEnvironment(directory: string, name: string, password: string): NodeJS.ProcessEnv {
  const secret = join(directory, `${name}.pw`);
  const helper = join(directory, `${name}.askpass`);
  writeFileSync(secret, `${password}\n`, { mode: 0o600, flag: "w" });
  const script = [
    "#!/bin/sh",
    "# Not for passphrases of keys, nor for questions about host keys.",
    'case "$1" in *assphrase*|*continue\\ connecting*) exit 1 ;; esac',
    `[ -f '${secret}' ] || exit 1`,
    `cat '${secret}' && rm -f '${secret}'`,
    "",
  ];
  writeFileSync(helper, script.join("\n"), { mode: 0o700 });
  return { SSH_ASKPASS: helper, SSH_ASKPASS_REQUIRE: "force", DISPLAY: process.env.DISPLAY ?? "none:0" };
}

/** Some systems limit the path of a socket to 104 bytes; `ssh` adds 17 while it makes one. */
const MAX_DIRECTORY = 104 - 17 - 10;

/** Make a directory that only its owner can enter, with a path short enough for sockets. */
export function makePrivateDirectory(): string {
  const runtime = process.env.XDG_RUNTIME_DIR;
  const parents = [...(runtime?.startsWith("/") === true ? [runtime] : []), cacheDirectory()];
  for (const parent of parents) {
    if (join(parent, "ssh-XXXXXX").length > MAX_DIRECTORY) continue;
    try {
      makeDirectories(parent, 0o700);
      return mkdtempSync(join(parent, "ssh-"));
    } catch {
      // Try the next parent.
    }
  }
  // mkdtemp gives it mode 0700 and an unpredictable name.
  return mkdtempSync(join(tmpdir(), "volley-ssh-"));
}

/** Turn the last messages of `ssh` into an error with a code. The messages are those of its sources, in the C locale. */
export function explainSsh(stderr: string, endpoint: Endpoint, timeoutMs: number): VolleyError {
  const lines = stderr
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^Warning: Permanently added/.test(line));
  const said = lines.at(-1) ?? "it closed the connection";
  const { host, user } = endpoint;
  const error = (code: VolleyError["code"], message: string, hint?: string): VolleyError =>
    new VolleyError(code, message, hint === undefined ? {} : { hint });
  const anyLine = (pattern: RegExp): string | undefined => lines.find((line) => pattern.test(line));
  if (anyLine(/REVOKED HOST KEY|host key .*revoked/i)) {
    return error("HOST_KEY_CHANGED", `${host}: its key is revoked`);
  }
  if (anyLine(/REMOTE HOST IDENTIFICATION HAS CHANGED/)) {
    const offending = anyLine(/^Offending .* key in /)?.replace(/^Offending .* key in /, "");
    return error(
      "HOST_KEY_CHANGED",
      `${host}: the host key has changed, which may mean that someone is in between${offending === undefined ? "" : `: it is not the one at ${offending}`}`,
      "if the host was reinstalled, remove the old key with ssh-keygen -R",
    );
  }
  if (anyLine(/Host key verification failed|host key is known for/)) {
    return error(
      "HOST_KEY_UNKNOWN",
      `${host}: its key is not in known_hosts`,
      "learn it with volley hosts trust, or use --host-keys accept-new",
    );
  }
  if (anyLine(/Too many authentication failures/)) return tooManyFailures(host, user);
  const denied = anyLine(/Permission denied \(/);
  if (denied !== undefined) {
    return error(
      "AUTH_FAILED",
      `${host} let user ${user} not in: ${denied.replace(/^\S+@\S+: /, "")}`,
      "ssh asks for no passphrases here: load encrypted keys with ssh-add",
    );
  }
  if (anyLine(/[Bb]ad configuration option|Bad owner or permissions|command-line( line|:)/)) {
    return error("USAGE", `${host}: ssh does not understand its options: ${said}`);
  }
  if (anyLine(/timed out|Timeout, server/)) return timedOut(endpoint, timeoutMs);
  const where = whereOf(endpoint);
  if (anyLine(/Could not resolve hostname/))
    return error("CONNECT_FAILED", `${host}: ${said.replace(/^ssh: /, "")}`);
  if (anyLine(/Connection refused/)) {
    return retryable(error("CONNECT_FAILED", `${where} refused the connection: ${said}`), "quick");
  }
  if (anyLine(/kex_exchange_identification|banner exchange|Connection (closed|reset) by/)) {
    return retryable(
      error("CONNECT_FAILED", `${where} closed the connection before login was complete: ${said}`),
      // The cause is unknown where a ProxyCommand ended.
      anyLine(/UNKNOWN port/) ? "quick" : "patient",
    );
  }
  const failed = error("CONNECT_FAILED", `${where}: ${said}`);
  return lines.length === 0 ? retryable(failed, "quick") : failed;
}
