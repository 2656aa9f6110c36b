import * as v from "valibot";
import {
  type ActionContext,
  type Applied,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { commandLine } from "../../core/unix/shell.ts";
import { defineAction } from "../define.ts";
import { sleep } from "../flow/pause.ts";
import { describe, flag, oneOf, optionalText } from "../shared/params.ts";
import { runTool } from "../shared/run-tool.ts";
import {
  applyUnit,
  inspectUnit,
  runsSystemd,
  startsInRunlevel,
  type UnitChange,
  type UnitData,
  type UnitRequest,
  unitText,
} from "./unit.ts";

const params = v.strictObject({
  name: unitText("The name of one service."),
  state: v.optional(
    v.pipe(
      v.picklist(["started", "stopped", "restarted", "reloaded"]),
      v.description("`restarted` and `reloaded` are always a change, and start a service that is stopped."),
    ),
  ),
  enabled: v.optional(v.pipe(v.boolean(), v.description("Start it at boot, or not."))),
  use: oneOf(
    ["auto", "systemd", "sysvinit", "service"],
    "auto",
    "The service manager; `auto` means systemd where it runs, else sysvinit.",
  ),
  arguments: optionalText("Arguments for the init script, after the verb; ignored by systemd."),
  args: optionalText("The same as `arguments`."),
  sleep: v.optional(
    v.pipe(
      v.number(),
      v.minValue(0),
      v.description("Seconds between stop and start when an init script is restarted."),
    ),
    0,
  ),
  pattern: optionalText("Accepted and ignored: the init script reports its status."),
  runlevel: optionalText("Accepted and ignored: the init script's own runlevels are used."),
  masked: v.optional(
    describe(v.boolean(), "As for `systemd`. This and the following are ignored without systemd."),
  ),
  daemon_reload: flag("As for `systemd`."),
  daemon_reexec: flag("As for `systemd`."),
  scope: oneOf(["system", "user", "global"], "system", "As for `systemd`."),
  no_block: flag("As for `systemd`."),
  force: flag("As for `systemd`."),
});

type ServiceParams = v.InferOutput<typeof params>;

function unitRequest(given: ServiceParams): UnitRequest {
  const { name, state, enabled, masked, scope, force } = given;
  return {
    ...{ name, state, enabled, masked, scope, force },
    ...{ daemonReload: given.daemon_reload, daemonReexec: given.daemon_reexec, noBlock: given.no_block },
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

/** Start, stop and enable services under systemd or sysvinit. */
export const service = defineAction<typeof params, UnitChange | ScriptChange, UnitData>({
  name: "service",
  doc: `Start, stop, restart or enable a service, under systemd or sysvinit.

Under systemd it works as the \`systemd\` action does; elsewhere it uses the init script in \`/etc/init.d\` through \`service\` and \`update-rc.d\`. \`restarted\` and \`reloaded\` are always a change, as with Ansible.`,
  params,
  aliases: { "daemon-reload": "daemon_reload", "daemon-reexec": "daemon_reexec" },
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

/** The wanted state of a service without systemd. */
interface ScriptRequest {
  readonly name: string;
  readonly state: "started" | "stopped" | "restarted" | "reloaded" | undefined;
  readonly enabled: boolean | undefined;
  /** Arguments of the init script after the verb. */
  readonly args: readonly string[];
  /** Milliseconds between stop and start of a restart. */
  readonly pauseMs: number;
}

/** The commands of `update-rc.d` and `service` that are needed. */
interface ScriptChange extends Change {
  readonly data?: UnitData;
  readonly commands: readonly (readonly string[])[];
}

/** Compare a service with the wanted state; the exit code of its `status` tells whether it runs (LSB). */
async function inspectScript(
  { name, state, enabled, args }: ScriptRequest,
  system: ReadSystem,
  { check, signal }: ActionContext,
): Promise<ScriptChange | Unchanged<UnitData>> {
  if ((await system.stat(`/etc/init.d/${name}`)) === null) {
    const message = `Could not find the requested service ${name}: this host has no such service`;
    if (check) return { commands: [], unknown: `${message}; an earlier task may bring it` };
    throw new VolleyError("ACTION_FAILED", message, { hint: "install the package that brings it first" });
  }
  const commands: (readonly string[])[] = [];
  const attributes: Record<string, readonly [string, string]> = {};
  const enabledNow = await startsInRunlevel(system, name);
  if (enabled !== undefined && enabled !== enabledNow) {
    if (enabled) commands.push(["update-rc.d", name, "defaults"]);
    commands.push(["update-rc.d", name, enabled ? "enable" : "disable"]);
    attributes.enabled = [String(enabledNow), String(enabled)];
  }
  const isUp = (await system.query(["service", name, "status"], { signal })).code === 0;
  const verbs = state === undefined ? [] : verbsFor(state, isUp);
  if (verbs.length > 0) {
    commands.push(...verbs.map((verb) => ["service", name, verb, ...args]));
    attributes.state = [isUp ? "started" : "stopped", state ?? ""];
  }
  const data = scriptData({ name, state, enabled });
  if (commands.length === 0) return unchanged(data);
  return {
    ...{ commands, data },
    diff: { path: `service ${name}`, attributes },
    message: commands.map(commandLine).join(", "),
  };
}

function verbsFor(state: NonNullable<ScriptRequest["state"]>, isUp: boolean): readonly string[] {
  switch (state) {
    case "started":
      return isUp ? [] : ["start"];
    case "stopped":
      return isUp ? ["stop"] : [];
    case "restarted":
      return isUp ? ["stop", "start"] : ["start"];
    case "reloaded":
      return isUp ? ["reload"] : ["start"];
  }
}

/** Carry out the change that {@link inspectScript} found. */
async function applyScript(
  { commands }: ScriptChange,
  { pauseMs, ...request }: ScriptRequest,
  system: System,
  { signal, output }: ActionContext,
): Promise<Applied<UnitData>> {
  for (const argv of commands) {
    const verb = argv[2] ?? "";
    await runTool(system, argv, `${verb} the service ${request.name}`, { signal, onOutput: output });
    if (verb === "stop" && pauseMs > 0) await sleep(pauseMs, signal);
  }
  return { data: scriptData(request) };
}

function scriptData({ name, state, enabled }: Pick<ScriptRequest, "name" | "state" | "enabled">): UnitData {
  return {
    name,
    ...(state === undefined ? {} : { state: state === "stopped" ? "stopped" : "started" }),
    ...(enabled === undefined ? {} : { enabled }),
  };
}
