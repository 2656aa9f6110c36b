import * as v from "valibot";
import { type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { flag, nameText, oneOf, textList } from "../shared/params.ts";
import { failureText, runTool } from "../shared/run-tool.ts";

const params = v.strictObject({
  ports: textList("Ports and ranges: `8888`, `10000-10100`."),
  proto: v.pipe(v.picklist(["tcp", "udp", "dccp", "sctp"]), v.description("The protocol.")),
  setype: nameText("The type for the ports, such as `http_port_t`."),
  state: oneOf(["present", "absent"], "present", "Give the ports this type, or take it from them."),
  reload: flag("Load the policy anew; off: at the next boot.", true),
  ignore_selinux_state: flag("Change the policy although SELinux is off."),
  local: flag("Look only at changes that were made here."),
});

/** The data of a seport task. */
interface SeportData {
  readonly ports: readonly string[];
  readonly proto: string;
  readonly setype: string;
  readonly state: string;
}

interface SeportChange extends Change {
  readonly commands: readonly (readonly string[])[];
}

const ENGLISH = { env: { LC_ALL: "C" } } as const;

/** Give ports a type in SELinux's policy. */
export const seport = defineAction<typeof params, SeportChange, SeportData>({
  name: "seport",
  doc: `Give ports a type in SELinux's policy, so that a service may listen there, or take the type from them.

On a host without SELinux the task fails, unless \`ignore_selinux_state\` is true.`,
  params,
  examples: [{ ports: "8888", proto: "tcp", setype: "http_port_t", state: "present" }],
  title: ({ ports, proto, setype }) => `${proto} ${ports.join(",")} ${setype}`,

  async inspect(given, system): Promise<SeportChange | Unchanged<SeportData>> {
    const { proto, setype, state, reload, local, ignore_selinux_state } = given;
    const ports = portsOf(given.ports);
    if (!ignore_selinux_state && (await system.stat("/sys/fs/selinux/enforce")) === null)
      throw new VolleyError("ACTION_FAILED", "SELinux is disabled on this host.");
    if ((await system.which("semanage")) === null)
      throw new VolleyError(
        "ACTION_FAILED",
        "there is no semanage on this host; install the package that has it (policycoreutils-python-utils)",
      );
    const known = await typesOf(proto, local, system);
    const made = await typesOf(proto, true, system);
    const options = [...(reload ? [] : ["-N"]), "-p", proto];
    const commands = ports.flatMap((port): readonly (readonly string[])[] => {
      if (state === "absent")
        return made.get(port) === setype ? [["semanage", "port", "-d", ...options, port]] : [];
      if (known.get(port) === setype) return [];
      return [["semanage", "port", made.has(port) ? "-m" : "-a", ...options, "-t", setype, port]];
    });
    const data: SeportData = { ports, proto, setype, state };
    if (commands.length === 0) return unchanged(data);
    const type = (port: string): string => known.get(port) ?? "";
    return {
      commands,
      diff: ports
        .filter((port) => commands.some((argv) => argv.at(-1) === port))
        .map((port) => ({
          path: `SELinux port ${port}/${proto}`,
          attributes: { setype: [type(port), state === "absent" ? "" : setype] as const },
        })),
    };
  },

  async apply({ commands }, { ports, proto, setype, state }, system, { signal }) {
    for (const argv of commands)
      await runTool(system, argv, `set the type of the port ${argv.at(-1)}`, { ...ENGLISH, signal });
    return { data: { ports: portsOf(ports), proto, setype, state } };
  },
});

/** Split `80,443` where it came as one text. */
function portsOf(given: readonly string[]): readonly string[] {
  return given.flatMap((each) => each.split(",")).map((each) => each.trim());
}

/** Ask which type each port or range has: `http_port_t  tcp  80, 81, 443`. */
async function typesOf(
  proto: string,
  local: boolean,
  system: ReadSystem,
): Promise<ReadonlyMap<string, string>> {
  const asked = await system.query(["semanage", "port", "-l", "-n", ...(local ? ["-C"] : [])], ENGLISH);
  if (asked.code !== 0)
    throw new VolleyError("ACTION_FAILED", `cannot read SELinux's ports: ${failureText(asked)}`);
  const types = new Map<string, string>();
  for (const line of asked.stdout.split("\n")) {
    const [, type = "", of, ports = ""] = /^(\S+)\s+(\S+)\s+(.*)$/.exec(line.trim()) ?? [];
    if (of !== proto) continue;
    for (const port of ports.split(",")) if (!types.has(port.trim())) types.set(port.trim(), type);
  }
  return types;
}
