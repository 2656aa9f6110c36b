import * as v from "valibot";
import { defineAction } from "../define.ts";
import { flag, optionalText } from "../shared/params.ts";

/** Do nothing. */
export const noop = defineAction({
  name: "noop",
  doc: "Do nothing; with `changed`, report a change: to notify a handler, or to try out a playbook.",
  params: v.strictObject({
    changed: flag("Count as a change."),
    message: optionalText("The message of the result."),
  }),
  examples: [{ changed: true }],
  async inspect({ changed, message = "nothing to do" }) {
    return changed ? { message } : null;
  },
  async apply({ message }) {
    return { message };
  },
});
