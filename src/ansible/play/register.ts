import { VolleyError } from "../../core/errors.ts";
import { type Register, registerOf as registerOfResult } from "../../core/register.ts";
import type { Diff, ItemResult, Result } from "../../core/result.ts";
import type { Performed } from "../../engine/perform.ts";

export type { Register } from "../../core/register.ts";

// Results in the shape that `register` gives them.

/** The key of registers that tell of a file of tasks that cannot be read. */
const BROKEN = Symbol("broken file of tasks");

/** A file of tasks that cannot be read: as a fault of the playbook itself, nothing rescues it. */
export class BrokenFile extends VolleyError {
  constructor(problem: string) {
    super("PLAYBOOK_INVALID", problem);
  }
}

/** A file or role that an include names and that is not there: nothing ignores that, but blocks may rescue it. */
export class MissingInclude extends VolleyError {
  constructor(problem: string) {
    super("PLAYBOOK_INVALID", problem);
  }
}

/** The key of registers that tell of what an include did not find. */
const MISSING = Symbol("missing file of tasks");

/** Marks the register of an include that did not find its file or role. */
export const missingMark: object = { [MISSING]: true };

/** Return what marks the register of a fault that is the playbook's. */
export function brokenMark(thrown: unknown): object {
  if (thrown instanceof MissingInclude) return missingMark;
  return thrown instanceof BrokenFile ? { [BROKEN]: true } : {};
}

/** Return whether `ignore_errors` does not count for a failure: the playbook itself is at fault. */
export function isPlaybookFault(register: Register): boolean {
  return MISSING in register || BROKEN in register;
}

/** Return whether a task failed for a fault of the playbook's. */
export function isBroken(register: Register): boolean {
  const results = Array.isArray(register.results) ? (register.results as readonly unknown[]) : [];
  return [register, ...results].some((each) => typeof each === "object" && each !== null && BROKEN in each);
}

/** Return whether a pass of a task could not be done for a machine that is unreachable. */
export function isUnreachable({ register }: Pick<PassEnd, "register">): boolean {
  return register.unreachable === true;
}

/** The end of one pass of a task: without a loop, or for one item. */
export interface PassEnd {
  readonly register: Register;
  readonly diff?: readonly Diff[];
  /** True when check mode cannot know what would happen. */
  readonly unknown?: boolean;
  /** True where output shows the result only on request, whatever the module. */
  readonly isQuiet?: boolean;
  readonly noLog?: boolean;
  readonly ignored?: boolean;
  /** True where the fault is that of the whole task, and ends its loop. */
  readonly isTotal?: boolean;
  readonly label?: string;
  /** True when `loop_control` says the label. */
  readonly isLabelled?: boolean;
}

/** Turn the result of an action into a register. */
export function registerOf({ result, said }: Performed): Register {
  return registerOfResult(result, said);
}

/** Return the state of a register. */
export function stateOfRegister(register: Register): Result["state"] {
  if (register.failed === true) return "failed";
  if (register.skipped === true) return "skipped";
  return register.changed === true ? "changed" : "unchanged";
}

/** Turn the passes of a task into the engine's Result, whose data is the register. */
export function resultOf(register: Register, passes: readonly PassEnd[], isLoop: boolean): Result {
  // As in Ansible, a register says "unreachable" and not that it failed.
  const unreachable = passes.filter(isUnreachable);
  const isAway = unreachable.length > 0;
  const state = isAway ? "failed" : stateOfRegister(register);
  const diff = passes.flatMap((pass) => pass.diff ?? []);
  const ignored = isAway
    ? unreachable.every((pass) => pass.ignored === true)
    : state === "failed" && passes.some((pass) => pass.ignored === true);
  const failed = unreachable[0] ?? passes.find((pass) => pass.register.failed === true);
  const unknown = state === "skipped" && passes.some((pass) => pass.unknown === true);
  const text = messageOfRegister(failed?.register ?? register);
  return {
    state,
    data: dataOf(register, passes, isLoop),
    ...(diff.length === 0 ? {} : { diff }),
    ...(state === "failed"
      ? {
          error: {
            code: "ACTION_FAILED" as const,
            message: (failed?.label === undefined ? "" : `${failed.label}: `) + (text ?? "it failed"),
          },
        }
      : {}),
    ...(state !== "failed" && text !== undefined ? { message: text } : {}),
    ...(ignored ? { ignored: true } : {}),
    ...(unknown ? { unknown: true } : {}),
    ...(typeof register.attempts === "number" ? { attempts: register.attempts } : {}),
    ...(isLoop ? { items: passes.map(itemOf) } : {}),
  };
}

/** The data of a result: the register, with what only output wants to know. */
function dataOf(register: Register, passes: readonly PassEnd[], isLoop: boolean): Register {
  if (!passes.some(({ isQuiet }) => isQuiet === true)) return register;
  const mark = (each: Register): Register => ({ ...each, _ansible_verbose_always: false });
  return isLoop && register.results !== undefined
    ? { ...register, results: passes.map((pass) => (pass.isQuiet ? mark(pass.register) : pass.register)) }
    : mark(register);
}

function itemOf(pass: PassEnd): ItemResult {
  const { register, label, isLabelled, unknown, noLog } = pass;
  const state = isUnreachable(pass) ? "failed" : stateOfRegister(register);
  const text = noLog === true ? undefined : messageOfRegister(register);
  return {
    label: noLog === true ? "(hidden)" : (label ?? ""),
    ...(isLabelled === true && noLog !== true ? { isLabelled } : {}),
    ...(noLog === true ? { data: { changed: register.changed === true } } : {}),
    state,
    ...(state === "failed" ? { error: { code: "ACTION_FAILED", message: text ?? "it failed" } } : {}),
    ...(state !== "failed" && text !== undefined ? { message: text } : {}),
    ...(unknown === true ? { unknown: true } : {}),
  };
}

/** The line that tells people of a result. */
export function messageOfRegister(register: Register): string | undefined {
  const { msg, skip_reason: skipReason, stderr, assertion, reason, message } = register;
  const broken = [register.changed_when_result, register.failed_when_result];
  for (const fault of broken) if (typeof fault === "string") return fault;
  if (typeof msg === "string" && typeof assertion === "string" && register.failed === true)
    return `${msg}: ${assertion}`;
  if (typeof msg === "string" && msg !== "") return msg;
  if (msg !== undefined && msg !== null && msg !== "") return JSON.stringify(msg);
  if (typeof skipReason === "string") return skipReason;
  if (register.failed !== true) return undefined;
  // Includes tell their faults under names of their own.
  return [stderr, reason, message].find((each) => typeof each === "string" && each !== "") as
    | string
    | undefined;
}
