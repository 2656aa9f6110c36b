import * as v from "valibot";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { oneOf, optionalText } from "../shared/params.ts";
import { applyScript, inspectScript, type ScriptChange, type ScriptRequest } from "./sysv-service.ts";
import { applyUnit, inspectUnit, type UnitChange, type UnitData, type UnitRequest } from "./unit-plan.ts";
import { runsSystemd } from "./unit-state.ts";
import { unitText } from "./unit-text.ts";

const params = v.pipe(
  v.strictObject({
    name: unitText("The service, one."),
    state: v.optional(
      v.pipe(
        v.picklist(["started", "stopped", "restarted", "reloaded"]),
        v.description("`restarted` and `reloaded` are always a change, and start a service that is stopped."),
      ),
    ),
    enabled: v.optional(v.pipe(v.boolean(), v.description("Whether it starts at boot."))),
    use: oneOf(
      ["auto", "systemd", "sysvinit", "service"],
      "auto",
      "The service manager; `auto` is systemd where it runs.",
    ),
    arguments: optionalText("Given to an init script after the verb; ignored by systemd."),
    args: optionalText("The same as `arguments`."),
    sleep: v.optional(
      v.pipe(
        v.number(),
        v.minValue(0),
        v.description("Seconds between stop and start of an init script that is restarted."),
      ),
      0,
    ),
    pattern: optionalText("Accepted and ignored: an init script is asked for its status."),
    runlevel: optionalText("Accepted and ignored: the init script's own runlevels are used."),
  }),
  v.check(({ state, enabled }) => state !== undefined || enabled !== undefined, "give state or enabled"),
);

type ServiceParams = v.InferOutput<typeof params>;

function unitRequest({ name, state, enabled }: ServiceParams): UnitRequest {
  return {
    ...{ name, state, enabled, masked: undefined },
    ...{ daemonReload: false, daemonReexec: false, scope: "system", noBlock: false, force: false },
  };
}

function scriptRequest({
  name,
  state,
  enabled,
  arguments: args,
  args: sameArgs,
  sleep,
}: ServiceParams): ScriptRequest {
  const words = (args ?? sameArgs ?? "").split(/\s+/).filter((word) => word !== "");
  return { name, state, enabled, args: words, pauseMs: sleep * 1_000 };
}

async function usesSystemd({ use }: ServiceParams, system: ReadSystem): Promise<boolean> {
  return use === "auto" ? runsSystemd(system) : use === "systemd";
}

/** Starts, stops and enables services, whatever manages them. */
export const service = defineAction<typeof params, UnitChange | ScriptChange, UnitData>({
  name: "service",
  doc: `Start, stop, restart or enable a service, whatever manages it.

Where systemd runs it does what the \`systemd\` action does; elsewhere it uses the init script in \`/etc/init.d\` through \`service\` and \`update-rc.d\`. \`restarted\` and \`reloaded\` are always a change, as with Ansible.`,
  params,
  examples: [
    { name: "nginx", state: "started", enabled: true },
    { name: "ssh", state: "reloaded" },
  ],
  title: ({ name }) => name,
  inspect: async (given, system, context) =>
    (await usesSystemd(given, system))
      ? inspectUnit(unitRequest(given), system, context)
      : inspectScript(scriptRequest(given), system, context),
  apply: async (change, given, system, context) =>
    (await usesSystemd(given, system))
      ? applyUnit(change, unitRequest(given), system, context)
      : applyScript(change, scriptRequest(given), system, context),
});
