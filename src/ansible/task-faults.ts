import { type ArgumentFault, argumentFaults } from "../actions/check-arguments.ts";
import { parameterNames } from "../actions/define.ts";
import { didYouMean } from "../core/errors.ts";
import { isDict, mapLeaves } from "../core/values/value.ts";
import { Vaulted } from "../core/values/vaulted.ts";
import { holdsTemplate, isTemplate } from "../vars/scope.ts";
import { COMMANDS, FREE_FORM } from "./keywords.ts";
import type { Modules } from "./modules/registry.ts";
import { META_ACTIONS, OWN_PARAMETERS } from "./own-parameters.ts";

// The arguments of a task looked at before a run, whatever module it calls.

/** Something wrong with a task's arguments, and what to do. */
export interface TaskFault extends ArgumentFault {
  readonly hint: string;
  /** True where a run passes over it. */
  readonly isWarning?: boolean;
}

/** A task's module and arguments, as the loader reads them. */
interface CalledModule {
  readonly module: string;
  readonly args: Readonly<Record<string, unknown>>;
  /** True where more arguments may come from elsewhere, such as `module_defaults`. Default false. */
  readonly isPartial?: boolean;
}

/** Find what is wrong with the arguments of a task, whatever the values of its templates will be. The module is one that is known. */
export function taskFaults(call: CalledModule, modules: Modules): readonly TaskFault[] {
  const { module } = call;
  if (module === "meta") return metaFaults(call);
  return Object.hasOwn(OWN_PARAMETERS, module) ? ownFaults(call) : actionFaults(call, modules);
}

/** Arguments that `service` hands to `systemd`. */
const SYSTEMD = ["daemon-reload", "daemon_reload", "masked", "scope", "no_block", "daemon_reexec"];

/** Return whether a value, or a part of it, is known only in a run. */
function isOpen(value: unknown): boolean {
  let found = false;
  mapLeaves(value, (leaf) => {
    found ||= isTemplate(leaf) || leaf instanceof Vaulted;
    return leaf;
  });
  return found || (isDict(value) && Object.keys(value).some(isTemplate));
}

/** A text that is one template may become `omit`, or empty; with other text around it, it stays given. */
function mayBeOmitted(value: unknown): boolean {
  return typeof value !== "string" || /^\s*\{[{%].*[%}]\}\s*$/s.test(value) || value.includes("omit");
}

/** Free text that is one template may stand for all arguments. */
function isWhole(raw: unknown): boolean {
  return typeof raw === "string" && /^\s*\{\{.*\}\}\s*$/s.test(raw);
}

function actionFaults(call: CalledModule, modules: Modules): readonly TaskFault[] {
  const [name, args] = actionCall(call);
  const action = modules.find(name);
  if (action === undefined) return [];
  const { _raw_params: raw, ...given } = args;
  if (raw !== undefined && !FREE_FORM.has(call.module) && !isWhole(raw)) return [freeText(call.module, raw)];
  const faults = argumentFaults(action, given, {
    isOpen,
    mayBeOmitted,
    isPartial: raw !== undefined || call.isPartial === true,
  });
  return [
    ...packageFaults(call, modules),
    ...faults.map((fault) => ({ ...fault, hint: hintOf(fault.kind, call.module) })),
  ];
}

const MANAGERS = ["apt", "dnf", "yum", "zypper", "pacman", "apk"];

/** `package` hands parameters on to the action of the host's package manager: one of them must know each. */
function packageFaults({ module, args }: CalledModule, modules: Modules): readonly TaskFault[] {
  if (module !== "package") return [];
  const known = new Set(
    MANAGERS.flatMap((name) => {
      const { params, aliases = {} } = modules.find(name)?.description ?? {};
      return [...(params === undefined ? [] : parameterNames(params)), ...Object.keys(aliases)];
    }),
  );
  return Object.keys(args)
    .filter((name) => name !== "use" && name !== "_raw_params" && !known.has(name))
    .map((name) => ({
      kind: "unknown",
      argument: name,
      message: `no package manager has a parameter "${name}"${didYouMean(name, known)}`,
      hint: hintOf("unknown", module),
    }));
}

function hintOf(kind: ArgumentFault["kind"], module: string): string {
  return kind === "unknown" || kind === "missing"
    ? `\`volley doc ${module}\` lists the parameters`
    : `\`volley doc ${module}\` tells what goes`;
}

/** The action that a task calls, with its arguments; some modules are made of others. */
function actionCall({ module, args }: CalledModule): readonly [string, Readonly<Record<string, unknown>>] {
  if (module === "command" || module === "shell") {
    const { _raw_params: raw, _uses_shell: shell, warn: _warn, executable, ...rest } = args;
    const text = raw === undefined ? {} : { cmd: Array.isArray(raw) ? raw.map(String).join(" ") : raw };
    const isShell = module === "shell" || shell !== undefined;
    return [module, { ...rest, ...text, ...(isShell && executable !== undefined ? { executable } : {}) }];
  }
  if (module === "service" && SYSTEMD.some((name) => name in args)) {
    const { use: _use, pattern: _p, sleep: _s, arguments: _a, args: _b, runlevel: _r, ...rest } = args;
    return ["systemd", rest];
  }
  return [module, args];
}

function ownFaults({ module, args, isPartial = false }: CalledModule): readonly TaskFault[] {
  const { known, required = [], isLax = false } = OWN_PARAMETERS[module]!;
  const hint = `it takes: ${known.filter((each) => each !== "_raw_params").join(", ")}`;
  const faults: TaskFault[] = [];
  for (const name of Object.keys(args)) {
    if (known.includes(name) || isTemplate(name)) continue;
    if (name === "_raw_params") {
      if (!isWhole(args[name])) faults.push(freeText(module, args[name]));
      continue;
    }
    const near = didYouMean(name, known);
    faults.push({
      kind: "unknown",
      argument: name,
      message: isLax
        ? `${module} has no parameter "${name}", and passes over it${near}`
        : `${module} has no parameter "${name}"${near}`,
      hint,
      ...(isLax ? { isWarning: true } : {}),
    });
  }
  // Free text that is one template may stand for all arguments.
  if (isPartial || (!COMMANDS.has(module) && isWhole(args._raw_params))) return faults;
  for (const names of required) {
    if (names.some((name) => args[name] !== undefined && args[name] !== null)) continue;
    const words = names.filter((name) => name !== "_raw_params").map((name) => `"${name}"`);
    faults.push({
      kind: "missing",
      message: `${module} requires ${words.length === 0 ? "a command" : words.join(" or ")}`,
      hint,
    });
  }
  if (module === "debug" && args.msg !== undefined && args.var !== undefined)
    faults.push({
      kind: "conflict",
      argument: "var",
      message: 'debug takes either "msg" or "var"',
      hint,
    });
  return faults;
}

function freeText(module: string, text: unknown): TaskFault {
  return {
    kind: "value",
    message: `${module} takes no free text: ${JSON.stringify(text)}`,
    hint: "write parameters as a mapping, or as name=value",
  };
}

function metaFaults({ args }: CalledModule): readonly TaskFault[] {
  const word = args._raw_params;
  if (typeof word !== "string" || holdsTemplate(word) || META_ACTIONS.includes(word.trim())) return [];
  return [
    {
      kind: "value",
      message: `meta has no action "${word}"${didYouMean(word, META_ACTIONS)}`,
      hint: `it takes: ${META_ACTIONS.join(", ")}`,
    },
  ];
}
