import { AsyncLocalStorage } from "node:async_hooks";
import { PassThrough } from "node:stream";
import { finished } from "node:stream/promises";
import { format } from "node:util";
import { createEffects } from "../agent/effects.ts";
import { type HostLock, lendingTurns } from "../agent/lock.ts";
import { createLeftovers, type LeftoversOwner, leftoversName } from "../agent/state-store.ts";
import { openWire, type Wire } from "../agent/wire.ts";
import type { AssetStore } from "../core/asset.ts";
import { isVolleyError } from "../core/errors.ts";
import type { TargetEvent } from "../core/events.ts";
import type { Facts } from "../core/facts.ts";
import type { Playbook } from "../core/playbook.ts";
import type { ProgramWorld } from "../core/program.ts";
import { type Job, PROTOCOL_VERSION } from "../core/protocol.ts";
import type { System } from "../core/system.ts";
import type { Become } from "../core/unix/users.ts";
import type { Leftovers } from "../engine/effects.ts";
import { byeForError, runJob } from "../engine/engine.ts";
import { tellRunsApart } from "../engine/handle.ts";
import { RENDER_BESIDE_OTHERS_MS } from "../engine/limits.ts";
import { createHostLook, createRenderer } from "../engine/render.ts";
import { createTemplates } from "../template/index.ts";
import type { Connection, Endpoint, RemoteExit, RemoteProcess } from "../transport/transport.ts";
import { askForFacts, type FactRecords, gatherDirectFacts, passwdOf } from "./facts.ts";
import { type DirectHost, openHost } from "./host.ts";
import { watchIdleness } from "./idle.ts";
import { takeDirectLock } from "./lock.ts";
import { createDirectUsers } from "./users.ts";

/** The Job whose code is running: one process works on many hosts, and a stray error fails only its own. */
const jobNow = new AsyncLocalStorage<Job>();

/** The playbook of a host that gets no bundle. */
export interface DirectPlaybook {
  readonly name: string;
  /** True where no file has it: no later run is one of the same playbook, and has its leftover handlers. */
  readonly isText?: boolean;
  readonly assets: AssetStore;
  /** What plays that carry themselves out may use of this machine. */
  readonly world?: ProgramWorld;
  /** See {@link PreparedPlaybook.evaluateAnew}. */
  evaluateAnew(print: Pick<Console, "log">): Playbook;
}

/** Options of {@link startDirect}. */
interface DirectOptions {
  readonly endpoint: Endpoint;
  readonly become: Become | null;
  readonly playbook: DirectPlaybook;
  /** The id of the bundle, which is not sent. */
  readonly bundleId: string;
  /** Ends opening. A run that has begun is ended by commands of the protocol. */
  readonly signal: AbortSignal;
}

/**
 * Carry out a host's part of a run from here, action by action over its connection, and speak the protocol as a
 * process on the host would. Fails with `SFTP_UNAVAILABLE`, `BECOME_FAILED`, `CONNECT_FAILED` or `CONNECTION_LOST`.
 */
export async function startDirect(connection: Connection, options: DirectOptions): Promise<RemoteProcess> {
  const host = await openHost(connection, options);
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const wire = openWire(stdin, stdout);
  const line = createLine(wire, connection);
  const served = serve(host, wire, line, options).finally(async () => {
    if (line.lost === undefined) await wire.flush();
    stdout.end();
    stderr.end();
  });
  const ended = Promise.race([served, line.whenLost]).then(
    (): RemoteExit =>
      line.lost === undefined ? { kind: "exited", code: 0 } : { kind: "lost", reason: line.lost },
    (thrown: unknown): RemoteExit => ({ kind: "lost", reason: String(thrown) }),
  );
  const exit = ended.then(async (how) => {
    stdout.end();
    await finished(stdout, { writable: false }).catch(() => {});
    // Ends the calls that still wait for the host.
    if (how.kind === "lost") stdin.end('{"type":"kill"}\n');
    return how;
  });
  return { stdin, stdout, stderr, exit };
}

/** The connection, as a source of events. */
interface Line {
  readonly lost: string | undefined;
  readonly whenLost: Promise<void>;
  emit(event: TargetEvent): void;
}

/** Emit events until the connection is lost: later failures of tasks only follow from that. */
function createLine(wire: Wire, connection: Connection): Line {
  let lost: string | undefined;
  let tell!: () => void;
  const whenLost = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const lose = (reason: string): void => {
    lost ??= reason;
    tell();
  };
  void connection.closed.then((reason) => lose(reason ?? "the connection was closed"));
  return {
    get lost() {
      return lost;
    },
    whenLost,
    emit: (event) => {
      const error = event.type === "task:end" ? event.result.error : undefined;
      if (error?.code === "CONNECTION_LOST") lose(error.message);
      if (lost === undefined) wire.emit(event);
    },
  };
}

/** Carry out the Job that comes on the wire; see agent/serve.ts. */
async function serve(host: DirectHost, wire: Wire, { emit }: Line, options: DirectOptions): Promise<void> {
  const { opened, sessions, access } = host;
  const { system, shells } = opened;
  const startedAt = performance.now();
  const elapsedMs = (): number => Math.round(performance.now() - startedAt);
  emit({
    type: "hello",
    protocol: PROTOCOL_VERSION,
    bundle: options.bundleId,
    pid: process.pid,
    node: process.version,
  });
  void sessions.limited.then((granted) => emit({ type: "log", level: "info", text: fewSessions(granted) }));
  let lock: HostLock | undefined;
  let closeUsers: (() => Promise<void>) | undefined;
  try {
    const job = await wire.readJob();
    const { session } = job;
    let waited = false;
    const locking =
      session === undefined || job.options.check
        ? undefined
        : takeDirectLock(shells, {
            run: session.run,
            host: job.host,
            controller: session.controller,
            waitMs: session.lockWaitMs,
            signal: wire.cancel,
            isShared: options.playbook.world?.lockstep !== undefined,
            onWait: (text) => {
              waited = true;
              emit({ type: "log", level: "warn", text });
            },
          });
    locking?.catch(() => {});
    const factsStart = performance.now();
    const asking = askForFacts(shells);
    asking.catch(() => {});
    lock = await locking;
    // Answers from while another run worked on the host may be stale.
    const records = waited ? await askForFacts(shells) : await asking;
    const facts = await gatherDirectFacts(system, records, system.user.env);
    emit(factsEvent(facts, performance.now() - factsStart));
    if (session?.resume !== undefined) emit(cannotResume(session.resume));
    const users = createDirectUsers({
      own: system,
      self: options.become?.user ?? options.endpoint.user,
      job: job.become,
      sessions,
      passwd: passwdOf(records),
      access,
    });
    closeUsers = users.close;
    const bye = await carryOut({ host, job, wire, lock, emit, facts, users, records }, options);
    emit({ ...bye, elapsedMs: elapsedMs() });
  } catch (thrown) {
    if (isVolleyError(thrown) && thrown.code === "CONNECTION_LOST") throw thrown;
    const bye = byeForError(thrown, elapsedMs());
    emit(wire.cancel.aborted ? { ...bye, cancelled: true } : bye);
  } finally {
    await closeUsers?.();
    await lock?.release();
    await system.close();
  }
}

/** The log line before a host's first download. */
const DOWNLOADS =
  "downloads are made by this machine, from its own network, and sent to the host: it is worked on directly";

function fewSessions(sessions: number): string {
  const granted = sessions === 1 ? "one session" : `${sessions} sessions`;
  return `its sshd grants ${granted} at a time on a connection (MaxSessions): commands and files wait for each other, which takes longer`;
}

interface Part {
  readonly host: DirectHost;
  readonly job: Job;
  readonly wire: Wire;
  readonly lock: HostLock | undefined;
  readonly facts: Facts;
  readonly records: FactRecords;
  readonly users: ReturnType<typeof createDirectUsers>;
  emit(event: TargetEvent): void;
}

type Bye = Extract<TargetEvent, { type: "bye" }>;

async function carryOut(
  { host, job, wire, lock, facts, users, emit }: Part,
  { playbook }: DirectOptions,
): Promise<Omit<Bye, "elapsedMs">> {
  const { system } = host.opened;
  let toldOfDownloads = false;
  const leftovers =
    job.session?.project === undefined || job.options.check || playbook.isText === true
      ? undefined
      : await openDirectLeftovers(system, {
          project: job.session.project,
          playbook: playbook.name,
          host: job.host,
        });
  const { look, forget } = createHostLook(system);
  const renderer = createRenderer(playbook.assets, () => createTemplates, {
    env: { ...system.user.env },
    limitMs: RENDER_BESIDE_OTHERS_MS,
    look,
  });
  const idle = watchIdleness((text) => emit({ type: "log", level: "warn", text }));
  // Hosts of a playbook in YAML wait for each other, and none for code.
  if (playbook.isText === true) idle.close();
  const evaluated = playbook.evaluateAnew(consoleOf((level, text) => emit({ type: "log", level, text })));
  const effects = createEffects({
    job,
    system,
    systems: users,
    facts,
    gather: async () => gatherDirectFacts(system, await askForFacts(host.opened.shells), system.user.env),
    assets: playbook.assets,
    ...renderer,
    ...(playbook.world === undefined ? {} : { world: playbook.world }),
    emit: (event) => {
      // A task must not rely on what the one before it saw.
      if (event.type === "task:start") {
        users.forget();
        forget();
      }
      emit(event);
      idle.see(event);
      // The name of an action that is made late is known only at the task's end.
      if (event.type !== "task:start" && event.type !== "task:end") return;
      if (event.action !== "get_url" || toldOfDownloads) return;
      toldOfDownloads = true;
      emit({ type: "log", level: "info", text: DOWNLOADS });
    },
    ...lendingTurns(
      {
        ask: (question) => idle.during(wire.ask(question)),
        waitForOthers: (play) => idle.during(wire.waitForOthers(play)),
      },
      lock,
    ),
    share: wire.share,
    ...(leftovers === undefined ? {} : { leftovers }),
    cancel: wire.cancel,
    kill: wire.kill,
  });
  tellRunsApart(() => jobNow.getStore());
  const { tally, cancelled, error } = await jobNow
    .run(job, () => runJob(evaluated, job, effects))
    .finally(idle.close);
  await leftovers?.flush();
  return {
    type: "bye",
    tally,
    ...(cancelled ? { cancelled } : {}),
    ...(error === undefined ? {} : { error }),
  };
}

function factsEvent(facts: Facts, elapsedMs: number): TargetEvent {
  const { distribution, distribution_version, architecture, kernel } = facts;
  return {
    type: "facts",
    elapsedMs: Math.round(elapsedMs * 100) / 100,
    facts: { distribution, distribution_version, architecture, kernel },
  };
}

function cannotResume(run: string): TargetEvent {
  return {
    type: "log",
    level: "warn",
    text: `run ${run} cannot be resumed, everything is looked at again: a host that is worked on directly has no journal`,
  };
}

/** Make a `console` for roles' code that runs on the controller: its output becomes log events. */
function consoleOf(tell: (level: "info" | "warn", text: string) => void): Pick<Console, "log"> {
  const print =
    (level: "info" | "warn") =>
    (...values: readonly unknown[]): void =>
      tell(level, format(...values));
  return {
    ...console,
    ...{
      log: print("info"),
      info: print("info"),
      debug: print("info"),
      warn: print("warn"),
      error: print("warn"),
    },
  } as Pick<Console, "log">;
}

/** Handlers left over; `flush` resolves when all are written on the host. */
interface DirectLeftovers extends Leftovers {
  flush(): Promise<void>;
}

/** Keep the handlers that failed runs of a playbook leave on a host, in the same file that a bundle does (agent/state-store.ts). */
async function openDirectLeftovers(system: System, owner: LeftoversOwner): Promise<DirectLeftovers> {
  const file = `~/.cache/volley/${leftoversName(owner)}`;
  const bytes = await system.readIfExists(file).catch(() => null);
  let writing: Promise<void> = Promise.resolve();
  const leftovers = createLeftovers(owner, bytes?.toString("utf8") ?? "", (text) => {
    const write = (): Promise<void> =>
      text === null ? system.remove(file) : system.writeFile(file, text, { mode: 0o600 }).then(() => {});
    // Other requests report a lost connection.
    writing = writing.then(write).catch(() => {});
  });
  return { ...leftovers, flush: () => writing };
}
