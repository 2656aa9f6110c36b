import * as v from "valibot";
import { type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { flag, nameText } from "../shared/params.ts";
import { runTool } from "../shared/run-tool.ts";

const params = v.strictObject({
  name: nameText("The boolean, such as `httpd_can_network_connect`."),
  state: v.pipe(v.boolean(), v.description("On or off.")),
  persistent: flag("Keep it at the next boot."),
  ignore_selinux_state: flag("Accepted for hosts whose SELinux is off: nothing is done on them."),
});

/** The data of a seboolean task. */
interface SebooleanData {
  readonly name: string;
  readonly state: boolean;
  readonly persistent: boolean;
}

const ENGLISH = { env: { LC_ALL: "C" } } as const;

/** Set booleans of SELinux's policy. */
export const seboolean = defineAction<typeof params, Change, SebooleanData>({
  name: "seboolean",
  doc: `Set a boolean of SELinux's policy, with \`persistent\` for the next boots too.

On a host without SELinux the task fails, unless \`ignore_selinux_state\` is true.`,
  params,
  examples: [{ name: "httpd_can_network_connect", state: true, persistent: true }],
  title: ({ name, state }) => `${name} ${state ? "on" : "off"}`,

  async inspect(given, system): Promise<Change | Unchanged<SebooleanData>> {
    const { name, state, persistent, ignore_selinux_state } = given;
    const data: SebooleanData = { name, state, persistent };
    if ((await system.stat("/sys/fs/selinux/booleans")) === null) {
      if (ignore_selinux_state) return unchanged(data, "SELinux is disabled on this host: nothing was done");
      throw new VolleyError("ACTION_FAILED", "SELinux is disabled on this host.");
    }
    for (const tool of ["getsebool", "setsebool"]) {
      if ((await system.which(tool)) === null)
        throw new VolleyError(
          "ACTION_FAILED",
          `there is no ${tool} on this host; install the package that has it (policycoreutils, libselinux-utils)`,
        );
    }
    const asked = await system.query(["getsebool", name], ENGLISH);
    const [, word] = /--> (on|off)/.exec(asked.stdout) ?? [];
    if (asked.code !== 0 || word === undefined)
      throw new VolleyError("ACTION_FAILED", `SELinux boolean ${name} does not exist.`);
    const kept = persistent ? await keptState(name, system) : undefined;
    const isNow = word === "on";
    if (isNow === state && (!persistent || kept === state)) return unchanged(data);
    const text = (value: boolean | undefined): string => (value === undefined ? "" : value ? "on" : "off");
    const attributes = {
      ...(isNow === state ? {} : { state: [text(isNow), text(state)] as const }),
      ...(!persistent || kept === state ? {} : { persistent: [text(kept), text(state)] as const }),
    };
    return { diff: { path: `SELinux boolean ${name}`, attributes }, data };
  },

  async apply(_change, { name, state, persistent }, system, { signal }) {
    const argv = ["setsebool", ...(persistent ? ["-P"] : []), name, state ? "on" : "off"];
    await runTool(system, argv, `set the SELinux boolean ${name}`, { ...ENGLISH, signal });
    return { data: { name, state, persistent } };
  },
});

/** The state at the next boot; undefined when nothing tells. */
async function keptState(name: string, system: ReadSystem): Promise<boolean | undefined> {
  if ((await system.which("semanage")) === null) return undefined;
  const { stdout } = await system.query(["semanage", "boolean", "--list", "--noheading"], ENGLISH);
  // NAME (now , at boot) description
  const line = stdout.split("\n").find((one) => one.split(/\s+/)[0] === name);
  const [, word] = /\(\s*\w+\s*,\s*(on|off)\s*\)/.exec(line ?? "") ?? [];
  return word === undefined ? undefined : word === "on";
}
