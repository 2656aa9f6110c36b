import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { VolleyError } from "../core/errors.ts";
import { isRecord } from "../core/values/value.ts";
import { makeDirectories } from "../system/directories.ts";
import { parseJsonLines } from "../system/output.ts";
import { hostDirectory } from "../system/own-files.ts";
import { isAlive, machineId, type ProcessIdentity, thisProcess } from "../system/this-process.ts";
import type { RunPart } from "./journal.ts";
import type { Wire } from "./wire.ts";

/*
 * The lock of a machine keeps two runs of one user apart, and lets the parts of one run work one after the other. Its file
 * has a line for each process, and is replaced as a whole by the process that holds the link `…-breaker`. The line of a
 * process that is gone, or from before the last boot, does not count. Each machine that shares a home has its own file,
 * because only there can be told whether a process is alive. This file carries the protocol out in this process,
 * `direct/lock.ts` in a shell of the host.
 */

/** The start of the file's name, before the machine's. */
export const LOCK_PREFIX = "lock-";

/** A process that works on a machine by one account: a line of the file. */
export interface Holder extends RunPart, ProcessIdentity {
  /** The user and machine that started the run: `ann@laptop`. */
  readonly controller: string;
  /** ISO 8601. */
  readonly since: string;
  /** True for the one process of its run that works; the others wait for the controller. */
  readonly turn?: true;
}

/** A process's wish for its own line: to work, to let others of its run work, to be gone. */
type Wish = "turn" | "lend" | "leave";

/** How the lock is taken. */
export interface LockOptions extends RunPart {
  readonly controller: string;
  /** The lock's file. Default: the one of this account's runs on this machine. */
  readonly file?: string;
  /** The thing that is locked, in messages. Default: the host. */
  readonly locked?: string;
  /** Milliseconds to wait for another run to end. Another part of the same run is waited for without a limit. */
  readonly waitMs: number;
  /** Called once, when there is a process to wait for. */
  readonly onWait: (text: string) => void;
}

/** The lock of a machine, taken. */
export interface HostLock {
  /** Let other parts of the run work, while this one waits for the controller. No other run may. */
  lend(): Promise<void>;
  /** Wait for this part's turn, or until waiting is over. */
  takeTurn(): Promise<void>;
  release(): Promise<void>;
}

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
  const { run, host, controller, locked, waitMs, isOver, onWait } = options;
  const { file = join(hostDirectory(), `${LOCK_PREFIX}${machineId()}`) } = options;
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
      if (found.run !== run && Date.now() >= until) throw lockedBy(who, locked);
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
    makeDirectories(dirname(file), 0o700);
    // Written whole under a name of its own, then linked: no process sees it half-written.
    fs.writeFileSync(own, encodeHolders([mine]), { mode: 0o600 });
    try {
      fs.linkSync(own, breaker);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
      // The breaker of a process that was killed amid the few lines below.
      const left = readText(breaker);
      if (left !== undefined && !parseHolders(left).some(isAlive)) remove(breaker);
      return "busy";
    }
    try {
      const rest = others(file, mine);
      const before = wish === "turn" ? inTheWay(rest, mine) : undefined;
      if (before !== undefined) return before;
      const lines = granted(rest, mine, wish);
      if (lines.length === 0) remove(file);
      else {
        fs.writeFileSync(`${own}.new`, encodeHolders(lines), { mode: 0o600 });
        fs.renameSync(`${own}.new`, file);
      }
      return "done";
    } finally {
      remove(breaker);
    }
  } catch (thrown) {
    remove(`${own}.new`);
    if (wish !== "turn") return "done";
    throw cannotLock((thrown as Error).message, thrown);
  } finally {
    remove(own);
  }
}

/** Remove a file, where it is there and that is possible: a failure to write it was told already. */
function remove(path: string): void {
  try {
    fs.unlinkSync(path);
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

/** Find the process that keeps another from working: of another run, the same part, or the one whose turn it is. */
function inTheWay(others: readonly Holder[], { run, host }: RunPart): Holder | undefined {
  return (
    others.find((holder) => holder.run !== run) ??
    others.find((holder) => holder.host === host) ??
    others.find((holder) => holder.turn === true)
  );
}

/** The file's lines after a wish is granted. */
function granted(others: readonly Holder[], mine: Holder, wish: Wish): readonly Holder[] {
  switch (wish) {
    case "turn":
      return [...others, { ...mine, turn: true }];
    case "lend":
      return [...others, mine];
    case "leave":
      return others;
  }
}

/** The text of the file. */
function encodeHolders(holders: readonly Holder[]): string {
  return holders.map((holder) => `${JSON.stringify(holder)}\n`).join("");
}

/** Parse the file. Lines that a power failure has left half-written are skipped. */
export function parseHolders(text: string): readonly Holder[] {
  return parseJsonLines(text).filter(
    (value): value is Holder =>
      isRecord(value) && typeof value.pid === "number" && typeof value.start === "string",
  );
}

/** The start of a holder's line, up to the fields given: a shell compares and completes lines as text. */
export function lineStart(fields: Partial<Holder>): string {
  return JSON.stringify(fields).slice(0, -1);
}

/** The process that a part waits for, as the people of its run are told. */
export function describeHolder({ run, host, controller, pid, since }: Holder, mine: string): string {
  return run === mine
    ? `${host}, which is the same account of the same machine (process ${pid})`
    : `run ${run} of ${controller} (process ${pid}, since ${since})`;
}

/** The error of a machine, or of something else, that another run works on. */
export function lockedBy(who: string, locked = "the host"): VolleyError {
  return new VolleyError("LOCKED", `${locked} is being worked on by ${who}`, {
    hint: "wait for it to end, or end it there",
  });
}

/** The error of a host where no lock can be written. */
export function cannotLock(why: string, cause?: unknown): VolleyError {
  return new VolleyError("LOCKED", `the host's lock cannot be taken: ${why}`, { cause });
}

/**
 * Lend the turn while waiting for the controller's word about other hosts, which may be other names of this account. An
 * action that the controller performs by itself waits for no other host.
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
