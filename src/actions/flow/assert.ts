import * as v from "valibot";
import { ActionFailure, unchanged } from "../../core/action.ts";
import { defineAction } from "../define.ts";
import { describe, flag, optionalText } from "../shared/params.ts";

/** Something that must hold: a value, or a function asked when the task's turn comes. */
export type Assertion = boolean | (() => boolean | Promise<boolean>);

const assertion = v.custom<Assertion>(
  (value) => typeof value === "boolean" || typeof value === "function",
  "must be true, false or a function that says which",
);

/** Fails unless all of some conditions hold. */
export const assert = defineAction({
  name: "assert",
  doc: `Fail unless all conditions hold.

Conditions are TypeScript: booleans, or functions for what is known only when the task's turn comes. Beside each may
stand what it says, for the message: \`[port > 1024, "the port is unprivileged"]\`. (Ansible's conditions are
template expressions; in an Ansible role they are evaluated as such before they come here.)`,
  params: v.strictObject({
    that: describe(
      v.union([assertion, v.array(v.union([assertion, v.tuple([assertion, v.string()])]))]),
      "A condition, or a list of conditions, each alone or as `[condition, what it says]`.",
    ),
    fail_msg: optionalText("The message when one does not hold."),
    msg: optionalText("The same as `fail_msg`."),
    success_msg: optionalText("The message when all hold."),
    quiet: flag("Says nothing when all hold."),
  }),
  examples: [{ that: [[true, "memory suffices"]], fail_msg: "This host is too small" }],
  async inspect({ that, fail_msg, msg, success_msg = "All assertions passed", quiet }) {
    const all = Array.isArray(that) ? that : [that];
    for (const [index, entry] of all.entries()) {
      const [condition, says] = Array.isArray(entry) ? entry : [entry, undefined];
      if (typeof condition === "function" ? await condition() : condition) continue;
      const name = says ?? (all.length > 1 ? `condition ${index + 1} of ${all.length}` : "the condition");
      throw new ActionFailure("ACTION_FAILED", fail_msg ?? msg ?? `assertion failed: ${name} does not hold`, {
        assertion: name,
        evaluated_to: false,
      });
    }
    return quiet ? null : unchanged({ msg: success_msg }, success_msg);
  },
});
