import { setTimeout as sleep } from "node:timers/promises";
import type { FanOutHost } from "../exec/exec-host.ts";
import { safeText, type WidthOf } from "./cells.ts";
import { createEmulator, type Emulator, type TerminalSize } from "./emulator.ts";
import { createHostSession, type HostSession } from "./host-session.ts";
import { bytesFor, type InputToken } from "./input.ts";
import { type Answer, createQuestion, MAX_TYPED_BYTES, type Question } from "./question.ts";
import { type Recording, startRecording } from "./recording.ts";

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
export interface Asker {
  /** Take output of the line. */
  output(chunk: Buffer): Promise<void> | undefined;
  readonly signal: AbortSignal;
}

/** Options of {@link createPane}. */
export interface PaneOptions extends TerminalSize {
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
