import {
  type ActionContext,
  type Applied,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { failureText, runTool } from "../shared/run-tool.ts";
import {
  isEnabled,
  isSurelyUp,
  isTemplate,
  readUnit,
  runsSystemd,
  systemctl,
  systemctlEnvironment,
  touchUnit,
  type UnitScope,
  type UnitState,
  unitName,
} from "./unit-state.ts";

/** The wanted state of a unit. */
export interface UnitRequest {
  /** Undefined to reload the manager only. */
  readonly name: string | undefined;
  readonly state: "started" | "stopped" | "restarted" | "reloaded" | undefined;
  readonly enabled: boolean | undefined;
  readonly masked: boolean | undefined;
  readonly daemonReload: boolean;
  readonly daemonReexec: boolean;
  readonly scope: UnitScope;
  readonly noBlock: boolean;
  readonly force: boolean;
}

/** The systemctl commands that are needed. */
export interface UnitChange extends Change {
  /** Arguments of systemctl, command by command. */
  readonly commands: readonly (readonly string[])[];
}

/** The data of the systemd and service actions. */
export interface UnitData {
  readonly name?: string;
  readonly state?: "started" | "stopped";
  readonly enabled?: boolean;
  readonly status?: UnitState;
}

const UP = ["active", "activating", "reloading", "refreshing"];

/** Compare a unit with the wanted state. */
export async function inspectUnit(
  request: UnitRequest,
  system: ReadSystem,
  context: ActionContext,
): Promise<UnitChange | Unchanged<UnitData>> {
  const { name, state, enabled, masked, scope } = request;
  const reloads = request.daemonReload || request.daemonReexec;
  if (name === undefined) return reloads ? reloadOnly(context) : unchanged({});
  const mayBeUp = (state === undefined || state === "started") && enabled !== false && masked !== true;
  if (!reloads && mayBeUp && scope === "system" && (await isSurelyUp(system, name, context))) {
    return unchanged({
      name,
      state: "started",
      enabled: true,
      status: { Id: unitName(name), LoadState: "loaded", ActiveState: "active", UnitFileState: "enabled" },
    });
  }
  const unit = await readUnit(system, name, scope);
  if (unit.LoadState === "not-found" && masked !== true) return unitMissing(request, context);
  const plan = await planUnit(request, unit, system, context);
  if (plan !== null) return plan;
  return reloads && !context.check ? { commands: [] } : unchanged(await describeUnit(name, unit, system));
}

function reloadOnly({ check }: ActionContext): UnitChange | Unchanged<UnitData> {
  // As in Ansible, a reload is no change, but only apply can do it.
  return check ? unchanged({}, "systemd would reload its configuration") : { commands: [] };
}

function unitMissing({ name = "", daemonReload, scope }: UnitRequest, { check }: ActionContext): UnitChange {
  const message = `there is no unit ${unitName(name)}${scope === "system" ? "" : ` in the ${scope} scope`} on this host`;
  if (check) return { commands: [], unknown: `${message}; an earlier task may bring it` };
  // The reload may find a new unit file.
  if (daemonReload) return { commands: [] };
  throw new VolleyError("ACTION_FAILED", message, {
    hint: "install the package that brings it first; when its unit file is new, set daemon_reload: true",
  });
}

async function planUnit(
  request: UnitRequest,
  unit: UnitState,
  system: ReadSystem,
  { check }: ActionContext,
): Promise<UnitChange | null> {
  const { name = "", state, enabled, masked, force } = request;
  const commands: (readonly string[])[] = [];
  const attributes: Record<string, readonly [string, string]> = {};
  const isMasked = unit.LoadState === "masked" || unit.UnitFileState.startsWith("masked");
  if (masked !== undefined && masked !== isMasked) {
    commands.push([masked ? "mask" : "unmask", "--", name]);
    attributes.masked = [String(isMasked), String(masked)];
  }
  if (isMasked && masked === undefined && state !== undefined && state !== "stopped") {
    const message = `${unit.Id} is masked and cannot be ${state}`;
    if (check) return { commands: [], unknown: `${message}; an earlier task may unmask it` };
    throw new VolleyError("ACTION_FAILED", `${message}; set masked: false as well`);
  }
  const enabledNow = isMasked ? false : await isEnabled(system, unit);
  if (enabled !== undefined && enabledNow !== null && enabled !== enabledNow) {
    // An alias cannot be enabled: name the unit itself.
    commands.push([enabled ? "enable" : "disable", ...(force ? ["--force"] : []), "--", unit.Id]);
    attributes.enabled = [unit.UnitFileState || "disabled", enabled ? "enabled" : "disabled"];
  }
  const verb = await verbFor(request, unit, system);
  if (verb !== null) {
    commands.push([verb, ...(request.noBlock ? ["--no-block"] : []), "--", name]);
    attributes.state = [unit.ActiveState, state ?? ""];
  }
  if (commands.length === 0) return null;
  const diff: Diff = { path: `unit ${unit.Id}`, attributes };
  return { commands, diff, message: commands.map(([what]) => `${what} ${name}`).join(", ") };
}

async function verbFor(
  { state, name = "", scope }: UnitRequest,
  { ActiveState }: UnitState,
  system: ReadSystem,
): Promise<string | null> {
  if (state === undefined) return null;
  if (isTemplate(name))
    throw new VolleyError(
      "ACTION_FAILED",
      `${name} cannot be ${state}: it is a template, of which only instances run`,
      {
        hint: `name an instance, such as ${name.replace(/@.*/, "@tty1")}`,
      },
    );
  if (ActiveState === "unknown") {
    const reason =
      scope === "system" && !(await runsSystemd(system))
        ? "systemd does not run here"
        : "this scope has no running units";
    throw new VolleyError("ACTION_FAILED", `${name} cannot be ${state}: ${reason}`);
  }
  const isUp = UP.includes(ActiveState);
  switch (state) {
    case "started":
      return isUp ? null : "start";
    case "stopped":
      return isUp || ActiveState === "deactivating" ? "stop" : null;
    case "restarted":
      return isUp ? "restart" : "start";
    case "reloaded":
      return isUp ? "reload" : "start";
  }
}

async function describeUnit(name: string, unit: UnitState, system: ReadSystem): Promise<UnitData> {
  return {
    name,
    state: UP.includes(unit.ActiveState) ? "started" : "stopped",
    enabled: (await isEnabled(system, unit)) === true,
    status: unit,
  };
}

/** Carry out the change that {@link inspectUnit} found; after a reload of the manager, inspect again first. */
export async function applyUnit(
  change: UnitChange,
  request: UnitRequest,
  system: System,
  context: ActionContext,
): Promise<Applied<UnitData>> {
  const { name, scope } = request;
  const reloads = [
    ...(request.daemonReload ? ["daemon-reload"] : []),
    ...(request.daemonReexec ? ["daemon-reexec"] : []),
  ];
  const options = { env: systemctlEnvironment(scope, system.uid), signal: context.signal };
  for (const verb of reloads)
    await runTool(system, [...systemctl(scope), verb], `run systemctl ${verb}`, options);
  if (name === undefined) return { changed: false };
  await touchUnit(name, context);
  let { commands } = change;
  if (reloads.length > 0) {
    const found = await inspectUnit(
      { ...request, daemonReload: false, daemonReexec: false },
      system,
      context,
    );
    commands = "commands" in found ? found.commands : [];
  }
  for (const command of commands) await runCommand(command, name, scope, system, options);
  return {
    changed: commands.length > 0,
    data: await describeUnit(name, await readUnit(system, name, scope), system),
  };
}

async function runCommand(
  command: readonly string[],
  name: string,
  scope: UnitScope,
  system: System,
  options: { readonly env: Readonly<Record<string, string>>; readonly signal: AbortSignal },
): Promise<void> {
  const [verb = ""] = command;
  const result = await system.run([...systemctl(scope), ...command], options);
  if (result.code === 0) return;
  const status = await system.query(
    [...systemctl(scope), "status", "--no-pager", "--full", "--lines=8", "--", name],
    options,
  );
  throw new VolleyError("ACTION_FAILED", `cannot ${verb} ${name}: ${failureText(result)}`, {
    ...(status.stdout.trim() === "" ? {} : { hint: status.stdout.trim().split("\n").slice(-8).join("\n") }),
  });
}
