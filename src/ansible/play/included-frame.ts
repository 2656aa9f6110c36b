import type { Vars } from "../../core/values/vars.ts";
import type { Frame } from "../frame.ts";
import type { Included } from "../modules/includes.ts";

/** Make the frame of the tasks that an include brought in: what `apply` says, within the include itself. */
export function frameOfIncluded(what: Included, include: Frame): Frame {
  const { vars = {}, ...keys } = what.apply as Record<string, unknown>;
  const role = what.role ?? include.role;
  const around: Frame = {
    ...include,
    // As in Ansible, keywords of an include are its own: tasks get those that `apply` says.
    keys: {},
    vars: { ...include.vars, ...what.given },
    params: { ...include.vars, ...what.own },
    isInclude: true,
    file: what.path,
    role,
  };
  return { parent: around, keys: normalApply(keys), vars: (vars ?? {}) as Vars, role, file: what.path };
}

function normalApply(keys: Record<string, unknown>): Record<string, unknown> {
  const list = (value: unknown): unknown => (value === undefined || Array.isArray(value) ? value : [value]);
  const { when, tags, notify } = keys;
  return {
    ...keys,
    ...(when === undefined ? {} : { when: list(when) }),
    ...(tags === undefined ? {} : { tags: typeof tags === "string" ? tags.split(",") : list(tags) }),
    ...(notify === undefined ? {} : { notify: list(notify) }),
  };
}
