import type { Command } from "commander";
import { VolleyError } from "../../core/errors.ts";
import type { Side } from "../../reporter/history/compare.ts";
import type { RunHistory } from "../../reporter/history/history.ts";
import { outputOption } from "../terminal.ts";
import { terminalLook } from "./log.ts";
import { isRunName, lackOf, previousRun, readRun, selectHosts } from "./named.ts";

interface DiffFlags {
  readonly pager: boolean;
  readonly output: "auto" | "plain" | "json";
}

/** Exit code of `volley diff` when something differs; 1 is that of a wrong command line. */
const DIFFERENT = 2;

/** Add `volley diff`. */
export function addDiffCommand(program: Command): void {
  program
    .command("diff [words...]")
    .summary("show what differs between two runs, or two hosts")
    .description(
      "Show what differs between two runs, host by host, or between two hosts of a run: states, messages, errors and output of tasks, hosts, facts and ends. Times are no difference. Equal differences of many hosts are shown once.",
    )
    .usage(
      "[options]                      the latest run and the one of its playbook before\n       volley diff [options] RUN                  a run and the one of its playbook before\n       volley diff [options] RUN RUN              two runs\n       volley diff [options] HOST HOST            two hosts of the latest run\n       volley diff [options] RUN HOST HOST        two hosts of a run",
    )
    .option("--no-pager", "print, also on a terminal")
    .addOption(outputOption("how to show it: text or JSON", ["auto", "plain", "json"]))
    .addHelpText(
      "after",
      "\nRuns are named as volley log names them: by name or its beginning, @last or latest, or a file of events.\nExit codes: 0 no difference, 1 usage, 2 something differs.\n",
    )
    .action(async (words: readonly string[], flags: DiffFlags) => {
      process.exitCode = await diff(words, flags);
    });
}

/** Two sides, with the titles that the output has for them. */
interface Sides {
  readonly first: Side;
  readonly second: Side;
  readonly titles: { readonly first: string; readonly second: string; readonly namesHosts: boolean };
}

async function diff(words: readonly string[], flags: DiffFlags): Promise<number> {
  const [{ compareSides, isEqual }, { first, second, titles }] = await Promise.all([
    import("../../reporter/history/compare.ts"),
    readSides(words),
  ]);
  const comparison = compareSides(first, second);
  const exitCode = isEqual(comparison) ? 0 : DIFFERENT;
  const { showPaged } = await import("./pager.ts");
  if (flags.output === "json") {
    const { tasks, ...rest } = comparison;
    const json = {
      first: titles.first,
      second: titles.second,
      equal: exitCode === 0,
      ...rest,
      tasks: tasks.map(({ task: { play, role, name, action, handler }, ...others }) => ({
        ...{ play, role, name, action },
        ...(handler === true ? { handler } : {}),
        ...others,
      })),
    };
    await showPaged(`${JSON.stringify(json)}\n`, false);
    return exitCode;
  }
  const [{ differenceRows }, { DIM, line, paintRow }, lack, { colors }] = await Promise.all([
    import("../../reporter/history/diff-rows.ts"),
    import("../../reporter/rows/row.ts"),
    lackOf(first.history.run).then((found) => found ?? lackOf(second.history.run)),
    terminalLook(),
  ]);
  const rows = [...differenceRows(comparison, titles), ...(lack === undefined ? [] : [line(lack, DIM)])];
  await showPaged(rows.map((row) => `${paintRow(row, colors)}\n`).join(""), flags.pager);
  return exitCode;
}

async function readSides(words: readonly string[]): Promise<Sides> {
  const [first, second] = words;
  const isRun = words.map(isRunName);
  if (words.length === 0) return ofRuns(await previousRun("@last"), "@last");
  if (words.length === 1 && isRun[0]) return ofRuns(await previousRun(first!), first!);
  if (words.length === 2 && isRun[0] && isRun[1]) return ofRuns(first!, second!);
  if (words.length === 2 && !isRun[0] && !isRun[1]) return ofHosts("@last", first!, second!);
  if (words.length === 3 && isRun[0]) return ofHosts(first!, second!, words[2]!);
  throw new VolleyError("USAGE", "two runs are compared, or two hosts of one run", {
    hint: "write: volley diff RUN RUN, or volley diff RUN HOST HOST",
  });
}

async function historyOf(name: string): Promise<RunHistory> {
  const [{ run, events }, { readHistory }] = await Promise.all([
    readRun(name),
    import("../../reporter/history/history.ts"),
  ]);
  const history = readHistory(events);
  if (history.run !== "") return history;
  throw new VolleyError("USAGE", `nothing is known of run ${run}: its log is empty or gone`, {
    hint: "volley runs lists runs",
  });
}

async function ofRuns(one: string, other: string): Promise<Sides> {
  const [first, second] = await Promise.all([historyOf(one), historyOf(other)]);
  const sideOf = (history: RunHistory): Side => ({
    history,
    hosts: new Map(history.hosts.map((host) => [host, host])),
  });
  const [titleOfFirst, titleOfSecond] = await Promise.all([titleOf(first), titleOf(second)]);
  return {
    first: sideOf(first),
    second: sideOf(second),
    titles: { first: titleOfFirst, second: titleOfSecond, namesHosts: true },
  };
}

async function ofHosts(run: string, one: string, other: string): Promise<Sides> {
  const history = await historyOf(run);
  const single = async (pattern: string): Promise<string> => {
    const hosts = await selectHosts(history.hosts, pattern);
    if (hosts.length === 1) return hosts[0]!;
    throw new VolleyError("USAGE", `${pattern} is ${hosts.length} hosts: name one`);
  };
  const [first, second] = [await single(one), await single(other)];
  const sideOf = (host: string): Side => ({ history, hosts: new Map([[`${first}, ${second}`, host]]) });
  const title = await titleOf(history);
  return {
    first: sideOf(first),
    second: sideOf(second),
    titles: { first: `${first}  ${title}`, second: `${second}  ${title}`, namesHosts: false },
  };
}

async function titleOf({ run, playbook, check, hosts, startedAt, summary }: RunHistory): Promise<string> {
  const { count, formatElapsed } = await import("../../reporter/rows/amounts.ts");
  const end =
    summary === undefined
      ? "not ended"
      : `exit code ${summary.exitCode}, ${formatElapsed(summary.elapsedMs)}`;
  const started = new Date(startedAt).toLocaleString("sv");
  return `${run}  ${playbook}${check ? " (check)" : ""}, ${count(hosts.length, "host")}, ${started}, ${end}`;
}
