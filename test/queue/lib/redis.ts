import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { describe } from "vitest";
import { PATIENCE_MS } from "../../lib/patience.ts";

/** The options of {@link startRedis}. */
export interface RedisServerOptions {
  /** True for a server that speaks TLS alone; `"client-certificates"` for one that also wants a certificate. */
  readonly tls?: boolean | "client-certificates";
  /** The text of an ACL file. Without a line for it, the user `default` may do everything. */
  readonly users?: string;
  /** Whether the server keeps its data over a restart. Default: true. */
  readonly appendOnly?: boolean;
  /** Further settings of redis.conf, such as `{ "maxmemory-policy": "allkeys-lru" }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A redis-server of a test's own, on 127.0.0.1. */
export interface RedisServer {
  /** `redis://127.0.0.1:PORT`, or `rediss://` for TLS. */
  readonly url: string;
  readonly port: number;
  /** The path of the server's Unix socket. */
  readonly socket: string;
  /** The files of {@link makeCertificates}; undefined for a server without TLS. */
  readonly certificates: Certificates | undefined;
  /** The process now running; another one after {@link restart}. */
  readonly pid: number;
  /** Sends a signal, default SIGKILL, and waits until the process has ended. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts the server anew on the same port and data, and waits until it answers. Kills it first when it runs. */
  restart(): Promise<void>;
  /** Stops the process by SIGSTOP: connections stay, and get no answer. */
  pause(): void;
  resume(): void;
  /** Returns the output of redis-cli, without the last line break. */
  cli(...args: string[]): Promise<string>;
  /** Watches the commands that the server gets, from when the outer promise resolves; the inner one has the first line that matches. */
  monitor(line: RegExp): Promise<{ readonly seen: Promise<string> }>;
  /** Ends the server, and removes its files. */
  stop(): Promise<void>;
}

/** PEM files of a certificate for 127.0.0.1 and localhost, and of the CA that signed it. */
export interface Certificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const missing = ["redis-server", "redis-cli", "openssl"].filter(
  (program) => spawnSync(program, ["--help"], { stdio: "ignore" }).error !== undefined,
);

/** True when tests can start a server of their own. */
export const hasRedis = missing.length === 0;

if (!hasRedis) {
  const reason = `not installed: ${missing.join(", ")} (run .ci/install)`;
  if (process.env.VOLLEY_FLEET === "required" || process.env.CI !== undefined)
    throw new Error(`the tests of queues are required here, but ${reason}`);
  console.warn(`Tests of queues are skipped: ${reason}`);
}

/** `describe` for tests that need {@link startRedis}. */
export const describeQueue = describe.skipIf(!hasRedis);

/** Start a redis-server with a directory of its own, and wait until it answers. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), "volley-redis-"));
  try {
    const certificates =
      options.tls === undefined || options.tls === false ? undefined : makeCertificates(directory);
    const settings = settingsOf(directory, certificates, options);
    for (let tries = 1; ; tries++) {
      const port = drawPort();
      const server = await launch(directory, port, settings, certificates !== undefined);
      if (server !== undefined) return handleOf({ directory, port, settings, certificates, first: server });
      if (tries === 50) throw new Error("no free port was found for redis-server");
    }
  } catch (thrown) {
    rmSync(directory, { recursive: true, force: true });
    throw thrown;
  }
}

/** Make a CA and a certificate that it has signed, with openssl. */
export function makeCertificates(directory: string): Certificates {
  const file = (name: string): string => join(directory, name);
  const openssl = (args: readonly string[]): void => {
    const { status, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`openssl ${args[0]} failed: ${stderr}`);
  };
  const ca = { cert: file("ca.pem"), key: file("ca.key") };
  const server = { cert: file("server.pem"), key: file("server.key") };
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  openssl(["req", "-x509", ...newKey, "-subj", "/CN=Test CA", "-keyout", ca.key, "-out", ca.cert]);
  const request = file("server.csr");
  openssl(["req", "-new", ...newKey, "-subj", "/CN=redis", "-keyout", server.key, "-out", request]);
  const extensions = file("server.ext");
  writeFileSync(extensions, "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
  openssl([
    ...["x509", "-req", "-in", request, "-CA", ca.cert, "-CAkey", ca.key, "-CAcreateserial"],
    ...["-days", "2", "-extfile", extensions, "-out", server.cert],
  ]);
  return { ca: ca.cert, ...server };
}

function settingsOf(
  directory: string,
  certificates: Certificates | undefined,
  { tls, users, appendOnly = true, settings = {} }: RedisServerOptions,
): readonly string[] {
  const all: Record<string, string> = {
    bind: "127.0.0.1",
    dir: directory,
    unixsocket: join(directory, "redis.sock"),
    save: "",
    appendonly: appendOnly ? "yes" : "no",
    // Every answered write is in the file at once: a server that is killed loses nothing that it has confirmed.
    appendfsync: "no",
    ...settings,
  };
  if (users !== undefined) {
    all.aclfile = join(directory, "users.acl");
    writeFileSync(all.aclfile, users);
  }
  if (certificates !== undefined) {
    all["tls-ca-cert-file"] = certificates.ca;
    all["tls-cert-file"] = certificates.cert;
    all["tls-key-file"] = certificates.key;
    all["tls-auth-clients"] = tls === "client-certificates" ? "yes" : "no";
  }
  return Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
}

/**
 * Ports below those that systems give to outgoing connections: a client that tries again and again to reach a local port
 * of that range, where nothing listens, connects to itself at last.
 */
function drawPort(): number {
  return 20_000 + Math.floor(Math.random() * 12_000);
}

/** Start the process, and wait until it answers. Returns undefined when another process has the port. */
async function launch(
  directory: string,
  port: number,
  settings: readonly string[],
  tls: boolean,
): Promise<ChildProcess | undefined> {
  const ports = tls ? ["--port", "0", "--tls-port", `${port}`] : ["--port", `${port}`];
  const child = spawn("redis-server", [...ports, ...settings], {
    cwd: directory,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said: string[] = [];
  child.stderr!.on("data", (data) => said.push(`${data}`));
  const lines = createInterface({ input: child.stdout! });
  const answers = await new Promise<boolean>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve(false));
    lines.on("line", (line) => {
      if (said.length < 100) said.push(line);
      if (/Ready to accept connections/i.test(line)) resolve(true);
    });
  });
  if (answers) return child;
  const text = said.join("\n");
  if (/Address already in use/i.test(text)) return undefined;
  throw new Error(`redis-server has not started:\n${text}`);
}

// A test process that ends early leaves no server behind.
const running = new Set<() => void>();
process.on("exit", () => {
  for (const killNow of running) killNow();
});

interface Started {
  readonly directory: string;
  readonly port: number;
  readonly settings: readonly string[];
  readonly certificates: Certificates | undefined;
  readonly first: ChildProcess;
}

function handleOf({ directory, port, settings, certificates, first }: Started): RedisServer {
  let child = first;
  const killNow = (): void => void child.kill("SIGKILL");
  running.add(killNow);

  const kill = async (signal: NodeJS.Signals = "SIGKILL"): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill(signal);
    // A process that is paused gets other signals than SIGKILL once it goes on.
    child.kill("SIGCONT");
    await exit;
  };
  const tlsArguments =
    certificates === undefined
      ? []
      : ["--tls", "--cacert", certificates.ca, "--cert", certificates.cert, "--key", certificates.key];
  return {
    url: `${certificates === undefined ? "redis" : "rediss"}://127.0.0.1:${port}`,
    port,
    socket: join(directory, "redis.sock"),
    certificates,
    get pid() {
      return child.pid!;
    },
    kill,
    async restart() {
      await kill();
      const limit = Date.now() + PATIENCE_MS;
      for (;;) {
        const started = await launch(directory, port, settings, certificates !== undefined);
        if (started !== undefined) {
          child = started;
          return;
        }
        if (Date.now() > limit) throw new Error(`port ${port} was taken while redis-server was away`);
        await sleep(50);
      }
    },
    pause: () => void child.kill("SIGSTOP"),
    resume: () => void child.kill("SIGCONT"),
    async cli(...args) {
      const all = ["-h", "127.0.0.1", "-p", `${port}`, "--no-auth-warning", ...tlsArguments, ...args];
      const { stdout } = await promisify(execFile)("redis-cli", all, { timeout: PATIENCE_MS });
      return stdout.replace(/\n$/, "");
    },
    async monitor(wanted) {
      const args = ["-h", "127.0.0.1", "-p", `${port}`, "--no-auth-warning", ...tlsArguments, "monitor"];
      const watching = spawn("redis-cli", args, { stdio: ["ignore", "pipe", "ignore"] });
      const lines = createInterface({ input: watching.stdout });
      await once(lines, "line");
      const seen = new Promise<string>((resolve) => {
        lines.on("line", (line) => {
          if (!wanted.test(line)) return;
          watching.kill();
          resolve(line);
        });
      });
      return { seen };
    },
    async stop() {
      running.delete(killNow);
      await kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
