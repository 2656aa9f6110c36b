import type { Outcome } from "../../core/events.ts";
import type { ItemResult, Result } from "../../core/result.ts";
import type { HostTask, RecordedTask, RunHistory } from "./history.ts";

// The differences between two runs, or between two hosts: results of tasks, facts and ends, host by host.

/** A side of a comparison: a run, and the host in it that each compared host stands for. */
export interface Side {
  readonly history: RunHistory;
  /** By the name that both sides share. */
  readonly hosts: ReadonlyMap<string, string>;
}

/** A value that differs; undefined where a side has none. */
export interface ChangedValue {
  /** `state`, `message`, `error`, `rc`, `stdout`, `stderr`, `items` or `diff`; of facts the fact's name. */
  readonly name: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** Hosts on which the same differs. */
export interface Difference {
  readonly hosts: readonly string[];
  readonly values: readonly ChangedValue[];
}

/** A task that differs. */
export interface TaskDifference {
  readonly task: RecordedTask["task"];
  /** The side that alone has the task on these hosts; undefined where both have it. */
  readonly only: "first" | "second" | undefined;
  readonly differences: readonly Difference[];
}

/** The differences between two sides. */
export interface Comparison {
  /** Hosts that one side alone has. */
  readonly onlyFirst: readonly string[];
  readonly onlySecond: readonly string[];
  readonly outcomes: readonly Difference[];
  readonly facts: readonly Difference[];
  readonly tasks: readonly TaskDifference[];
  /** Number of hosts, and of results of tasks, that were compared. */
  readonly compared: { readonly hosts: number; readonly results: number };
}

/** True when nothing differs. */
export function isEqual({ onlyFirst, onlySecond, outcomes, facts, tasks }: Comparison): boolean {
  return [onlyFirst, onlySecond, outcomes, facts, tasks].every((all) => all.length === 0);
}

/** Compare the hosts that both sides have. Times are no difference. */
export function compareSides(first: Side, second: Side): Comparison {
  const shared = [...first.hosts.keys()].filter((host) => second.hosts.has(host));
  const compared = { hosts: shared.length, results: 0 };
  const fold = (
    read: (side: Side, host: string) => Readonly<Record<string, string>>,
  ): readonly Difference[] =>
    foldDifferences(
      shared.map((host) => [host, changedValues(read(first, host), read(second, host))] as const),
    );
  const secondTasks = new Map(second.history.tasks.map((task) => [task.key, task]));
  const firstKeys = new Set(first.history.tasks.map(({ key }) => key));
  const tasks = [
    ...first.history.tasks.map((task) => [task, secondTasks.get(task.key)] as const),
    ...second.history.tasks
      .filter(({ key }) => !firstKeys.has(key))
      .map((task) => [undefined, task] as const),
  ].flatMap(([before, after]): readonly TaskDifference[] => {
    const { task } = (before ?? after)!;
    const alone: Record<"first" | "second", (readonly [string, readonly ChangedValue[]])[]> = {
      ...{ first: [], second: [] },
    };
    const both: (readonly [string, readonly ChangedValue[]])[] = [];
    for (const host of shared) {
      const one = before?.hosts.get(first.hosts.get(host)!);
      const other = after?.hosts.get(second.hosts.get(host)!);
      if (one !== undefined && other !== undefined) {
        compared.results++;
        both.push([host, changedValues(valuesOf(one), valuesOf(other))]);
      } else if (one !== undefined) alone.first.push([host, changedValues(stateOf(one), {})]);
      else if (other !== undefined) alone.second.push([host, changedValues({}, stateOf(other))]);
    }
    return [
      { task, only: undefined, differences: foldDifferences(both) },
      { task, only: "first" as const, differences: foldDifferences(alone.first) },
      { task, only: "second" as const, differences: foldDifferences(alone.second) },
    ].filter(({ differences }) => differences.length > 0);
  });
  return {
    onlyFirst: [...first.hosts.keys()].filter((host) => !second.hosts.has(host)),
    onlySecond: [...second.hosts.keys()].filter((host) => !first.hosts.has(host)),
    outcomes: fold(({ history, hosts }, host) => endOf(history, hosts.get(host)!)),
    facts: fold(({ history, hosts }, host) => formatDict(history.facts.get(hosts.get(host)!) ?? {})),
    tasks,
    compared,
  };
}

function endOf({ ends }: RunHistory, host: string): Readonly<Record<string, string>> {
  const end = ends.get(host);
  if (end === undefined) return {};
  const outcome: Outcome = end.outcome;
  return { outcome, ...(end.error === undefined ? {} : { error: end.error.message }) };
}

function stateOf({ end: { result } }: HostTask): Readonly<Record<string, string>> {
  return { state: stateText(result) };
}

function stateText({ state, ignored, unknown }: Result): string {
  if (unknown === true) return "unknown";
  return ignored === true ? "ignored" : state;
}

/** Return what people see of a result. Other data of actions tell of time and place, and would always differ. */
function valuesOf({ end: { result } }: HostTask): Readonly<Record<string, string>> {
  const { message, error, data, items, diff } = result;
  const told =
    typeof data === "object" && data !== null && !Array.isArray(data)
      ? Object.fromEntries(Object.entries(data).filter(([name]) => ["rc", "stdout", "stderr"].includes(name)))
      : {};
  return {
    state: stateText(result),
    ...(message === undefined ? {} : { message }),
    ...(error === undefined ? {} : { error: error.message }),
    ...formatDict(told),
    ...(items === undefined ? {} : { items: items.map(itemText).join("\n") }),
    ...(diff === undefined || diff.length === 0
      ? {}
      : { diff: diff.map((each) => JSON.stringify(each)).join("\n") }),
  };
}

/** Return values as text; text stays as it is. */
function formatDict(dict: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(dict).map(([name, value]) => [
      name,
      typeof value === "string" ? value : (JSON.stringify(value) ?? ""),
    ]),
  );
}

function itemText({ label, state, message, error }: ItemResult): string {
  return [label, state, error?.message ?? message ?? ""].filter((text) => text !== "").join("  ");
}

function changedValues(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): readonly ChangedValue[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((name) => before[name] !== after[name])
    .map((name) => ({ name, before: before[name], after: after[name] }));
}

/** Put hosts with the same differences together, the most first; hosts without differences are left out. */
function foldDifferences(
  all: readonly (readonly [host: string, values: readonly ChangedValue[]])[],
): readonly Difference[] {
  const folded = new Map<string, { readonly hosts: string[]; readonly values: readonly ChangedValue[] }>();
  for (const [host, values] of all) {
    if (values.length === 0) continue;
    const key = JSON.stringify(values);
    const entry = folded.get(key) ?? { hosts: [], values };
    entry.hosts.push(host);
    folded.set(key, entry);
  }
  return [...folded.values()].sort((a, b) => b.hosts.length - a.hosts.length);
}
