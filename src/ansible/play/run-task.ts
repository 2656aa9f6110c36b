import { posix } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { isVolleyError, messageOf, VolleyError } from "../../core/errors.ts";
import { copyKept, keepText } from "../../core/values/kept-text.ts";
import { isRecord } from "../../core/values/value.ts";
import type { Vars } from "../../core/values/vars.ts";
import type { ProgramResult } from "../../engine/program.ts";
import { whenAnswered } from "../../engine/render.ts";
import { isOfUndefined } from "../../template/index.ts";
import { YAML_TEXT } from "../../vars/scope.ts";
import { allOf, conditionsOf, type Frame, settled } from "../frame.ts";
import type { TaskNode } from "../ir.ts";
import type { ModuleCall, TaskRun } from "../modules/call.ts";
import { delegatedVars } from "../modules/delegation.ts";
import { runModule } from "../modules/run.ts";
import { locationOf } from "../place.ts";
import { boolOf, numberOf, plainMessage, type Templar } from "../templar.ts";
import { type Loop, labelOf, loopOf, loops, passVars } from "./loops.ts";
import {
  brokenMark,
  isPlaybookFault,
  isUnreachable,
  type PassEnd,
  type Register,
  resultOf,
  stateOfRegister,
} from "./register.ts";

/** The end of a task, with its register. */
export interface TaskEnd extends ProgramResult {
  readonly register: Register;
  /** The passes, of which those of an include ask the play to do more. */
  readonly passes: readonly PassEnd[];
}

/** Do a task: its loop, conditions, tries and judgements. Never throws: every fault is a failed register. */
export async function runTask(run: TaskRun): Promise<TaskEnd> {
  const { interpreter, frame, node } = run;
  const { keys } = node;
  interpreter.forget();
  let passes: readonly PassEnd[];
  let register: Register;
  const isLoop = loops(keys);
  try {
    if (isLoop && run.turn.restartedMs !== undefined) {
      // The item that restarted the host is not known: the loop has been gone through that far, and is not begun again.
      register = { changed: true, msg: "the host was restarted", results: [] };
      passes = [{ register }];
    } else if (!isLoop) {
      passes = [await runPass(run, {})];
      register = passes[0]!.register;
    } else {
      const ended = await runLoop(run);
      passes = ended.passes;
      register = ended.register;
    }
  } catch (thrown) {
    register = failure(thrown);
    passes = [
      {
        register,
        ignored: await safely(() => ignores(register, interpreter.templar(frame), frame)),
      },
    ];
  }
  const name = keys.register;
  if (typeof name === "string") {
    const learned = { [name]: register };
    // Vars of files and facts that are set are the author's own texts, and nothing that a host has said.
    if (node.module === "include_vars" || node.module === "set_fact") keepText(learned, name, YAML_TEXT);
    interpreter.state.learn(learned);
  }
  const noLog = passes.some((pass) => pass.noLog === true);
  const result = resultOf(register, passes, isLoop);
  const location = locationOf(posix.join(interpreter.tree.below ?? "", node.at));
  return {
    // A person looks for the task that failed.
    result: result.error === undefined ? result : { ...result, error: { ...result.error, location } },
    register,
    passes,
    ...(noLog ? { noLog } : {}),
  };
}

/** Return whether a failure is to be ignored; that of an unreachable machine has a keyword of its own. */
function ignores(register: Register, templar: Templar, frame: Frame): boolean {
  if (isPlaybookFault(register)) return false;
  const key = isUnreachable({ register }) ? "ignore_unreachable" : "ignore_errors";
  return boolOf(settled(frame, key, templar.value) ?? false, key);
}

async function safely(ask: () => boolean): Promise<boolean> {
  try {
    return await whenAnswered(ask);
  } catch {
    return false;
  }
}

/** The register of an error. */
export function failure(thrown: unknown): Register {
  const data = thrown instanceof Error ? (thrown as { readonly data?: unknown }).data : undefined;
  const own = typeof data === "object" && data !== null ? data : {};
  const hint = isVolleyError(thrown) && thrown.hint !== undefined ? ` (${thrown.hint})` : "";
  const text =
    isVolleyError(thrown) && thrown.code === "TEMPLATE_FAILED" && !/^The conditional/.test(thrown.message)
      ? `${isOfUndefined(thrown) ? "The task includes an option with an undefined variable. The error was: " : ""}${plainMessage(thrown)}`
      : `${messageOf(thrown)}${hint}`;
  // As in Ansible: no module has said that nothing changed.
  const isUntried = isVolleyError(thrown) && thrown.code === "TEMPLATE_FAILED";
  const register = { ...own, ...(isUntried ? {} : { changed: false }), msg: text };
  return isUnreachable({ register }) ? register : { ...register, failed: true, ...brokenMark(thrown) };
}

const EMPTY: Register = {
  changed: false,
  skipped: true,
  skipped_reason: "No items in the list",
  results: [],
};

async function runLoop(
  run: TaskRun,
): Promise<{ readonly register: Register; readonly passes: readonly PassEnd[] }> {
  const { interpreter, frame } = run;
  const signal = interpreter.host.ends.kill;
  let loop: Loop | undefined;
  try {
    loop = await whenAnswered(() => loopOf(frame, interpreter.templar(frame)));
  } catch (thrown) {
    // A condition that does not hold skips the task, whatever its loop.
    const templar = interpreter.templar(frame);
    const skips = await whenAnswered(() => conditionsOf(frame).some((each) => !safelyTrue(templar, each)));
    if (!skips) throw thrown;
    const register: Register = { changed: false, skipped: true, skip_reason: "Conditional result was False" };
    return { register, passes: [{ register }] };
  }
  if (loop === undefined || loop.items.length === 0) return { register: { ...EMPTY }, passes: [] };
  const passes: PassEnd[] = [];
  const results: Register[] = [];
  for (let index = 0; index < loop.items.length; index++) {
    if (signal.aborted) throw new VolleyError("CANCELLED", "the run was cancelled");
    const own = passVars(loop, index);
    if (index > 0 && loop.control.pauseMs > 0)
      await pause(loop.control.pauseMs, undefined, { signal }).catch(() => {});
    let pass: PassEnd;
    try {
      pass = await runPass(run, own);
    } catch (thrown) {
      pass = { register: failure(thrown) };
    }
    const label = await safelyLabel(loop, index, () => interpreter.templar(frame, own));
    const register: Register = { ...pass.register, ...own, ...shownLoop(own) };
    passes.push({ ...pass, register, label, isLabelled: loop.control.label !== undefined });
    // As in Ansible, what cannot be rendered ends the loop, and the register has no results.
    if (pass.isTotal === true) return { register: pass.register, passes };
    results.push(register);
  }
  const some = (key: string): boolean => results.some((each) => each[key] === true);
  const skipped = results.every((each) => each.skipped === true);
  const register: Register = { results, changed: some("changed"), skipped };
  if (some("failed")) {
    register.failed = true;
    register.msg = "One or more items failed";
  } else register.msg = skipped ? "All items skipped" : "All items completed";
  return { register, passes };
}

/** Return what results tell of an extended loop. Unlike Ansible's, each leaves out the list of all items, which grows with its square. */
function shownLoop({ ansible_loop: extended }: Vars): Vars {
  if (!isRecord(extended)) return {};
  const { allitems: _all, ...place } = extended;
  return { ansible_loop: place };
}

function safelyTrue(templar: Templar, condition: unknown): boolean {
  try {
    return templar.condition(condition);
  } catch {
    return true;
  }
}

async function safelyLabel(loop: Loop, index: number, templar: () => Templar): Promise<string> {
  try {
    return await whenAnswered(() => labelOf(loop, index, templar()));
  } catch {
    return String(index);
  }
}

/** Go through one pass: conditions, tries, and the judgement of each. */
async function runPass(run: TaskRun, ofLoop: Vars): Promise<PassEnd> {
  const { interpreter, frame, node } = run;
  // A machine that cannot be told yet is an error of the task itself, should its conditions hold.
  const delegated = await whenAnswered(() =>
    delegatedVars({ interpreter, frame, templar: interpreter.templar(frame, ofLoop) }),
  ).catch(() => ({}));
  const own = { ...ofLoop, ...delegated };
  copyKept(ofLoop, own);
  let templar = interpreter.templar(frame, own);
  const flag = (key: string): boolean | undefined => {
    const value = settled(frame, key, templar.value);
    return value === undefined ? undefined : boolOf(value, key);
  };
  const ignored = async (register: Register): Promise<{ readonly ignored?: boolean }> =>
    (await safely(() => ignores(register, templar, frame))) ? { ignored: true } : {};
  // Output stays hidden where nobody can tell whether it may be seen.
  const [hides, unclear] = await whenAnswered(() => flag("no_log") ?? interpreter.tree.settings.noLog).then(
    (said) => [said === true],
    (thrown: unknown) => [true, thrown],
  );
  const noLog = hides ? { noLog: true } : {};
  try {
    const holds = await whenAnswered(() => {
      templar = interpreter.templar(frame, own);
      // They held before the restart of the host.
      if (run.turn.restartedMs !== undefined) return true;
      return conditionsOf(frame).every((condition) => templar.condition(condition));
    });
    if (!holds)
      return {
        register: { changed: false, skipped: true, skip_reason: "Conditional result was False" },
        ...noLog,
      };
    if (unclear !== undefined) throw unclear;
    const until = node.keys.until as readonly unknown[] | undefined;
    await whenAnswered(() => checkFlags(frame, templar));
    const { retries, delayMs, check } = await whenAnswered(() => ({
      retries: numberOf(settled(frame, "retries", templar.value) ?? (until === undefined ? 0 : 3), "retries"),
      delayMs: numberOf(settled(frame, "delay", templar.value) ?? 5, "delay") * 1000,
      check: flag("check_mode") ?? interpreter.host.job.options.check,
    }));
    const tries = Math.max(1, 1 + retries);
    for (let attempt = 1; ; attempt++) {
      const call: ModuleCall = {
        ...run,
        // Only the try that was under way has restarted the host.
        ...(attempt === 1 ? {} : { turn: { ...run.turn, restartedMs: undefined } }),
        own,
        templar,
        check,
        noLog: noLog.noLog === true,
        environment: await whenAnswered(() => environmentOf(frame, templar)),
      };
      const ended = await runModule(call);
      let register = ended.register;
      if (retries > 0) register = { ...register, attempts: attempt };
      const judged = interpreter.templar(frame, { ...own, ...judgeVars(node, register, ended.facts) });
      register = await judge(node, register, judged);
      if (until !== undefined || (node.keys.retries !== undefined && node.keys.retries !== null)) {
        const again = interpreter.templar(frame, { ...own, ...judgeVars(node, register, ended.facts) });
        const conditions = until ?? [];
        const isDone =
          check && stateOfRegister(register) === "skipped"
            ? true
            : await whenAnswered(() =>
                until === undefined
                  ? register.failed !== true
                  : conditions.every((condition) => again.condition(condition)),
              );
        if (!isDone && attempt < tries) {
          run.turn.output(
            "stderr",
            `attempt ${attempt} of ${tries}: not yet what is waited for; again in ${delayMs / 1000} s\n`,
          );
          const { cancel } = interpreter.host.ends;
          await pause(delayMs, undefined, { signal: cancel }).catch(() => {});
          interpreter.forget();
          if (!cancel.aborted) continue;
        }
        // As Ansible counts it: the first try is none of the retries.
        if (!isDone) {
          // A rule of the playbook's own says what is a failure.
          const failed = node.keys.failed_when === undefined ? { failed: true } : {};
          register = { ...register, ...failed, attempts: Math.max(1, tries - 1) };
        }
      }
      return {
        register,
        ...(ended.diff === undefined ? {} : { diff: ended.diff }),
        ...(ended.unknown === true ? { unknown: true } : {}),
        ...(ended.isQuiet === true ? { isQuiet: true } : {}),
        ...noLog,
        ...(register.failed === true ? await ignored(register) : {}),
      };
    }
  } catch (thrown) {
    if (isVolleyError(thrown) && thrown.code === "CANCELLED") throw thrown;
    const register = failure(thrown);
    const isTotal = isVolleyError(thrown) && thrown.code === "TEMPLATE_FAILED";
    return { register, ...(isTotal ? { isTotal } : {}), ...noLog, ...(await ignored(register)) };
  }
}

/** Keywords that are yes or no. */
const FLAGS = [
  "any_errors_fatal",
  "become",
  "check_mode",
  "diff",
  "ignore_errors",
  "ignore_unreachable",
  "run_once",
];

/** Fail for a keyword that is neither yes nor no, whether the task asks for it or not. */
function checkFlags(frame: Frame, templar: Templar): void {
  for (const key of FLAGS) {
    const value = settled(frame, key, templar.value);
    if (value !== undefined && value !== null) boolOf(value, key);
  }
}

/** The vars that rules about a result see: the register under its name, and the facts it brings. */
function judgeVars(node: TaskNode, register: Register, facts: Vars | undefined): Vars {
  const name = node.keys.register;
  return { ...facts, ...(typeof name === "string" ? { [name]: register } : {}) };
}

/** Let `changed_when` and `failed_when` decide. A rule that cannot be asked fails the task, whose result stays. */
async function judge({ keys }: TaskNode, register: Register, templar: Templar): Promise<Register> {
  if (register.skipped === true) return register;
  const judged: Register = { ...register };
  const ask = async (name: "changed" | "failed"): Promise<boolean> => {
    const rules = keys[`${name}_when`] as readonly unknown[] | undefined;
    if (rules === undefined) return true;
    try {
      judged[name] = await whenAnswered(() => rules.every((rule) => templar.condition(rule)));
      if (name === "failed") judged.failed_when_result = judged.failed;
      return true;
    } catch (thrown) {
      if (isVolleyError(thrown) && thrown.code === "CANCELLED") throw thrown;
      judged.failed = true;
      judged[`${name}_when_result`] = failure(thrown).msg;
      return false;
    }
  };
  if (await ask("changed")) await ask("failed");
  return judged;
}

/**
 * Return the variables that `environment` of a task and of what is around it sets. As in Ansible those whose value needs
 * `ansible_env` are left out until the host's environment is known.
 */
function environmentOf(frame: Frame, templar: Templar): Readonly<Record<string, string>> {
  const made: Record<string, string> = {};
  const render = (given: unknown): unknown => {
    try {
      return templar.value(given);
    } catch (thrown) {
      if (isOfUndefined(thrown) && messageOf(thrown).includes("'ansible_env' is undefined")) return undefined;
      throw thrown;
    }
  };
  for (const given of allOf(frame, "environment").flat()) {
    const dict = typeof given === "string" ? render(given) : given;
    if (typeof dict !== "object" || dict === null) continue;
    for (const [name, written] of dict instanceof Map ? dict : Object.entries(dict)) {
      const value = dict === given ? render(written) : written;
      if (value !== undefined)
        made[String(name)] = typeof value === "boolean" ? (value ? "True" : "False") : String(value);
    }
  }
  return made;
}
