import { setTimeout as sleep } from "node:timers/promises";
import { isVolleyError } from "../../core/errors.ts";
import type { Channels } from "../channels.ts";
import { FREED_MS } from "../sessions.ts";
import type { RemoteProcess } from "../transport.ts";
import type { ChannelRequest } from "./protocol.ts";

// A command line that is given again asks a host for the same command again. Where that command does nothing before its
// input speaks, the background process starts it while the client still reads its playbook.

/** A session as a client asks for it. */
export type SessionRequest = Exclude<ChannelRequest["open"], { readonly is: "forward" }>;
type CommandRequest = Extract<SessionRequest, { readonly is: "command" }>;

/** Command lines that are remembered for each connection. */
const REMEMBERED = 8;
/** Time for a client to ask for what was started: a person may be typing a password. */
const UNUSED_MS = 10_000;
/** Time for what was started to end by itself once its input has ended. */
const ENDING_MS = 2_000;
/** Time between two attempts to get the session of a command that has ended. */
const FREEING_MS = 10;

/** The command that is started ahead on one connection. */
export interface Ahead {
  /** Remember that a command line asked for this command. */
  remember(words: string, command: CommandRequest): void;
  /** Open the session on which the next command is started, so that its start needs no round trip. */
  prepare(): void;
  /** Start the command that these words asked for last, unless a command waits already. */
  start(words: string): void;
  /** Take the process of a command that was started; undefined where there is none. The process of another command ends. */
  take(command: CommandRequest): Promise<RemoteProcess> | undefined;
  /** End what was started, for these words, by default for any. Resolves once all has ended. */
  end(words?: string): Promise<void>;
  /** Return whether a command that was started, and was not taken, may have a session. */
  hasSession(): boolean;
}

interface Started {
  readonly words: string;
  readonly command: string;
  readonly process: Promise<RemoteProcess>;
  readonly timer: NodeJS.Timeout;
}

/** Make an {@link Ahead} of a connection's channels. */
export function createAhead({ command: startCommand, openAhead }: Channels): Ahead {
  const remembered = new Map<string, CommandRequest>();
  let started: Started | undefined;
  const ending = new Set<Promise<void>>();
  let endedAt = Number.NEGATIVE_INFINITY;
  const drop = (): Started | undefined => {
    const dropped = started;
    started = undefined;
    clearTimeout(dropped?.timer);
    return dropped;
  };
  const end = async (words?: string): Promise<void> => {
    if (started !== undefined && (words === undefined || words === started.words)) {
      const gone = drop()!.process.then(ended, () => {});
      ending.add(gone);
      void gone.then(() => {
        ending.delete(gone);
        endedAt = performance.now();
      });
    }
    await Promise.all(ending);
  };
  return {
    remember: (words, command) => {
      remembered.delete(words);
      remembered.set(words, command);
      const [oldest] = remembered.keys();
      if (remembered.size > REMEMBERED) remembered.delete(oldest!);
    },
    prepare: () => {
      if (remembered.size > 0) void openAhead?.().catch(() => {});
    },
    start: (words) => {
      const request = remembered.get(words);
      if (request === undefined || started !== undefined) return;
      const { command, env } = request;
      const forget = (): void => {
        if (started === mine) void end();
      };
      // An answer without input, such as that the bundle is missing, is the answer of that moment only.
      const process = startCommand(command, { env, isEager: true, onExit: forget });
      const mine: Started = {
        ...{ words, process, command: JSON.stringify(request) },
        timer: setTimeout(() => void end(), UNUSED_MS).unref(),
      };
      started = mine;
      process.then(({ exit }) => exit.then(forget), forget);
    },
    take: (command) => {
      if (started?.command === JSON.stringify(command)) return drop()!.process;
      void end();
      return undefined;
    },
    end,
    hasSession: () => started !== undefined || ending.size > 0 || performance.now() - endedAt <= FREED_MS,
  };
}

/**
 * Start a command or the SFTP server on a connection, or take the process that was started ahead. `words` tell the
 * client's command line from others.
 */
export async function startOn(
  { channels, ahead }: { readonly channels: Channels; readonly ahead: Ahead },
  open: SessionRequest,
  words: string | undefined,
): Promise<RemoteProcess> {
  if (open.is === "command" && open.awaitsInput === true) {
    const started = ahead.take(open);
    if (words !== undefined) ahead.remember(words, open);
    const process = await started?.catch(() => undefined);
    if (process !== undefined) return process;
  }
  const begin = (): Promise<RemoteProcess> => {
    if (open.is === "sftp") return channels.sftp();
    const { command, env, pty } = open;
    return channels.command(command, { env, isEager: true, ...(pty === undefined ? {} : { pty }) });
  };
  for (;;) {
    try {
      return await begin();
    } catch (thrown) {
      if (!isVolleyError(thrown) || thrown.code !== "SESSION_REFUSED" || !ahead.hasSession()) throw thrown;
      // The command that was started ahead has the last session, or had it a moment ago.
      await ahead.end();
      await sleep(FREEING_MS);
    }
  }
}

/** End a process that waits for its input, by the end of the input, or else by that of its channel. */
async function ended({ stdin, stdout, stderr, exit }: RemoteProcess): Promise<void> {
  const timer = setTimeout(() => stdout.destroy(), ENDING_MS);
  stdin.end();
  for (const output of [stdout, stderr]) output.on("error", () => {}).resume();
  await exit;
  clearTimeout(timer);
}
