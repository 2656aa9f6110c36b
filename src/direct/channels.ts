import { isVolleyError, VolleyError } from "../core/errors.ts";
import type { RemoteProcess } from "../transport/transport.ts";

/** Processes at a time over one connection: sshd's MaxSessions is 10, and SFTP sessions count too. */
const MAX_PROCESSES = 8;

/** The channels of one connection, which sshd allows only so many of. */
export interface Channels {
  /** Starts a process once there is room. Fails as `start` does, and with `CONNECT_FAILED` where the host takes none. */
  open(start: () => Promise<RemoteProcess>): Promise<RemoteProcess>;
  /** Says that a process waits for work and may be ended when another needs its room; gives what takes that back. */
  idle(end: () => void): () => void;
}

/** Shares out a connection's channels; where the host refuses one, fewer are used from then on. */
export function createChannels(host: string): Channels {
  let most = MAX_PROCESSES;
  let used = 0;
  const waiting: (() => void)[] = [];
  const idle = new Set<() => void>();
  const makeRoom = (): void => {
    const [end] = idle;
    if (end === undefined) return;
    idle.delete(end);
    end();
  };
  const take = async (): Promise<void> => {
    while (used >= most) {
      makeRoom();
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    used++;
  };
  const release = (): void => {
    used--;
    waiting.shift()?.();
  };
  const open: Channels["open"] = async (start) => {
    for (;;) {
      await take();
      try {
        const process = await start();
        void process.exit.then(release);
        return process;
      } catch (thrown) {
        release();
        if (!isVolleyError(thrown) || thrown.code !== "CONNECT_FAILED") throw thrown;
        if (used === 0) {
          throw new VolleyError(
            "CONNECT_FAILED",
            `${host} allows no command beside SFTP: ${thrown.message}`,
            {
              cause: thrown,
              hint: "its sshd_config needs a MaxSessions of 3 or more",
            },
          );
        }
        most = used;
      }
    }
  };
  return {
    open,
    idle: (end) => {
      idle.add(end);
      // Somebody may be waiting for room already.
      if (waiting.length > 0) makeRoom();
      return () => void idle.delete(end);
    },
  };
}
