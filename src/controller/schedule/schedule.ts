import pLimit, { type LimitFunction } from "p-limit";
import type { SerializedError } from "../../core/errors.ts";
import type { ControllerEvent } from "../../core/events.ts";
import type { Host } from "../../core/inventory.ts";
import {
  type BatchSize,
  type PlayOrder,
  type PlaySchedule,
  percentageOf,
  waitsBetween,
} from "../../core/playbook.ts";
import type { PlayHosts } from "../prepare/plan.ts";
import type { Limits, Plan } from "../prepare/prepare.ts";
import type { HostSession } from "../session/session.ts";
import { meetLateHosts } from "./late.ts";
import { createPlaces, type Place } from "./places.ts";
import type { Sessions } from "./sessions.ts";

/**
 * Carry out a plan: take the plays in order, with at most `concurrency` hosts at work at a time. A play is a barrier for
 * the hosts of the plays after it, unless it is free. A host keeps its place from one barrier to the next, because after
 * a free play it continues by itself. While a host does not answer, or is away, another host has the place.
 */
export async function schedule(
  { plays: planned, limits, seed, late }: Pick<Plan, "plays" | "limits" | "seed" | "late">,
  { byHost, once, lockstep, open }: Sessions,
  emit: (event: ControllerEvent) => void,
): Promise<void> {
  const sessions = [...byHost.values()];
  // Hosts that wait for each other are all at work; the lockstep limits how many do a task at a time.
  const places = createPlaces(lockstep === undefined ? limits.concurrency : Number.POSITIVE_INFINITY);
  let plays = planned;
  const initial = stretchesByHost(plays);
  const parts = new Map(
    sessions.map(({ host }) => [host, { stretches: initial.get(host) ?? [], place: places.join() }]),
  );
  let isOver = false;
  /** Ends of free plays that no barrier has waited for. */
  let free: Promise<void>[] = [];

  const stop = (error: SerializedError): void => {
    isOver = true;
    for (const other of sessions) other.cancel({ outcome: "cancelled", error });
  };
  const beginBatch = (
    { index, play }: PlayHosts,
    batch: readonly HostSession[],
    { number, throttle, names }: BatchCourse,
  ): readonly Promise<void>[] => {
    const own = batch.filter(({ host }) => names.has(host));
    const failures = limitFailures({ play, batch: number, size: batch.length });
    let failed = 0;
    const hasEnded = once.batch(index, batch);
    lockstep?.batch(index, own, [...names]);
    const begin = (session: HostSession): void => {
      const { stretches, place } = parts.get(session.host)!;
      const stretch = stretches.find(({ plays: [first] }) => first?.index === index);
      if (stretch === undefined) return;
      if (throttle === undefined) return void work(session, stretch, place, limits);
      // The throttle limits this play alone, not the rest of the stretch.
      void throttle(async () => {
        void work(session, stretch, place, limits);
        await session.playEnd(index);
      });
    };
    return batch.map(async (session) => {
      begin(session);
      const hasFailed = await session.playEnd(index);
      hasEnded(session);
      if (!hasFailed || isOver) return;
      const reason = failures.add(session.host, lockstep?.isFatal(index, session.host));
      if (reason !== undefined) {
        emit({ type: "play:stop", index, play: play.name, reason });
        stop(reason);
      } else if (play.program !== undefined && ++failed === own.length) {
        // As in Ansible, no later play begins, whoever it is for.
        stop({ code: "OTHERS_FAILED", message: `all hosts of play "${play.name}" have failed` });
      }
    });
  };

  for (const { index, mayJoin } of planned) {
    const isOpen = late !== undefined && mayJoin !== undefined;
    // Batches leave out hosts that failed before, and tasks may add hosts: wait until that is known.
    const { play } = plays[index]!;
    if (isOpen || play.serial !== undefined || play.throttle !== undefined) await Promise.all(free.splice(0));
    const met = isOpen ? await meetLateHosts(plays[index]!, plays, { late, byHost, open, emit }) : undefined;
    if (met !== undefined) plays = met.plays;
    const extended = met === undefined ? initial : stretchesByHost(plays);
    for (const session of met?.joined ?? []) {
      sessions.push(session);
      parts.set(session.host, { stretches: extended.get(session.host) ?? [], place: places.join() });
    }
    const entry = plays[index]!;
    const names = new Set(met?.names ?? entry.hosts.map(({ name }) => name));
    const ordered = orderHosts(entry.hosts, play.order, `${seed}:${index}`)
      .flatMap(({ name }) => byHost.get(name) ?? [])
      .filter((session) => !session.hasEndedBefore(index));
    const [own, others] = [true, false].map((isFor) =>
      ordered.filter(({ host }) => names.has(host) === isFor),
    ) as [HostSession[], HostSession[]];
    const [first = [], ...rest] = splitBatches(own, play.serial);
    // Hosts that the play turns out not to be for pass through it.
    const batches = [[...first, ...others], ...rest];
    const throttle =
      play.throttle === undefined || lockstep !== undefined ? undefined : pLimit(play.throttle);
    let ended: readonly Promise<void>[] = [];
    for (const [position, batch] of batches.entries()) {
      await Promise.all(ended);
      if (isOver) break;
      const isTold = play.serial !== undefined || play.order === "shuffle";
      if (isTold && batch.some((session) => !session.isOver)) {
        emit({
          type: "play:batch",
          index,
          play: play.name,
          batch: position + 1,
          batches: batches.length,
          hosts: batch.map(({ host }) => host),
          ...(play.order === "shuffle" ? { seed } : {}),
        });
      }
      ended = beginBatch(entry, batch, { number: position + 1, throttle, names });
    }
    if (play.strategy === "free") free.push(...ended);
    else {
      await Promise.all([...free, ...ended]);
      free = [];
    }
    if (isOver) break;
  }
  await Promise.all(sessions.map(({ end }) => end));
}

/** The course of a batch. */
interface BatchCourse {
  /** Counted from 1. */
  readonly number: number;
  readonly throttle: LimitFunction | undefined;
  /** The names of all hosts that the play is for. */
  readonly names: ReadonlySet<string>;
}

/** Plays that a host takes one after the other without waiting for the controller. */
interface Stretch {
  readonly plays: readonly PlayHosts[];
  /** The last play of the stretch before, after which the host waits; undefined for the first stretch. */
  readonly after: number | undefined;
  /** True for the last stretch. */
  readonly final: boolean;
}

/** Return the stretches of each host. Hosts that have the same plays share them: a large fleet has many. */
function stretchesByHost(plays: readonly PlayHosts[]): ReadonlyMap<string, readonly Stretch[]> {
  const mine = new Map<string, string>();
  for (const [position, { hosts }] of plays.entries())
    for (const { name } of hosts) mine.set(name, `${mine.get(name) ?? ""} ${position}`);
  const known = new Map<string, readonly Stretch[]>();
  const found = new Map<string, readonly Stretch[]>();
  for (const [name, positions] of mine) {
    let stretches = known.get(positions);
    if (stretches === undefined) {
      stretches = stretchesOf(
        positions
          .trim()
          .split(" ")
          .map((position) => plays[Number(position)]!),
      );
      known.set(positions, stretches);
    }
    found.set(name, stretches);
  }
  return found;
}

function stretchesOf(mine: readonly PlayHosts[]): readonly Stretch[] {
  const stretches: Stretch[] = [];
  let current: PlayHosts[] = [];
  for (const [position, entry] of mine.entries()) {
    current.push(entry);
    const next = mine[position + 1];
    if (next !== undefined && !waitsBetween(entry.play, next.play)) continue;
    const after = stretches.at(-1)?.plays.at(-1)?.index;
    stretches.push({ plays: current, after, final: next === undefined });
    current = [];
  }
  return stretches;
}

async function work(
  session: HostSession,
  { plays, after, final }: Stretch,
  place: Place,
  { playMs, graceMs }: Limits,
): Promise<void> {
  await place.take();
  if (after === undefined) session.begin(place);
  else session.goOn(after);
  for (const { index, play } of plays) {
    const limitMs = play.timeout === undefined ? playMs : play.timeout * 1_000;
    if (limitMs !== undefined) session.limit({ index, name: play.name, limitMs, graceMs });
    await session.playEnd(index);
  }
  if (final) await session.end;
  place.leave();
}

/** Put the hosts of a play in the order they begin; `shuffle` gives the same order for the same seed and hosts. */
export function orderHosts(
  hosts: readonly Host[],
  order: PlayOrder = "inventory",
  seed = "",
): readonly Host[] {
  switch (order) {
    case "inventory":
      return hosts;
    case "reverse_inventory":
      return [...hosts].reverse();
    case "sorted":
      return [...hosts].sort(byName);
    case "reverse_sorted":
      return [...hosts].sort(byName).reverse();
    case "shuffle":
      return shuffle(hosts, seed);
  }
}

/** Split hosts into batches, as Ansible's `serial` does; without sizes into one. */
export function splitBatches<T>(
  hosts: readonly T[],
  serial?: BatchSize | readonly BatchSize[],
): readonly (readonly T[])[] {
  if (hosts.length === 0) return [];
  const sizes = serial === undefined ? [] : typeof serial === "object" ? serial : [serial];
  const batches: (readonly T[])[] = [];
  let from = 0;
  while (from < hosts.length) {
    const size = sizes[Math.min(batches.length, sizes.length - 1)];
    const count = size === undefined ? hosts.length : hostsIn(size, hosts.length);
    batches.push(hosts.slice(from, from + count));
    from += count;
  }
  return batches;
}

function hostsIn(size: BatchSize, total: number): number {
  const percentage = percentageOf(size);
  return percentage === undefined ? (size as number) : Math.max(1, Math.floor((total * percentage) / 100));
}

function byName(one: Host, other: Host): number {
  return one.name < other.name ? -1 : one.name > other.name ? 1 : 0;
}

/** Shuffle by Fisher and Yates's method. */
function shuffle<T>(values: readonly T[], seed: string): readonly T[] {
  const shuffled = [...values];
  const random = createRandom(seed);
  for (let last = shuffled.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [shuffled[last], shuffled[other]] = [shuffled[other]!, shuffled[last]!];
  }
  return shuffled;
}

/** Make numbers from 0 up to 1, the same for the same seed: a 32-bit xorshift (Marsaglia 2003), seeded with an FNV-1a hash. */
function createRandom(seed: string): () => number {
  let state = 0x811c9dc5;
  for (const byte of Buffer.from(seed)) state = Math.imul(state ^ byte, 0x01000193);
  // From 0 a xorshift gives 0 for ever.
  state = state === 0 ? 1 : state;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Counts the failed hosts of a batch, until they are too many for the run to go on. */
interface FailureLimit {
  /** Count a failed host, whose failure may be fatal by itself; returns why the run must end, once it must. */
  add(host: string, isFatal?: boolean): SerializedError | undefined;
}

/** A batch whose failures are counted. */
interface BatchOf {
  readonly play: PlaySchedule & { readonly name: string };
  /** Counted from 1. */
  readonly batch: number;
  /** Number of hosts in the batch. */
  readonly size: number;
}

const MAX_NAMES = 5;

/**
 * Count failures as Ansible does. The run ends when they exceed `maxFailPercentage`, at the first one with
 * `anyErrorsFatal`, and when a whole batch of a serial play has failed.
 */
export function limitFailures({ play, batch, size }: BatchOf): FailureLimit {
  const { serial, maxFailPercentage, anyErrorsFatal } = play;
  const failed: string[] = [];
  const why = (isFatal: boolean): string | undefined => {
    if (isFatal || anyErrorsFatal === true) return "any error is fatal there";
    if (maxFailPercentage !== undefined && failed.length * 100 > maxFailPercentage * size)
      return `more than ${maxFailPercentage} % of ${size} hosts`;
    return serial !== undefined && failed.length === size ? `all of batch ${batch}` : undefined;
  };
  return {
    add: (host, isFatal = false) => {
      failed.push(host);
      const reason = why(isFatal);
      if (reason === undefined) return undefined;
      const more = failed.length - MAX_NAMES;
      const names = `${failed.slice(0, MAX_NAMES).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
      return { code: "OTHERS_FAILED", message: `${names} failed in play "${play.name}": ${reason}` };
    },
  };
}
