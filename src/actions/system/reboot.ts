import * as v from "valibot";
import { type ActionContext, ActionFailure, type Applied, type Change } from "../../core/action.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { sleep } from "../flow/pause.ts";
import { describe, optionalText, seconds, textList } from "../shared/params.ts";
import { failureText } from "../shared/run-tool.ts";

/** The data of a reboot task, under Ansible's names. */
interface RebootData {
  readonly rebooted: boolean;
  /** Seconds from the start of the task until the host was back and its test succeeded. */
  readonly elapsed: number;
}

interface RebootChange extends Change {
  readonly argv: readonly string[];
}

const TEST_PAUSE_MS = 1_000;

/** Restart the host. */
export const reboot = defineAction({
  name: "reboot",
  doc: `Restart the host, and continue the run once it is back.

The controller waits for the host for at most \`reboot_timeout\`, then starts the run there again, which continues after
this task. Earlier tasks do not run again, their results are kept, and handlers they notified run at their usual time.
The kernel's boot id tells whether the host has restarted. A role's own reads of the system (not its tasks) are done
again.

It always counts as a change, so give it a \`when\`. A bundle that runs on the host with \`--local\` has no controller
to continue it: the task fails, in check mode too.

Unlike Ansible, which logs in and runs \`whoami\`, no \`test_command\` runs by default: the run itself shows that the
host works.`,
  params: v.strictObject({
    msg: v.optional(describe(v.string(), "Message for users and the log."), "Reboot initiated by Volley"),
    reboot_timeout: seconds(
      "Seconds until the host must be back, and then again until `test_command` must succeed.",
      600,
    ),
    pre_reboot_delay: seconds("Seconds to wait before the restart.", 0),
    post_reboot_delay: seconds("Seconds to wait after the host is back, before the test.", 0),
    test_command: optionalText(
      "Shell command that succeeds once the host is ready; it is tried every second.",
    ),
    reboot_command: optionalText(
      "Shell command for the restart. Default: `systemctl reboot`, without systemd `shutdown -r now`.",
    ),
    search_paths: v.optional(
      textList("Directories to find `shutdown` in, and nowhere else. Default: the usual way to restart."),
    ),
    connect_timeout: v.optional(describe(v.number(), "Accepted and ignored: `--connect-timeout` says it.")),
    boot_time_command: optionalText("Accepted and ignored."),
  }),
  examples: [{}, { msg: "New kernel", reboot_timeout: 900, test_command: "systemctl is-active nginx" }],
  async inspect({ msg, reboot_command, search_paths }, system, context): Promise<RebootChange> {
    if (context.restart === undefined) {
      throw new VolleyError(
        "ACTION_FAILED",
        "no controller could continue the run after a restart of this host: restart it yourself and run the bundle again without this task, or run the playbook from another machine with `volley run --via bundle`",
      );
    }
    const argv =
      reboot_command !== undefined
        ? ["/bin/sh", "-c", reboot_command]
        : search_paths === undefined
          ? await defaultCommand(system, msg)
          : await shutdownIn(search_paths, system, msg);
    return { argv, message: "restart the host", data: { rebooted: true, elapsed: 0 } satisfies RebootData };
  },
  async apply({ argv }, { reboot_timeout, pre_reboot_delay }, system, context) {
    const { signal, restart, output } = context;
    await sleep(pre_reboot_delay * 1000, signal);
    // Before the command, which may leave no time.
    restart?.(reboot_timeout * 1000);
    const startedAt = Date.now();
    const limitMs = reboot_timeout * 1000;
    const result = await system
      .run(argv, { signal, onOutput: output, timeoutMs: limitMs })
      .catch((thrown) => {
        throw isVolleyError(thrown) && thrown.code === "TIMEOUT" ? stillUp(reboot_timeout) : thrown;
      });
    // A signal means that the host is going down already.
    if (result.code !== 0 && result.signal === undefined) {
      const { code: rc, stdout, stderr } = result;
      throw new ActionFailure("ACTION_FAILED", `cannot restart the host: ${failureText(result)}`, {
        rebooted: false,
        rc,
        stdout,
        stderr,
      });
    }
    // This process ends with the host; a new one continues the run.
    await sleep(Math.max(0, limitMs - (Date.now() - startedAt)), signal);
    throw stillUp(reboot_timeout);
  },
  async afterRestart(params, system, context, elapsedMs): Promise<Applied<RebootData>> {
    const { post_reboot_delay, test_command, reboot_timeout } = params;
    const startedAt = Date.now() - elapsedMs;
    await sleep(post_reboot_delay * 1000, context.signal);
    const until = Date.now() + reboot_timeout * 1000;
    for (;;) {
      if (test_command === undefined) break;
      const result = await system.run(["/bin/sh", "-c", test_command], testOptions(until, context));
      if (result.code === 0) break;
      if (Date.now() >= until) {
        throw new ActionFailure(
          "TIMEOUT",
          `the host is back, but its test does not succeed within ${reboot_timeout} s: ${failureText(result)}`,
          { rebooted: true, elapsed: elapsed(startedAt) },
        );
      }
      await sleep(TEST_PAUSE_MS, context.signal);
    }
    const data = { rebooted: true, elapsed: elapsed(startedAt) };
    return { data, message: `the host was restarted, and is back after ${data.elapsed} s` };
  },
});

function stillUp(seconds: number): VolleyError {
  return new VolleyError("TIMEOUT", `the host has not gone down within ${seconds} s`, {
    hint: "something may hold up its shutdown: look at `systemctl list-jobs` there",
  });
}

function testOptions(
  until: number,
  { signal }: ActionContext,
): { readonly timeoutMs: number; readonly signal: AbortSignal } {
  return { timeoutMs: Math.max(1_000, until - Date.now()), signal };
}

function elapsed(startedAt: number): number {
  return Math.round((Date.now() - startedAt) / 1000);
}

async function defaultCommand(system: ReadSystem, msg: string): Promise<readonly string[]> {
  const systemctl = await system.which("systemctl");
  // sd_booted(3): systemd is the running init, not just installed.
  if (systemctl !== null && (await system.stat("/run/systemd/system")) !== null)
    return [systemctl, "reboot", `--message=${msg}`];
  for (const [name, ...rest] of [["shutdown", "-r", "--", "now", msg], ["reboot"]] as const) {
    const path = await system.which(name);
    if (path !== null) return [path, ...rest];
  }
  throw new VolleyError(
    "ACTION_FAILED",
    "the host has no systemctl, shutdown or reboot: say how to restart it with reboot_command",
  );
}

async function shutdownIn(
  directories: readonly string[],
  system: ReadSystem,
  msg: string,
): Promise<readonly string[]> {
  for (const directory of directories) {
    const path = await system.which(`${directory.replace(/\/$/, "")}/shutdown`);
    if (path !== null) return [path, "-r", "now", msg];
  }
  throw new VolleyError(
    "ACTION_FAILED",
    `there is no shutdown in the search_paths ${directories.join(", ")}; name its directory, or give reboot_command`,
  );
}
