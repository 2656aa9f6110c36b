import * as v from "valibot";
import { type ActionDefinition, defineAction } from "../define.ts";
import { flag, oneOf } from "../shared/params.ts";
import {
  applyUnit,
  inspectUnit,
  type UnitChange,
  type UnitData,
  type UnitRequest,
  unitText,
} from "./unit.ts";

const optionalFlag = (description: string) => v.optional(v.pipe(v.boolean(), v.description(description)));

const params = v.pipe(
  v.strictObject({
    name: v.optional(unitText("The name of one unit; without a suffix it means a service.")),
    unit: v.optional(unitText("The same as `name`.")),
    service: v.optional(unitText("The same as `name`.")),
    state: v.optional(
      v.pipe(
        v.picklist(["started", "stopped", "restarted", "reloaded"]),
        v.description("`restarted` and `reloaded` are always a change, and start a unit that is stopped."),
      ),
    ),
    enabled: optionalFlag("Start it at boot, or not."),
    masked: optionalFlag("Make it impossible to start, or possible again."),
    daemon_reload: flag("Make systemd reload its unit files first. Never a change by itself."),
    daemon_reexec: flag("Make systemd re-execute itself first. Never a change by itself."),
    scope: oneOf(
      ["system", "user", "global"],
      "system",
      "The manager: the system's, this user's own, or the defaults of all users.",
    ),
    no_block: flag("Do not wait until the unit has started or stopped."),
    force: flag("Replace existing links when enabling."),
  }),
  v.check(
    ({ name, unit, service }) => [name, unit, service].filter((given) => given !== undefined).length < 2,
    "name, unit and service are the same; give one of them",
  ),
  v.check(
    (given) => givenName(given) !== undefined || needsName(given) === undefined,
    ({ input }) => `missing parameter(s) required by '${needsName(input)}': name`,
  ),
  v.check(
    (given) => givenName(given) !== undefined || given.daemon_reload || given.daemon_reexec,
    "give name; or daemon_reload or daemon_reexec alone",
  ),
  v.check(
    ({ scope, state }) => scope !== "global" || state === undefined,
    "the global scope has no running units: state cannot be set there",
  ),
);

interface Named {
  readonly name?: string | undefined;
  readonly unit?: string | undefined;
  readonly service?: string | undefined;
}

function givenName({ name, unit, service }: Named): string | undefined {
  return name ?? unit ?? service;
}

/** Return the parameter that says something of a unit, if any. */
function needsName(
  given: Readonly<Partial<Record<"state" | "enabled" | "masked", unknown>>>,
): string | undefined {
  return (["state", "enabled", "masked"] as const).find((name) => given[name] !== undefined);
}

function requestOf(given: v.InferOutput<typeof params>): UnitRequest {
  const { state, enabled, masked, scope, force } = given;
  return {
    name: givenName(given),
    state,
    enabled,
    masked,
    daemonReload: given.daemon_reload,
    daemonReexec: given.daemon_reexec,
    scope,
    noBlock: given.no_block,
    force,
  };
}

const definition: ActionDefinition<typeof params, UnitChange, UnitData> = {
  name: "systemd",
  doc: `Start, stop, restart, enable or mask a systemd unit.

Systemd's own files tell whether a service runs, is enabled and is not masked, without a process; \`systemctl show\` answers everything else. As with Ansible, \`restarted\` and \`reloaded\` are always a change and start a unit that is stopped, \`daemon_reload\` never is one, and a unit whose state is \`enabled-runtime\` counts as enabled, and one that is \`indirect\` where the units it names are enabled for it. A \`static\` unit cannot be enabled or disabled, and fits both values. An alias (\`sshd\`) stands for its unit (\`ssh\`). A template (\`getty@\`) can be enabled, disabled and masked; only its instances can be started.

A unit that does not exist is an error; in check mode it is unknown, because an earlier task may install it.`,
  params,
  aliases: { "daemon-reload": "daemon_reload", "daemon-reexec": "daemon_reexec" },
  examples: [
    { name: "nginx", state: "started", enabled: true },
    { unit: "app.timer", state: "restarted", daemon_reload: true },
    { daemon_reload: true },
  ],
  title: (given) => requestOf(given).name ?? "",
  inspect: (given, system, context) => inspectUnit(requestOf(given), system, context),
  apply: (change, given, system, context) => applyUnit(change, requestOf(given), system, context),
};

/** Start, stop, enable and mask systemd units. */
export const systemd = defineAction(definition);

/** The same as {@link systemd}, by its newer name. */
export const systemd_service = defineAction({ ...definition, name: "systemd_service" });
