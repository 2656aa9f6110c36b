import * as v from "valibot";
import { type Applied, type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { defineAction } from "../define.ts";
import { seconds } from "../shared/params.ts";
import { sleep } from "./pause.ts";

/** The data of a wait_for_connection task. */
interface WaitForConnectionData {
  /** Seconds. */
  readonly elapsed: number;
}

/** Accept Ansible's `wait_for_connection`; the host is connected already. */
export const wait_for_connection = defineAction({
  name: "wait_for_connection",
  doc: `Accept Ansible's task that waits until the host can be reached.

The task runs on the host, so the host is reached already: only \`delay\` is waited for. A run continues on the host
without a connection, and after \`reboot\` only once the host is back. Check mode does not wait. Hosts that are not there
yet when the run begins are tried again where a play says \`waitForConnection\`.`,
  params: v.strictObject({
    timeout: seconds("Accepted and ignored.", 600),
    connect_timeout: seconds("Accepted and ignored.", 5),
    delay: seconds("Seconds to wait first.", 0),
    sleep: seconds("Accepted and ignored.", 1),
  }),
  examples: [{}],
  async inspect({ delay }, _system, { check }): Promise<Change | Unchanged<WaitForConnectionData>> {
    return delay === 0 || check ? unchanged({ elapsed: 0 }) : { message: `wait ${delay} s` };
  },
  async apply(_change: Change, { delay }, _system, { signal }): Promise<Applied<WaitForConnectionData>> {
    const startedAt = Date.now();
    await sleep(delay * 1000, signal);
    return { changed: false, data: { elapsed: Math.round((Date.now() - startedAt) / 1000) } };
  },
});
