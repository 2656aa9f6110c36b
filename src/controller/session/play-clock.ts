import type { HostRun } from "./host-run.ts";

/** How long hosts may take for a play. */
export interface PlayClock {
  /** For plays that do not say it themselves, in milliseconds; undefined: no limit. */
  readonly timeoutMs: number | undefined;
  /** How long a host that took too long may finish the task it is at, in milliseconds. */
  readonly graceMs: number;
}

/**
 * Ends a host that is not done with a play in time, cleanly first, then by force. Resolves when it has ended the play
 * or altogether.
 */
export async function limitPlay(
  hostRun: HostRun,
  { index, name, timeout }: { readonly index: number; readonly name: string; readonly timeout?: number },
  { timeoutMs, graceMs }: PlayClock,
): Promise<void> {
  const limitMs = timeout === undefined ? timeoutMs : timeout * 1_000;
  if (limitMs === undefined) {
    await hostRun.playEnd(index);
    return;
  }
  let force: NodeJS.Timeout | undefined;
  const expire = (): void => {
    hostRun.stop("failed", {
      code: "TIMEOUT",
      message: `${hostRun.host}: play "${name}" took longer than ${limitMs / 1_000} s`,
    });
    force = setTimeout(() => hostRun.kill(), graceMs);
  };
  const timer = setTimeout(expire, limitMs);
  await hostRun.playEnd(index);
  clearTimeout(timer);
  if (force === undefined) return;
  // It is no longer to go on, whatever it says of this play.
  await hostRun.end;
  clearTimeout(force);
}
