import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { run } from "../../../src/controller/run.ts";
import type { Event, Summary } from "../../../src/core/events.ts";
import type { EmbeddedFleet } from "../../../src/embedded/options.ts";
import { openQueueServer } from "../../../src/queue/connect.ts";
import { createHostQueue } from "../../../src/queue/controller/host-queue.ts";
import { makeQueueKey, readQueueKeys } from "../../../src/queue/keys.ts";
import { createSeal } from "../../../src/queue/seal.ts";
import { builtCli } from "../../e2e/lib/cli.ts";
import { follow, type Ran } from "../../e2e/lib/drive.ts";
import { makeProject, type Project, playbookText } from "../../e2e/lib/project.ts";
import { until } from "../../lib/patience.ts";
import type { RedisServer } from "../lib/redis.ts";

/** Milliseconds of silence after which the controller grants a worker's hosts to others. */
const WORKER_SECONDS = 3;
/** Seconds without a sign of life after which a controller counts as gone. */
const GONE_SECONDS = 1;

const mark = (name: string): string => `shell(\`sleep 0.05; echo ${name} >> "\${facts.env.HOME}/marks"\`)`;

/** Three plays with barriers between them, a `runOnce` task and a serial play: each task leaves a mark on its host. */
export const MARKING = playbookText(
  `{ name: "One", hosts: "all", tasks: ({ task, facts, host }) => {
    task("first", ${mark("first")});
    const once = task("once", shell(\`echo once >> "\${facts.env.HOME}/marks"; echo "by \${host.name}"\`), { runOnce: true });
    task("tell", () => shell(\`echo "\${once.data.stdout.trim()}" >> "\${facts.env.HOME}/marks"\`));
    task("second", ${mark("second")});
  } }`,
  `{ name: "Two", hosts: "all", serial: 2, tasks: ({ task, facts }) => {
    task("third", ${mark("third")});
    task("fourth", ${mark("fourth")});
  } }`,
  `{ name: "Three", hosts: "all", tasks: ({ task, facts }) => { task("last", ${mark("last")}); } }`,
);

/** A process of Volley that the test may kill. */
export interface Process {
  readonly child: ChildProcess;
  /** Resolves with the exit code; null for a process that a signal has ended. */
  readonly end: Promise<number | null>;
  /** Standard error so far. */
  readonly said: () => string;
  signal(signal: NodeJS.Signals): void;
}

/** A controller in a process of its own. */
export interface ControllerProcess extends Process {
  readonly events: readonly Event[];
  /** The run's name, once it has begun. */
  run(): string | undefined;
}

/** The orders to a rig's controllers. */
interface ControllerOptions {
  /** Further arguments of `volley run`. */
  readonly args?: readonly string[];
  /** Sees each event as it comes. */
  on?(event: Event, count: number): void;
}

/** Workers and controllers as processes, on one server and one fleet. */
export class Rig {
  readonly server: RedisServer;
  readonly fleet: EmbeddedFleet;
  readonly #project: Project;
  readonly #inventory: string;
  readonly #keyFile: string;
  readonly #processes = new Set<ChildProcess>();
  #count = 0;

  /** `playbook`: the text of the playbook. */
  constructor(scratch: string, server: RedisServer, fleet: EmbeddedFleet, playbook = MARKING) {
    this.server = server;
    this.fleet = fleet;
    this.#project = makeProject(scratch, { "site.ts": playbook, "queue.key": `${makeQueueKey()}\n` });
    this.#inventory = this.#project.write("inventory.yaml", fleet.inventoryYaml());
    this.#keyFile = this.#project.path("queue.key");
    chmodSync(this.#keyFile, 0o600);
  }

  /** Start a worker, and wait until it takes hosts. */
  async work(): Promise<Process> {
    const worker = await this.#start([
      ...["worker", "--name", `w${++this.#count}`, "--lease", "1", "--stop-after", "1"],
      ...["--known-hosts", this.fleet.knownHostsPath],
    ]);
    await until(() => /takes hosts of/.test(worker.said()) || worker.child.exitCode !== null);
    if (worker.child.exitCode !== null) throw new Error(worker.said());
    return worker;
  }

  /** Start a controller of the playbook, on hosts without marks. */
  async control({ args = [], on }: ControllerOptions = {}): Promise<ControllerProcess> {
    for (const { home } of this.fleet.hosts) rmSync(join(home, "marks"), { force: true });
    const started = await this.#start([
      ...["run", "site.ts", "-i", this.#inventory, "--no-runtime", "--output", "json"],
      ...["--worker-timeout", String(WORKER_SECONDS), ...args],
    ]);
    const events: Event[] = [];
    createInterface({ input: started.child.stdout! }).on("line", (line) => {
      if (!line.startsWith("{")) return;
      const event = JSON.parse(line) as Event;
      events.push(event);
      on?.(event, events.length);
    });
    return {
      ...started,
      events,
      run: () => (events[0]?.type === "run:start" ? events[0].run : undefined),
    };
  }

  /** Take a run over in this process, once its controller counts as gone. */
  async takeOver(name: string, on?: (event: Event) => void): Promise<Ran> {
    const keys = await readQueueKeys({ file: this.#keyFile });
    const connections = await openQueueServer({ url: this.server.url }, new AbortController().signal);
    const queue = createHostQueue({
      ...{ connections, keys, seal: createSeal(keys) },
      silentMs: WORKER_SECONDS * 1_000,
      goneSeconds: GONE_SECONDS,
    });
    const options = {
      ...{ playbook: this.#project.path("site.ts"), cwd: this.#project.directory },
      ...{ inventory: this.#inventory, attach: name, logDirectory: false as const },
    };
    try {
      for (;;) {
        try {
          return await follow(run(options, queue), on);
        } catch (thrown) {
          if (!/has a controller/.test((thrown as Error).message)) throw thrown;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      }
    } finally {
      await connections.close();
    }
  }

  /** The marks on each host, in their order. */
  marks(): Readonly<Record<string, readonly string[]>> {
    return Object.fromEntries(this.fleet.hosts.map(({ name, home }) => [name, linesIn(join(home, "marks"))]));
  }

  /** End all processes that still run. */
  async stop(): Promise<void> {
    await Promise.all([...this.#processes].map((child) => end(child)));
  }

  async #start(args: readonly string[]): Promise<Process> {
    const child = spawn(
      process.execPath,
      [await builtCli(), ...args, "--queue", this.server.url, "--queue-key", this.#keyFile],
      { cwd: this.#project.directory, stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#processes.add(child);
    let said = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    if (args[0] === "worker") child.stdout!.resume();
    const closed = once(child, "close").then(([code]) => {
      this.#processes.delete(child);
      return code as number | null;
    });
    return { child, end: closed, said: () => said, signal: (signal) => void child.kill(signal) };
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, "close");
  child.kill("SIGKILL");
  await closed;
}

/** The lines of a file; none where there is none. */
export function linesIn(file: string): readonly string[] {
  try {
    return readFileSync(file, "utf8").split("\n").slice(0, -1);
  } catch {
    return [];
  }
}

/** The parts of two runs that must be the same, however the runs were disturbed. */
export interface Account {
  readonly marks: Readonly<Record<string, readonly string[]>>;
  /** The results of each host, in their order. */
  readonly results: Readonly<Record<string, readonly string[]>>;
  readonly summary: unknown;
  /** Hosts whose numbered events are not one after the other. */
  readonly gaps: readonly string[];
}

/** Return what must be the same. */
export function accountOf(
  marks: Account["marks"],
  events: readonly Event[],
  { tally, outcomes, exitCode, hosts }: Summary,
): Account {
  const results: Record<string, string[]> = {};
  const last = new Map<string, number>();
  const gaps: string[] = [];
  for (const event of events) {
    if (!("host" in event)) continue;
    const { host } = event;
    if (event.type === "task:end") {
      const { state, data } = event.result;
      results[host] ??= [];
      results[host].push(
        `${event.name}: ${state} ${(data as { readonly stdout?: string } | undefined)?.stdout ?? ""}`,
      );
    }
    // A process that never got its job has said hello too.
    if (!("hostSeq" in event) || event.type === "hello") continue;
    const seq = event.hostSeq as number;
    // A controller that attaches between the last word and the end of the process hears the last word again.
    if (event.type === "bye" && seq === last.get(host)) continue;
    if (last.has(host) && seq !== last.get(host)! + 1) gaps.push(`${host}: ${last.get(host)}, ${seq}`);
    last.set(host, seq);
  }
  return {
    marks,
    results,
    gaps,
    summary: {
      ...{ tally, outcomes, exitCode },
      hosts: hosts.map(({ host, outcome, tally: own }) => ({ host, outcome, tally: own })),
    },
  };
}
