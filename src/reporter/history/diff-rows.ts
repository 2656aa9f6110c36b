import { formatNodeSet } from "../../patterns/names.ts";
import { count } from "../rows/amounts.ts";
import { diffRows } from "../rows/details.ts";
import { BOLD, DIM, line, type Row, segment } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import { taskTitle } from "../rows/wording.ts";
import {
  type ChangedValue,
  type Comparison,
  type Difference,
  isEqual,
  type TaskDifference,
} from "./compare.ts";

/** Titles of the two sides, a line each. */
export interface DiffTitles {
  readonly first: string;
  readonly second: string;
  /** False where each side is a single host: its name stands in the title. */
  readonly namesHosts: boolean;
}

const INDENT = "  ";
/** Longer values are shown as a diff of their lines. */
const MAX_INLINE = 60;
const MAX_ROWS = 200;

/** Return what differs as rows, the same difference of many hosts once. */
export function differenceRows(comparison: Comparison, titles: DiffTitles): readonly Row[] {
  const { onlyFirst, onlySecond, outcomes, facts, tasks, compared } = comparison;
  return [
    line(safeLine(`--- ${titles.first}`), { color: "red" }),
    line(safeLine(`+++ ${titles.second}`), { color: "green" }),
    ...onlyRows("only in the first", onlyFirst),
    ...onlyRows("only in the second", onlySecond),
    ...section("end", outcomes),
    ...section("facts", facts),
    ...runsOfAlike(tasks).flatMap(alikeRows),
    line(""),
    isEqual(comparison)
      ? line(`no difference in ${count(compared.results, "result")} on ${count(compared.hosts, "host")}`, {
          ...{ color: "green", bold: true },
        })
      : line(totalText(comparison, titles.namesHosts), BOLD),
  ];

  function section(title: string, differences: readonly Difference[]): readonly Row[] {
    return differences.length === 0
      ? []
      : [line(""), line(title, BOLD), ...differences.flatMap(differenceOf)];
  }

  function alikeRows(alike: readonly TaskDifference[]): readonly Row[] {
    return [
      line(""),
      ...alike.map(
        ({ task, only }): Row => [
          segment(taskTitle(task), BOLD),
          ...(task.handler === true ? [segment(" (handler)", DIM)] : []),
          ...(only === undefined ? [] : [segment(`  only in the ${only}`, { color: "cyan" })]),
        ],
      ),
      ...alike[0]!.differences.flatMap(differenceOf),
    ];
  }

  function differenceOf({ hosts, values }: Difference): readonly Row[] {
    return [
      ...(titles.namesHosts
        ? [
            [
              segment(`${INDENT}${safeLine(formatNodeSet(hosts))}`),
              ...(hosts.length === 1 ? [] : [segment(`  ${count(hosts.length, "host")}`, DIM)]),
            ],
          ]
        : []),
      ...values.flatMap(valueRows).map((row): Row => [segment(INDENT + INDENT), ...row]),
    ];
  }
}

/** Put tasks that follow each other and differ alike together: a second run has many that were changed and now are not. */
function runsOfAlike(tasks: readonly TaskDifference[]): readonly (readonly TaskDifference[])[] {
  const runs: TaskDifference[][] = [];
  let last: string | undefined;
  for (const task of tasks) {
    const key = JSON.stringify([task.only, task.differences]);
    if (key === last) runs.at(-1)!.push(task);
    else runs.push([task]);
    last = key;
  }
  return runs;
}

function onlyRows(title: string, hosts: readonly string[]): readonly Row[] {
  return hosts.length === 0
    ? []
    : [
        line(""),
        [
          segment(`${title}: `, { color: "cyan" }),
          segment(safeLine(formatNodeSet(hosts))),
          segment(`  ${count(hosts.length, "host")}`, DIM),
        ],
      ];
}

function valueRows({ name, before, after }: ChangedValue): readonly Row[] {
  const isShort = [before, after].every(
    (text) => text === undefined || (text.length <= MAX_INLINE && !/\n./.test(text)),
  );
  if (!isShort && before !== undefined && after !== undefined)
    return [
      line(`${safeLine(name)}:`),
      ...diffRows([{ path: name, before, after }], { maxRows: MAX_ROWS }).slice(2),
    ];
  const shown = (text: string | undefined): string => {
    if (text === undefined) return "(none)";
    return text === "" ? "(empty)" : safeLine(text.replace(/\n$/, "").replace(/\n[\s\S]*/, " …"));
  };
  return [
    [
      segment(`${safeLine(name)}: `),
      segment(shown(before), { color: "red" }),
      segment(" -> ", DIM),
      segment(shown(after), { color: "green" }),
    ],
  ];
}

/** Return the last line: what differs, of how much. */
function totalText({ tasks, outcomes, facts, compared }: Comparison, namesHosts: boolean): string {
  const all = [...tasks.flatMap(({ differences }) => differences), ...outcomes, ...facts];
  const hosts = new Set(all.flatMap((difference) => difference.hosts));
  const titles = new Set(tasks.map(({ task }) => `${task.play} ${taskTitle(task)}`));
  const where = namesHosts ? ` on ${count(hosts.size, "host")}` : "";
  const scope = namesHosts ? ` on ${count(compared.hosts, "host")}` : "";
  const verb = titles.size === 1 ? "differs" : "differ";
  return `${count(titles.size, "task")} ${verb}${where}; ${count(compared.results, "result")}${scope} compared`;
}
