import { setTimeout as sleep } from "node:timers/promises";
import type { FanOutHost } from "../exec-host.ts";
import type { WidthOf } from "./cells.ts";
import { createEmulator, type Emulator, type TerminalSize } from "./emulator.ts";
import { bytesFor } from "./forward.ts";
import { createHostSession, type HostSession } from "./host-session.ts";
import type { InputToken } from "./input-parser.ts";
import { nameInTitle } from "./marks.ts";
import { type Recording, startRecording } from "./recording.ts";
import { safeText } from "./safe-character.ts";

/** One host: its session, its terminal, and what has been noticed of them. */
export interface Pane {
  readonly host: FanOutHost;
  readonly name: string;
  readonly session: HostSession;
  readonly emulator: Emulator;
  /** Whether a bell rang since somebody last looked. */
  bell: boolean;
  /** Lines scrolled back. */
  offset: number;
  readonly recording: Recording | undefined;
  /** The host's name as its window title has it. */
  readonly alias: string | undefined;
  /** By the clock of `performance.now`; undefined: never. */
  readonly inputAt: number | undefined;
  readonly outputAt: number | undefined;
  send(tokens: readonly InputToken[]): void;
  sendText(text: string): void;
  resize(size: TerminalSize): void;
  open(): Promise<void>;
  /** Records into a directory. Fails with `USAGE`. */
  record(directory: string): Promise<void>;
  stopRecording(): Promise<void>;
  close(): Promise<void>;
}

/** What a pane is made for. */
export interface PaneOptions extends TerminalSize {
  readonly host: FanOutHost;
  readonly scrollback: number;
  readonly widthOf: WidthOf;
  /** Something is to be seen, or has changed. */
  readonly changed: () => void;
  readonly rang: () => void;
  readonly signal: AbortSignal;
}

/** What is left over of a program that was cut off: other screen, modes, colours. */
const AFTER_LOSS = "\x1b[?1049l\x1b[!p\x1b[?1l\x1b[?2004l\x1b[?25h\x1b[m\r\n";
const CLOSE_MS = 1_000;

/** A pane whose session has not been opened yet. */
export function createPane({ host, scrollback, widthOf, changed, rang, signal, ...size }: PaneOptions): Pane {
  let recording: Recording | undefined;
  let alias: string | undefined;
  let inputAt: number | undefined;
  let outputAt: number | undefined;
  let wasOpen = false;
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
      changed,
      output: async (chunk) => {
        outputAt = performance.now();
        const written = emulator.write(chunk);
        changed();
        await Promise.all([written, recording?.output(chunk)]);
        changed();
      },
    },
    signal,
  );
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
      // A host that hangs must not keep anybody here.
      await Promise.race([session.close(), sleep(CLOSE_MS, undefined, { ref: false })]);
      await pane.stopRecording();
      emulator.close();
    },
  };
  return pane;
}
