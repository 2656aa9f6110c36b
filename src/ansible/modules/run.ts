import { parametersOf, readBool } from "../../actions/coerce.ts";
import type { ActionCall, ActionContext } from "../../core/action.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import { copyKept } from "../../core/values/kept-text.ts";
import { isDict } from "../../core/values/value.ts";
import { OMIT } from "../../core/values/vars.ts";
import { withTimeLimit } from "../../engine/limits.ts";
import { finishRestarted, type Performed, performAction } from "../../engine/perform.ts";
import { whenAnswered } from "../../engine/render.ts";
import { allOf, settled } from "../frame.ts";
import { COMMANDS, FREE_FORM, PLACELESS, shortModuleName } from "../keywords.ts";
import { unknownOptions } from "../own-parameters.ts";
import { registerOf } from "../play/register.ts";
import { boolOf, numberOf, textOf } from "../templar.ts";
import { filesOf } from "./assets.ts";
import type { ModuleCall, ModuleEnd, RenderedCall } from "./call.ts";
import { factsOwner, type Place, placeOf } from "./delegation.ts";
import { asPolled, overdue, startJob } from "./jobs.ts";
import { runLibraryModule } from "./library.ts";
import { PLAY_MODULES } from "./play-modules.ts";
import { diffsOf } from "./returned-diff.ts";
import { openSealedFiles, sendsAsItIs } from "./sealed-files.ts";

/** Call a module: one of the play's own, or an action. Throws what makes the task fail. */
export async function runModule(call: ModuleCall): Promise<ModuleEnd> {
  const { interpreter } = call;
  const module = await whenAnswered(() => moduleOf(call));
  const args = await whenAnswered(() => argumentsOf(call));
  const place = await whenAnswered(() => placeOf(call));
  const { seconds, pollSeconds, limit } = await whenAnswered(() => limitsOf(call));
  if (seconds > 0 && NO_ASYNC.has(module))
    throw new VolleyError("PARAMS_INVALID", "async is not supported for this task.");
  // The diff of an encrypted file would have it in clear, in the records of the run, too.
  let isSealed = false;
  const isDetached = seconds > 0 && pollSeconds === 0 && !call.check;
  const ownLimit = limit === 0 ? undefined : limit;
  // A task that is waited for has the time of its job.
  const isLimited =
    seconds > 0 && !isDetached && !call.check && seconds < (ownLimit ?? Number.POSITIVE_INFINITY);
  const ended = await withTimeLimit(
    isLimited ? seconds : ownLimit,
    interpreter.host.ends.kill,
    place.system,
    async (signal, system) => {
      const rendered: RenderedCall = {
        ...call,
        args,
        system,
        facts: place.facts ?? interpreter.host.facts,
        signal,
        perform: (name, given) => perform(call, name, given, { ...place, system }, signal, !isSealed),
      };
      const own = PLAY_MODULES[module];
      const work = async (): Promise<ModuleEnd> => {
        isSealed = await openSealedFiles(call, module, args);
        if (own !== undefined) {
          const unknown = unknownOptions(module, args);
          if (unknown !== undefined) throw new VolleyError("PARAMS_INVALID", unknown);
          return own(rendered);
        }
        const isOwn = Object.hasOwn(interpreter.tree.library, module);
        return isOwn ? runLibraryModule(rendered) : rendered.perform(module, args);
      };
      // A task that works on the play alone changes no facts.
      if (!PLACELESS.has(module) && own !== PLAY_MODULES.setup) interpreter.state.isTouched = true;
      if (isDetached) return { state: "unchanged", data: startJob(interpreter.home, seconds, work) };
      const end = await work();
      const isPolled = seconds > 0 && !call.check;
      return { state: "unchanged", data: isPolled ? asPolled(interpreter.home, end) : end };
    },
  );
  if (ended.state === "failed")
    throw new VolleyError(
      "TIMEOUT",
      isLimited
        ? overdue(seconds)
        : `The ${module} action failed to execute in the expected time frame (${limit}) and was terminated`,
    );
  const end = ended.data as ModuleEnd;
  const { ansible_facts: facts } = end.register;
  // debug only shows them.
  if (facts !== undefined && end.facts === undefined && module !== "debug")
    (await whenAnswered(() => factsOwner(call))).addFacts(facts);
  return end;
}

/** How long a task may take, and how often one in the background is asked. */
function limitsOf({ interpreter, frame, templar }: ModuleCall): {
  readonly seconds: number;
  readonly pollSeconds: number;
  readonly limit: number | undefined;
} {
  const { settings } = interpreter.tree;
  const timeout = settled(frame, "timeout", templar.value) ?? settings.taskTimeout;
  return {
    seconds: numberOf(settled(frame, "async", templar.value) ?? 0, "async"),
    pollSeconds: numberOf(settled(frame, "poll", templar.value) ?? settings.pollInterval ?? 15, "poll"),
    limit: timeout === undefined ? undefined : numberOf(timeout, "timeout"),
  };
}

/** The name of a task's module, which `action: "{{ … }}"` leaves to templates. */
function moduleOf({ node, templar }: ModuleCall): string {
  return node.module.includes("{{") ? shortModuleName(templar.text(node.module)) : node.module;
}

/** Render a task's arguments: module_defaults under `args: "{{ … }}"` under its own. */
function argumentsOf(call: ModuleCall): Record<string, unknown> {
  const { node, templar } = call;
  const { module, args, argsFrom } = node;
  const worker = workerOf(call);
  const defaults = { ...(worker === undefined ? {} : defaultsOf(call, worker)), ...defaultsOf(call, module) };
  const raw = RAW_ARGUMENTS[module];
  const withKeys = module === "set_fact";
  const render = (given: Readonly<Record<string, unknown>>): Record<string, unknown> => {
    if (withKeys) return templar.withKeys(given) as Record<string, unknown>;
    const entries = Object.entries(given).map(([name, value]) => [
      name,
      raw?.has(name) === true ? value : templar.value(value),
    ]);
    return Object.fromEntries(entries.filter(([, value]) => value !== OMIT));
  };
  // Free text that is one template may be all arguments.
  const whole =
    typeof args._raw_params === "string" && /^\s*\{\{.*\}\}\s*$/s.test(args._raw_params)
      ? args._raw_params
      : undefined;
  const rendered = whole === undefined || COMMANDS.has(module) ? undefined : templar.value(whole);
  const more = isDict(rendered) ? rendered : argsFrom === undefined ? {} : templar.value(argsFrom);
  const own = isDict(rendered) ? {} : render(args);
  const all = {
    ...defaults,
    ...(isDict(more) ? Object.fromEntries(more instanceof Map ? more : Object.entries(more)) : {}),
    ...own,
  };
  copyKept(own, all);
  return all;
}

/** Modules that act on the controller, and so do not go on in the background. */
const NO_ASYNC: ReadonlySet<string> = new Set([
  "add_host",
  "assemble",
  "assert",
  "copy",
  "debug",
  "fail",
  "fetch",
  "group_by",
  "include_vars",
  "pause",
  "raw",
  "reboot",
  "script",
  "set_fact",
  "set_stats",
  "template",
  "unarchive",
  "validate_argument_spec",
  "wait_for_connection",
]);

/**
 * The arguments that `module_defaults` gives a module: those of its own win over those of its groups. As in Ansible, the
 * nearest for a name take the place of all others for it.
 */
function defaultsOf({ interpreter, frame, templar }: ModuleCall, module: string): Record<string, unknown> {
  const { actionGroups } = interpreter.tree;
  const ofGroups = new Map<string, unknown>();
  const settle = (values: unknown, isRendered: boolean): unknown =>
    isRendered ? values : templar.value(values);
  let own: unknown;
  for (const given of allOf(frame, "module_defaults").flat()) {
    const isText = typeof given === "string";
    const rendered = isText ? templar.value(given) : given;
    if (!isDict(rendered)) continue;
    for (const [key, values] of rendered instanceof Map ? rendered : Object.entries(rendered)) {
      const name = String(key);
      const isOfGroup = Object.hasOwn(actionGroups, name) && actionGroups[name]!.includes(module);
      if (isOfGroup) ofGroups.set(name, settle(values, isText));
      else if (shortModuleName(name) === module) own = settle(values, isText);
    }
  }
  const defaults: Record<string, unknown> = {};
  for (const values of [...ofGroups.values(), own]) Object.assign(defaults, values);
  return defaults;
}

/** The module that does the work of `service` and `package` on a host, whose defaults count as well. */
function workerOf({ node, templar }: ModuleCall): string | undefined {
  const fact = WORKERS[node.module];
  if (fact === undefined) return undefined;
  const { ansible_facts: facts } = templar.vars;
  const named = isDict(facts) && !(facts instanceof Map) ? facts[fact] : undefined;
  return typeof named === "string" ? named : undefined;
}

/** The facts that name the worker of a module. */
const WORKERS: Readonly<Record<string, string>> = { service: "service_mgr", package: "pkg_mgr" };

/** Arguments that are no templates, but expressions that the module evaluates. */
const RAW_ARGUMENTS: Readonly<Record<string, ReadonlySet<string>>> = {
  assert: new Set(["that"]),
};

function contextOf(call: ModuleCall, { facts }: Place, signal: AbortSignal, asItIs: boolean): ActionContext {
  const { interpreter, node, frame, turn, templar, check, noLog } = call;
  return turn.context({
    vars: templar.vars,
    check,
    signal,
    silent: noLog,
    registered: typeof node.keys.register === "string",
    ...(facts === undefined ? {} : { facts }),
    files: filesOf(interpreter, frame, templar, asItIs),
  });
}

async function perform(
  call: ModuleCall,
  name: string,
  args: Readonly<Record<string, unknown>>,
  place: Place,
  signal: AbortSignal,
  mayShow: boolean,
): Promise<ModuleEnd> {
  const made = makeAction(call, name, args);
  const { options } = call.interpreter.host.job;
  const withDiff = await whenAnswered(() => {
    const diff = settled(call.frame, "diff", call.templar.value);
    return diff === undefined ? options.diff : boolOf(diff, "diff");
  });
  const isReal = !options.check;
  const context = contextOf(call, place, signal, sendsAsItIs(args));
  const { restartedMs } = call.turn;
  const performed =
    restartedMs === undefined
      ? await performAction(made, place.system, context, isReal)
      : await finishRestarted(made, place.system, context, restartedMs);
  return endOf(performed, name, withDiff, { mayShow, check: call.check });
}

/** Modules that say the same in check mode as in a real run. */
const SAYS_AHEAD = new Set(["acl", "htpasswd", "pam_limits"]);

function endOf(
  performed: Performed,
  name: string,
  withDiff: boolean,
  { mayShow, check }: { readonly mayShow: boolean; readonly check: boolean },
): ModuleEnd {
  const { result } = performed;
  const diff = mayShow ? result.diff : undefined;
  const register = registerOf(performed);
  // A command that ran counts as a change, whatever came of it. One that could not be started has no time.
  const isCommand = name === "command" || name === "shell";
  if (isCommand && result.state === "failed") register.changed = typeof register.start === "string";
  if (check && result.message !== undefined && SAYS_AHEAD.has(name)) register.msg ??= result.message;
  if (withDiff && diff !== undefined && register.diff === undefined)
    register.diff = diffsOf(name, diff, check);
  return {
    register,
    ...(diff === undefined ? {} : { diff }),
    ...(result.unknown === true ? { unknown: true } : {}),
  };
}

/** Make the call of an action from Ansible's arguments. Fails with `PLAYBOOK_INVALID` for a module nobody has. */
function makeAction(
  { interpreter, node, environment }: ModuleCall,
  name: string,
  args: Readonly<Record<string, unknown>>,
): ActionCall {
  const action = interpreter.actions.find(name);
  if (action === undefined)
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      `couldn't resolve module/action '${name}'. This often indicates a misspelling, missing collection, or incorrect module path.`,
    );
  if (args._raw_params !== undefined && !FREE_FORM.has(node.module))
    throw new VolleyError("PARAMS_INVALID", `invalid or malformed argument: '${textOf(args._raw_params)}'`);
  const { _diff_peek: _peek, ...own } = args;
  const given: Record<string, unknown> = own;
  // As in Ansible, a task's environment may say it for all that takes the parameter.
  if (
    given.unsafe_writes === undefined &&
    readBool(environment.ANSIBLE_UNSAFE_WRITES) === true &&
    Object.hasOwn(parametersOf(action), "unsafe_writes")
  )
    given.unsafe_writes = true;
  const coerced = interpreter.actions.coerce(action, given);
  try {
    return action(coerced);
  } catch (thrown) {
    if (!isVolleyError(thrown) || thrown.code !== "PARAMS_INVALID") throw thrown;
    const problem = interpreter.actions.problem(action, coerced);
    throw problem === undefined ? thrown : new VolleyError("PARAMS_INVALID", problem, { cause: thrown });
  }
}
