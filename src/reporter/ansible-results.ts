import type { TaskRef } from "../core/events.ts";
import type { ItemResult, Result } from "../core/result.ts";
import { isRecord } from "../core/values/value.ts";
import {
  type ColorName,
  diffText,
  itemText,
  paint,
  registerDiff,
  safeText,
  sortedJson,
} from "./ansible-text.ts";

// The results of tasks, as Ansible's default output shows them.

/** The numbers of a host in the recap. */
export interface Stats {
  ok: number;
  changed: number;
  unreachable: number;
  failed: number;
  skipped: number;
  rescued: number;
  ignored: number;
}

/** Start at nothing. */
export function noStats(): Stats {
  return { ok: 0, changed: 0, unreachable: 0, failed: 0, skipped: 0, rescued: 0, ignored: 0 };
}

/** The way results are shown. */
export interface ResultStyle {
  readonly colors: boolean;
  readonly verbosity: number;
  readonly diff: boolean;
  readonly showsSkipped: boolean;
  readonly showsOk: boolean;
}

type Register = Readonly<Record<string, unknown>>;

/** A task's result of which a host's line is made. */
export interface TaskResult {
  readonly host: string;
  readonly task: TaskRef;
  readonly result: Result;
}

const CENSORED =
  "the output has been hidden due to the fact that 'no_log: true' was specified for this result";

/** The register of what is hidden. */
function censored(state: Result["state"], data: unknown, attempts?: number): Register {
  const changed = isRecord(data) ? data.changed === true : state === "changed";
  return { censored: CENSORED, changed, ...(attempts === undefined ? {} : { attempts }) };
}

/** Return the register of a result: its data, or one made of it where actions of TypeScript ended. */
export function registerOfResult({ state, data, hidden, error, message, attempts }: Result): Register {
  const changed = state === "changed";
  if (hidden === true) return censored(state, data, attempts);
  if (isRecord(data) && typeof data.changed === "boolean") return data;
  if (isRecord(data) && (data.skipped === true || data.failed === true)) return data;
  const text = error?.message ?? message;
  return {
    ...(isRecord(data) ? data : data === undefined ? {} : { data }),
    changed,
    ...(text === undefined ? {} : { msg: text }),
  };
}

/** A pass of a loop. */
interface Pass {
  readonly state: Result["state"];
  readonly register: Register;
  readonly label: string;
}

/** Return the passes of a loop; undefined without one. */
function passesOf(result: Result): readonly Pass[] | undefined {
  const { data, items, hidden } = result;
  if (hidden === true)
    return items?.map(({ state, data: own }) => ({ state, label: "None", register: censored(state, own) }));
  if (items === undefined) return undefined;
  if (isRecord(data) && Array.isArray(data.results))
    return data.results.filter(isRecord).map((register, index) => passOfRegister(register, items[index]));
  // A loop whose items could not be worked out has none.
  return isRecord(data) && typeof data.changed === "boolean" ? undefined : items.map(passOfItem);
}

function passOfItem({ label, state, data, error, message }: ItemResult): Pass {
  const text = error?.message ?? message;
  const own = isRecord(data) ? data : {};
  return {
    state,
    label,
    register: {
      ...own,
      changed: state === "changed",
      item: label,
      ...(text === undefined ? {} : { msg: text }),
    },
  };
}

function passOfRegister(register: Register, { label, isLabelled }: Partial<ItemResult> = {}): Pass {
  const { ansible_loop_var: name } = register;
  const item = typeof name === "string" ? register[name] : register.item;
  return { state: stateOf(register), register, label: itemText(isLabelled === true ? label : item) };
}

function stateOf({ failed, unreachable, skipped, changed }: Register): Result["state"] {
  if (failed === true || unreachable === true) return "failed";
  if (skipped === true) return "skipped";
  return changed === true ? "changed" : "unchanged";
}

/** Keys that say what the line says already, or that are shown in another way. */
const UNSHOWN = new Set(["failed", "skipped", "invocation", "diff", "exception", "warnings", "deprecations"]);
/** More of them where debug shows its text alone. */
const UNSHOWN_OF_DEBUG = new Set(["changed", "skip_reason", "item", "ansible_loop_var", "ansible_index_var"]);
/** More of them where debug shows a var. */
const UNSHOWN_OF_VAR = new Set(["changed", "skip_reason"]);
/** Modules whose results are always shown. */
const TALKATIVE = new Set(["debug", "assert"]);

function shownOf(register: Register, action: string): Register {
  const isText = action === "debug" && register.msg !== undefined;
  const { ansible_loop_var: loop, ansible_index_var: index } = register;
  const isPassVar = (key: string): boolean => key === loop || key === index;
  return Object.fromEntries(
    Object.entries(register).filter(
      ([key]) =>
        !key.startsWith("_ansible_") &&
        !UNSHOWN.has(key) &&
        !(action === "debug" && UNSHOWN_OF_VAR.has(key)) &&
        !(isText && (UNSHOWN_OF_DEBUG.has(key) || isPassVar(key))),
    ),
  );
}

const WORDS = {
  unchanged: { word: "ok", color: "ok" },
  changed: { word: "changed", color: "changed" },
  skipped: { word: "skipping", color: "skipped" },
} as const satisfies Record<Exclude<Result["state"], "failed">, { word: string; color: ColorName }>;

/** Return the lines of a task's result on a host; "" when it is not to be shown. */
export function resultText({ host, task, result }: TaskResult, style: ResultStyle): string {
  const register = registerOfResult(result);
  const { action } = task;
  const passes = passesOf(result);
  let text = "";
  const say = (color: ColorName, made: string): void => {
    text += `${paint(safeText(made), color, style.colors)}\n`;
  };
  // A debug fails before it says something.
  const isTalkative = (of: Register, state: Result["state"]): boolean =>
    TALKATIVE.has(action) &&
    state !== "skipped" &&
    !(action === "debug" && state === "failed") &&
    result.hidden !== true &&
    of._ansible_verbose_always !== false;
  const json = (of: Register, state: Result["state"]): string =>
    sortedJson(shownOf(of, action), isTalkative(of, state) || style.verbosity > 2);
  const isTold = (of: Register, state: Result["state"]): boolean =>
    style.verbosity > 0 || isTalkative(of, state);
  const isShown = (state: Result["state"]): boolean =>
    state === "skipped" ? style.showsSkipped : state === "unchanged" ? style.showsOk : true;
  const diffs = (given: unknown): void => {
    if (style.diff) text += diffText(given, style.colors);
  };
  const line = (state: Exclude<Result["state"], "failed">, of: Register, label: string | undefined): void => {
    if (!isShown(state)) return;
    const { word, color } = WORDS[state];
    const item = label === undefined ? "" : ` => (item=${label})`;
    const more = isTold(of, state) ? ` => ${json(of, state)}` : "";
    // Ansible ends the line of a skipped item with a blank.
    const end = more === "" && state === "skipped" && label !== undefined ? " " : "";
    say(color, `${word}: [${host}]${item}${more}${end}`);
  };

  const hasOwnDiffs = register.diff !== undefined || passes?.some((pass) => pass.register.diff !== undefined);
  if (hasOwnDiffs !== true && result.diff !== undefined) diffs(result.diff.map(registerDiff));

  for (const { state, register: of, label } of passes ?? []) {
    if (of.diff !== undefined) diffs(of.diff);
    if (state === "failed") say("failed", `failed: [${host}] (item=${label}) => ${json(of, state)}`);
    else if (isIncluded(of)) say("skipped", `included: ${of.include} for ${host} => (item=${label})`);
    else if (!isRoleInclude(action) || state === "skipped") line(state, of, label);
  }
  const isLoop = passes !== undefined && passes.length > 0;
  if (!isLoop && register.diff !== undefined) diffs(register.diff);
  if (result.state === "failed") {
    if (isUnreachable(register))
      say("unreachable", `fatal: [${host}]: UNREACHABLE! => ${json(register, "failed")}`);
    else if (!isLoop || result.hidden === true)
      say("failed", `fatal: [${host}]: FAILED! => ${json(register, "failed")}`);
    if (result.ignored === true) say("skipped", "...ignoring");
  } else if (!isLoop) {
    if (isIncluded(register)) say("skipped", `included: ${register.include} for ${host}`);
    else if (!isRoleInclude(action) || result.state === "skipped") line(result.state, register, undefined);
  } else if (result.hidden === true && !action.startsWith("include")) {
    line(result.state, register, undefined);
  } else if (result.state === "skipped") {
    const { results: _results, ...own } = register;
    line("skipped", own, undefined);
  }
  return text;
}

/** Return whether a failed task, or an item of its loop, could not be done for a machine that is unreachable. */
function isUnreachable({ unreachable, results }: Register): boolean {
  if (unreachable === true) return true;
  return Array.isArray(results) && results.some((each) => isRecord(each) && each.unreachable === true);
}

function isIncluded({ include, failed, skipped }: Register): boolean {
  return typeof include === "string" && failed !== true && skipped !== true;
}

function isRoleInclude(action: string): boolean {
  return action === "include_role";
}

/** Count a result as Ansible does: every file that was included, and ignored failures too, are `ok`. */
export function countResult(stats: Stats, { task, result }: TaskResult): void {
  const register = registerOfResult(result);
  const changed = result.state === "changed" || (result.state === "failed" && register.changed === true);
  if (result.state === "failed" && result.ignored !== true) {
    if (isUnreachable(register)) stats.unreachable++;
    else stats.failed++;
  } else if (result.state === "skipped") {
    // Ansible shows meta tasks that are passed over, and counts none.
    if (task.action !== "meta") stats.skipped++;
  } else {
    if (result.state === "failed") stats.ignored++;
    if (changed) stats.changed++;
    stats.ok += okOf(task, register, result);
  }
}

function okOf({ action }: TaskRef, register: Register, { hidden, items = [] }: Result): number {
  if (isRoleInclude(action) && register.failed !== true) return 0;
  if (hidden === true && action === "include_tasks")
    return Math.max(1, items.filter(({ state }) => state === "unchanged").length);
  const { results } = register;
  const included = Array.isArray(results) ? results.filter((each) => isRecord(each) && isIncluded(each)) : [];
  return Math.max(1, included.length);
}

/** Return the warnings that a result brings. */
export function warningsOf(result: Result): readonly string[] {
  if (result.hidden === true || !isRecord(result.data)) return [];
  const { warnings, results } = result.data;
  const own = [warnings, ...(Array.isArray(results) ? results.map((each) => each?.warnings) : [])];
  return own.flat().filter((each) => typeof each === "string");
}

/** Return the name of a task in its header: that of an `include_role` tells no role around it, and without a name the role included. */
export function taskName({ play, role, name, action }: TaskRef, result: Result | undefined): string {
  if (!isRoleInclude(action)) return role === "" || role === play ? name : `${role} : ${name}`;
  if (name !== action || !isRecord(result?.data)) return name;
  const { data } = result;
  const first = Array.isArray(data.results) ? data.results.find(isRecord) : data;
  const args = first?.include_args;
  return isRecord(args) && typeof args.name === "string" ? `${name} : ${args.name}` : name;
}

/** Return the recap's line of a host. */
export function recapLine(host: string, stats: Stats, colors: boolean): string {
  const { failed, unreachable, changed } = stats;
  const color = failed + unreachable > 0 ? "failed" : changed > 0 ? "changed" : "ok";
  const counts = RECAP.map(([name, own]) => {
    const value = stats[name];
    return paint(`${name}=${String(value).padEnd(4)}`, value > 0 ? own : undefined, colors);
  });
  const name = safeText(host);
  return `${paint(name, color, colors)}${" ".repeat(Math.max(0, 26 - name.length))} : ${counts.join(" ")}\n`;
}

const RECAP = [
  ["ok", "ok"],
  ["changed", "changed"],
  ["unreachable", "unreachable"],
  ["failed", "failed"],
  ["skipped", "skipped"],
  ["rescued", "ok"],
  ["ignored", "warning"],
] as const satisfies readonly (readonly [keyof Stats, ColorName])[];
