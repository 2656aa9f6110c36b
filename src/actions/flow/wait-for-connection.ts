import * as v from "valibot";
import { unchanged } from "../../core/action.ts";
import { defineAction } from "../define.ts";
import { seconds } from "../shared/params.ts";

/** Accept Ansible's `wait_for_connection`; the host is connected already. */
export const wait_for_connection = defineAction({
  name: "wait_for_connection",
  doc: `Accept Ansible's task that waits until the host can be reached.

The task runs on the host, so it is unchanged at once, whatever its parameters. A run continues on the host without a
connection, and after \`reboot\` only once the host is back.`,
  params: v.strictObject({
    timeout: seconds("Accepted and ignored.", 600),
    connect_timeout: seconds("Accepted and ignored.", 5),
    delay: seconds("Accepted and ignored.", 0),
    sleep: seconds("Accepted and ignored.", 1),
  }),
  examples: [{}],
  async inspect() {
    return unchanged({ elapsed: 0 });
  },
});
