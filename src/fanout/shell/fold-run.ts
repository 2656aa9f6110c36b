import type { FanOutHost } from "../exec-host.ts";
import { fanOut } from "../fan-out.ts";
import { createFold, type FoldedHosts } from "../fold.ts";
import { formatNodeSet } from "../node-set.ts";
import type { HostResult } from "../result.ts";

/** How a line is run on many hosts for its folded answers. */
export interface FoldRunOptions {
  readonly line: string;
  readonly hosts: readonly FanOutHost[];
  readonly forks: number;
  /** How many hosts are done, after each. */
  readonly progress: (done: number) => void;
  /** Where the answers are written, as text for a terminal that takes line feeds for line ends. */
  readonly write: (text: string) => Promise<void>;
  readonly signal: AbortSignal;
}

const MAX_SHOWN_BYTES = 256 * 1024;
const HEADING = "\x1b[1;36m";
const PROBLEM = "\x1b[31m";
const FAINT = "\x1b[2m";
const RESET = "\x1b[m";

/** Runs a line on hosts, without their terminals, and writes each answer once, headed by the hosts that gave it. */
export async function runFolded(options: FoldRunOptions): Promise<void> {
  const { line, hosts, forks, progress, write, signal } = options;
  const fold = createFold();
  const startedAt = performance.now();
  let done = 0;
  try {
    await fanOut(hosts, {
      command: { kind: "line", text: line },
      forks,
      stop: signal,
      drop: signal,
      listener: {
        output: fold.listener.output,
        end: async (result) => {
          await fold.listener.end(result);
          progress(++done);
        },
      },
    });
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    const groups = fold.groups();
    const answers = groups.length === 1 ? "1 answer" : `${groups.length} answers`;
    const many = hosts.length === 1 ? "1 host" : `${hosts.length} hosts`;
    await write(`${FAINT}${many}, ${answers}, ${seconds} s${RESET}\n`);
    for (const group of groups) await writeGroup(group, write);
  } finally {
    await fold.close();
  }
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
  if (stdout.bytes + stderr.bytes === 0 && result.exit !== undefined)
    await write(`${FAINT}(no output)${RESET}\n`);
}

/** An answer could otherwise forge the heading of another. */
function plain(text: string): string {
  const safe = text.replace(/\r\n/g, "\n").replace(/[^\P{C}\n\t]/gu, "");
  return safe.endsWith("\n") ? safe : `${safe}\n`;
}

function describe({ outcome, exit, error }: HostResult): string {
  if (exit?.kind === "exited") return `exit ${exit.code}`;
  if (exit?.kind === "signalled") return `killed by ${exit.signal}`;
  const reason = error?.message ?? (exit?.kind === "lost" ? exit.reason : "");
  return plain(reason === "" ? outcome : `${outcome}: ${reason}`).trim();
}
