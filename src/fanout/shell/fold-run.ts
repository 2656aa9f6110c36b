import { setMaxListeners } from "node:events";
import { createFold, type FoldedHosts } from "../fold.ts";
import { formatNodeSet } from "../node-set.ts";
import type { HostResult } from "../result.ts";
import type { Pane } from "./pane.ts";
import type { Answer } from "./question.ts";

/** How a line is run on many hosts for its folded answers. */
export interface FoldRunOptions {
  readonly line: string;
  readonly panes: readonly Pick<Pane, "name" | "ask">[];
  /** The hosts that have not answered yet, after each that has. */
  readonly progress: (waiting: readonly string[]) => void;
  /** Where the answers are written, as text for a terminal that takes line feeds for line ends. */
  readonly write: (text: string) => Promise<void>;
  /** Interrupts it where it has not ended. */
  readonly signal: AbortSignal;
}

const MAX_SHOWN_BYTES = 256 * 1024;
const HEADING = "\x1b[1;36m";
const PROBLEM = "\x1b[31m";
const FAINT = "\x1b[2m";
const RESET = "\x1b[m";

/** Runs a line in the shells that hosts have open, and writes each answer once, headed by the hosts that gave it. */
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

/** An answer could otherwise forge the heading of another. */
function plain(text: string): string {
  const safe = text.replace(/\r\n/g, "\n").replace(/[^\P{C}\n\t]/gu, "");
  return safe.endsWith("\n") ? safe : `${safe}\n`;
}

function describe({ exit }: HostResult): string {
  if (exit?.kind === "exited") return `exit ${exit.code}`;
  return exit?.kind === "lost" ? plain(exit.reason).trim() : "";
}
