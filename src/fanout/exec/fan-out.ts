import { setMaxListeners } from "node:events";
import { execOnHost, type FanOutHost, type HostResult, type PtySize } from "./exec-host.ts";
import type { CommandInput } from "./input.ts";
import { type RemoteCommand, startCommand } from "./remote-command.ts";

/** Follows a fan-out as it happens. */
export interface FanOutListener {
  start?(host: string): void;
  /** Takes what a host prints; no more is read from it while a promise given back is not settled. */
  output(host: string, stream: "stdout" | "stderr", chunk: Buffer): Promise<void> | undefined;
  /** The host's next place is taken once a promise given back is settled. */
  end(result: HostResult): Promise<void> | undefined;
}

/** What is run, and how. */
export interface FanOutOptions {
  readonly command: RemoteCommand;
  /** Environment variables of the command. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
  /** What the command gets on its stdin. Default: nothing. */
  readonly input?: CommandInput;
  /** Starts it on a terminal. Default: without. */
  readonly pty?: PtySize;
  /** How many hosts are worked on at a time. */
  readonly forks: number;
  /** For the command, once it is started. Default: none. */
  readonly timeoutMs?: number;
  readonly listener: FanOutListener;
  /** Starts no more commands and ends those that run: TERM, and KILL 5 seconds later. */
  readonly stop: AbortSignal;
  /** Waits for nothing any more. */
  readonly drop: AbortSignal;
}

/**
 * Runs a command on many hosts, some at a time, and gives how it went in the hosts' order. What goes wrong on a host is
 * in its result; rejects when the listener fails, having dropped all connections.
 */
export async function fanOut(
  hosts: readonly FanOutHost[],
  options: FanOutOptions,
): Promise<readonly HostResult[]> {
  const { command, env = {}, input, pty, forks, timeoutMs, listener, stop } = options;
  const broken = new AbortController();
  const drop = AbortSignal.any([options.drop, broken.signal]);
  // Every host at work listens: that is no leak.
  setMaxListeners(0, stop, drop);
  const { script, preamble } = startCommand(command, {
    env,
    stdinBytes: input?.bytes,
    pty: pty !== undefined,
  });
  const results: HostResult[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < hosts.length && !broken.signal.aborted; index = next++) {
      const host = hosts[index]!;
      if (!stop.aborted) listener.start?.(host.name);
      const result = await execOnHost(host, {
        script,
        preamble,
        input,
        pty,
        timeoutMs,
        output: (stream, chunk) => listener.output(host.name, stream, chunk),
        stop,
        drop,
      });
      results[index] = result;
      await listener.end(result);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(forks, hosts.length) }, work));
  } catch (thrown) {
    broken.abort();
    throw thrown;
  }
  return results;
}
