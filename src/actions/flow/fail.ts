import * as v from "valibot";
import { ActionFailure } from "../../core/action.ts";
import { defineAction } from "../define.ts";
import { describe } from "../shared/params.ts";

/** Fail with a message. */
export const fail = defineAction({
  name: "fail",
  doc: `Fail with a message, which ends the role. Use it with a \`when\` that must not hold.

It fails in check mode too. \`fail("why")\` is short for \`msg\`.`,
  params: v.strictObject({
    msg: v.optional(describe(v.string(), "The message."), "Failed as requested from task"),
  }),
  examples: [{ msg: "This role needs Debian 12 or later" }],
  shorthand: (input: string) => ({ msg: input }),
  async inspect({ msg }): Promise<null> {
    throw new ActionFailure("ACTION_FAILED", msg, { msg });
  },
});
