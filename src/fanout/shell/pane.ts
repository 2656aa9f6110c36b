import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { StringDecoder } from "node:string_decoder";
import { setTimeout as sleep } from "node:timers/promises";
import { VolleyError } from "../../core/errors.ts";
import { makeDirectories } from "../../system/directories.ts";
import type { TerminalSize } from "../../transport/transport.ts";
import type { FanOutHost } from "../exec/fan-out.ts";
import { fileNameOf } from "../exec/outputs.ts";
import { safeText, type WidthOf } from "./cells.ts";
import { createEmulator, type Emulator } from "./emulator.ts";
import { createHostSession, type HostSession } from "./host-session.ts";
import { bytesFor, type InputToken } from "./input.ts";
import { type Answer, createQuestion, MAX_TYPED_BYTES, type Question } from "./question.ts";

// A host's pane, and the recording of its terminal.

/** A host's session, terminal and marks. */
export interface Pane {
  readonly host: FanOutHost;
  readonly name: string;
  readonly session: HostSession;
  readonly emulator: Emulator;
  /** True when a bell rang since the pane last had the focus or input. */
  bell: boolean;
  /** Lines scrolled back. */
  offset: number;
  readonly recording: Recording | undefined;
  /** The host's name in its window title. */
  readonly alias: string | undefined;
  /** Time of the last input by `performance.now`; undefined for never. */
  readonly inputAt: number | undefined;
  readonly outputAt: number | undefined;
  send(tokens: readonly InputToken[]): void;
  sendText(text: string): void;
  /** Run a line in the shell, one at a time. Aborting interrupts it. */
  ask(line: string, asker: Asker): Promise<Answer>;
  resize(size: TerminalSize): void;
  open(): Promise<void>;
  /** Record into a directory. Fails with `USAGE`. */
  record(directory: string): Promise<void>;
  stopRecording(): Promise<void>;
  close(): Promise<void>;
}

/** Receives the output of a line, and may interrupt it. */
interface Asker {
  /** Take output of the line. */
  output(chunk: Buffer): Promise<void> | undefined;
  readonly signal: AbortSignal;
}

/** Options of {@link createPane}. */
interface PaneOptions extends TerminalSize {
  readonly host: FanOutHost;
  readonly scrollback: number;
  readonly widthOf: WidthOf;
  /** Called after every visible change. */
  readonly changed: () => void;
  readonly rang: () => void;
  readonly signal: AbortSignal;
}

/** Resets screen, modes and colours of a program that was cut off. */
const AFTER_LOSS = "\x1b[?1049l\x1b[!p\x1b[?1l\x1b[?2004l\x1b[?25h\x1b[m\r\n";
const CLOSE_MS = 1_000;
const ENTER = "\r";
/** Clears the line: to its end, a blank, kill the line. Without the blank, an empty line would ring the bell. */
const CLEAR_LINE = "\x05 \x15";
const INTERRUPT = "\x03";

/** Make a pane, whose session is not open yet. */
export function createPane({ host, scrollback, widthOf, changed, rang, signal, ...size }: PaneOptions): Pane {
  let recording: Recording | undefined;
  let alias: string | undefined;
  let inputAt: number | undefined;
  let outputAt: number | undefined;
  let wasOpen = false;
  let question: Question | undefined;
  const emulator = createEmulator({
    ...size,
    scrollback,
    widthOf,
    listener: {
      reply: (text) => session.write(text),
      bell: () => {
        pane.bell = true;
        rang();
      },
      title: (text) => {
        alias = nameInTitle(safeText(text)) ?? alias;
      },
    },
  });
  const session = createHostSession(
    host,
    {
      changed: () => {
        if (session.state.kind === "ended")
          question?.giveUp(`its shell has ended with it: ${session.state.how}`);
        if (session.state.kind === "dropped") question?.giveUp(session.state.reason);
        changed();
      },
      output: async (chunk) => {
        outputAt = performance.now();
        await show(question === undefined ? chunk : await question.take(chunk));
      },
    },
    signal,
  );
  const show = async (bytes: Buffer): Promise<void> => {
    const written = emulator.write(bytes);
    changed();
    await Promise.all([written, recording?.output(bytes)]);
    changed();
  };
  const pane: Pane = {
    host,
    name: host.name,
    session,
    emulator,
    bell: false,
    offset: 0,
    get recording() {
      return recording;
    },
    get alias() {
      return alias;
    },
    get inputAt() {
      return inputAt;
    },
    get outputAt() {
      return outputAt;
    },
    send: (tokens) => {
      inputAt = performance.now();
      pane.bell = false;
      pane.offset = 0;
      session.write(bytesFor(tokens, emulator.modes));
    },
    sendText: (text) => {
      inputAt = performance.now();
      pane.bell = false;
      pane.offset = 0;
      session.write(text);
    },
    ask: async (line, { output, signal }) => {
      if (emulator.isAlternate) return { kind: "none", reason: "a program has its whole screen" };
      const asked = createQuestion(line, { output, show: (held) => void show(held) });
      const typed = Buffer.from(asked.typed);
      const interrupt = (): void => {
        session.write(INTERRUPT);
        asked.giveUp(asked.hasBegun ? "interrupted" : "its shell has not taken the line: what runs there?");
      };
      question = asked;
      if (emulator.modes.bracketedPaste) {
        pane.sendText(CLEAR_LINE);
        pane.send([{ kind: "paste", bytes: typed }]);
        pane.sendText(ENTER);
      } else if (typed.length > MAX_TYPED_BYTES) asked.giveUp("the line is too long for its terminal");
      else pane.sendText(`${CLEAR_LINE}${asked.typed}${ENTER}`);
      signal.addEventListener("abort", interrupt, { once: true });
      try {
        return await asked.answer;
      } finally {
        signal.removeEventListener("abort", interrupt);
        question = undefined;
      }
    },
    resize: (next) => {
      if (next.columns === emulator.size.columns && next.rows === emulator.size.rows) return;
      emulator.resize(next);
      session.resize(next);
      recording?.resize(next);
    },
    open: async () => {
      if (wasOpen) await emulator.write(AFTER_LOSS);
      [inputAt, outputAt] = [undefined, undefined];
      await session.open(emulator.size);
      wasOpen ||= session.state.kind === "open";
    },
    record: async (directory) => {
      recording ??= await startRecording({ host: host.name, directory, ...emulator.size });
    },
    stopRecording: async () => {
      const closing = recording;
      recording = undefined;
      await closing?.close();
    },
    close: async () => {
      // A hanging host must not delay the end.
      await Promise.race([session.close(), sleep(CLOSE_MS, undefined, { ref: false })]);
      await pane.stopRecording();
      emulator.close();
    },
  };
  return pane;
}

/** Return the host's name in a window title of a shell: `deploy@web1: ~`. */
export function nameInTitle(title: string): string | undefined {
  return /@([\w-][\w.-]*)/.exec(title)?.[1];
}

/** A recording of a host's terminal. */
interface Recording {
  readonly path: string;
  /** Record a chunk; resolves when it is written. */
  output(chunk: Buffer): Promise<void>;
  resize(size: TerminalSize): void;
  /** Close the recording; rejects when a part could not be written. */
  close(): Promise<void>;
}

/** Options of {@link startRecording}. */
interface RecordingOptions extends TerminalSize {
  readonly host: string;
  readonly directory: string;
  /** Return milliseconds since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

const MAX_TRIES = 10_000;

/**
 * Start an asciicast of version 2 (docs.asciinema.org): `HOST.cast`, or `HOST-2.cast` and so on if that exists. The
 * file holds output, not input, and only its owner can read it. Fail with `USAGE`.
 */
export async function startRecording(options: RecordingOptions): Promise<Recording> {
  const { host, directory, columns, rows, now = Date.now } = options;
  const { path, handle } = await create(directory, fileNameOf(host));
  const startedAt = now();
  const decoder = new StringDecoder("utf8");
  let writing: Promise<void> = Promise.resolve();
  let failure: unknown;
  const write = (value: unknown): void => {
    writing = writing
      .then(() => handle.appendFile(`${JSON.stringify(value)}\n`))
      .catch((thrown: unknown) => {
        failure ??= thrown;
      });
  };
  const event = (code: "o" | "r", data: string): void => write([(now() - startedAt) / 1_000, code, data]);
  write({
    version: 2,
    width: columns,
    height: rows,
    timestamp: Math.floor(startedAt / 1_000),
    title: host,
    env: { TERM: "xterm-256color" },
  });
  return {
    path,
    output: (chunk) => {
      const text = decoder.write(chunk);
      if (text !== "") event("o", text);
      return writing;
    },
    resize: (size) => event("r", `${size.columns}x${size.rows}`),
    close: async () => {
      await writing;
      await handle.close();
      if (failure !== undefined) throw failure;
    },
  };
}

async function create(
  directory: string,
  name: string,
): Promise<{ readonly path: string; readonly handle: FileHandle }> {
  try {
    makeDirectories(directory, 0o700);
    for (let number = 1; number < MAX_TRIES; number++) {
      const path = join(directory, `${name}${number === 1 ? "" : `-${number}`}.cast`);
      try {
        return { path, handle: await open(path, "ax", 0o600) };
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
      }
    }
  } catch (cause) {
    throw new VolleyError("USAGE", `cannot record in ${directory}: ${(cause as Error).message}`, { cause });
  }
  throw new VolleyError("USAGE", `cannot record in ${directory}: there are too many recordings of ${name}`);
}
