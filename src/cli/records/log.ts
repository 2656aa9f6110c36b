import type { Command } from "commander";
import { VolleyError } from "../../core/errors.ts";
import type { Event } from "../../core/events.ts";
import type { Result } from "../../core/result.ts";
import { outputOption } from "../terminal.ts";
import { isRunName, type LoggedRun, lackOf, readRun, selectHosts } from "./named.ts";

interface LogFlags {
  readonly failed?: boolean;
  readonly changed?: boolean;
  readonly task?: string;
  readonly verbose?: boolean;
  readonly follow?: boolean;
  readonly pager: boolean;
  readonly output: "auto" | "plain" | "json";
}

/** Add `volley log`. */
export function addLogCommand(program: Command): void {
  program
    .command("log [run] [hosts]")
    .summary("show the log of a run, equal results of many hosts once")
    .description(
      "Show the log of a run in the pager ($PAGER, else less): each task once for all hosts on which it ended alike, below it their names as a node set. Name the run as volley runs lists it, by the beginning of that name, as latest, or by a file of events (-o json). Default: the latest run of a playbook. Hosts are names, web[01-17,19], globs or ~regex; of a single host, output and differences are shown, too.",
    )
    .option("--failed", "show only what failed")
    .option("--changed", "show only what was changed; with --failed, both")
    .option("--task <glob>", "show only tasks of this name, or role : name")
    .option("-v, --verbose", "show differences, and the output of every task")
    .option("-f, --follow", "go on with the events of a run under way, a line each, until it ends")
    .option("--no-pager", "print, also on a terminal")
    .addOption(outputOption("how to show it: text, or the events as they are", ["auto", "plain", "json"]))
    .addHelpText(
      "after",
      `
Examples:
  volley log                              the latest run
  volley log latest web07                 all about one host
  volley log 20261130-15 --failed         the run that began at 15 h, its failures
  volley log @20261130-150001-123ab 'web*' --task '*nginx*'
`,
    )
    .action(async (first: string | undefined, second: string | undefined, flags: LogFlags) => {
      const [run, hosts] =
        first !== undefined && second === undefined && !isRunName(first)
          ? [undefined, first]
          : [first, second];
      await log(await readRun(run ?? "@last"), hosts, flags);
    });
}

async function log(logged: LoggedRun, pattern: string | undefined, flags: LogFlags): Promise<void> {
  const start = logged.events.find((event) => event.type === "run:start");
  if (start === undefined)
    throw new VolleyError("USAGE", `nothing is known of run ${logged.run}: its log is empty or gone`, {
      hint: "volley runs lists runs",
    });
  const hosts = new Set(await selectHosts(start.hosts, pattern));
  const wants = await resultFilter(flags);
  const isShown = (event: Event): boolean => {
    if ("host" in event && event.host !== undefined && !hosts.has(event.host)) return false;
    return wants === undefined || event.type !== "task:end" || wants(event, event.result);
  };
  if (flags.follow === true) return follow(logged, isShown, flags);
  const { showPaged } = await import("./pager.ts");
  const isPaged = flags.pager;
  if (flags.output === "json") {
    const lines = logged.events.filter(isShown).map((event) => `${JSON.stringify(event)}\n`);
    return showPaged(lines.join(""), false);
  }
  const [{ readHistory }, { logRows }, { DIM, line, paintRow }, lack, { symbols, colors }] =
    await Promise.all([
      import("../../reporter/history/history.ts"),
      import("../../reporter/history/log-rows.ts"),
      import("../../reporter/rows/row.ts"),
      lackOf(logged.run),
      terminalLook(),
    ]);
  const rows = [
    ...logRows(readHistory(logged.events), {
      symbols,
      hosts,
      ...(wants === undefined ? {} : { wants }),
      onlyBadEnds: flags.failed === true,
      details: flags.verbose === true || hosts.size === 1,
    }),
  ];
  if (lack !== undefined) rows.push(line(lack, DIM));
  await showPaged(rows.map((row) => `${paintRow(row, colors)}\n`).join(""), isPaged);
}

/** Return the signs and colours for stdout. */
export async function terminalLook() {
  const [{ ASCII_SYMBOLS, UNICODE_SYMBOLS }, { colorsWanted, unicodeWanted }] = await Promise.all([
    import("../../reporter/rows/wording.ts"),
    import("../../reporter/reporter.ts"),
  ]);
  const { stdout, env } = process;
  return {
    symbols: unicodeWanted(env) ? UNICODE_SYMBOLS : ASCII_SYMBOLS,
    colors: colorsWanted(stdout, env),
  };
}

type TaskName = { readonly role: string; readonly name: string };

/** Return the test of the flags; undefined where they let all through. */
async function resultFilter({
  failed,
  changed,
  task,
}: LogFlags): Promise<((task: TaskName, result: Result) => boolean) | undefined> {
  if (failed !== true && changed !== true && task === undefined) return undefined;
  const { matchesGlob, setGlobPieces } = await import("../../core/unix/shell.ts");
  const pieces = task === undefined ? undefined : setGlobPieces(task, "fnmatch");
  return ({ role, name }, { state }) =>
    ((failed !== true && changed !== true) ||
      (failed === true && state === "failed") ||
      (changed === true && state === "changed")) &&
    (pieces === undefined || [name, `${role} : ${name}`].some((text) => matchesGlob(pieces, text)));
}

/** Time between two looks at the file. */
const LOOK_MS = 200;

/** Print a run's events, those to come as well, until the run has ended or its controller is gone. */
async function follow(logged: LoggedRun, isShown: (event: Event) => boolean, flags: LogFlags): Promise<void> {
  const [{ createPlainReporter }, { followEvents }, { symbols, colors }] = await Promise.all([
    import("../../reporter/plain.ts"),
    import("../../controller/records/follow.ts"),
    terminalLook(),
  ]);
  const { stdout } = process;
  const reporter = createPlainReporter({
    ...{ stdout, colors, symbols, diff: flags.verbose === true },
    verbosity: flags.verbose === true ? 2 : 1,
  });
  const gone = new AbortController();
  stdout.once("error", () => gone.abort());
  for await (const event of followEvents(logged.run, logged.file, {
    everyMs: LOOK_MS,
    signal: gone.signal,
  })) {
    if (!isShown(event)) continue;
    if (flags.output === "json") stdout.write(`${JSON.stringify(event)}\n`);
    else if (event.type === "run:end") await reporter.end(event.summary);
    else reporter.event(event);
  }
  await reporter.close();
}
