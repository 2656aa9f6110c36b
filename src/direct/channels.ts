import { isVolleyError, VolleyError } from "../core/errors.ts";
import { MORE_SESSIONS_HINT } from "../transport/connect-errors.ts";

/** Sessions at a time over one connection until it is known better: the MaxSessions that OpenSSH's sshd has by itself. */
const MAX_SESSIONS = 10;

/** How a session is opened. */
export interface OpenOptions {
  /** Only if there is room now: it fails with `SESSION_REFUSED` where it would have to wait. Default: it waits. */
  readonly onlyNow?: boolean;
}

/** The sessions of one connection, commands and SFTP alike, of which a server grants only so many at a time. */
export interface Channels {
  /**
   * Opens a session once there is room, in the order of asking. Fails as `start` does, and with `SESSION_REFUSED` where
   * no waiting could make room.
   */
  open<T>(start: () => Promise<T>, ended: (opened: T) => Promise<unknown>, options?: OpenOptions): Promise<T>;
  /** Says that a session is not at work and may be ended when another needs its place; gives what takes that back. */
  idle(end: () => void): () => void;
  /** Says that a session stays until the connection is closed, and can be told things; gives what takes that back. */
  hold(tell: (text: string) => void): () => void;
  /** Tells the session that stays something; nothing happens where none does. */
  tellHolder(text: string): void;
}

interface Waiter {
  go(): void;
  fail(error: VolleyError): void;
}

/**
 * Shares out a connection's sessions. A server that refuses one has told how many it grants: from then on those who
 * want more wait for a place, and what is idle makes one. `onLimit` is told how many, once.
 */
export function createChannels(host: string, onLimit: (sessions: number) => void = () => {}): Channels {
  let most = MAX_SESSIONS;
  let used = 0;
  /** Those told to end that have not ended yet. */
  let ending = 0;
  let told = false;
  /** Whether one is tried beyond what the server seems to grant. */
  let probing = false;
  const holders = new Set<(text: string) => void>();
  const waiting: Waiter[] = [];
  const idle = new Set<() => void>();

  const serve = (): void => {
    while (waiting.length > 0 && used < most) {
      used++;
      waiting.shift()!.go();
    }
    while (waiting.length > ending && idle.size > 0) {
      const [end] = idle;
      idle.delete(end!);
      ending++;
      end!();
    }
    // Nobody is going to make room: either the server grants more by now, or it never will.
    if (waiting.length > 0 && used <= holders.size && !probing) {
      probing = true;
      used++;
      waiting.shift()!.go();
    }
  };
  const release = (): void => {
    used--;
    ending = Math.max(0, ending - 1);
    serve();
  };
  const take = async ({ onlyNow = false }: OpenOptions): Promise<void> => {
    if (onlyNow && (used >= most || waiting.length > 0)) throw tooFew(host, most);
    await new Promise<void>((resolve, reject) => {
      waiting.push({ go: resolve, fail: reject });
      serve();
    });
  };
  const learn = (): void => {
    if (used > 0) most = used;
    if (told || most >= MAX_SESSIONS) return;
    told = true;
    onLimit(most);
  };
  const failAll = (error: VolleyError): void => {
    for (const waiter of waiting.splice(0)) waiter.fail(error);
  };

  return {
    open: async (start, ended, options = {}) => {
      for (;;) {
        await take(options);
        try {
          const opened = await start();
          probing = false;
          most = Math.max(most, used);
          void ended(opened).then(release);
          return opened;
        } catch (thrown) {
          used--;
          if (!isVolleyError(thrown) || thrown.code !== "SESSION_REFUSED") {
            probing = false;
            serve();
            throw thrown;
          }
          learn();
          const isHopeless = used <= holders.size;
          probing = false;
          if (isHopeless) {
            const error = tooFew(host, used);
            failAll(error);
            throw error;
          }
          if (options.onlyNow === true) throw thrown;
        }
      }
    },
    idle: (end) => {
      idle.add(end);
      // Somebody may be waiting for room already.
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
  };
}

function tooFew(host: string, sessions: number): VolleyError {
  const granted = sessions === 1 ? "one session" : `${sessions} sessions`;
  return new VolleyError(
    "SESSION_REFUSED",
    sessions === 0
      ? `${host} grants no session for a command on this connection`
      : `${host} grants ${granted} at a time on a connection, and to be worked on directly it must grant ${sessions + 1}`,
    { hint: `${MORE_SESSIONS_HINT}; or use --via bundle` },
  );
}
