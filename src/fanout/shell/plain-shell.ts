import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Connection, RemoteExit } from "../../transport/transport.ts";
import { type FanOutHost, follow } from "../exec/fan-out.ts";
import { loginLine } from "./host-session.ts";
import { type TerminalStreams, takeTerminal } from "./screen.ts";

// A login shell on one host, on this process's terminal as it is: what `ssh HOST` does.

/** Options of {@link runPlainShell}. */
export interface PlainShellOptions extends TerminalStreams {
  readonly host: FanOutHost;
  /** Closes the shell. */
  readonly signal: AbortSignal;
}

/** The end of a plain shell. */
export type PlainShellEnd =
  /** The shell has ended; of one that a signal killed, `code` is 128 and the signal's number, as shells have it. */
  | { readonly kind: "ended"; readonly code: number }
  | { readonly kind: "lost"; readonly reason: string }
  /** The user left it with `~.`, or `signal` closed it. */
  | { readonly kind: "left" };

/** Time for the reason of a lost connection to become known. */
const CLOSING_MS = 100;
const HELP =
  "\r\n~.  end the session and leave\r\n~^Z  put this program into the background\r\n~~  send ~\r\n~?  show this\r\n(only behind Enter)\r\n";

/** Open a login shell on a host and connect the terminal to it. Fails with whatever keeps the shell from being started. */
export async function runPlainShell(options: PlainShellOptions): Promise<PlainShellEnd> {
  const { host, stdin, signal } = options;
  const connection = await host.transport.connect(host.endpoint, signal);
  try {
    return await attach(connection, options);
  } finally {
    connection.close();
    // Lets this process end.
    stdin.pause();
  }
}

async function attach(
  connection: Connection,
  { host, stdin, stdout, signal }: PlainShellOptions,
): Promise<PlainShellEnd> {
  const size = () => ({ columns: Math.max(1, stdout.columns), rows: Math.max(1, stdout.rows) });
  const shell = await connection.exec(loginLine(host.become), signal, {
    pty: { ...size(), resizable: true },
  });
  const modes = createModeWatch();
  const screen = takeTerminal({ stdin, stdout }, { enter: "", leave: modes.reset });
  let leave!: () => void;
  const left = new Promise<PlainShellEnd>((resolve) => {
    leave = () => resolve({ kind: "left" });
  });
  const suspend = (): void => {
    screen.leave();
    process.kill(process.pid, "SIGTSTP");
  };
  const escapes = createEscapes({ leave, suspend, help: () => screen.output.write(HELP) });
  const onInput = (chunk: Buffer | string): void => {
    // An earlier screen of ink's has set an encoding on stdin, which cannot be undone.
    const bytes = escapes.feed(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
    if (bytes.length > 0 && shell.stdin.writable && !shell.stdin.write(bytes)) stdin.pause();
  };
  const onDrain = (): void => void stdin.resume();
  const onResize = (): void => shell.resize?.(size().columns, size().rows);
  // After SIGSTOP and SIGCONT the terminal may have another size, and is out of raw mode.
  const onContinue = (): void => {
    screen.enter();
    onResize();
  };
  shell.stdin.on("drain", onDrain);
  stdin.on("data", onInput).on("end", leave).on("error", leave).resume();
  stdin.ref();
  stdout.on("resize", onResize);
  process.on("SIGCONT", onContinue);
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();
  try {
    const show = (chunk: Buffer): Promise<void> | undefined => {
      modes.feed(chunk);
      if (screen.output.write(chunk)) return undefined;
      return new Promise((resolve) => screen.output.once("drain", resolve));
    };
    const read = Promise.all([shell.stdout, shell.stderr].map((stream) => follow(stream, show)));
    const ended = shell.exit.then(async (exit) => {
      // Show its last output first.
      await Promise.race([read, connection.closed]);
      const reason = await Promise.race([connection.closed, sleep(CLOSING_MS, undefined, { ref: false })]);
      return endOf(exit, reason);
    });
    const end = await Promise.race([ended, left]);
    // The next line is not the host's any more.
    if (end.kind !== "ended" && !modes.isLineStart) screen.output.write("\r\n");
    return end;
  } finally {
    screen.leave();
    signal.removeEventListener("abort", leave);
    shell.stdin.off("drain", onDrain);
    stdin.off("data", onInput).off("end", leave);
    // A lost terminal may report its error later.
    if (!signal.aborted) stdin.off("error", leave);
    stdout.off("resize", onResize);
    process.off("SIGCONT", onContinue);
  }
}

function endOf(exit: RemoteExit, reason: string | undefined): PlainShellEnd {
  switch (exit.kind) {
    case "exited":
      return { kind: "ended", code: exit.code };
    case "signalled": {
      const number = (constants.signals as Readonly<Record<string, number>>)[
        `SIG${exit.signal.replace(/^SIG/, "")}`
      ];
      return { kind: "ended", code: 128 + (number ?? 0) };
    }
    case "lost":
      return { kind: "lost", reason: reason ?? exit.reason };
  }
}

interface EscapeActions {
  leave(): void;
  suspend(): void;
  help(): void;
}

const TILDE = 0x7e;
const ENTERS = [0x0d, 0x0a];

/**
 * Make the reader of ssh's escapes: behind Enter, `~.` leaves, `~^Z` suspends, `~?` helps and `~~` is a tilde; with
 * another key the tilde is sent, too. `feed` returns the bytes for the host.
 */
export function createEscapes({ leave, suspend, help }: EscapeActions): { feed(chunk: Buffer): Buffer } {
  let isLineStart = true;
  let hasTilde = false;
  const actions = new Map([
    [".".charCodeAt(0), leave],
    [0x1a, suspend],
    ["?".charCodeAt(0), help],
  ]);
  return {
    feed: (chunk) => {
      const sent: number[] = [];
      for (const byte of chunk) {
        if (hasTilde) {
          hasTilde = false;
          const action = actions.get(byte);
          if (action !== undefined) {
            action();
            // As in ssh, the next escape may follow at once.
            continue;
          }
          if (byte !== TILDE) sent.push(TILDE);
        } else if (isLineStart && byte === TILDE) {
          hasTilde = true;
          continue;
        }
        sent.push(byte);
        isLineStart = ENTERS.includes(byte);
      }
      return Buffer.from(sent);
    },
  };
}

/** Modes of terminals that a program sets and a lost connection leaves set: screens, mouse, focus and pastes. */
const WATCHED_MODES = new Set([1, 9, 47, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1047, 1049, 2004, 2026]);
const HIDES_CURSOR = 25;
const ESC = "\x1b";
const MODE_SEQUENCE = new RegExp(`${ESC}\\[\\?([\\d;]+)([hl])`, "g");
/** The longest sequence of interest. */
const TAIL_LENGTH = 32;

/** Make the watch over the modes that a host sets on the terminal; `reset` returns the text that undoes them. */
export function createModeWatch(): {
  /** False while the last output is a line that has not ended. */
  readonly isLineStart: boolean;
  feed(chunk: Buffer): void;
  reset(): string;
} {
  const set = new Set<number>();
  let isHidden = false;
  let isUsed = false;
  let tail = "";
  return {
    get isLineStart() {
      return tail === "" || tail.endsWith("\n");
    },
    feed: (chunk) => {
      const text = tail + chunk.toString("latin1");
      isUsed = true;
      let read = 0;
      for (const match of text.matchAll(MODE_SEQUENCE)) {
        read = match.index + match[0].length;
        const isSet = match[2] === "h";
        for (const mode of match[1]!.split(";").map(Number)) {
          if (mode === HIDES_CURSOR) isHidden = !isSet;
          else if (!WATCHED_MODES.has(mode)) continue;
          else if (isSet) set.add(mode);
          else set.delete(mode);
        }
      }
      // The start of a sequence whose rest comes later.
      tail = text.slice(Math.max(read, text.length - TAIL_LENGTH));
    },
    reset: () => {
      if (!isUsed) return "";
      const modes = [...set].map((mode) => `${ESC}[?${mode}l`);
      return `${isHidden ? `${ESC}[?${HIDES_CURSOR}h` : ""}${modes.join("")}${ESC}[m`;
    },
  };
}
