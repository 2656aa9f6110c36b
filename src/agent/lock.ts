import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { VolleyError } from "../core/errors.ts";
import { hostDirectory } from "../system/directories.ts";
import { isAlive, machineId, thisProcess } from "../system/this-process.ts";
import {
  cannotLock,
  describeHolder,
  encodeHolders,
  granted,
  type Holder,
  type HostLock,
  inTheWay,
  LOCK_PREFIX,
  type LockOptions,
  lockedBy,
  parseHolders,
  type Wish,
} from "./lock-protocol.ts";

const POLL_MS = 200;
/** The pause while another process changes the file. */
const BUSY_MS = 10;
/** After so many tries other processes will find out by themselves that this one has ended. */
const RELEASE_TRIES = 200;

/**
 * Take the machine's lock for this process. Undefined when another process carries out this very part. Fails with
 * `LOCKED`, naming the holder, and with `CANCELLED` once `isOver`.
 */
export async function takeLock(options: LockOptions & { isOver(): boolean }): Promise<HostLock | undefined> {
  const { run, host, controller, waitMs, isOver, onWait } = options;
  const file = join(hostDirectory(), `${LOCK_PREFIX}${machineId()}`);
  const mine: Holder = { run, host, controller, ...thisProcess(), since: new Date().toISOString() };
  const until = Date.now() + waitMs;
  let told = false;
  for (;;) {
    const found = await amend(file, mine, "turn");
    if (found === "done") break;
    if (found !== "busy") {
      if (found.run === run && found.host === host) return undefined;
      const who = describeHolder(found, run);
      if (isOver()) throw new VolleyError("CANCELLED", `cancelled while waiting for ${who}`);
      if (found.run !== run && Date.now() >= until) throw lockedBy(who);
      if (!told) onWait(`waiting for ${who}`);
      told = true;
    }
    await pause(found === "busy" ? BUSY_MS : POLL_MS);
  }
  return {
    lend: () => insist(file, mine, "lend"),
    takeTurn: async () => {
      for (let found = await amend(file, mine, "turn"); found !== "done"; ) {
        if (isOver()) return;
        await pause(found === "busy" ? BUSY_MS : POLL_MS);
        found = await amend(file, mine, "turn");
      }
    },
    release: () => insist(file, mine, "leave"),
  };
}

async function insist(file: string, mine: Holder, wish: Wish): Promise<void> {
  for (let tries = 0; tries < RELEASE_TRIES; tries++) {
    if ((await amend(file, mine, wish)) !== "busy") return;
    await pause(BUSY_MS);
  }
}

/** Change the process's own line, unless another process is in the way; `busy` while another one changes the file. */
async function amend(file: string, mine: Holder, wish: Wish): Promise<"done" | "busy" | Holder> {
  const standing = wish === "turn" ? inTheWay(others(file, mine), mine) : undefined;
  if (standing !== undefined) return standing;
  const own = `${file}.${mine.pid}-${mine.start}`;
  const breaker = `${file}-breaker`;
  try {
    fs.mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // Written whole under a name of its own, then linked: no process sees it half-written.
    fs.writeFileSync(own, encodeHolders([mine]), { mode: 0o600 });
    try {
      fs.linkSync(own, breaker);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
      // The breaker of a process that was killed amid the few lines below.
      const left = readText(breaker);
      if (left !== undefined && !parseHolders(left).some(isAlive)) fs.rmSync(breaker, { force: true });
      return "busy";
    }
    try {
      const rest = others(file, mine);
      const before = wish === "turn" ? inTheWay(rest, mine) : undefined;
      if (before !== undefined) return before;
      const lines = granted(rest, mine, wish);
      if (lines.length === 0) fs.rmSync(file, { force: true });
      else {
        fs.writeFileSync(`${own}.new`, encodeHolders(lines), { mode: 0o600 });
        fs.renameSync(`${own}.new`, file);
      }
      return "done";
    } finally {
      fs.rmSync(breaker, { force: true });
    }
  } catch (thrown) {
    if (wish !== "turn") return "done";
    throw cannotLock((thrown as Error).message, thrown);
  } finally {
    remove(own);
    remove(`${own}.new`);
  }
}

/** Remove a file, where that is possible: a failure to write it was told already. */
function remove(path: string): void {
  try {
    fs.rmSync(path, { force: true });
  } catch {
    // See above.
  }
}

/** The other processes in the file that are alive. */
function others(file: string, { pid, start }: Holder): readonly Holder[] {
  return parseHolders(readText(file) ?? "").filter(
    (holder) => (holder.pid !== pid || holder.start !== start) && isAlive(holder),
  );
}

function readText(file: string): string | undefined {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
