import { VolleyError } from "../core/errors.ts";
import { isRecord } from "../core/values/value.ts";
import { parseJsonLines } from "../system/lines.ts";
import type { ProcessIdentity } from "../system/this-process.ts";
import type { RunPart } from "./journal.ts";
import type { Wire } from "./wire.ts";

/*
 * The lock of a machine keeps two runs of one user apart, and lets the parts of one run work one after the other. Its file
 * has a line for each process, and is replaced as a whole by the process that holds the link `…-breaker`. The line of a
 * process that is gone, or from before the last boot, does not count. Each machine that shares a home has its own file,
 * because only there can be told whether a process is alive. `lock.ts` carries the protocol out in this process,
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
export type Wish = "turn" | "lend" | "leave";

/** How the lock is taken. */
export interface LockOptions extends RunPart {
  readonly controller: string;
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

/** Find the process that keeps another from working: of another run, the same part, or the one whose turn it is. */
export function inTheWay(others: readonly Holder[], { run, host }: RunPart): Holder | undefined {
  return (
    others.find((holder) => holder.run !== run) ??
    others.find((holder) => holder.host === host) ??
    others.find((holder) => holder.turn === true)
  );
}

/** The file's lines after a wish is granted. */
export function granted(others: readonly Holder[], mine: Holder, wish: Wish): readonly Holder[] {
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
export function encodeHolders(holders: readonly Holder[]): string {
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

/** The error of a machine that another run works on. */
export function lockedBy(who: string): VolleyError {
  return new VolleyError("LOCKED", `the host is being worked on by ${who}`, {
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
