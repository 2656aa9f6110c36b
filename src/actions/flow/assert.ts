import * as v from "valibot";
import { ActionFailure, unchanged } from "../../core/action.ts";
import { defineAction } from "../define.ts";
import { describe, flag, optionalText } from "../shared/params.ts";

/** A condition: a value, or a function called when the task runs. */
type Assertion = boolean | (() => boolean | Promise<boolean>);

const assertion = v.custom<Assertion>(
  (value) => typeof value === "boolean" || typeof value === "function",
  "must be true, false or a function that says which",
);

/** Fail unless all conditions hold. */
export const assert = defineAction({
  name: "assert",
  doc: `Fail unless all conditions hold.

Conditions are TypeScript: booleans, or functions that are called when the task runs. A condition may have a
description for the message: \`[port > 1024, "the port is unprivileged"]\`. (Ansible's conditions are template
expressions; those of an Ansible role are evaluated before they reach this action.)`,
  params: v.strictObject({
    that: describe(
      v.union([assertion, v.array(v.union([assertion, v.tuple([assertion, v.string()])]))]),
      "A condition, or a list of conditions, each alone or as `[condition, description]`.",
    ),
    fail_msg: optionalText("The message when a condition does not hold."),
    msg: optionalText("The same as `fail_msg`."),
    success_msg: optionalText("The message when all conditions hold."),
    quiet: flag("Give no message when all conditions hold."),
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
