import { OMIT, type Vars } from "../core/values/vars.ts";
import type { Keys, RoleNode, RoleUseNode } from "./ir.ts";

// The statements around a task: keywords are inherited from them.

/** A role as it is used in one place of a play. */
export interface RoleInstance {
  readonly node: RoleNode;
  readonly use: RoleUseNode;
  /** The vars of its `vars` files. */
  readonly vars: Vars;
  /** The vars of its `defaults` files. */
  readonly defaults: Vars;
  /** The vars given to it as parameters, and by `vars` of its use. */
  readonly params: Vars;
  readonly given: Vars;
  readonly dependencies: readonly RoleInstance[];
  /** The roles that it is a dependency of, or that include it, outermost first. */
  readonly parents: readonly RoleInstance[];
  readonly isDependency?: boolean;
}

/** Return the name of a role without that of its collection. */
export function shortName({ name, collection }: RoleNode): string {
  return collection === undefined ? name : name.replace(`${collection}.`, "");
}

/** A statement around a task, or the task itself. */
export interface Frame {
  readonly parent: Frame | undefined;
  readonly keys: Keys;
  /** Vars for the tasks within. */
  readonly vars: Vars;
  readonly role: RoleInstance | undefined;
  /** The path of the file of tasks, for relative names. */
  readonly file: string;
  /** Set for a dynamic include: its vars are parameters, too. */
  readonly params?: Vars;
  /** Set for a dynamic include: conditions around it were asked when it was reached. */
  readonly isInclude?: boolean;
}

/** Keywords that are not inherited. */
const OWN = new Set([
  "name",
  "register",
  "loop",
  "loop_control",
  "until",
  "retries",
  "delay",
  "changed_when",
  "failed_when",
  "async",
  "poll",
  "listen",
  "vars",
]);

/** Return a keyword's value: of the nearest statement that sets it. */
export function inherited(frame: Frame, key: string): unknown {
  for (let at: Frame | undefined = frame; at !== undefined; at = at.parent) {
    const value = at.keys[key];
    if (value !== undefined && value !== null) return value;
    if (OWN.has(key)) return undefined;
  }
  return undefined;
}

/**
 * Return a keyword's value, rendered: of the nearest statement that sets it to anything but `omit`, which leaves it to
 * the statements around.
 */
export function settled(frame: Frame, key: string, render: (written: unknown) => unknown): unknown {
  for (let at: Frame | undefined = frame; at !== undefined; at = at.parent) {
    const written = at.keys[key];
    const value = written === undefined || written === null ? OMIT : render(written);
    if (value !== OMIT) return value;
    if (OWN.has(key)) return undefined;
  }
  return undefined;
}

/** Return the conditions of a task and of what is around it, outermost first, up to the nearest dynamic include. */
export function conditionsOf(frame: Frame): readonly unknown[] {
  const all: unknown[][] = [];
  for (let at: Frame | undefined = frame; at !== undefined; at = at.parent) {
    all.unshift((at.keys.when ?? []) as unknown[]);
    if (at.isInclude === true) {
      all.shift();
      break;
    }
  }
  return all.flat();
}

/** Return the tags of a task and of all that is around it. A dynamic include does not give its tags to its tasks. */
export function tagsOf(frame: Frame): readonly unknown[] {
  const all: unknown[] = [];
  for (let at: Frame | undefined = frame; at !== undefined; at = at.parent)
    if (at.isInclude !== true) all.push(...((at.keys.tags ?? []) as unknown[]));
  return all;
}

/** Return every value of a keyword, outermost first. */
export function allOf(frame: Frame, key: string): readonly unknown[] {
  const all: unknown[] = [];
  for (let at: Frame | undefined = frame; at !== undefined; at = at.parent)
    if (at.keys[key] !== undefined && at.keys[key] !== null) all.unshift(at.keys[key]);
  return all;
}

/** Return the frames of a task, outermost first. */
export function framesOf(frame: Frame): readonly Frame[] {
  const all: Frame[] = [];
  for (let at: Frame | undefined = frame; at !== undefined; at = at.parent) all.unshift(at);
  return all;
}
