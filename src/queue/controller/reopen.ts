import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { RunOptions } from "../../controller/prepare/options.ts";
import type { PlayHosts } from "../../controller/prepare/plan.ts";
import type { Plan } from "../../controller/prepare/prepare.ts";
import type { QueuedHost } from "../../controller/queued/queued-host.ts";
import { openRunLog } from "../../controller/records/recorder.ts";
import { logFileOf, onceFileOf, readEvents, runsDirectory } from "../../controller/records/records.ts";
import { openOnceResults } from "../../controller/schedule/once.ts";
import { printable, VolleyError } from "../../core/errors.ts";
import type { Event } from "../../core/events.ts";
import type { PlayDefinition } from "../../core/playbook.ts";
import { bareHost } from "../../inventory/connection.ts";
import { decodeWhole } from "../../vars/whole-value.ts";
import { COURSE_FIELDS, type Course, courseAt } from "../course.ts";
import { LogReader } from "../log.ts";
import {
  type DownMessage,
  type LogBatch,
  NO_LABEL,
  openValue,
  PURPOSES,
  QUEUE_PROTOCOL,
  type QueuedPart,
  type QueuedPlay,
  type QueuedRun,
} from "../messages.ts";
import type { RunKeys } from "../names.ts";
import type { Seal } from "../seal.ts";
import { readBackwards, readWhole } from "../streams.ts";
import type { EarlierExchange } from "./exchange.ts";
import type { Holder } from "./remote-session.ts";

/** Hosts whose work is read at a time. */
const SHARD = 500;
/** Time between two looks for a sign of life. */
const LOOK_MS = 200;
/** Entries at the end of a stream that are looked at for one that is the controller's. */
const LOOKED_AT = 100;
/** Messages to workers since the last one that is in the store, at most: a sign of life every 2 s makes as many in 23 days. */
const UNKNOWN_NUMBERS = 1_000_000;

/** The place of a run in the store. */
export interface StoredRun {
  readonly redis: Redis;
  readonly keys: RunKeys;
  readonly seal: Seal;
  readonly run: string;
}

/** Read the record of a run. Fails with `USAGE` when there is none, and with `QUEUE_REFUSED`. */
export async function readRecord({ redis, keys, seal, run }: StoredRun): Promise<QueuedRun> {
  const sealed = await redis.getBuffer(keys.record);
  if (sealed === null)
    throw new VolleyError("USAGE", `there is no run ${printable(run, 100)} in this queue`, {
      hint: "volley fleet lists those that go on; a run that has ended is kept for a week",
    });
  const record = openValue<QueuedRun>(seal, PURPOSES.run(run), sealed);
  if (record.protocol !== QUEUE_PROTOCOL)
    throw new VolleyError(
      "QUEUE_REFUSED",
      `run ${run} was started by another version of Volley, whose messages this one does not read`,
      { hint: "use the version of the controller that started it" },
    );
  return record;
}

/** Return the course of a run. `goneSeconds`: as for `courseAt`. */
export async function courseOf(stored: StoredRun, goneSeconds?: number): Promise<Course> {
  const { redis, keys } = stored;
  const [ended = null, beat = null] = await redis.hmget(keys.control, ...COURSE_FIELDS);
  const [seconds] = (await redis.time()) as unknown as readonly [string | number];
  const course = courseAt([ended, beat], Number(seconds), goneSeconds);
  // Only the log is sealed: anybody who writes to the store can say that a run has ended.
  if (course !== "ended" || (await hasRunEnd(stored))) return course;
  return courseAt([null, beat], Number(seconds), goneSeconds);
}

/** Return whether the log has the end of the run. */
async function hasRunEnd({ redis, keys, seal, run }: StoredRun): Promise<boolean> {
  for await (const { bytes } of readBackwards(redis, keys.log, LOOKED_AT)) {
    const batch = opened<LogBatch>(seal, PURPOSES.log(run), bytes);
    if (batch?.events.some(({ type }) => type === "run:end") === true) return true;
  }
  return false;
}

/** Return the controller's last message to workers. */
async function lastSaid({ redis, keys, seal, run }: StoredRun): Promise<DownMessage | undefined> {
  for await (const { bytes } of readBackwards(redis, keys.down, LOOKED_AT)) {
    const message = opened<DownMessage>(seal, PURPOSES.down(run), bytes);
    if (message !== undefined) return message;
  }
  return undefined;
}

/** Open a value; undefined for one that no controller has written. */
function opened<T>(seal: Seal, purpose: string, bytes: Uint8Array): T | undefined {
  try {
    return openValue<T>(seal, purpose, bytes);
  } catch {
    return undefined;
  }
}

/** Wait until the controller of a run gives a sign of life, or is known to be gone. */
export async function awaitCourse(stored: StoredRun): Promise<Course> {
  const { redis, keys } = stored;
  const before = await redis.hget(keys.control, "number");
  for (;;) {
    const course = await courseOf(stored);
    if (course !== "controlled" || (await redis.hget(keys.control, "number")) !== before) return course;
    await sleep(LOOK_MS);
  }
}

/**
 * Take a run over: read what its controller has left. Fails with `USAGE` while the run has a controller, and with
 * `QUEUE_REFUSED` when a part of its log is missing.
 */
export async function readRun(
  stored: StoredRun & { readonly owner: string; readonly goneSeconds: number | undefined },
  options: RunOptions,
): Promise<{ readonly plan: Plan; readonly earlier: EarlierExchange }> {
  const { redis, keys, seal, run, owner } = stored;
  const record = await readRecord(stored);
  const course = await courseOf(stored, stored.goneSeconds);
  if (course !== "left")
    throw new VolleyError("USAGE", `run ${run} ${course === "ended" ? "has ended" : "has a controller"}`, {
      hint: `volley attach ${run} with the same --queue shows it`,
    });
  await redis.hset(keys.control, "owner", owner);
  const { logDirectory } = options;
  const directory = logDirectory === false ? undefined : (logDirectory ?? runsDirectory());
  const events = bringEvents(run, directory);
  const held = new Map<number, Holder>();
  const seen = new Map<string, number>();
  const log = new LogReader(seal, run);
  let upTo = "0";
  for await (const entries of readWhole(redis, keys.log)) {
    for (const { bytes } of entries) {
      const batch = log.open(bytes);
      if (batch === undefined) continue;
      for (const event of batch.events) events.add(event);
      for (const [host, token, session] of batch.held)
        if (token === undefined) held.delete(host);
        else held.set(host, { token, session: session! });
      for (const [session, last] of Object.entries(batch.seen)) seen.set(session, last);
      ({ upTo } = batch);
    }
  }
  const said = await lastSaid(stored);
  log.end(said?.logged ?? 0);
  const plan = await planOf(stored, record, directory, events.all());
  // Only what is sealed tells the last number. Messages that have gone from the store may have had higher ones.
  const number = Math.max(log.last, said?.number ?? 0) + UNKNOWN_NUMBERS;
  await redis.hset(keys.control, "number", number);
  return { plan, earlier: { number, upTo, held, seen, lastEvent: events.lastSeq, lastBatch: log.last } };
}

/** Make the plan of a run from its record. */
async function planOf(
  stored: StoredRun,
  record: QueuedRun,
  directory: string | undefined,
  events: Iterable<Event> | undefined,
): Promise<Plan> {
  const { run, hosts: names, plays: queued, bundle, check, seed, limits, recorded } = record;
  const known = names.map((name) => bareHost(name, "ssh"));
  const plays = queued.map((entry) => asPlay(entry, known));
  const hosts = await readHosts(stored, record);
  if (directory !== undefined) await bringResults(stored, directory, names);
  return Object.freeze({
    run,
    playbook: {
      name: record.playbook,
      playbook: { plays: plays.map(({ play }) => withoutTasks(play)) },
      assets: { file: () => null, tree: () => null },
      evaluateAnew: refuseDelegated,
      locateRemote: (error) => error,
    },
    plays,
    hosts,
    late: undefined,
    bundle: { id: bundle.id, bytes: Buffer.alloc(0), reused: bundle.reused, asksForGroups: false },
    buildMs: 0,
    method: "bundle" as const,
    runtimes: [],
    askStep: undefined,
    check,
    seed,
    limits: { ...limits, playMs: limits.playMs },
    notes: [],
    record:
      directory === undefined
        ? undefined
        : { directory, startedAt: record.startedAt, bundle: bundle.id, options: recorded },
    // The first controller may have died before its first event was in the log.
    attached: events === undefined ? undefined : { events, changed: false },
  });
}

/** A play of a playbook that only the first controller has. */
function withoutTasks(play: PlayDefinition): PlayDefinition {
  return Object.defineProperty({ ...play }, "roles", { get: refuseDelegated });
}

function refuseDelegated(): never {
  throw new VolleyError(
    "DELEGATE_REFUSED",
    "the controller that started this run is gone, and had the playbook: nothing can be delegated to this one",
  );
}

function asPlay({ index, play, hosts }: QueuedPlay, known: PlayHosts["hosts"]): PlayHosts {
  return {
    index,
    play: { ...play, roles: [] } as unknown as PlayDefinition,
    hosts: hosts.map((at) => known[at]!),
  };
}

/** Read as much of the hosts' work as a controller needs. */
async function readHosts(
  { redis, keys, seal, run }: StoredRun,
  record: QueuedRun,
): Promise<readonly QueuedHost[]> {
  const hosts: QueuedHost[] = [];
  const common = decodeWhole(record.common) as object;
  const parts = readParts(redis, keys.parts, record.hosts.length);
  for (const [index, name] of record.hosts.entries()) {
    const { value: sealed = null } = await parts.next();
    if (record.labels[index] === NO_LABEL) {
      hosts.push(ofFirstController(name, record, index));
      continue;
    }
    if (sealed === null)
      throw new VolleyError(
        "QUEUE_FAILED",
        `run ${run} cannot go on: the work of ${name} is no longer in the queue`,
        { hint: "somebody else has deleted it: look at the users of the server, and start the run again" },
      );
    const { way, job, secrets: left } = openValue<QueuedPart>(seal, PURPOSES.part(run, index), sealed);
    const whole = { ...job, ...common };
    const { protocol, host, groups, plays, secrets, session, options } = whole;
    hosts.push({
      name,
      label: record.labels[index]!,
      secrets: left,
      way,
      job: {
        ...{ protocol, host, groups, plays, session, options },
        vars: {},
        hostVars: {},
        ...(secrets === undefined ? {} : { secrets }),
      },
    });
  }
  return hosts;
}

/** Yield the sealed work of each host, by index; null where there is none. */
async function* readParts(
  redis: Redis,
  key: string,
  count: number,
): AsyncGenerator<Buffer | null, undefined> {
  for (let from = 0; from < count; from += SHARD) {
    const indexes = Array.from({ length: Math.min(SHARD, count - from) }, (_, at) => String(from + at));
    yield* await redis.hmgetBuffer(key, ...indexes);
  }
}

/** A host that the first controller worked on itself: nobody has its job. */
function ofFirstController(name: string, { run, plays }: QueuedRun, index: number): QueuedHost {
  const mine = plays.filter(({ hosts }) => hosts.includes(index)).map((play) => play.index);
  return {
    name,
    label: NO_LABEL,
    way: { host: bareHost(name, "local"), plays: [] },
    secrets: [],
    job: {
      ...{ protocol: 0, host: name, groups: [], vars: {}, hostVars: {}, plays: mine },
      session: { run, controller: "", lockWaitMs: 0 },
      options: { check: false, diff: false, tags: [], skipTags: [], barriers: true },
    },
  };
}

/** The events that the queue has of a run. */
interface BroughtEvents {
  add(event: Event): void;
  /** The number of the last event; 0 before the first. */
  readonly lastSeq: number;
  /** Return the events; undefined where there are none. Fails with `QUEUE_FAILED` when they could not be kept. */
  all(): Iterable<Event> | undefined;
}

/**
 * Bring the events of a run into its log here, which replaces this machine's copy: a copy may lack events, and may have
 * events that count for nothing. Without a directory, keep them in memory.
 */
function bringEvents(run: string, directory: string | undefined): BroughtEvents {
  const kept: Event[] = [];
  const file = directory === undefined ? undefined : logFileOf(directory, run);
  if (file !== undefined) rmSync(file, { force: true });
  const log = file === undefined ? undefined : openRunLog(file);
  let lastSeq = 0;
  return {
    add: (event) => {
      if (log === undefined) kept.push(event);
      else log.event(event);
      lastSeq = event.seq;
    },
    get lastSeq() {
      return lastSeq;
    },
    all: () => {
      log?.close();
      if (log?.isWhole === false)
        throw new VolleyError("QUEUE_FAILED", `the events of run ${run} cannot be written to ${file}`, {
          hint: "make room there, or set XDG_STATE_HOME to a directory that can be written",
        });
      if (lastSeq === 0) return undefined;
      return directory === undefined ? kept : readEvents(directory, run);
    },
  };
}

/** Bring the whole results for other hosts here. */
async function bringResults(
  { redis, keys, seal, run }: StoredRun,
  directory: string,
  hosts: readonly string[],
): Promise<void> {
  const stored = (await redis.hgetallBuffer(keys.results)) as Readonly<Record<string, Buffer>>;
  const results = openOnceResults(onceFileOf(directory, run));
  for (const [field, sealed] of Object.entries(stored)) {
    const [host = 0, task = 0] = field.split(":").map(Number);
    const { whole } = openValue<{ readonly whole?: string }>(seal, PURPOSES.result(run, host, task), sealed);
    results.keep(hosts[host]!, task, whole);
  }
}
