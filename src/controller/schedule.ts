import pLimit from "p-limit";
import type { HostRun } from "./host-run.ts";
import type { PlayHosts } from "./plan.ts";

/**
 * Takes the plays in order, at most `concurrency` hosts at work at a time: a play is a barrier for the hosts of the
 * plays after it, unless it is free. A host keeps its place from one barrier to the next, because after a free play it
 * goes on by itself.
 */
export async function schedule(
  plays: readonly PlayHosts[],
  runs: ReadonlyMap<string, HostRun>,
  concurrency: number,
): Promise<void> {
  const limit = pLimit(concurrency);
  const stretches = new Map([...runs.keys()].map((host) => [host, stretchesOf(plays, host)]));
  let free: Promise<void>[] = [];
  for (const { index, play, hosts } of plays) {
    const ended = hosts.map(({ name }) => {
      const hostRun = runs.get(name)!;
      const stretch = stretches.get(name)!.find(({ first }) => first === index);
      if (stretch !== undefined) void limit(() => work(hostRun, stretch));
      return hostRun.playEnd(index);
    });
    if (play.strategy === "free") free.push(...ended);
    else {
      await Promise.all([...free, ...ended]);
      free = [];
    }
  }
  await Promise.all([...runs.values()].map((hostRun) => hostRun.end));
}

/** Plays that a host takes one after the other without waiting for word from here. */
interface Stretch {
  readonly first: number;
  readonly last: number;
  /** The last play of the stretch before, after which the host waits; undefined for its first. */
  readonly after: number | undefined;
  /** Whether nothing comes after it. */
  readonly final: boolean;
}

function stretchesOf(plays: readonly PlayHosts[], host: string): readonly Stretch[] {
  const mine = plays.filter(({ hosts }) => hosts.some(({ name }) => name === host));
  const stretches: Stretch[] = [];
  let first: number | undefined;
  for (const [position, { index, play }] of mine.entries()) {
    first ??= index;
    const final = position === mine.length - 1;
    if (play.strategy === "free" && !final) continue;
    stretches.push({ first, last: index, after: stretches.at(-1)?.last, final });
    first = undefined;
  }
  return stretches;
}

async function work(hostRun: HostRun, { last, after, final }: Stretch): Promise<void> {
  if (after === undefined) hostRun.begin();
  else hostRun.goOn(after);
  await (final ? hostRun.end : hostRun.playEnd(last));
}
