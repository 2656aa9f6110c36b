import type { ActionCall } from "../core/action.ts";
import { didYouMean, VolleyError } from "../core/errors.ts";
import { checkOptions, isA, isWithin, type Kind, SWITCH } from "../core/options.ts";
import type { LoopOptions, TaskOptions } from "../core/role.ts";
import { isRecord } from "../core/values/value.ts";

// Tasks and handlers as they are declared: refusing wrong ones, and choosing tasks by tags.

const RULE: Kind = ["true, false or a function", isA("boolean", "function")];
const FUNCTION: Kind = ["a function", isA("function")];
const NAMES: Kind = ["a string or a list of strings", (value) => [value].flat().every(isA("string"))];

const OPTIONS: Readonly<Record<keyof LoopOptions<unknown>, Kind>> = {
  when: RULE,
  notify: NAMES,
  tags: NAMES,
  loop: ["an iterable", (value) => Symbol.iterator in Object(value)],
  label: FUNCTION,
  check: SWITCH,
  ignoreErrors: SWITCH,
  changedWhen: RULE,
  failedWhen: RULE,
  until: FUNCTION,
  retries: ["a whole number from 0", (value) => isWithin(value, 0) && value === Math.floor(value)],
  delay: ["a number from 0", (value) => isWithin(value, 0)],
  // One longer than any timer of Node's is none.
  timeout: ["a number of seconds above 0", (value) => isWithin(value, Number.MIN_VALUE)],
  runOnce: SWITCH,
  delegateTo: ["a string", isA("string")],
  noLog: SWITCH,
  become: ["true, false or a string", isA("boolean", "string")],
  vars: ["an object", isRecord],
};

/** Refuse what no task can be declared with, whatever the host. Fails with `PLAYBOOK_INVALID`. */
export function checkTask(
  role: string,
  name: unknown,
  call: unknown,
  options: unknown,
  delegates?: boolean,
): void {
  const refuse = (what: string): never => {
    throw new VolleyError("PLAYBOOK_INVALID", `role "${role}": ${what}`);
  };
  if (typeof name !== "string" || name === "") refuse("task() takes a name first, then an action");
  if (typeof call !== "function" && !isActionCall(call)) {
    refuse(`task "${name}" needs an action, such as \`file({ path: … })\`, as its second argument`);
  }
  if (options === undefined) return;
  if (!isRecord(options)) return refuse(`task "${name}": its options, the third argument, are an object`);
  checkOptions(`role "${role}": task "${name}"`, ["task", "option"], options, OPTIONS);
  const { delegateTo, become } = options;
  if (delegates || delegateTo === undefined) return;
  const needed = "needs a role with `delegates: true`";
  if (delegateTo !== "controller") refuse(`task "${name}": to be delegated to ${delegateTo}, it ${needed}`);
  if (become !== undefined) refuse(`task "${name}": a delegated task that becomes another user ${needed}`);
}

/** Refuse options that no handler has: it may run several times, and not on every host. */
export function checkHandler(role: string, name: unknown, call: unknown, options: unknown): void {
  checkTask(role, name, call, options);
  for (const key of ["runOnce", "delegateTo", "tags"]) {
    if (!isRecord(options) || options[key] === undefined) continue;
    throw new VolleyError("PLAYBOOK_INVALID", `role "${role}": handler "${name}" cannot have \`${key}\``);
  }
}

/** Refuse to include anything but a role in Ansible's YAML; returns its name. Fails with `PLAYBOOK_INVALID`. */
export function checkIncluded(role: string, used: unknown): string {
  const included = isRecord(used) && isRecord(used.role) ? used.role : undefined;
  if (included?.ansible === undefined)
    throw new VolleyError("PLAYBOOK_INVALID", `role "${role}": include takes a role in Ansible's YAML`, {
      hint: 'include(ansibleRole("geerlingguy.ntp"))',
    });
  return String(included.name);
}

/** The handlers that a play has declared by now, as one of its roles names them. */
export interface DeclaredHandlers {
  /** The role's own, by name. */
  readonly own: readonly string[];
  /** Those of every role of the play, as `role:handler`. */
  readonly all: readonly string[];
}

/** Refuse a `notify` that names no handler. `from` is the task or handler that notifies, such as `task "Install"`. */
export function checkNotify(
  role: string,
  from: string,
  notify: TaskOptions["notify"],
  { own, all }: DeclaredHandlers,
): void {
  for (const name of notifyList(notify)) {
    if (own.includes(name) || all.some((handler) => isSameHandler(handler, name))) continue;
    const known = [...own, ...all.filter((handler) => !handler.startsWith(`${role}:`))];
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      `role "${role}": ${from} notifies "${name}", a handler that is not declared${didYouMean(name, known)}`,
      { hint: `declared by now: ${known.join(", ") || "none"}` },
    );
  }
}

/** Return the names of the handlers in a `notify`. */
export function notifyList(notify: TaskOptions["notify"]): readonly string[] {
  return notify === undefined ? [] : typeof notify === "string" ? [notify] : notify;
}

/** Return whether two names mean the same `role:handler`: spaces around a colon do not count. */
export function isSameHandler(one: string, other: string): boolean {
  const plain = (name: string): string => name.replace(/\s*:\s*/g, ":").trim();
  return plain(one) === plain(other);
}

/** Return whether a value is an action with its parameters. */
export function isActionCall(value: unknown): value is ActionCall {
  return isRecord(value) && typeof value.action === "string" && typeof value.inspect === "function";
}

/** The values of `--tags` and `--skip-tags`. */
export interface TagSelection {
  readonly tags: readonly string[];
  readonly skipTags: readonly string[];
}

/** Return one tag, several, or none as a list. */
export function tagList(tags: string | readonly string[] | undefined): readonly string[] {
  return tags === undefined ? [] : typeof tags === "string" ? [tags] : tags;
}

/**
 * Return whether a task with these tags, its role's and its play's among them, is selected. As in Ansible, `always` is
 * selected unless `--skip-tags` names it, and `never` only by another tag of the task; `tagged`, `untagged` and `all`
 * select what they say.
 */
export function isWanted(tags: readonly string[], { tags: only, skipTags }: TagSelection): boolean {
  const names = (name: string): boolean =>
    tags.includes(name) ||
    (name === "all" && !tags.includes("never")) ||
    (name === "tagged" && tags.length > 0 && !tags.includes("never")) ||
    (name === "untagged" && tags.length === 0);
  if (skipTags.some(names)) return false;
  if (only.length > 0) return only.some(names) || tags.includes("always");
  return !tags.includes("never");
}
