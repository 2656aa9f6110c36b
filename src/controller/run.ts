import { setMaxListeners } from "node:events";
import { hostname, userInfo } from "node:os";
import { fileURLToPath } from "node:url";
import { VolleyError } from "../core/errors.ts";
import type { Event, Summary } from "../core/events.ts";
import type { Inventory } from "../core/inventory.ts";
import { createMask } from "../core/mask.ts";
import { maskError, maskEvent } from "../core/mask-event.ts";
import type { Job, JobOptions, Session } from "../core/protocol.ts";
import type { SecretOptions } from "../secrets/options.ts";
import { createSecretStore } from "../secrets/store.ts";
import type { AskPassphrase } from "../transport/ssh/keys.ts";
import type { BecomeOptions } from "./become-settings.ts";
import { createDelegates } from "./delegate.ts";
import { readEarlier } from "./earlier.ts";
import { EventQueue } from "./event-queue.ts";
import { type HostBecome, hostBecome } from "./host-become.ts";
import { HostRun } from "./host-run.ts";
import type { Via } from "./link-direct.ts";
import { createOnceRelay } from "./once.ts";
import { makeJob, planHosts } from "./plan.ts";
import { createMasks, openPlan, secretsOf } from "./plan-secrets.ts";
import { preparePlaybook } from "./playbook.ts";
import { preflight } from "./preflight.ts";
import type { ReachOptions } from "./reach.ts";
import { readInventory } from "./read-inventory.ts";
import { openRecorder } from "./recorder.ts";
import {
  fanOutKindOf,
  makeRunId,
  readEvents,
  readRecord,
  runsDirectory,
  writeRecord,
} from "./run-records.ts";
import { schedule } from "./schedule.ts";
import { openTransports } from "./transports.ts";
import type { AskHostKeys } from "./trust.ts";

/** What to run, where, and how. */
export interface RunOptions extends ReachOptions, BecomeOptions {
  /** Paths of inventories, `host1,host2,` lists, or an inventory already loaded. */
  readonly inventory: string | readonly string[] | Inventory;
  /** The playbook's file: an entry to bundle, not a value. */
  readonly playbook: string | URL;
  /** A pattern that narrows the hosts of every play. */
  readonly limit?: string;
  /** Hosts worked on at a time. Default 50. */
  readonly concurrency?: number;
  /** How hosts are worked on: by a bundle there, directly from here, or (auto) directly where there is no usable Node. Default `bundle`. */
  readonly via?: Via;
  /** How long a host may take for each play that does not say it itself. Default: no limit. */
  readonly hostTimeoutMs?: number;
  /** How long a host that took too long may finish the task it is at. Default 10 s. */
  readonly graceMs?: number;
  /** What shuffled plays are shuffled by. Default: the run's name. */
  readonly seed?: string;
  /** Changes nothing, says what would change. Default false. */
  readonly check?: boolean;
  /** Whether events carry the text of what changes. Default false. */
  readonly diff?: boolean;
  readonly tags?: readonly string[];
  readonly skipTags?: readonly string[];
  /** From starting the bundle on a host to its first word. Default 60 s. */
  readonly startTimeoutMs?: number;
  /** How long a host whose connection went is tried again. Default 60 s. */
  readonly returnTimeoutMs?: number;
  /** How long to wait on a host for another run to end. Default 10 s. */
  readonly lockWaitMs?: number;
  /** A run whose controller was ended: its hosts are asked for the rest. See {@link attachOptions}. */
  readonly attach?: string;
  /** An earlier run: what it has done on a host is not repeated there, unless the bundle has changed. */
  readonly resume?: string;
  /** How what is encrypted in the inventory is opened. */
  readonly secrets?: SecretOptions;
  /** Asks for the passphrase of an encrypted key, a vault password, or a secret. Default: nobody is asked. */
  readonly askPassphrase?: AskPassphrase;
  /** Asks, once and before the first event, whether host keys that are not known are right. Default: nobody is asked. */
  readonly askHostKeys?: AskHostKeys;
  /** Aborted: stop cleanly, as one Ctrl-C does. */
  readonly signal?: AbortSignal;
  /** Default: the process's working directory. */
  readonly cwd?: string;
  /** Where the run's log goes; false: nowhere. Default `~/.local/state/volley/runs`. */
  readonly logDirectory?: string | false;
}

/** A run going on: iterate its events, await its summary. */
export interface Run extends AsyncIterable<Event> {
  /** Rejects only for what is wrong before the first host is touched. */
  readonly summary: Promise<Summary>;
  /** Stops: hosts finish the action they are at. Called again, they end that too. */
  cancel(): void;
}

const DEFAULTS = {
  concurrency: 50,
  startTimeoutMs: 60_000,
  returnTimeoutMs: 60_000,
  lockWaitMs: 10_000,
  graceMs: 10_000,
  via: "bundle",
} as const;

/** Starts a run. */
export function run(options: RunOptions): Run {
  const queue = new EventQueue<Event>();
  const clean = new AbortController();
  const now = new AbortController();
  // Every host listens to it.
  setMaxListeners(0, now.signal);
  const cancel = (): void => {
    if (clean.signal.aborted) now.abort();
    else clean.abort();
  };
  if (options.signal?.aborted === true) cancel();
  options.signal?.addEventListener("abort", cancel, { once: true });
  let failure: unknown;
  const summary = carryOut(options, queue, clean.signal, now.signal)
    .catch((thrown: unknown) => {
      failure = thrown;
      throw thrown;
    })
    .finally(() => {
      options.signal?.removeEventListener("abort", cancel);
      queue.end();
    });
  // Those who only iterate get the error from the iterator.
  summary.catch(() => {});
  return {
    summary,
    cancel,
    async *[Symbol.asyncIterator]() {
      yield* queue;
      if (failure !== undefined) throw failure;
    },
  };
}

async function carryOut(
  options: RunOptions,
  queue: EventQueue<Event>,
  clean: AbortSignal,
  now: AbortSignal,
): Promise<Summary> {
  const cwd = options.cwd ?? process.cwd();
  const concurrency = options.concurrency ?? DEFAULTS.concurrency;
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new VolleyError(
      "USAGE",
      `concurrency must be a whole number of 1 or more, not ${String(concurrency)}`,
    );
  }
  const buildStart = performance.now();
  const file = options.playbook instanceof URL ? fileURLToPath(options.playbook) : options.playbook;
  const prepared = await preparePlaybook(file, cwd);
  const secrets = createSecretStore({
    ...options.secrets,
    cwd,
    signal: clean,
    ...(options.askPassphrase === undefined ? {} : { ask: options.askPassphrase }),
  });
  const { inventory, select } = await readInventory(options.inventory, {
    cwd,
    playbookDirectory: prepared.directory,
    secrets,
  });
  const plan = await openPlan(
    planHosts(prepared.playbook, inventory, (pattern) => select(pattern, options.limit)),
    secrets,
  );
  const { plays, hosts, groups } = plan;
  const check = options.check ?? false;
  const hideSecrets = (thrown: unknown): unknown => {
    const mask = createMask(hosts.flatMap(secretsOf));
    return mask === null ? thrown : maskError(mask, thrown);
  };
  try {
    await preflight({ plays, assets: prepared.assets, groups, check });
  } catch (thrown) {
    throw hideSecrets(prepared.locate(thrown));
  }

  const bundle = await prepared.bundle({ vars: hosts.map(({ vars }) => vars) });
  const buildMs = performance.now() - buildStart;

  // Before the first event, because it may ask something.
  const transports = await openTransports(hosts, options, now).catch((thrown: unknown) => {
    throw hideSecrets(thrown);
  });
  const { attach } = options;
  const id = attach ?? makeRunId();
  const directory = options.logDirectory === false ? undefined : (options.logDirectory ?? runsDirectory());
  const events = attach === undefined || directory === undefined ? [] : readEvents(directory, attach);
  const earlier = readEarlier(events);
  const record = attach === undefined || directory === undefined ? undefined : readRecord(directory, attach);
  const changed = record !== undefined && record.bundle !== bundle.id;
  // The hosts know the run by the bundle it was begun with.
  const used = changed ? { ...bundle, id: record.bundle } : bundle;
  const { emit, save, finish } = openRecorder({
    run: id,
    directory,
    push: (event) => queue.push(event),
    earlier: events,
  });
  if (directory !== undefined) {
    writeRecord(directory, {
      run: id,
      startedAt: record?.startedAt ?? new Date().toISOString(),
      pid: process.pid,
      bundle: used.id,
      options: recordable({ ...options, cwd }),
    });
  }
  if (attach === undefined) {
    emit({
      type: "run:start",
      run: id,
      playbook: prepared.name,
      hosts: hosts.map(({ name }) => name),
      plays: plays.map(({ play, hosts: some }) => ({ name: play.name, hosts: some.map(({ name }) => name) })),
      check,
      concurrency,
    });
    emit({
      type: "run:build",
      bundle: bundle.id,
      bytes: bundle.bytes.length,
      elapsedMs: buildMs,
      reused: bundle.reused,
    });
  }
  save();

  const jobOptions: JobOptions = {
    check,
    diff: options.diff ?? false,
    tags: options.tags ?? [],
    skipTags: options.skipTags ?? [],
    barriers: true,
  };
  const session: Session = {
    run: id,
    controller: `${userInfo().username}@${hostname()}`,
    lockWaitMs: options.lockWaitMs ?? DEFAULTS.lockWaitMs,
    ...(options.resume === undefined ? {} : { resume: options.resume }),
  };
  for (const { host, text } of transports.notes) emit({ type: "log", host, level: "info", text });
  for (const { host, text } of plan.warnings) emit({ type: "log", host, level: "warn", text });
  const maskOf = createMasks();
  const once = createOnceRelay(events);
  const runs = new Map<string, HostRun>();
  const jobs = new Map<string, Job>();
  const delegates = createDelegates({
    playbook: prepared.playbook,
    assets: prepared.assets,
    jobOf: (host) => jobs.get(host),
    tell: (host, command) => runs.get(host)?.tell(command),
    earlier: events,
    signal: now,
  });
  for (const host of hosts) {
    const mine = plays.filter((play) => play.hosts.includes(host));
    const reached = transports.of(host);
    const become = hostBecome(host, reached.endpoint.user, mine, options);
    const job = withBecome(makeJob(host, plan, jobOptions, session), become);
    jobs.set(host.name, job);
    const mask = maskOf(job.secrets ?? []);
    const seen = earlier.get(host.name);
    runs.set(
      host.name,
      new HostRun({
        ...reached,
        bundle: used,
        job,
        become: become.start,
        mask,
        emit: (event) => {
          const told = mask === null ? event : maskEvent(mask, event);
          emit(told);
          once.take(told);
          delegates(told);
        },
        locate: prepared.locateRemote,
        now,
        startTimeoutMs: options.startTimeoutMs ?? DEFAULTS.startTimeoutMs,
        returnTimeoutMs: options.returnTimeoutMs ?? DEFAULTS.returnTimeoutMs,
        mayLaunch: !changed,
        via: options.via ?? DEFAULTS.via,
        playbook: prepared,
        ...(seen === undefined ? {} : { earlier: seen }),
      }),
    );
  }
  const onClean = (): void => {
    emit({ type: "run:cancel", how: "clean" });
    for (const hostRun of runs.values()) hostRun.cancel();
  };
  const onNow = (): void => emit({ type: "run:cancel", how: "now" });
  clean.addEventListener("abort", onClean, { once: true });
  now.addEventListener("abort", onNow, { once: true });
  if (clean.aborted) onClean();
  try {
    await schedule(plays, runs, {
      concurrency,
      seed: options.seed ?? id,
      clock: { timeoutMs: options.hostTimeoutMs, graceMs: options.graceMs ?? DEFAULTS.graceMs },
      once,
      emit,
    });
  } finally {
    clean.removeEventListener("abort", onClean);
    now.removeEventListener("abort", onNow);
    transports.close();
  }
  return finish();
}

/** The options that pick a run up again. Fails with `USAGE` when there is no such run, or none that can be picked up. */
export function attachOptions(run: string, directory = runsDirectory()): RunOptions {
  const { options } = readRecord(directory, run);
  const kind = fanOutKindOf(run);
  if (kind !== undefined)
    throw new VolleyError("USAGE", `${run} was volley ${kind}, which ended with its controller`);
  if (options.inventory === undefined || typeof options.playbook !== "string") {
    throw new VolleyError("USAGE", `run ${run} was started by a program with an inventory of its own`, {
      hint: "only that program can attach to it",
    });
  }
  return { ...(options as unknown as RunOptions), attach: run };
}

/** The options that another controller needs to pick the run up; passwords and the like are asked for anew. */
function recordable(options: RunOptions): Readonly<Record<string, unknown>> {
  // How secrets are opened says where passwords lie, and holds none.
  const {
    inventory,
    playbook,
    signal: _signal,
    password: _password,
    becomePassword: _become,
    ...rest
  } = options;
  const written = Object.entries(rest).filter(
    ([, value]) => value !== undefined && typeof value !== "function",
  );
  return {
    ...Object.fromEntries(written),
    playbook: playbook instanceof URL ? fileURLToPath(playbook) : playbook,
    // One that was given as a value cannot be read again.
    ...(typeof inventory === "string" || Array.isArray(inventory) ? { inventory } : {}),
  };
}

function withBecome(job: Job, { job: become, secrets }: HostBecome): Job {
  const all = [...(job.secrets ?? []), ...secrets];
  return { ...job, become, ...(all.length === 0 ? {} : { secrets: [...new Set(all)] }) };
}
