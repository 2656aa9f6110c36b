import type { FileHandle, FileSession } from "../transport/file-session.ts";
import type { Channels } from "./channels.ts";

/**
 * A user's file session. It gives its place to another session when nothing is asked of it and no file is open, and is
 * opened again when it is next used. Fails as `open` does, the first time.
 */
export async function openLateFiles(
  open: () => Promise<FileSession>,
  channels: Channels,
): Promise<FileSession> {
  const closedOf = (session: FileSession): Promise<unknown> => session.closed;
  const first = await channels.open(open, closedOf);
  let current: FileSession | undefined = first;
  let opening: Promise<FileSession> | undefined;
  let busy = 0;
  let isClosed = false;
  let lastClosed = first.closed;
  let wake = (): void => {};

  const rest = (): void => {
    if (busy > 0 || current === undefined || isClosed) return;
    const session = current;
    wake = channels.idle(() => {
      wake = () => {};
      if (current === session) current = undefined;
      session.close();
    });
  };
  const again = (): Promise<FileSession> => {
    opening ??= channels.open(open, closedOf).then(
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
  /** Requests that are made at once are sent in order: where the session is there, it is asked at once. */
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
