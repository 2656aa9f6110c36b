import * as v from "valibot";
import {
  type ActionContext,
  type Applied,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { describe, flag, optionalText } from "../shared/params.ts";
import { failureText, runTool } from "../shared/run-tool.ts";

const fields = v.strictObject({
  state: v.pipe(
    v.picklist(["absent", "disabled", "enabled", "present"]),
    v.description("Allow or forbid what is named; `present` and `absent` are for zones and targets."),
  ),
  zone: optionalText("The zone. Default: the default zone."),
  service: optionalText("A service, such as `https`."),
  protocol: optionalText("A protocol, such as `ospf`."),
  port: optionalText("A port or a range with its protocol: `8081/tcp`, `161-162/udp`."),
  source: optionalText("A source, such as `192.0.2.0/24`."),
  interface: optionalText("An interface."),
  rich_rule: optionalText("A rule in firewalld's rich language."),
  icmp_block: optionalText("A type of ICMP to block."),
  icmp_block_inversion: v.optional(describe(v.boolean(), "Block all ICMP but what is named.")),
  masquerade: v.optional(describe(v.boolean(), "Masquerade the zone's addresses.")),
  forward: v.optional(describe(v.boolean(), "Forward packets within the zone.")),
  port_forward: v.optional(
    describe(
      v.array(
        v.strictObject({
          port: v.union([v.string(), v.number()]),
          proto: v.picklist(["udp", "tcp"]),
          toport: v.union([v.string(), v.number()]),
          toaddr: v.optional(v.string()),
        }),
      ),
      "A port to forward, with `port`, `proto`, `toport` and `toaddr`.",
    ),
  ),
  target: v.optional(
    describe(
      v.picklist(["default", "ACCEPT", "DROP", "%%REJECT%%"]),
      "Target of the zone; with `permanent`.",
    ),
  ),
  permanent: v.optional(describe(v.boolean(), "Keep it in the configuration. Default: only with `offline`.")),
  immediate: flag("Change the running firewall as well; without `permanent` it always is."),
  timeout: v.optional(
    describe(v.pipe(v.number(), v.integer()), "Seconds until the running firewall forgets it."),
    0,
  ),
  offline: flag("Change the configuration of a firewall that does not run."),
});
type Params = v.InferOutput<typeof fields>;

const params = v.pipe(
  fields,
  v.check((given) => thingsOf(given).length <= 1, "give one thing at a time: a service, a port, a source…"),
  v.check(
    (given) =>
      thingsOf(given).length === 1 ||
      ((given.state === "present" || given.state === "absent") && given.zone !== undefined),
    "give a service, a port, a source or the like; or a zone with state present or absent",
  ),
  v.check(
    ({ timeout, permanent }) => timeout === 0 || permanent !== true,
    "a timeout is for the running firewall alone",
  ),
);
/** A thing that a zone has or lacks: the words of firewall-cmd after `--query-`, `--add-` and `--remove-`. */
interface Thing {
  readonly option: string;
  readonly value?: string;
  /** False for what is to be off although `state` is enabled: `masquerade: false`. */
  readonly isWanted: boolean;
}

function thingsOf(given: Params): readonly Thing[] {
  const isOn = given.state === "enabled" || given.state === "present";
  const texts = [
    ["service", given.service],
    ["protocol", given.protocol],
    ["port", given.port],
    ["source", given.source],
    ["interface", given.interface],
    ["rich-rule", given.rich_rule],
    ["icmp-block", given.icmp_block],
    ["target", given.target],
  ] as const;
  const flags = [
    ["icmp-block-inversion", given.icmp_block_inversion],
    ["masquerade", given.masquerade],
    ["forward", given.forward],
  ] as const;
  return [
    ...texts.flatMap(([option, value]) => (value === undefined ? [] : [{ option, value, isWanted: isOn }])),
    ...flags.flatMap(([option, value]) =>
      value === undefined ? [] : [{ option, isWanted: value === isOn }],
    ),
    ...(given.port_forward ?? []).map(({ port, proto, toport, toaddr }) => ({
      option: "forward-port",
      value: `port=${port}:proto=${proto}:toport=${toport}${toaddr === undefined ? "" : `:toaddr=${toaddr}`}`,
      isWanted: isOn,
    })),
  ];
}

/** The data of a firewalld task. */
interface FirewalldData {
  readonly msg: string;
}

interface FirewalldChange extends Change {
  readonly commands: readonly (readonly string[])[];
  readonly result: FirewalldData;
}

/** Keep what a zone of firewalld allows. */
export const firewalld = defineAction<typeof params, FirewalldChange, FirewalldData>({
  name: "firewalld",
  doc: `Keep what a zone of firewalld allows, by firewall-cmd: in the running firewall, in its configuration
(\`permanent\`), or in both (\`permanent\` and \`immediate\`).

A zone is made and removed with \`permanent\` alone, and takes effect when the firewall is reloaded.`,
  params,
  examples: [{ service: "https", state: "enabled", permanent: true, immediate: true }],
  title: (given) => {
    const [thing] = thingsOf(given);
    return [given.zone, thing?.option, thing?.value, given.state]
      .filter((word) => word !== undefined)
      .join(" ");
  },
  inspect,
  async apply({ commands, result }, _given, system, { signal }): Promise<Applied<FirewalldData>> {
    for (const argv of commands)
      await runTool(system, argv, `run ${argv.join(" ")}`, { signal, env: { LC_ALL: "C" } });
    return { data: result, message: result.msg };
  },
});

async function inspect(
  given: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<FirewalldChange | Unchanged<FirewalldData>> {
  const options = { signal: context.signal, env: { LC_ALL: "C" } };
  const program =
    given.offline && (await system.which("firewall-offline-cmd")) !== null
      ? "firewall-offline-cmd"
      : "firewall-cmd";
  const isAway =
    (await system.which(program)) === null
      ? 'firewalld is not installed; install it first with apt({ name: "firewalld" })'
      : program === "firewall-cmd" && (await system.query([program, "--state"], options)).code !== 0
        ? "firewall is not currently running, unable to perform immediate actions: start firewalld first, or set offline"
        : undefined;
  if (isAway !== undefined) {
    if (context.check) return { commands: [], result: { msg: "" }, unknown: isAway };
    throw new VolleyError("ACTION_FAILED", isAway);
  }
  const zone = given.zone === undefined ? [] : [`--zone=${given.zone}`];
  const [thing] = thingsOf(given);
  const permanent = given.permanent ?? given.offline;
  const places =
    program === "firewall-offline-cmd"
      ? [[]]
      : [...(permanent ? [["--permanent"]] : []), ...(given.immediate || !permanent ? [[]] : [])];
  const commands: (readonly string[])[] = [];
  const done: string[] = [];
  const ask = async (...words: readonly string[]) => system.query([program, ...words], options);
  if (thing === undefined || thing.option === "target") {
    if (!permanent)
      throw new VolleyError(
        "ACTION_FAILED",
        "zones and targets are changed with permanent alone: set permanent",
      );
    const where = program === "firewall-offline-cmd" ? [] : ["--permanent"];
    const isOn = given.state === "enabled" || given.state === "present";
    if (thing === undefined) {
      const zones = (await ask(...where, "--get-zones")).stdout.trim().split(/\s+/);
      if (zones.includes(given.zone!) !== isOn)
        commands.push([program, ...where, `--${isOn ? "new" : "delete"}-zone=${given.zone}`]);
    } else {
      const current = (await ask(...where, ...zone, "--get-target")).stdout.trim();
      const wanted = isOn ? thing.value! : "default";
      if (current !== wanted) commands.push([program, ...where, ...zone, `--set-target=${wanted}`]);
    }
    if (commands.length > 0)
      done.push(`Changed ${thing === undefined ? "zone" : "target of zone"} ${given.zone ?? "default"}`);
  } else {
    const value = thing.value === undefined ? "" : `=${thing.value}`;
    for (const place of places) {
      const found = await ask(...place, ...zone, `--query-${thing.option}${value}`);
      if (found.code > 1)
        throw new VolleyError("ACTION_FAILED", `firewalld refuses the question: ${failureText(found)}`);
      if ((found.code === 0) === thing.isWanted) continue;
      const timeout =
        given.timeout > 0 && place.length === 0 && thing.isWanted ? [`--timeout=${given.timeout}`] : [];
      commands.push([
        program,
        ...place,
        ...zone,
        `--${thing.isWanted ? "add" : "remove"}-${thing.option}${value}`,
        ...timeout,
      ]);
      done.push(place.length > 0 ? "Permanent operation" : "Non-permanent operation");
    }
    if (done.length > 0)
      done.push(`Changed ${thing.option} ${thing.value ?? ""} to ${given.state}`.replace("  ", " "));
  }
  const result = { msg: done.join(", ") };
  if (commands.length === 0) return unchanged(result);
  return { commands, result, data: result, message: commands.map((argv) => argv.join(" ")).join("; ") };
}
