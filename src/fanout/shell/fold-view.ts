import { setMaxListeners } from "node:events";
import { UNSAFE } from "../../core/values/characters.ts";
import { formatNodeSet } from "../../patterns/names.ts";
import type { TerminalSize } from "../../transport/transport.ts";
import type { HostResult } from "../exec/fan-out.ts";
import { createFold, type FoldedHosts } from "../exec/outputs.ts";
import { cutText, type WidthOf } from "./cells.ts";
import { createEmulator, type Emulator } from "./emulator.ts";
import type { Pane } from "./pane.ts";
import type { Answer } from "./question.ts";

/** The screen of fold mode: a scrollable list of answers. */
export interface FoldScreen {
  readonly emulator: Emulator;
  /** Lines scrolled back. */
  readonly offset: number;
  readonly isRunning: boolean;
  /** Run a line in hosts' shells; resolves when all have answered. */
  run(line: string, panes: readonly Pane[]): Promise<void>;
  /** Interrupt the running line. */
  cancel(): void;
  /** Scroll; positive numbers scroll back. */
  scroll(lines: number): void;
  resize(size: TerminalSize): void;
  close(): void;
}

/** Options of {@link createFoldScreen}. */
interface FoldScreenOptions extends TerminalSize {
  readonly widthOf: WidthOf;
  readonly changed: () => void;
}

const SCROLLBACK_LINES = 10_000;

/** Make a screen without answers. */
export function createFoldScreen({ widthOf, changed, ...size }: FoldScreenOptions): FoldScreen {
  const emulator = createEmulator({
    ...size,
    scrollback: SCROLLBACK_LINES,
    widthOf,
    listener: { reply: () => {}, bell: () => {}, title: () => {} },
  });
  let offset = 0;
  let running: AbortController | undefined;
  const write = async (text: string): Promise<void> => {
    await emulator.write(text.replaceAll("\n", "\r\n"));
    changed();
  };
  void write(
    "\x1b[1mFold mode\x1b[m: a line runs in every host's shell, equal answers are shown once.\n" +
      "\x1b[2mIt has no terminal and no input. PgUp and PgDn look back, Escape leaves.\x1b[m\n",
  );
  return {
    emulator,
    get offset() {
      return offset;
    },
    get isRunning() {
      return running !== undefined;
    },
    run: async (line, panes) => {
      running = new AbortController();
      offset = 0;
      try {
        await write(`\n\x1b[1m$ ${line}\x1b[m\n`);
        const start = emulator.scrollback + (emulator.position.row - 1);
        const { signal } = running;
        const progress = (waiting: readonly string[]): void => {
          const left = waiting.length === 0 ? "" : `, Ctrl-C interrupts ${formatNodeSet(waiting)}`;
          const text = cutText(
            `${panes.length - waiting.length} of ${panes.length}${left}`,
            emulator.size.columns - 1,
            widthOf,
          );
          void write(`\r${text}\x1b[K`);
        };
        await runFolded({ line, panes, progress, write: (text) => write(`\r\x1b[K${text}`), signal });
        // Start at the first answer.
        offset = Math.max(0, emulator.scrollback - start);
      } finally {
        running = undefined;
        changed();
      }
    },
    cancel: () => running?.abort(),
    scroll: (lines) => {
      offset = Math.min(emulator.scrollback, Math.max(0, offset + lines));
      changed();
    },
    resize: (next) => emulator.resize(next),
    close: () => {
      running?.abort();
      emulator.close();
    },
  };
}

/** Options of {@link runFolded}. */
interface FoldRunOptions {
  readonly line: string;
  readonly panes: readonly Pick<Pane, "name" | "ask">[];
  /** Called with the waiting hosts after each answer. */
  readonly progress: (waiting: readonly string[]) => void;
  /** Write text with terminal sequences and line feeds. */
  readonly write: (text: string) => Promise<void>;
  /** Interrupts the line on hosts where it still runs. */
  readonly signal: AbortSignal;
}

const MAX_SHOWN_BYTES = 256 * 1024;
const HEADING = "\x1b[1;36m";
const PROBLEM = "\x1b[31m";
const FAINT = "\x1b[2m";
const RESET = "\x1b[m";

/** Run a line in hosts' open shells, and write each answer once, with its hosts as heading. */
export async function runFolded({ line, panes, progress, write, signal }: FoldRunOptions): Promise<void> {
  const fold = createFold();
  const startedAt = performance.now();
  const waiting = new Set(panes.map(({ name }) => name));
  // Every host at work listens: that is no leak.
  setMaxListeners(0, signal);
  const ask = async ({ name, ask }: (typeof panes)[number]): Promise<void> => {
    const answer = await ask(line, {
      output: (chunk) => fold.listener.output(name, "stdout", chunk),
      signal,
    });
    await fold.listener.end(resultOf(name, answer, performance.now() - startedAt));
    waiting.delete(name);
    progress([...waiting]);
  };
  try {
    await Promise.all(panes.map(ask));
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    const groups = fold.groups();
    const answers = groups.length === 1 ? "1 answer" : `${groups.length} answers`;
    const many = panes.length === 1 ? "1 host" : `${panes.length} hosts`;
    await write(`${FAINT}${many}, ${answers}, ${seconds} s${RESET}\n`);
    for (const group of groups) await writeGroup(group, write);
  } finally {
    await fold.close();
  }
}

function resultOf(host: string, answer: Answer, elapsedMs: number): HostResult {
  const counts = { host, elapsedMs, stdoutBytes: 0, stderrBytes: 0 };
  if (answer.kind === "none")
    return { ...counts, outcome: "lost", exit: { kind: "lost", reason: answer.reason }, error: undefined };
  const outcome = answer.code === 0 ? "ok" : "failed";
  return { ...counts, outcome, exit: { kind: "exited", code: answer.code }, error: undefined };
}

async function writeGroup(group: FoldedHosts, write: (text: string) => Promise<void>): Promise<void> {
  const { hosts, result, stdout, stderr } = group;
  const count = hosts.length === 1 ? "" : ` (${hosts.length})`;
  const how = result.outcome === "ok" ? "" : `  ${PROBLEM}${describe(result)}`;
  await write(`\n${HEADING}${formatNodeSet(hosts)}${RESET}${count}${how}${RESET}\n`);
  for (const output of [stdout, stderr]) {
    const text = await output.text(MAX_SHOWN_BYTES);
    if (text === undefined) await write(`${FAINT}(${output.bytes} bytes are too many to show)${RESET}\n`);
    else if (text !== "") await write(`${output === stderr ? PROBLEM : ""}${plain(text)}${RESET}`);
  }
  if (stdout.bytes + stderr.bytes === 0 && result.exit?.kind === "exited")
    await write(`${FAINT}(no output)${RESET}\n`);
}

/** Remove controls from an answer, which could forge the heading of another one. */
function plain(text: string): string {
  const safe = text
    .replace(/\r\n/g, "\n")
    .replace(UNSAFE, (character) => (character === "\n" || character === "\t" ? character : ""));
  return safe.endsWith("\n") ? safe : `${safe}\n`;
}

function describe({ exit }: HostResult): string {
  if (exit?.kind === "exited") return `exit ${exit.code}`;
  return exit?.kind === "lost" ? plain(exit.reason).trim() : "";
}
