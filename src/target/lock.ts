import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { isRecord } from "../core/json.ts";
import { bootId, isAlive, processStart } from "../system/process-identity.ts";
import { hostDirectory } from "./run-store.ts";

/** Who holds the lock of a host. */
interface Holder {
  readonly run: string;
  /** Who started the run, from where: `ann@laptop`. */
  readonly controller: string;
  readonly pid: number;
  readonly start: string;
  readonly boot: string;
  /** ISO 8601. */
  readonly since: string;
}

/** How the lock is taken. */
export interface LockOptions {
  readonly run: string;
  readonly controller: string;
  /** How long to wait for another run to end. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
  /** Told once, when there is somebody to wait for. */
  readonly onWait: (text: string) => void;
}

const POLL_MS = 200;
/** To take a lock that others try to take too, before they are taken for its holder. */
const TRIES = 20;

/**
 * Takes the lock that keeps two runs of one user on a host apart; gives the function that releases it, or undefined
 * when another process carries out this very run. Fails with `LOCKED`, naming the holder. The lock of a process that is gone, or from before the last boot, does not count.
 */
export async function takeLock({
  run,
  controller,
  waitMs,
  signal,
  onWait,
}: LockOptions): Promise<(() => void) | undefined> {
  const file = join(hostDirectory(), "lock");
  const mine: Holder = {
    run,
    controller,
    pid: process.pid,
    start: processStart(process.pid) ?? "",
    boot: bootId(),
    since: new Date().toISOString(),
  };
  const until = Date.now() + waitMs;
  let told = false;
  for (;;) {
    const holder = tryLock(file, mine);
    if (holder === undefined) return () => release(file, mine);
    if (holder.run === run) return undefined;
    const who = `run ${holder.run} of ${holder.controller} (process ${holder.pid}, since ${holder.since})`;
    if (signal.aborted) throw new VolleyError("CANCELLED", `cancelled while waiting for ${who}`);
    if (Date.now() >= until) {
      throw new VolleyError("LOCKED", `the host is being worked on by ${who}`, {
        hint: "wait for it to end, or end it there",
      });
    }
    if (!told) onWait(`waiting for ${who}`);
    told = true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Takes the lock, or gives who holds it. */
function tryLock(file: string, mine: Holder): Holder | undefined {
  fs.mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  // Written whole under a name of its own, then linked: a lock is never seen half-written.
  const own = `${file}.${mine.pid}`;
  fs.writeFileSync(own, JSON.stringify(mine), { mode: 0o600 });
  try {
    for (let tries = 0; tries < TRIES; tries++) {
      try {
        fs.linkSync(own, file);
        return undefined;
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
      }
      const holder = readHolder(file);
      if (holder === "free") continue;
      if (holder !== "damaged" && isAlive(holder)) return holder;
      removeStale(file, own);
    }
    return { ...mine, run: "unknown", controller: "somebody" };
  } finally {
    fs.rmSync(own, { force: true });
  }
}

/**
 * Removes the lock of a process that is gone, or one that a power failure has left empty. Only who has the breaker's
 * own lock may do so, and looks again: a lock that another run has taken meanwhile is not removed.
 */
function removeStale(file: string, own: string): void {
  const breaker = `${file}-breaker`;
  try {
    fs.linkSync(own, breaker);
  } catch {
    const other = readHolder(breaker);
    // Killed amid the few lines below.
    if (other === "damaged" || (other !== "free" && !isAlive(other))) fs.rmSync(breaker, { force: true });
    return;
  }
  try {
    const holder = readHolder(file);
    if (holder === "damaged" || (holder !== "free" && !isAlive(holder))) fs.rmSync(file, { force: true });
  } finally {
    fs.rmSync(breaker, { force: true });
  }
}

function readHolder(file: string): Holder | "free" | "damaged" {
  let text: string;
  try {
    text = fs.readFileSync(file, "utf8");
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === "ENOENT" ? "free" : "damaged";
  }
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) && typeof value.pid === "number" ? (value as unknown as Holder) : "damaged";
  } catch {
    return "damaged";
  }
}

function release(file: string, mine: Holder): void {
  const holder = readHolder(file);
  if (holder !== "free" && holder !== "damaged" && holder.pid === mine.pid && holder.start === mine.start)
    fs.rmSync(file, { force: true });
}
