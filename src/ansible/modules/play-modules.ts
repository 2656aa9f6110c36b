import { setTimeout as pause } from "node:timers/promises";
import { readBool } from "../../actions/coerce.ts";
import { VolleyError } from "../../core/errors.ts";
import { copyKept, keepsText, keepText } from "../../core/values/kept-text.ts";
import { Data, isDict, writeJson } from "../../core/values/value.ts";
import { whenAnswered } from "../../engine/render.ts";
import { isOfUndefined } from "../../template/index.ts";
import { loneName, varScope } from "../../vars/scope.ts";
import { isVarName } from "../keywords.ts";
import { plainMessage } from "../templar.ts";
import { validateArgumentSpec } from "./argument-spec.ts";
import type { ModuleEnd, RenderedCall } from "./call.ts";
import { factsOwner } from "./delegation.ts";
import { setup } from "./facts/setup.ts";
import { fetch } from "./fetch.ts";
import { addHost, groupBy } from "./groups.ts";
import { includeRole, includeTasks, includeVars } from "./includes.ts";
import { asyncStatus } from "./jobs.ts";
import { raw, script } from "./programs.ts";
import { synchronize } from "./synchronize.ts";

type PlayModule = (call: RenderedCall) => Promise<ModuleEnd> | ModuleEnd;

const unchangedWith = (register: Record<string, unknown>): ModuleEnd => ({
  register: { changed: false, failed: false, ...register },
});

function textOf(value: unknown): string {
  return typeof value === "string" ? value : writeJson(value);
}

/** The text of `var: "{{ name }}"` where that var is marked `!unsafe`. */
function markedText({ node, templar }: RenderedCall): string | undefined {
  const { var: written } = node.args;
  const name = typeof written === "string" ? loneName(written) : undefined;
  const value = name === undefined ? written : varScope(templar.vars).written(name);
  return value instanceof Data ? value.text : undefined;
}

async function debug(call: RenderedCall): Promise<ModuleEnd> {
  const { args, templar, interpreter } = call;
  const { msg, var: name, verbosity = 0, _raw_params: raw } = args;
  if (raw !== undefined)
    throw new VolleyError("PARAMS_INVALID", `invalid or malformed argument: '${textOf(raw)}'`);
  if (Number(verbosity) > interpreter.verbosity)
    return {
      register: {
        changed: false,
        failed: false,
        skipped: true,
        skipped_reason: "Verbosity threshold not met.",
      },
    };
  if (msg !== undefined && name !== undefined)
    throw new VolleyError("PARAMS_INVALID", "'msg' and 'var' are incompatible options");
  if (name === undefined) return unchangedWith({ msg: msg === undefined ? "Hello world!" : msg });
  if (typeof name !== "string") {
    const key = Array.isArray(name) ? "<class 'list'>" : "<class 'dict'>";
    return unchangedWith({ [key]: name });
  }
  // A text that is marked as no template is no expression either: Ansible shows it in braces.
  const marked = markedText(call);
  if (marked !== undefined) return unchangedWith({ [marked]: `{{${marked}}}` });
  let value: unknown;
  try {
    value = await whenAnswered(() =>
      call.node.args.var === name ? templar.value(`{{${name}}}`) : templar.evaluate(name),
    );
  } catch (thrown) {
    if (!isOfUndefined(thrown)) throw thrown;
    value = `VARIABLE IS NOT DEFINED!${interpreter.verbosity > 0 ? `: ${plainMessage(thrown)}` : ""}`;
  }
  // A var called `ansible_facts` brings no facts.
  return { ...unchangedWith({ [name]: value }), facts: {} };
}

function checkVarName(name: string): void {
  if (isVarName(name)) return;
  throw new VolleyError(
    "PARAMS_INVALID",
    `The variable name '${name}' is not valid. Variables must start with a letter or underscore character, and contain only letters, numbers and underscores.`,
  );
}

async function setFact(call: RenderedCall): Promise<ModuleEnd> {
  const { args, interpreter, node, templar } = call;
  const { cacheable = false, _raw_params: raw, ...given } = args;
  const scope = varScope(templar.vars);
  void raw;
  // With native types a text is a text.
  const isNative = interpreter.tree.settings.native === true;
  copyKept(args, given);
  const facts: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    checkVarName(name);
    facts[name] =
      typeof value === "string" && !isNative && /^(?:true|false|yes|no)$/i.test(value)
        ? (readBool(value) ?? value)
        : value;
    keepText(facts, name, scope.typeOfWritten(node.args[name]));
  }
  if (Object.keys(facts).length === 0)
    throw new VolleyError(
      "PARAMS_INVALID",
      "No key/value pairs provided, at least one is required for this action to succeed",
    );
  for (const name of Object.keys(facts)) if (keepsText(given, name)) keepText(facts, name, true);
  const owner = await whenAnswered(() => factsOwner(call));
  owner.learn(facts);
  if (readBool(cacheable) === true) owner.addFacts(facts);
  return {
    ...unchangedWith({
      ansible_facts: facts,
      ...(readBool(cacheable) === true ? { _ansible_facts_cacheable: true } : {}),
    }),
    facts,
  };
}

async function assert({ args, templar }: RenderedCall): Promise<ModuleEnd> {
  const { that, fail_msg: failText, msg, success_msg: success, quiet = false } = args;
  if (that === undefined) throw new VolleyError("PARAMS_INVALID", 'conditional required in "that" string');
  const isQuiet = readBool(quiet) === true;
  const isWhole = typeof that === "string" && /^\s*\{\{.*\}\}\s*$/s.test(that);
  const rendered = isWhole ? await whenAnswered(() => templar.value(that)) : that;
  for (const condition of Array.isArray(rendered) ? rendered : [rendered]) {
    const holds = await whenAnswered(() => templar.condition(condition, !isWhole));
    if (holds) continue;
    const text = failText ?? msg ?? "Assertion failed";
    return {
      register: { changed: false, failed: true, assertion: condition, evaluated_to: false, msg: text },
      isQuiet,
    };
  }
  return { ...unchangedWith({ msg: success ?? "All assertions passed" }), isQuiet };
}

function fail({ args }: RenderedCall): ModuleEnd {
  return { register: { changed: false, failed: true, msg: args.msg ?? "Failed as requested from task" } };
}

function setStats({ args }: RenderedCall): ModuleEnd {
  const { data = {}, per_host: perHost = false, aggregate = true } = args;
  if (!isDict(data))
    throw new VolleyError("PARAMS_INVALID", "The 'data' option needs to be a dictionary/hash");
  for (const name of data instanceof Map ? data.keys() : Object.keys(data)) checkVarName(String(name));
  return unchangedWith({
    ansible_stats: { data, per_host: readBool(perHost) === true, aggregate: readBool(aggregate) !== false },
  });
}

function ping({ args }: RenderedCall): ModuleEnd {
  const { data = "pong" } = args;
  // This is how playbooks try what comes of a module that crashes.
  if (data === "crash")
    return {
      register: {
        changed: false,
        failed: true,
        msg: "MODULE FAILURE\nSee stdout/stderr for the exact error",
        rc: 1,
        module_stdout: "",
        module_stderr: "Exception: boom\n",
      },
    };
  return unchangedWith({ ping: textOf(data) });
}

/** Modules that are the play's own: they work on its vars and statements, and need no System, or files of the controller. */
export const PLAY_MODULES: Readonly<Record<string, PlayModule>> = {
  debug,
  set_fact: setFact,
  assert,
  fail,
  set_stats: setStats,
  setup,
  gather_facts: setup,
  ping,
  include_vars: includeVars,
  include: includeTasks,
  include_tasks: includeTasks,
  import_tasks: includeTasks,
  include_role: includeRole,
  import_role: includeRole,
  script,
  raw,
  copy,
  command: command("command"),
  shell: command("shell"),
  package: packageModule,
  add_host: addHost,
  group_by: groupBy,
  fetch,
  synchronize,
  async_status: asyncStatus,
  validate_argument_spec: (call) => whenAnswered(() => validateArgumentSpec(call)),
  wait_for_connection: waitForConnection,
  service,
};

/** `copy`: content that is data is written as JSON while it still has its doubles. */
function copy(call: RenderedCall): Promise<ModuleEnd> {
  const { content } = call.args;
  const isData = isDict(content) || Array.isArray(content);
  return call.perform(
    "copy",
    isData ? { ...call.args, content: writeJson(content, { ensureAscii: true }) } : call.args,
  );
}

/** `command` and `shell`: the free text is the command line. */
function command(name: "command" | "shell"): PlayModule {
  return async (call) => {
    const { _raw_params: raw, _uses_shell: usesShell, warn: _warn, executable, ...rest } = call.args;
    const isShell = name === "shell" || readBool(usesShell) === true;
    const wrong = commandProblem(call.args);
    if (wrong !== undefined) return { register: { ...NO_COMMAND, msg: wrong } };
    const text =
      raw === undefined ? {} : { cmd: Array.isArray(raw) ? raw.map(textOf).join(" ") : textOf(raw) };
    if (isShell)
      return call.perform("shell", { ...rest, ...text, ...(executable === undefined ? {} : { executable }) });
    const end = await call.perform("command", {
      expand_argument_vars: true,
      ...rest,
      ...text,
      environment: call.environment,
    });
    if (executable === undefined) return end;
    const warning = `As of Ansible 2.4, the parameter 'executable' is no longer supported with the 'command' module. Not using '${textOf(executable)}'.`;
    return { ...end, register: { ...end.register, warnings: [warning] } };
  };
}

/** Say what is wrong with the command line of `command` and `shell`; undefined for nothing. */
function commandProblem({
  _raw_params: raw,
  cmd,
  argv,
}: Readonly<Record<string, unknown>>): string | undefined {
  const isGiven = (value: unknown): boolean =>
    value !== undefined && value !== null && textOf(value).trim() !== "";
  const hasWords = Array.isArray(argv) && argv.length > 0;
  const hasText = isGiven(raw) || isGiven(cmd);
  if (hasText && hasWords) return "only command or argv can be given, not both";
  return hasText || hasWords ? undefined : "no command given";
}

/** The data of `command` where no command is given. */
const NO_COMMAND = {
  changed: false,
  failed: true,
  rc: 256,
  cmd: null,
  start: null,
  end: null,
  delta: null,
  stdout: "",
  stdout_lines: [],
  stderr: "",
  stderr_lines: [],
} as const;

/** `service`: arguments that only systemd knows are its. */
async function service(call: RenderedCall): Promise<ModuleEnd> {
  const { use: _use, ...args } = call.args;
  const isSystemd = ["daemon-reload", "daemon_reload", "masked", "scope", "no_block", "daemon_reexec"].some(
    (name) => name in args,
  );
  const {
    pattern: _pattern,
    sleep: _sleep,
    arguments: _arguments,
    args: _args,
    runlevel: _level,
    ...rest
  } = args;
  return isSystemd ? call.perform("systemd", rest) : call.perform("service", call.args);
}

/**
 * `wait_for_connection`: the host is there, because the play runs on it (wait.ts waits for hosts before); `delay` is waited
 * for all the same.
 */
async function waitForConnection({ args, signal }: RenderedCall): Promise<ModuleEnd> {
  const began = Date.now();
  const { delay = 0 } = args;
  if (Number(delay) > 0) await pause(Number(delay) * 1000, undefined, { signal }).catch(() => {});
  return unchangedWith({ elapsed: Math.floor((Date.now() - began) / 1000) });
}

/** `package`: the host's own package manager. */
async function packageModule(call: RenderedCall): Promise<ModuleEnd> {
  if (call.interpreter.actions.find("package") !== undefined) return call.perform("package", call.args);
  const { use, ...args } = call.args;
  const name =
    typeof use === "string" && use !== "auto"
      ? use
      : String(call.interpreter.state.facts.ansible_pkg_mgr ?? "apt");
  return call.perform(name, args);
}
