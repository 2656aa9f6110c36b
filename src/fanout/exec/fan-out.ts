import { setMaxListeners } from "node:events";
import { execOnHost, type FanOutHost, type HostResult, type PtySize } from "./exec-host.ts";
import type { CommandInput } from "./input.ts";
import { type RemoteCommand, startCommand } from "./remote-command.ts";

/** Follows a fan-out. */
export interface FanOutListener {
  start?(host: string): void;
  /** Take output of a host; no more is read until a returned promise settles. */
  output(host: string, stream: "stdout" | "stderr", chunk: Buffer): Promise<void> | undefined;
  /** Take a host's result; the next host starts once a returned promise settles. */
  end(result: HostResult): Promise<void> | undefined;
}

/** The command of a fan-out, and its options. */
export interface FanOutOptions {
  readonly command: RemoteCommand;
  /** Environment variables of the command. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input of the command. Default: empty. */
  readonly input?: CommandInput;
  /** Start it on a terminal of this size. Default: no terminal. */
  readonly pty?: PtySize;
  /** Number of hosts at a time. */
  readonly forks: number;
  /** Time limit of the started command. Default: none. */
  readonly timeoutMs?: number;
  readonly listener: FanOutListener;
  /** Starts no more commands and cancels the running ones: TERM, and KILL 5 seconds later. */
  readonly cancel: AbortSignal;
  /** Closes all connections at once. */
  readonly kill: AbortSignal;
}

/**
 * Run a command on many hosts, some at a time, and return the results in the hosts' order. A host's failure is in its
 * result. When the listener fails, closes all connections and rejects.
 */
export async function fanOut(
  hosts: readonly FanOutHost[],
  options: FanOutOptions,
): Promise<readonly HostResult[]> {
  const { command, env = {}, input, pty, forks, timeoutMs, listener, cancel } = options;
  const broken = new AbortController();
  const kill = AbortSignal.any([options.kill, broken.signal]);
  // Every working host listens: that is no leak.
  setMaxListeners(0, cancel, kill);
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
      if (!cancel.aborted) listener.start?.(host.name);
      const result = await execOnHost(host, {
        script,
        preamble,
        input,
        pty,
        timeoutMs,
        output: (stream, chunk) => listener.output(host.name, stream, chunk),
        cancel,
        kill,
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
