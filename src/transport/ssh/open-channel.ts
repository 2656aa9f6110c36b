import { setTimeout as pause } from "node:timers/promises";
import { isVolleyError } from "../../core/errors.ts";

/** How long sshd may count a session that has been closed: it frees the place after both ends have closed it. */
const FREED_MS = 1_000;
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 200;

/** How a session is opened. */
export interface OpenOptions {
  /** Whether one that is not needed gives way to it. False for that one itself: it would wait for its own end. Default: yes. */
  readonly frees?: boolean;
}

/** Opens the sessions of one connection. */
export interface Opener {
  /** Opens one; a refusal just after another was closed, or beside one that is not needed, is not taken for an answer. */
  open<T>(attempt: () => Promise<T>, options?: OpenOptions): Promise<T>;
  /** To be told when a session has been closed. */
  freed(): void;
}

/** Makes what opens sessions; `free` ends one that is not needed, and says whether there was one. */
export function createOpener(free: () => Promise<boolean>): Opener {
  let freedAt = Number.NEGATIVE_INFINITY;
  return {
    freed: () => {
      freedAt = performance.now();
    },
    open: async (attempt, { frees = true } = {}) => {
      for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(2 * wait, LONGEST_PAUSE_MS)) {
        try {
          return await attempt();
        } catch (thrown) {
          if (!isVolleyError(thrown) || thrown.code !== "SESSION_REFUSED") throw thrown;
          if (frees && (await free())) freedAt = performance.now();
          else if (performance.now() - freedAt > FREED_MS) throw thrown;
          else await pause(wait);
        }
      }
    },
  };
}

/** Whether the server refused to open a channel (RFC 4254, section 5.1), which is not what it says of a command it cannot run. */
export function isRefused(error: Error | null | undefined): boolean {
  return error instanceof Error && typeof (error as { readonly reason?: unknown }).reason === "number";
}
