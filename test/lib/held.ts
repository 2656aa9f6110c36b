import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { PATIENCE_MS } from "./patience.ts";

/** Sockets, timers and children, counted by kind. */
export type Held = Readonly<Record<string, number>>;

/** Count what this process holds. */
export function held(): Held {
  const counts: Record<string, number> = {};
  const add = (kind: string): void => {
    counts[kind] = (counts[kind] ?? 0) + 1;
  };
  for (const kind of process.getActiveResourcesInfo())
    if (/^(?:TCP|Process|Timeout|TTY)/.test(kind)) add(kind);
  for (const fd of readdirSync("/proc/self/fd")) if (isSocket(fd)) add("socket");
  for (const task of readdirSync("/proc/self/task"))
    for (const child of readFileSync(`/proc/self/task/${task}/children`, "utf8").trim().split(" "))
      if (child !== "") add("child");
  return counts;
}

function isSocket(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
  } catch {
    // The descriptor was that of the listing.
    return false;
  }
}

/** Wait until this process holds no more than before; fail when it goes on to. `vi.waitFor` has timers of its own. */
export async function nothingMore(before: Held): Promise<void> {
  const more = (): readonly (readonly [string, number])[] =>
    Object.entries(held()).filter(([kind, count]) => count > (before[kind] ?? 0));
  for (const until = performance.now() + PATIENCE_MS; more().length > 0 && performance.now() < until; )
    await sleep(20);
  expect(more()).toEqual([]);
}
