import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import type { Readable } from "node:stream";
import { VolleyError } from "../../core/errors.ts";
import { commandLine, quote } from "../../core/unix/shell.ts";
import { spawnOnTerminal } from "../../system/terminal-child.ts";
import { connectCancelled } from "../connect-errors.ts";
import { closeWhenSilent } from "../left-open.ts";
import { FILE_SERVER_SCRIPT, openFileSession } from "../sftp/open-file-session.ts";
import type { Connection, Endpoint, PtyOptions, RemoteExit, RemoteProcess, Transport } from "../transport.ts";
import { uploadByCommand } from "../upload-by-command.ts";
import {
  type ContainerUser,
  commandFor,
  type Entrance,
  LOOK_SCRIPT,
  loginLines,
  readLook,
  traitsOf,
} from "./commands.ts";
import { explainEntrance, missingProgram } from "./explain.ts";
import { findLeader, nsenterWords, type StartedMachine, startMachine } from "./machine.ts";

/** Options of the transport. */
interface ContainerTransportOptions {
  /** Time limit to enter a container. Default: 15 s. */
  readonly connectTimeoutMs?: number | undefined;
}

const CONNECT_MS = 15_000;
const SAID_KEPT = 4_000;

/** Make the transport into containers: each script is started by the container's program on this machine. */
export function createContainerTransport({
  connectTimeoutMs = CONNECT_MS,
}: ContainerTransportOptions): Transport {
  const machines = new Map<string, Promise<StartedMachine>>();
  /** Start a machine in a directory, once for all connections, which enter the same. */
  const started = async ({ host, container }: Endpoint): Promise<number> => {
    const known = machines.get(container!.name) ?? startMachine(host, container!);
    machines.set(container!.name, known);
    try {
      return (await known).leader;
    } catch (thrown) {
      machines.delete(container!.name);
      throw thrown;
    }
  };
  return {
    connect: async (endpoint, signal) => {
      const startedAt = performance.now();
      const entrance = await entranceTo(endpoint, started);
      const output = await look(
        endpoint.host,
        entrance,
        AbortSignal.any([signal, AbortSignal.timeout(connectTimeoutMs)]),
      ).catch((thrown: unknown) => {
        if (signal.aborted) throw connectCancelled(endpoint);
        throw thrown;
      });
      return createConnection(endpoint.host, entrance, output, performance.now() - startedAt);
    },
    close: () => {
      for (const machine of machines.values())
        machine.then(
          ({ end }) => end(),
          () => {},
        );
    },
  };
}

/** Find the way into a container. Fails with `CONNECT_FAILED` where a machine does not run, and cannot be started. */
async function entranceTo(
  endpoint: Endpoint,
  start: (endpoint: Endpoint) => Promise<number>,
): Promise<Entrance> {
  const { host, user, container } = endpoint;
  if (container?.kind !== "nspawn") return { container: container!, user };
  const isDirectory = container.name.includes("/");
  const leader = (await findLeader(container.name)) ?? (isDirectory ? await start(endpoint) : undefined);
  if (leader === undefined)
    throw new VolleyError(
      "CONNECT_FAILED",
      `${host}: no machine ${container.name} of systemd-nspawn runs here`,
      {
        hint: "start it with systemd-nspawn --boot, or machinectl start; ansible_host may name its directory instead",
      },
    );
  return { container: { ...container, arguments: await nsenterWords(leader) }, user };
}

/** Enter a container once, to see that its shell runs, and to learn the user's home and shell. */
async function look(host: string, entrance: Entrance, signal: AbortSignal): Promise<ContainerUser> {
  const [program, ...words] = commandFor(entrance, LOOK_SCRIPT);
  const child = spawn(program, words, {
    stdio: ["ignore", "pipe", "pipe"],
    env: environmentOf(entrance),
    detached: true,
    signal,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)];
  await new Promise<void>((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      if (signal.aborted) reject(explainEntrance(host, entrance.container, program, "no answer in time"));
      else if (error.code === "ENOENT") reject(missingProgram(host, entrance.container, program));
      else reject(explainEntrance(host, entrance.container, program, error.message));
    });
    child.once("close", () => resolve());
  });
  const found = readLook(stdout());
  if (found === undefined) throw explainEntrance(host, entrance.container, program, stderr());
  return found;
}

/** Keep the end of a stream's text. */
function textOf(stream: Readable): () => string {
  let text = "";
  stream.setEncoding("utf8").on("data", (chunk: string) => {
    text = (text + chunk).slice(-SAID_KEPT);
  });
  return () => text;
}

/** The environment of the program. Where it becomes the container's, this machine's stays out of it. */
function environmentOf({ container }: Entrance): NodeJS.ProcessEnv {
  return traitsOf(container).isChild ? { PATH: process.env.PATH } : process.env;
}

function createConnection(
  host: string,
  entrance: Entrance,
  user: ContainerUser,
  connectMs: number,
): Connection {
  let resolveClosed!: (reason: string | undefined) => void;
  const closed = new Promise<string | undefined>((resolve) => {
    resolveClosed = resolve;
  });
  const login = loginLines(entrance, user);
  const env = environmentOf(entrance);
  const { isChild } = traitsOf(entrance.container);

  /** Return why the container cannot be entered any more, which then ends the connection. */
  const gone = async (): Promise<string | undefined> => {
    try {
      await look(host, entrance, AbortSignal.timeout(CONNECT_MS));
      return undefined;
    } catch (thrown) {
      const reason = (thrown as Error).message.replace(`${host}: `, "");
      resolveClosed(reason);
      return reason;
    }
  };
  const exitOf = (child: ChildProcess): Promise<RemoteExit> =>
    new Promise((resolve) => {
      child.once("error", (error) => resolve({ kind: "lost", reason: error.message }));
      child.once("exit", () => {
        const outputs = [child.stdout, child.stderr].filter((stream) => stream !== null);
        closeWhenSilent(outputs, () => {
          for (const stream of outputs) stream.destroy();
        });
      });
      child.once("close", async (code, signal) => {
        const reason = code !== null && code < FIRST_STRANGE_EXIT ? undefined : await gone();
        if (reason !== undefined) resolve({ kind: "lost", reason });
        else if (code === null) resolve({ kind: "signalled", signal: signal ?? "unknown" });
        else resolve({ kind: "exited", code });
      });
    });
  const start = (script: string): RemoteProcess => {
    const [program, ...words] = commandFor(entrance, `${login}${script}`);
    // A process group of its own: Ctrl-C at the terminal must reach only Volley.
    const child = spawn(program, words, { stdio: ["pipe", "pipe", "pipe"], env, detached: true });
    child.stdin.on("error", () => {});
    // The end of its input ends the process, or lets it go on without this one.
    void closed.then(() => {
      child.stdin.end();
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
    });
    return { stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, exit: exitOf(child) };
  };
  const startOnTerminal = (script: string, { columns, rows, term = "xterm" }: PtyOptions): RemoteProcess => {
    const mark = `volley-${randomBytes(8).toString("hex")}`;
    const marked = `${login}TERM=${quote(term)} VOLLEY_TERMINAL=${mark}; export TERM VOLLEY_TERMINAL\n${script}`;
    const line = `exec ${commandLine(commandFor(entrance, marked, true))}`;
    const { child, resize, ...streams } = spawnOnTerminal(line, {
      columns,
      rows,
      env: { ...env, TERM: term },
    });
    let isOver = false;
    child.once("close", () => {
      isOver = true;
    });
    void closed.then(() => {
      // The terminal closes with it, and the kernel hangs up the processes on the terminal.
      child.kill("SIGKILL");
      if (isChild || isOver) return;
      const [program, ...words] = commandFor(entrance, hangUpScript(mark));
      spawn(program, words, { stdio: "ignore", env, detached: true })
        .on("error", () => {})
        .unref();
    });
    return { ...streams, resize, exit: exitOf(child) };
  };
  return {
    closed,
    timings: { connectMs, authenticateMs: 0 },
    exec: async (script, signal, { pty } = {}) => {
      if (signal.aborted) throw new VolleyError("CANCELLED", "cancelled before it started");
      const wanted = script ?? 'exec "$SHELL" -l';
      return pty === undefined ? start(wanted) : startOnTerminal(wanted, pty);
    },
    upload: (bytes, path, options) => uploadByCommand(start, host, bytes, path, options),
    files: async (signal) => await openFileSession(start(FILE_SERVER_SCRIPT), { host, signal }),
    close: () => resolveClosed(undefined),
  };
}

/** From here on exit codes may be those of the program, or of a container that was stopped. */
const FIRST_STRANGE_EXIT = 125;

/** The script that hangs up what was started on a terminal, for programs that leave it to a service. */
function hangUpScript(mark: string): string {
  return `for p in /proc/[0-9]*; do grep -qs ${mark} "$p/environ" && kill -HUP "\${p#/proc/}"; done`;
}
