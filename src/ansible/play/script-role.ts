import { VolleyError } from "../../core/errors.ts";
import type { TaskOptions } from "../../core/role.ts";
import { factVariables } from "../../engine/context.ts";
import type { GuestEnd, GuestPlay, HostHandlers, TypeScriptGuest } from "../../engine/guest-types.ts";
import { whenAnswered } from "../../engine/render.ts";
import { openTypeScriptGuests } from "../../engine/typescript-guests.ts";
import { extendScope } from "../../vars/scope.ts";
import { conditionsOf, type Frame, inherited, type RoleInstance, settled, tagsOf } from "../frame.ts";
import type { Interpreter } from "../interpreter.ts";
import { becomeOf } from "../modules/delegation.ts";
import { boolOf, renderTags } from "../templar.ts";
import { RunCancelled, TaskFailure } from "./endings.ts";
import type { Handlers } from "./handlers.ts";
import { registerOf } from "./register.ts";

// Roles in TypeScript that plays in YAML use: what stands around them becomes what a role in TypeScript understands.

/** Keywords that a role in TypeScript has no equal for. */
const REFUSED = ["delegate_to", "environment", "module_defaults"] as const;

/** The roles in TypeScript of a play on a host. */
export class Scripts {
  readonly #interpreter: Interpreter;
  readonly #handlers: Handlers;
  #opened: GuestPlay<TypeScriptGuest> | undefined;

  constructor(interpreter: Interpreter, handlers: Handlers) {
    this.#interpreter = interpreter;
    this.#handlers = handlers;
  }

  /** Carry out a role. Throws what ends the statements around it: `TaskFailure`, `RunCancelled`, or an error of the playbook. */
  async run(role: RoleInstance, frame: Frame, onPlan: () => void): Promise<void> {
    const guest = await whenAnswered(() => useScript(this.#interpreter, role, frame));
    const handlers = this.#handlers;
    const around: HostHandlers = {
      notify: (name) => handlers.notifyFrom(name),
      get handlers() {
        return handlers.names;
      },
    };
    this.#opened ??= openTypeScriptGuests(this.#interpreter.host.guestHost(around));
    throwEnd(await this.#opened.run(guest, onPlan));
  }

  /** Run the handlers that were notified. Throws as {@link run}. */
  async flush(onPlan: () => void): Promise<void> {
    if (this.#opened !== undefined) throwEnd(await this.#opened.flush(onPlan));
  }

  /** Notify a handler; false when no role in TypeScript has one of this name. */
  notify(name: string): boolean {
    return this.#opened?.notify(name) ?? false;
  }

  /** The number of tasks that are known of and have not had their turn. */
  get waiting(): number {
    return this.#opened?.waiting ?? 0;
  }

  /** End: carry out nothing more. */
  close(): ReturnType<GuestPlay<TypeScriptGuest>["close"]> {
    return this.#opened?.close() ?? { notExecuted: 0, pending: [] };
  }
}

function throwEnd({ failure, cancelled }: GuestEnd): void {
  if (failure !== undefined) {
    const { ref, result } = failure;
    throw new TaskFailure(registerOf({ result, applied: true }), ref, { name: ref.name, action: ref.action });
  }
  if (cancelled) throw new RunCancelled();
}

/** Make the use of a role in TypeScript at a place of a play. Fails with `PLAYBOOK_INVALID` or `VARS_INVALID`. */
function useScript(interpreter: Interpreter, role: RoleInstance, frame: Frame): TypeScriptGuest {
  const { name, path, script } = role.node;
  const defined = interpreter.scripts[path];
  if (typeof defined !== "function" || defined.role === undefined)
    throw new VolleyError("PLAYBOOK_INVALID", `${script} exports no role`, {
      hint: "write `export default defineRole({ … })`",
    });
  const templar = interpreter.templar(frame);
  for (const key of REFUSED)
    if (isSet(inherited(frame, key)))
      throw new VolleyError("PLAYBOOK_INVALID", `${key} is not for ${name}, which is a role in TypeScript`);
  for (const [file, given] of Object.entries(role.use.from))
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      `${name} is a role in TypeScript and has no ${file}/${given} to take`,
    );
  const become = becomeOf({ frame, templar }, templar.vars);
  const params = Object.fromEntries(Object.keys(role.params).map((key) => [key, templar.vars[key]]));
  const { origin: _here, ...use } = defined(params, {
    tags: renderTags(tagsOf(frame), templar),
    when: () =>
      whenAnswered(() => {
        const now = interpreter.templar(frame);
        return conditionsOf(frame).every((condition) => now.condition(condition));
      }),
    ...(become === undefined ? {} : { become }),
  });
  // Roles in TypeScript have facts, whatever the play in YAML gathers.
  const { state, host } = interpreter;
  const vars = state.isGathered ? templar.vars : extendScope(templar.vars, factVariables(host.facts));
  return { use, vars, defaults: defaultsOf(frame, templar.value) };
}

/** Return the options that keywords around a role give its tasks. */
function defaultsOf(frame: Frame, render: (value: unknown) => unknown): TypeScriptGuest["defaults"] {
  const options: readonly [key: string, option: keyof TaskOptions][] = [
    ["check_mode", "check"],
    ["ignore_errors", "ignoreErrors"],
    ["no_log", "noLog"],
    ["run_once", "runOnce"],
  ];
  return Object.fromEntries(
    options.flatMap(([key, option]) => {
      const given = settled(frame, key, render);
      return given === undefined ? [] : [[option, boolOf(given, key)]];
    }),
  );
}

function isSet(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(isSet);
  return typeof value === "object" && value !== null
    ? Object.keys(value).length > 0
    : value !== undefined && value !== null;
}
