import * as v from "valibot";
import { defineAction } from "../define.ts";
import { flag, optionalText } from "../shared/params.ts";

/** Does nothing. */
export const noop = defineAction({
  name: "noop",
  doc: "Do nothing; with `changed`, say that something changed: to notify a handler, or to try out a playbook.",
  params: v.strictObject({
    changed: flag("Whether it counts as a change."),
    message: optionalText("Shown as its result."),
  }),
  examples: [{ changed: true }],
  async inspect({ changed, message = "nothing to do" }) {
    return changed ? { message } : null;
  },
  async apply({ message }) {
    return { message };
  },
});
