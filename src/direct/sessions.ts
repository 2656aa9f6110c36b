import { isVolleyError, VolleyError } from "../core/errors.ts";
import { MORE_SESSIONS_HINT } from "../transport/connect-errors.ts";
import type { FileHandle, FileSession } from "../transport/transport.ts";

/** Sessions at a time over one connection until the server refuses one: the default MaxSessions of OpenSSH's sshd. */
const MAX_SESSIONS = 10;

/** Options for opening a session. */
export interface OpenOptions {
  /** Fail with `SESSION_REFUSED` in place of waiting for room. Default: wait. */
  readonly onlyNow?: boolean;
}

/** The sessions of one connection, commands and SFTP alike, of which a server grants only so many at a time. */
export interface Sessions {
  /**
   * Open a session once there is room, in the order of asking. Fails as `start` does, and with `SESSION_REFUSED` where
   * no waiting could make room.
   */
  open<T>(start: () => Promise<T>, ended: (opened: T) => Promise<unknown>, options?: OpenOptions): Promise<T>;
  /** Offer the place of an idle session, which `end` ends; returns the function that takes the offer back. */
  idle(end: () => void): () => void;
  /** Register a session that stays until the connection is closed, and takes text by `tell`; returns the function that unregisters it. */
  hold(tell: (text: string) => void): () => void;
  /** Send text to a session that stays, if any. */
  tellHolder(text: string): void;
}

interface Waiter {
  go(): void;
  fail(error: VolleyError): void;
}

/**
 * Share out a connection's sessions. A server's first refusal tells how many it grants: from then on callers wait for a
 * place, and idle sessions make room. `onLimit` is called once, with the number.
 */
export function createSessions(host: string, onLimit: (sessions: number) => void = () => {}): Sessions {
  let most = MAX_SESSIONS;
  let used = 0;
  /** Sessions told to end that have not ended yet. */
  let ending = 0;
  let told = false;
  /** True while a session beyond the server's apparent limit is being tried. */
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
    // No session will make room: either the server grants more by now, or it never will.
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

/**
 * Open a user's file session. An idle one with no open file gives its place to another session, and is opened again on
 * its next use. Fails as `open` does, the first time.
 */
export async function openLateFiles(
  open: () => Promise<FileSession>,
  sessions: Sessions,
): Promise<FileSession> {
  const closedOf = (session: FileSession): Promise<unknown> => session.closed;
  const first = await sessions.open(open, closedOf);
  let current: FileSession | undefined = first;
  let opening: Promise<FileSession> | undefined;
  let busy = 0;
  let isClosed = false;
  let lastClosed = first.closed;
  let wake = (): void => {};

  const rest = (): void => {
    if (busy > 0 || current === undefined || isClosed) return;
    const session = current;
    wake = sessions.idle(() => {
      wake = () => {};
      if (current === session) current = undefined;
      session.close();
    });
  };
  const again = (): Promise<FileSession> => {
    opening ??= sessions.open(open, closedOf).then(
      (session) => {
        opening = undefined;
        lastClosed = session.closed;
        if (isClosed) session.close();
        current = session;
        return session;
      },
      (thrown: unknown) => {
        opening = undefined;
        throw thrown;
      },
    );
    return opening;
  };
  const enter = (): void => {
    wake();
    wake = () => {};
    busy++;
  };
  const leave = (): void => {
    busy--;
    rest();
  };
  /** Ask an open session at once, so that requests are sent in the order of the calls. */
  const use = async <T>(ask: (session: FileSession) => Promise<T>): Promise<T> => {
    enter();
    try {
      return await (current === undefined ? again().then(ask) : ask(current));
    } finally {
      leave();
    }
  };
  rest();

  return {
    maxReadBytes: first.maxReadBytes,
    maxWriteBytes: first.maxWriteBytes,
    open: async (path, flags, attributes) => {
      // A handle is the session's: until it is closed, the session stays.
      enter();
      try {
        return await use((session) => session.open(path, flags, attributes));
      } catch (thrown) {
        leave();
        throw thrown;
      }
    },
    closeHandle: async (handle: FileHandle) => {
      try {
        await use((session) => session.closeHandle(handle));
      } finally {
        leave();
      }
    },
    read: (handle, position, length) => use((session) => session.read(handle, position, length)),
    write: (handle, position, bytes) => use((session) => session.write(handle, position, bytes)),
    stat: (path) => use((session) => session.stat(path)),
    lstat: (path) => use((session) => session.lstat(path)),
    fstat: (handle) => use((session) => session.fstat(handle)),
    setstat: (path, attributes) => use((session) => session.setstat(path, attributes)),
    fsetstat: (handle, attributes) => use((session) => session.fsetstat(handle, attributes)),
    lsetstat: (path, attributes) => use((session) => session.lsetstat(path, attributes)),
    list: (path) => use((session) => session.list(path)),
    makeDirectory: (path, attributes) => use((session) => session.makeDirectory(path, attributes)),
    removeDirectory: (path) => use((session) => session.removeDirectory(path)),
    remove: (path) => use((session) => session.remove(path)),
    rename: (from, to) => use((session) => session.rename(from, to)),
    readLink: (path) => use((session) => session.readLink(path)),
    symlink: (target, path) => use((session) => session.symlink(target, path)),
    link: (existing, path) => use((session) => session.link(existing, path)),
    realPath: (path) => use((session) => session.realPath(path)),
    expandPath: (path) => use((session) => session.expandPath(path)),
    freeSpace: (path) => use((session) => session.freeSpace(path)),
    sync: (handle) => use((session) => session.sync(handle)),
    close: () => {
      isClosed = true;
      wake();
      current?.close();
    },
    get closed() {
      return lastClosed;
    },
  };
}
