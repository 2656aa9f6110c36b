import type { FileType, ReadSystem } from "../core/system.ts";

/** What is at a path of the host being worked on, links followed or not; null: nothing. */
export type HostLook = (path: string, follow: boolean) => FileType | null;

/** Raised by a template that asks what has not been looked at yet: what asks is begun anew once it has. */
class NeedsLook extends Error {
  override readonly name = "NeedsLook";
  readonly look: () => Promise<void>;
  constructor(path: string, look: () => Promise<void>) {
    super(`what is at ${path} of the host is known only once it has been asked`);
    this.look = look;
  }
}

/** Looks at a host that is reached over a connection, for templates, which cannot wait; `forget` between tasks. */
export function createHostLook(system: ReadSystem): { readonly look: HostLook; forget(): void } {
  const seen = new Map<string, FileType | null>();
  return {
    look: (path, follow) => {
      const key = `${follow}${path}`;
      const type = seen.get(key);
      if (type !== undefined) return type;
      throw new NeedsLook(path, async () => {
        const stat = await (follow ? system.stat(path) : system.lstat(path));
        seen.set(key, stat?.type ?? null);
      });
    },
    forget: () => seen.clear(),
  };
}

/** Does what asks templates or vars, again as long as they need what is on the host. */
export async function whenLooked<T>(work: () => T | Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (thrown) {
      if (!(thrown instanceof NeedsLook)) throw thrown;
      await thrown.look();
    }
  }
}
