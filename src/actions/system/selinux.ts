import * as v from "valibot";
import { type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { flag, optionalText } from "../shared/params.ts";
import { runTool } from "../shared/run-tool.ts";

const params = v.pipe(
  v.strictObject({
    state: v.pipe(
      v.picklist(["enforcing", "permissive", "disabled"]),
      v.description("Whether the policy is enforced, only reported, or off."),
    ),
    policy: optionalText("The policy, such as `targeted`; needed unless `state` is `disabled`."),
    configfile: v.optional(
      v.pipe(v.string(), v.description("The file that decides at boot.")),
      "/etc/selinux/config",
    ),
    update_kernel_param: flag("Accepted and ignored: the boot loader's arguments stay as they are."),
  }),
  v.check(
    ({ state, policy }) => state === "disabled" || policy !== undefined,
    'Policy is required if state is not "disabled"',
  ),
);

type SelinuxParams = v.InferOutput<typeof params>;

/** The data of a selinux task. */
interface SelinuxData {
  readonly configfile: string;
  readonly policy: string | null;
  readonly state: string;
  readonly reboot_required: boolean;
}

interface SelinuxChange extends Change {
  /** The new text of the file; absent: it stays. */
  readonly text?: string;
  /** The mode to tell the kernel now; absent: none. */
  readonly enforce?: "0" | "1";
  readonly data: SelinuxData;
}

const ENFORCE = "/sys/fs/selinux/enforce";

/** Set the mode and the policy of SELinux. */
export const selinux = defineAction<typeof params, SelinuxChange, SelinuxData>({
  name: "selinux",
  doc: `Set the mode and the policy of SELinux, now and for the next boots. Between \`disabled\` and the others only a reboot changes; \`reboot_required\` tells.

On a host without SELinux the task fails, unless it is to be disabled.`,
  params,
  aliases: { conf: "configfile", file: "configfile" },
  examples: [{ policy: "targeted", state: "enforcing" }, { state: "disabled" }],
  title: ({ state }) => state,

  async inspect(given, system): Promise<SelinuxChange | Unchanged<SelinuxData>> {
    const { state, configfile } = given;
    const file = await system.readIfExists(configfile);
    const now = await modeNow(system);
    if (file === null) {
      if (state === "disabled" && now === "disabled") return unchanged(dataOf(given, null, false));
      throw new VolleyError(
        "ACTION_FAILED",
        `there is no ${configfile} on this host: SELinux is not installed`,
        { hint: "install its policy, such as selinux-policy-targeted or selinux-policy-default" },
      );
    }
    const before = file.toString("utf8");
    const policy = given.policy ?? /^SELINUXTYPE=(\S*)/m.exec(before)?.[1] ?? null;
    if (given.policy !== undefined && (await system.stat(`/etc/selinux/${given.policy}`)) === null)
      throw new VolleyError("ACTION_FAILED", `Policy ${given.policy} does not exist in /etc/selinux/`);
    let after = withSetting(before, "SELINUX", state);
    if (policy !== null) after = withSetting(after, "SELINUXTYPE", policy);
    const needsReboot = now !== state && (now === "disabled" || state === "disabled");
    const enforce = now === state || needsReboot ? undefined : state === "enforcing" ? "1" : "0";
    const data = dataOf(given, policy, needsReboot);
    if (after === before && enforce === undefined) return unchanged(data);
    return {
      ...(after === before ? {} : { text: after }),
      ...(enforce === undefined ? {} : { enforce }),
      data,
      diff: [
        ...(after === before ? [] : [{ path: configfile, before, after }]),
        ...(enforce === undefined ? [] : [{ path: ENFORCE, before: `${now}\n`, after: `${state}\n` }]),
      ],
    };
  },

  async apply({ text, enforce, data }, { configfile }, system, { signal }) {
    if (text !== undefined) await system.writeFile(configfile, text);
    if (enforce !== undefined) await runTool(system, ["setenforce", enforce], "switch SELinux", { signal });
    return { data };
  },
});

async function modeNow(system: ReadSystem): Promise<SelinuxParams["state"]> {
  const text = (await system.readIfExists(ENFORCE))?.toString("utf8").trim();
  return text === undefined ? "disabled" : text === "1" ? "enforcing" : "permissive";
}

function withSetting(text: string, name: string, value: string): string {
  const line = new RegExp(`^${name}=.*$`, "m");
  if (line.test(text)) return text.replace(line, `${name}=${value}`);
  return `${text === "" || text.endsWith("\n") ? text : `${text}\n`}${name}=${value}\n`;
}

function dataOf(
  { state, configfile }: SelinuxParams,
  policy: string | null,
  needsReboot: boolean,
): SelinuxData {
  return { configfile, policy, state, reboot_required: needsReboot };
}
