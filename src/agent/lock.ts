import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { VolleyError } from "../core/errors.ts";
import { isRecord } from "../core/json.ts";
import { hostDirectory } from "../system/directories.ts";
import { isAlive, machineId, thisProcess } from "../system/this-process.ts";
import type { RunPart } from "./journal.ts";
import type { Wire } from "./wire.ts";

/** A process that works on a machine by one account: a line of the lock's file. */
export interface Holder extends RunPart {
  /** Who started the run, from where: `ann@laptop`. */
  readonly controller: string;
  readonly pid: number;
  readonly start: string;
  readonly boot: string;
  /** ISO 8601. */
  readonly since: string;
  /** Whether it is the one of its run that works; the others wait for word from the controller. */
  readonly turn?: true;
}

/** How the lock is taken. */
export interface LockOptions extends RunPart {
  readonly controller: string;
  /** How long to wait for another run to end, in milliseconds; another part of the same run is waited for without a limit. */
  readonly waitMs: number;
  /** Whether to give up waiting. */
  isOver(): boolean;
  /** Told once, when there is somebody to wait for. */
  readonly onWait: (text: string) => void;
}

/** The lock of a machine, taken. */
export interface HostLock {
  /** Lets other parts of the run work, while this one waits for word from the controller; no other run. */
  lend(): Promise<void>;
  /** Waits for this part's turn, or until waiting is over. */
  takeTurn(): Promise<void>;
  release(): Promise<void>;
}

const POLL_MS = 200;
/** While another process changes the file. */
const BUSY_MS = 10;
/** After that long another process will see that this one has ended. */
const RELEASE_TRIES = 200;

/** How the lock's file begins where it lies, before the machine's name. */
export const LOCK_PREFIX = "lock-";

/**
 * Takes the lock that keeps two runs of one user on a machine apart, and lets the parts of one run work one after the
 * other. Undefined when another process carries out this very part. Fails with `LOCKED`, naming the holder. What a process
 * has left that is gone, or from before the last boot, does not count.
 *
 * Its file has a line for each process, and is replaced as a whole by whoever has the link `…-breaker`. Each machine has
 * its own, because only there can be said whether a process is alive. direct/lock.ts does the same in shell.
 */
export async function takeLock(options: LockOptions): Promise<HostLock | undefined> {
  const { run, host, controller, waitMs, isOver, onWait } = options;
  const file = join(hostDirectory(), `${LOCK_PREFIX}${machineId()}`);
  const mine: Holder = {
    run,
    host,
    controller,
    ...thisProcess(),
    since: new Date().toISOString(),
  };
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

/**
 * What waits for the controller's word: for other hosts, which may be other names of this account, so that these work
 * meanwhile. What the controller does by itself waits for no other host.
 */
export function lendingTurns(
  { waitForOthers, ask }: Pick<Wire, "waitForOthers" | "ask">,
  lock: HostLock | undefined,
): Pick<Wire, "waitForOthers" | "ask"> {
  if (lock === undefined) return { waitForOthers, ask };
  const lending = async <Word>(waiting: Promise<Word>): Promise<Word> => {
    await lock.lend();
    const word = await waiting;
    await lock.takeTurn();
    return word;
  };
  return {
    waitForOthers: (play) => lending(waitForOthers(play)),
    ask: (question) => (question.kind === "delegate" ? ask(question) : lending(ask(question))),
  };
}

/** Who is waited for, as it is told to those of a run. */
export function describeHolder({ run, host, controller, pid, since }: Holder, mine: string): string {
  return run === mine
    ? `${host}, which is the same account of the same machine (process ${pid})`
    : `run ${run} of ${controller} (process ${pid}, since ${since})`;
}

/** What is said of a machine that another run works on. */
export function lockedBy(who: string): VolleyError {
  return new VolleyError("LOCKED", `the host is being worked on by ${who}`, {
    hint: "wait for it to end, or end it there",
  });
}

/** What is said where no lock can be written. */
export function cannotLock(why: string, cause?: unknown): VolleyError {
  return new VolleyError("LOCKED", `the host's lock cannot be taken: ${why}`, { cause });
}

/** What becomes of a process's line. */
type Wish = "turn" | "lend" | "leave";

async function insist(file: string, mine: Holder, wish: Wish): Promise<void> {
  for (let tries = 0; tries < RELEASE_TRIES; tries++) {
    if ((await amend(file, mine, wish)) !== "busy") return;
    await pause(BUSY_MS);
  }
}

/** Changes a process's own line, unless another one works; `busy` when another process is at the file. */
async function amend(file: string, mine: Holder, wish: Wish): Promise<"done" | "busy" | Holder> {
  const standing = wish === "turn" ? inTheWay(others(file, mine), mine) : undefined;
  if (standing !== undefined) return standing;
  const own = `${file}.${mine.pid}-${mine.start}`;
  const breaker = `${file}-breaker`;
  try {
    fs.mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // Written whole under a name of its own, then linked: it is never seen half-written.
    fs.writeFileSync(own, encode([mine]), { mode: 0o600 });
    try {
      fs.linkSync(own, breaker);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
      // Killed amid the few lines below.
      const left = readText(breaker);
      if (left !== undefined && holdersIn(left).length === 0) fs.rmSync(breaker, { force: true });
      return "busy";
    }
    try {
      const rest = others(file, mine);
      const before = wish === "turn" ? inTheWay(rest, mine) : undefined;
      if (before !== undefined) return before;
      const lines =
        wish === "leave" ? rest : [...rest, wish === "turn" ? { ...mine, turn: true as const } : mine];
      if (lines.length === 0) fs.rmSync(file, { force: true });
      else {
        fs.writeFileSync(`${own}.new`, encode(lines), { mode: 0o600 });
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

/** Removes what may be there, where that may be done. */
function remove(path: string): void {
  try {
    fs.rmSync(path, { force: true });
  } catch {
    // Told where it was to be written.
  }
}

/** Who keeps this process from working: one of another run, or the one of its own whose turn it is, or that is its twin. */
function inTheWay(holders: readonly Holder[], { run, host }: Holder): Holder | undefined {
  return (
    holders.find((holder) => holder.run !== run) ??
    holders.find((holder) => holder.host === host) ??
    holders.find((holder) => holder.turn === true)
  );
}

function others(file: string, { pid, start }: Holder): readonly Holder[] {
  return holdersIn(readText(file) ?? "").filter((holder) => holder.pid !== pid || holder.start !== start);
}

function readText(file: string): string | undefined {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** The processes a file names that are alive; lines that a power failure has left half-written name none. */
function holdersIn(text: string): readonly Holder[] {
  return text.split("\n").flatMap((line) => {
    const holder = parseHolder(line);
    return holder !== undefined && isAlive(holder) ? [holder] : [];
  });
}

/** The process that a line names; undefined where it names none. */
export function parseHolder(line: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) && typeof value.pid === "number" && typeof value.start === "string"
      ? (value as unknown as Holder)
      : undefined;
  } catch {
    return undefined;
  }
}

function encode(holders: readonly Holder[]): string {
  return holders.map((holder) => `${JSON.stringify(holder)}\n`).join("");
}
