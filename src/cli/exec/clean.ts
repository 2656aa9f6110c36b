import type { Command } from "commander";
import { VolleyError } from "../../core/errors.ts";
import { type KeptFiles, type KeptKind, listScript, parseKept, removeScript } from "../../fanout/clean.ts";
import type { HostResult } from "../../fanout/exec/fan-out.ts";
import type { FanOutTarget } from "../fan-out.ts";
import { addWorkOptions, eitherHosts, type WorkFlags } from "../options.ts";
import { onSignals } from "../terminal.ts";

interface CleanFlags extends WorkFlags {
  readonly yes?: boolean;
}

/** Add `volley clean`. */
export function addCleanCommand(program: Command): void {
  const command = program
    .command("clean [hosts]")
    .summary("remove what Volley keeps on hosts")
    .description(
      "Show what Volley keeps in an account of each host (bundles, also pulled ones, compiled code, journals of runs, runtimes), ask, and remove it. The account is the login user's, or with --become another user's. Handlers that a failed run left stay, and so do hosts with a run at work.",
    );
  addWorkOptions(command)
    .option("-y, --yes", "remove without asking")
    .addHelpText(
      "after",
      `
Exit codes: 0 all clean, 1 usage, or nothing was agreed to, 2 some host failed, 4 some host unreachable, 130 cancelled.
`,
    )
    .action(async (operand: string | undefined, flags: CleanFlags) => {
      const hosts = eitherHosts(operand, flags);
      if (hosts === undefined && flags.limit === undefined)
        throw new VolleyError("USAGE", "which hosts?", { hint: "write: volley clean all" });
      process.exitCode = await clean(hosts, flags);
    });
}

async function clean(pattern: string | undefined, flags: CleanFlags): Promise<number> {
  const [{ planFanOut }, { exitCodeOf }] = await Promise.all([
    import("../fan-out.ts"),
    import("../../fanout/exec/fan-out.ts"),
  ]);
  const plan = await planFanOut(pattern, flags);
  const directories = [
    ...new Set(plan.hosts.flatMap(({ connection: { runtime } }) => runtime?.directory ?? [])),
  ];
  const cancelled = new AbortController();
  const release = onSignals(() => cancelled.abort());
  const { targets, close } = await plan.open(cancelled.signal);
  try {
    const ask = (script: string, on: readonly FanOutTarget[]): Promise<readonly Answer[]> =>
      askHosts(on, script, { forks: flags.forks, cancel: cancelled.signal });
    const listed = await ask(listScript(directories), targets);
    const isFull = ({ kept }: Answer): boolean => kept !== undefined && kept.length > 0;
    await tell(listed, describeKept);
    const full = listed.filter(isFull);
    const failed = (answers: readonly Answer[]): number => exitCodeOf(answers.map(({ result }) => result));
    if (cancelled.signal.aborted) return 130;
    if (full.length === 0) return failed(listed);
    if (flags.yes !== true && !(await agree(full.length))) return 1;
    const removed = await ask(
      removeScript(directories),
      targets.filter(({ name }) => full.some(({ result }) => result.host === name)),
    );
    await tell(removed, ({ kept }) => (kept === undefined ? BUSY_TEXT : "removed"));
    return cancelled.signal.aborted ? 130 : failed([...listed.filter((each) => !isFull(each)), ...removed]);
  } finally {
    release();
    close();
  }
}

/** The answer of a host to a script of `fanout/clean.ts`. */
interface Answer {
  readonly result: HostResult;
  /** Undefined where a run is at work. */
  readonly kept: readonly KeptFiles[] | undefined;
  /** The end of its standard error. */
  readonly complaint: string;
}

const BUSY_TEXT = "left alone: a run is at work there, or was a minute ago";
const MAX_TEXT = 64 << 10;

async function askHosts(
  targets: readonly FanOutTarget[],
  script: string,
  { forks, cancel }: { readonly forks: number; readonly cancel: AbortSignal },
): Promise<readonly Answer[]> {
  const { fanOut } = await import("../../fanout/exec/fan-out.ts");
  const texts = { stdout: new Map<string, string>(), stderr: new Map<string, string>() };
  const results = await fanOut(targets, {
    command: { kind: "line", text: script },
    forks,
    listener: {
      output: (host, stream, chunk) => {
        const before = texts[stream].get(host) ?? "";
        texts[stream].set(host, `${before}${chunk.toString("utf8")}`.slice(-MAX_TEXT));
        return undefined;
      },
      end: () => undefined,
    },
    cancel,
    kill: cancel,
  });
  return results.map((result) => ({
    result,
    kept: parseKept(texts.stdout.get(result.host) ?? ""),
    complaint: (texts.stderr.get(result.host) ?? "").trim().split("\n").at(-1) ?? "",
  }));
}

/** Print a line for all hosts with the same answer. */
async function tell(
  answers: readonly Answer[],
  describe: (answer: Answer) => string | Promise<string>,
): Promise<void> {
  const [{ foldNodeSet }, { safeLine }] = await Promise.all([
    import("../../patterns/names.ts"),
    import("../../reporter/rows/sanitize.ts"),
  ]);
  const byText = new Map<string, string[]>();
  for (const answer of answers) {
    const { result, complaint } = answer;
    const text =
      result.outcome === "ok"
        ? await describe(answer)
        : `${result.outcome}: ${result.error?.message ?? (complaint === "" ? "it could not be looked at" : complaint)}`;
    byText.set(text, [...(byText.get(text) ?? []), result.host]);
  }
  for (const [text, hosts] of byText)
    process.stdout.write(`${safeLine(foldNodeSet(hosts).join(","))}: ${safeLine(text)}\n`);
}

const NOUNS: Readonly<Record<KeptKind, string>> = {
  bundles: "bundle",
  compiled: "compiled script",
  pull: "pulled bundle",
  runs: "journal",
  runtimes: "runtime",
  tmp: "leftover",
};

async function describeKept({ kept }: Answer): Promise<string> {
  if (kept === undefined) return BUSY_TEXT;
  if (kept.length === 0) return "nothing is kept";
  const { count, formatBytes } = await import("../../reporter/rows/amounts.ts");
  const parts = kept.map(
    (each) => `${count(each.count, NOUNS[each.kind])} (${formatBytes(each.kib * 1_024)})`,
  );
  return parts.join(", ");
}

/** Ask the person. Fails with `USAGE` where there is nobody to ask. */
async function agree(hosts: number): Promise<boolean> {
  if (process.stdin.isTTY !== true)
    throw new VolleyError("USAGE", "nothing was removed: there is no terminal to ask at", {
      hint: "--yes removes without asking",
    });
  const { createInterface } = await import("node:readline/promises");
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(
      `Remove all of this on ${hosts === 1 ? "1 host" : `${hosts} hosts`}? [y/N] `,
    );
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}
