import pLimit, { type LimitFunction } from "p-limit";
import type { ControllerEvent } from "../core/events.ts";
import { waitsBetween } from "../core/play-schedule.ts";
import { orderHosts, splitBatches } from "./batches.ts";
import { limitFailures } from "./failure-limit.ts";
import type { OnceRelay } from "./once.ts";
import { createPlaces, type Place } from "./places.ts";
import type { PlayHosts } from "./plan.ts";
import type { HostRun } from "./session/host-run.ts";
import { limitPlay, type PlayClock } from "./session/play-clock.ts";

/** How the hosts of a run share their time. */
export interface ScheduleOptions {
  /** Hosts at work at a time. */
  readonly concurrency: number;
  /** What shuffled plays are shuffled by. */
  readonly seed: string;
  readonly clock: PlayClock;
  /** Is told who goes together. */
  readonly once: OnceRelay;
  emit(event: ControllerEvent): void;
}

/**
 * Takes the plays in order, at most `concurrency` hosts at work at a time: a play is a barrier for the hosts of the
 * plays after it, unless it is free. A host keeps its place from one barrier to the next, because after a free play it
 * goes on by itself; while it does not answer, or is away, the place is another's.
 */
export async function schedule(
  plays: readonly PlayHosts[],
  runs: ReadonlyMap<string, HostRun>,
  options: ScheduleOptions,
): Promise<void> {
  const { concurrency, seed, emit, once } = options;
  const places = createPlaces(concurrency);
  const parts = new Map(
    [...runs.keys()].map((host) => [host, { stretches: stretchesOf(plays, host), place: places.join() }]),
  );
  let stopped = false;
  let free: Promise<void>[] = [];

  const beginBatch = (
    { index, play }: PlayHosts,
    batch: readonly HostRun[],
    { number, throttle }: { readonly number: number; readonly throttle: LimitFunction | undefined },
  ): readonly Promise<void>[] => {
    const failures = limitFailures({ play, batch: number, size: batch.length });
    once.batch(index, batch);
    return batch.map(async (hostRun) => {
      const { stretches, place } = parts.get(hostRun.host)!;
      const stretch = stretches.find(({ plays: [first] }) => first?.index === index);
      if (stretch !== undefined) {
        const begin = (): Promise<void> => work(hostRun, stretch, { place, clock: options.clock });
        // What comes after this play is not throttled by it.
        if (throttle === undefined) void begin();
        else {
          void throttle(async () => {
            void begin();
            await hostRun.playEnd(index);
          });
        }
      }
      if (!(await hostRun.playEnd(index)) || stopped) return;
      const reason = failures.add(hostRun.host);
      if (reason === undefined) return;
      stopped = true;
      emit({ type: "play:stop", index, play: play.name, reason });
      for (const other of runs.values()) other.stop("cancelled", reason);
    });
  };

  for (const entry of plays) {
    const { index, play, hosts } = entry;
    // Whoever has failed before is in no batch.
    if (play.serial !== undefined || play.throttle !== undefined) await Promise.all(free.splice(0));
    const ordered = orderHosts(hosts, play.order, `${seed}:${index}`)
      .map(({ name }) => runs.get(name)!)
      .filter((hostRun) => !hostRun.hasEndedBefore(index));
    const batches = splitBatches(ordered, play.serial);
    const throttle = play.throttle === undefined ? undefined : pLimit(play.throttle);
    let ended: readonly Promise<void>[] = [];
    for (const [position, batch] of batches.entries()) {
      await Promise.all(ended);
      if (stopped) break;
      if ((play.serial !== undefined || play.order === "shuffle") && batch.some(({ isOver }) => !isOver)) {
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
      ended = beginBatch(entry, batch, { number: position + 1, throttle });
    }
    if (play.strategy === "free") free.push(...ended);
    else {
      await Promise.all([...free, ...ended]);
      free = [];
    }
    if (stopped) break;
  }
  await Promise.all([...runs.values()].map((hostRun) => hostRun.end));
}

/** Plays that a host takes one after the other without waiting for word from here. */
interface Stretch {
  readonly plays: readonly PlayHosts[];
  /** The last play of the stretch before, after which the host waits; undefined for its first. */
  readonly after: number | undefined;
  /** Whether nothing comes after it. */
  readonly final: boolean;
}

function stretchesOf(plays: readonly PlayHosts[], host: string): readonly Stretch[] {
  const mine = plays.filter(({ hosts }) => hosts.some(({ name }) => name === host));
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
  hostRun: HostRun,
  { plays, after, final }: Stretch,
  { place, clock }: { readonly place: Place; readonly clock: PlayClock },
): Promise<void> {
  await place.take();
  if (after === undefined) hostRun.begin(place);
  else hostRun.goOn(after);
  for (const { index, play } of plays) await limitPlay(hostRun, { index, ...play }, clock);
  if (final) await hostRun.end;
  place.leave();
}
