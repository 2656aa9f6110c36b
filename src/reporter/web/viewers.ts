import type { Writable } from "node:stream";

/** The changes of the page that is shown now. */
export interface Changes {
  /** Counts the pages: a viewer of another one loads its page anew. */
  readonly page: number;
  readonly version: number;
  /** Return the changes after a version as one line of text; undefined where there are none. */
  since(version: number): string | undefined;
}

/**
 * The pages that are open: streams of server-sent events. A viewer that is slower than the run is sent nothing until it
 * has taken what it was sent, and then all that it lacks at once. So at most one text waits for each.
 */
export interface Viewers {
  readonly size: number;
  /** Add the viewer whose page has this version, and send what it lacks. */
  add(stream: Writable, page: number, version: number): void;
  /** Send everybody what they lack. */
  bring(): void;
  /** Let everybody load the page anew. */
  reload(): void;
  /** Send everybody the last changes and the end; resolve once all have taken them or loaded the page anew, or after `limitMs`. */
  close(limitMs: number): Promise<void>;
}

interface Viewer {
  readonly stream: Writable;
  readonly page: number;
  version: number;
}

/** Start without viewers. */
export function openViewers(changes: () => Changes): Viewers {
  const viewers = new Set<Viewer>();

  const bringTo = (viewer: Viewer): void => {
    const { page, version, since } = changes();
    if (viewer.stream.writableNeedDrain || viewer.page !== page || viewer.version >= version) return;
    const text = since(viewer.version);
    viewer.version = version;
    if (text !== undefined) viewer.stream.write(`id: ${page}.${version}\ndata: ${text}\n\n`);
  };
  const end = async (viewer: Viewer): Promise<void> => {
    const { stream } = viewer;
    if (viewer.page !== changes().page) {
      // The viewer is loading the page anew, and closes the stream once the new one is there.
      await new Promise((resolve) => stream.once("close", resolve));
      return;
    }
    if (stream.writableNeedDrain)
      await new Promise((resolve) => stream.once("drain", resolve).once("close", resolve));
    bringTo(viewer);
    await new Promise<void>((resolve) => {
      stream.once("close", resolve).end("event: over\ndata:\n\n", resolve);
    });
  };
  const endAll = async (): Promise<void> => {
    const told = new Set<Viewer>();
    for (let rest = [...viewers]; rest.length > 0; rest = [...viewers].filter((each) => !told.has(each))) {
      for (const each of rest) told.add(each);
      // A page that is loaded meanwhile is a viewer of its own.
      await Promise.all(rest.map(end));
    }
  };

  return {
    get size() {
      return viewers.size;
    },
    add(stream, page, version) {
      const viewer = { stream, page, version: Number.isInteger(version) ? version : 0 };
      const remove = (): void => void viewers.delete(viewer);
      viewers.add(viewer);
      stream.on("close", remove).on("error", remove);
      if (page === changes().page) bringTo(viewer);
      else stream.write(RELOAD);
    },
    bring() {
      for (const viewer of viewers) bringTo(viewer);
    },
    reload() {
      for (const { stream } of viewers) stream.write(RELOAD);
    },
    async close(limitMs) {
      await new Promise<void>((resolve) => {
        const limit = setTimeout(resolve, limitMs);
        void endAll().finally(() => {
          clearTimeout(limit);
          resolve();
        });
      });
    },
  };
}

const RELOAD = "event: reload\ndata:\n\n";
