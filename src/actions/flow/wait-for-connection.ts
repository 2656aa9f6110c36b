import * as v from "valibot";
import { unchanged } from "../../core/action.ts";
import { defineAction } from "../define.ts";
import { seconds } from "../shared/params.ts";

/** Waits for what is there already: the connection. */
export const wait_for_connection = defineAction({
  name: "wait_for_connection",
  doc: `Wait until the host can be reached, which it can: the task runs there.

It is here for roles written for Ansible, and is unchanged at once, whatever its parameters: the run goes on at the host
without a connection, and after \`reboot\` only once the host is back.`,
  params: v.strictObject({
    timeout: seconds("Taken for Ansible's sake and not used.", 600),
    connect_timeout: seconds("Taken for Ansible's sake and not used.", 5),
    delay: seconds("Taken for Ansible's sake and not used.", 0),
    sleep: seconds("Taken for Ansible's sake and not used.", 1),
  }),
  examples: [{}],
  async inspect() {
    return unchanged({ elapsed: 0 });
  },
});
