import { setTimeout as sleep } from "node:timers/promises";
import { isVolleyError, VolleyError } from "../core/errors.ts";
import { sessionRefused } from "./connect-errors.ts";
import type { Sessions } from "./transport.ts";

/** The MaxSessions of OpenSSH's sshd, unless its configuration has another. */
const USUAL_SESSIONS = 10;

/** Time for sshd to free the place of a session that both ends have closed, in milliseconds. */
export const FREED_MS = 1_000;
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 200;

interface Waiter {
  readonly outlived: boolean;
  go(): void;
  fail(error: unknown): void;
}

/**
 * Share out a connection's sessions. A server's first refusal tells how many it grants: from then on callers wait for a
 * place, and idle sessions make room.
 */
export function createSessions(host: string): Sessions {
  let most = Number.POSITIVE_INFINITY;
  /** The places of sessions that are open, are being opened, or were given to a caller that is about to open one. */
  let used = 0;
  let opened = 0;
  /** Sessions told to end that have not ended yet. */
  let ending = 0;
  let freedAt = Number.NEGATIVE_INFINITY;
  /** True while a session beyond the server's apparent limit is being tried. */
  let probing = false;
  const holders = new Set<(text: string) => void>();
  const waiting: Waiter[] = [];
  const idle = new Set<() => void>();
  /** The number of sessions beside one that was refused. */
  let limit = Number.POSITIVE_INFINITY;
  let tellLimit!: (sessions: number) => void;
  const limited = new Promise<number>((resolve) => {
    tellLimit = resolve;
  });

  /** Return whether no session will end before this one is opened. */
  const isStuck = ({ outlived }: Pick<Waiter, "outlived">): boolean => used <= (outlived ? holders.size : 0);
  const endIdle = (): void => {
    const [end] = idle;
    idle.delete(end!);
    ending++;
    end!();
  };
  const serve = (): void => {
    while (waiting.length > 0 && used < most) {
      used++;
      waiting.shift()!.go();
    }
    while (waiting.length > ending && idle.size > 0) endIdle();
    // No session will make room: either the server grants more by now, or it never will.
    const stuck = probing ? -1 : waiting.findIndex(isStuck);
    if (stuck < 0) return;
    probing = true;
    used++;
    waiting.splice(stuck, 1)[0]!.go();
  };
  const release = (): void => {
    used--;
    opened--;
    ending = Math.max(0, ending - 1);
    freedAt = performance.now();
    serve();
  };
  /** Wait for a place. */
  const take = (outlived: boolean, signal: AbortSignal | undefined): Promise<void> =>
    new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        waiting.splice(waiting.indexOf(waiter), 1);
        reject(new VolleyError("CANCELLED", "cancelled before it started"));
      };
      const settle = (): void => signal?.removeEventListener("abort", onAbort);
      const waiter: Waiter = {
        outlived,
        go: () => {
          settle();
          resolve();
        },
        fail: (error) => {
          settle();
          reject(error);
        },
      };
      waiting.push(waiter);
      if (signal?.aborted === true) return onAbort();
      signal?.addEventListener("abort", onAbort, { once: true });
      serve();
    });
  const learn = (isFreeing: boolean): void => {
    if (used > 0) most = used;
    if (!isFreeing) limit = most;
  };
  /** Tell the limit once no more is being asked for. */
  const tell = (): void => {
    if (used === opened && limit < USUAL_SESSIONS) tellLimit(limit);
  };

  const open: Sessions["open"] = async (start, ended, { wait = "ended", outlived = false, signal } = {}) => {
    let waits = wait === "ended";
    for (let pause = FIRST_PAUSE_MS; ; ) {
      if (wait === "nothing" && (used >= most || waiting.length > 0)) throw sessionRefused(host);
      if (waits) await take(outlived, signal);
      else used++;
      try {
        const session = await start();
        opened++;
        tell();
        probing = false;
        most = Math.max(most, opened);
        void ended(session).then(release);
        return session;
      } catch (thrown) {
        used--;
        // A session that is being opened for a later use is idle until then.
        const isFreeing = performance.now() - freedAt <= FREED_MS || (wait === "freed" && used > opened);
        if (!isVolleyError(thrown) || thrown.code !== "SESSION_REFUSED") {
          probing = false;
          serve();
          throw thrown;
        }
        if (isFreeing && wait !== "nothing" && (wait === "ended" || idle.size === 0)) {
          probing = false;
          // Until the place is free, one session more than there are is tried at a time.
          most = Math.min(most, used + 1);
          await sleep(pause);
          pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
          continue;
        }
        learn(isFreeing);
        tell();
        probing = false;
        const isHopeless = isStuck({ outlived });
        if (isHopeless)
          for (const waiter of waiting.filter(isStuck)) {
            waiting.splice(waiting.indexOf(waiter), 1);
            waiter.fail(thrown);
          }
        serve();
        if (isHopeless || wait === "nothing" || (wait === "freed" && idle.size + ending === 0)) throw thrown;
        waits = true;
      }
    }
  };
  return {
    limited,
    open,
    idle: (end) => {
      idle.add(end);
      // A caller may wait for room already.
      serve();
      return () => void idle.delete(end);
    },
    hold: (tell) => {
      holders.add(tell);
      serve();
      return () => void holders.delete(tell);
    },
    tellHolder: (text) => {
      const [tell] = holders;
      tell?.(text);
    },
    count: () => opened,
  };
}
