/** Bounds the bytes that are under way to or from a host. */
export interface ByteWindow {
  readonly bytes: number;
  /** Resolves when there is room; what is larger than the window has it to itself. */
  take(bytes: number): Promise<void>;
  give(bytes: number): void;
  /** Whether `take` would resolve at once. */
  hasRoom(bytes: number): boolean;
}

/** OpenSSH's own window of a channel: more than that is never under way (RFC 4254, section 5.2). */
const MAX_WINDOW_BYTES = 2 << 20;
const MIN_WINDOW_BYTES = 512 << 10;
/** For all hosts that are at work together. */
const ALL_WINDOWS_BYTES = 64 << 20;

/** The window of each host when so many are at work. */
export function windowBytes(hosts: number): number {
  return Math.max(MIN_WINDOW_BYTES, Math.min(MAX_WINDOW_BYTES, Math.floor(ALL_WINDOWS_BYTES / hosts)));
}

/** Makes a window with all its room free. Those who wait are served in their order. */
export function createWindow(bytes: number): ByteWindow {
  let free = bytes;
  const waiting: { readonly wanted: number; readonly resolve: () => void }[] = [];
  return {
    bytes,
    take: (asked) => {
      const wanted = Math.min(asked, bytes);
      if (waiting.length === 0 && free >= wanted) {
        free -= wanted;
        return Promise.resolve();
      }
      return new Promise((resolve) => waiting.push({ wanted, resolve }));
    },
    hasRoom: (asked) => waiting.length === 0 && free >= Math.min(asked, bytes),
    give: (asked) => {
      free += Math.min(asked, bytes);
      while (waiting.length > 0 && free >= waiting[0]!.wanted) {
        const { wanted, resolve } = waiting.shift()!;
        free -= wanted;
        resolve();
      }
    },
  };
}
