import { isVolleyError, VolleyError } from "../core/errors.ts";
import { MORE_SESSIONS_HINT } from "../transport/connect-errors.ts";
import { createSessions } from "../transport/sessions.ts";
import type { Connection, FileHandle, FileSession, Sessions } from "../transport/transport.ts";

/** Return the sessions of a connection for work on the host from here, whose lock stays meanwhile. Where too few are granted, the error tells how many it takes. */
export function sessionsOf(connection: Connection, host: string): Sessions {
  const sessions = connection.sessions ?? createSessions(host);
  return {
    ...sessions,
    open: (start, ended, options) =>
      sessions.open(start, ended, { ...options, outlived: true }).catch((thrown: unknown) => {
        if (!isVolleyError(thrown) || thrown.code !== "SESSION_REFUSED") throw thrown;
        throw tooFew(host, sessions.count());
      }),
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
