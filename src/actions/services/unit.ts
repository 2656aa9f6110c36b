import * as v from "valibot";
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
import { text } from "../shared/params.ts";
import { failureText, runTool } from "../shared/run-tool.ts";

/** The service manager: the system's, the user's own, or the defaults of all users. */
type UnitScope = "system" | "user" | "global";

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

/**
 * The state of a unit, under systemd's own names; `ActiveState` is `unknown` where no manager runs, and `offline` where
 * systemctl is told to ask none.
 */
interface UnitState {
  readonly Id: string;
  readonly LoadState: string;
  readonly ActiveState: string;
  readonly UnitFileState: string;
  readonly FragmentPath?: string;
  readonly SourcePath?: string;
  readonly SubState?: string;
}

/** The systemctl commands that are needed. */
export interface UnitChange extends Change {
  readonly data?: UnitData;
  /** Arguments of systemctl, command by command. */
  readonly commands: readonly (readonly string[])[];
}

/** The data of the systemd and service actions, under Ansible's names. */
export interface UnitData {
  /** As given; null when the manager alone was reloaded. */
  readonly name: string | null;
  /** The state that was asked for; absent when none was. */
  readonly state?: "started" | "stopped";
  /** The same for the start at boot. */
  readonly enabled?: boolean;
  /** The unit before the change: where the result is registered, with all of its properties. */
  readonly status?: UnitState | Record<never, never>;
}

/** A parameter that names one unit or service; patterns are refused, as in Ansible. */
export function unitText(description: string) {
  return v.pipe(
    text(description),
    v.check(
      (name) => refuseUnitName(name) === undefined,
      ({ input }) => refuseUnitName(input) ?? "",
    ),
  );
}

/** Say why a text does not name one unit; undefined when it does. systemctl would expand a glob to all matching units. */
export function refuseUnitName(name: string): string | undefined {
  const glob = /[*?[]/.exec(name)?.[0];
  if (glob !== undefined)
    return `"${name}" is a pattern (it has a "${glob}"): name one unit, and give several with loop`;
  if (/\s/.test(name)) return `"${name}" has white space: name one unit, and give several with loop`;
  return undefined;
}

/** Compare a unit with the wanted state. */
export async function inspectUnit(
  request: UnitRequest,
  system: ReadSystem,
  context: ActionContext,
): Promise<UnitChange | Unchanged<UnitData>> {
  const { name, state, enabled, masked, scope } = request;
  const reloads = request.daemonReload || request.daemonReexec;
  if (name === undefined) return reloads ? reloadOnly(context) : unchanged(NO_UNIT);
  const asks = state !== undefined || enabled !== undefined || masked !== undefined;
  const mayBeUp =
    asks && (state === undefined || state === "started") && enabled !== false && masked !== true;
  const isCheap = !reloads && mayBeUp && scope === "system" && context.registered !== true;
  if (isCheap && (await isSurelyUp(system, name, context))) {
    const known = { LoadState: "loaded", ActiveState: "active", UnitFileState: "enabled" };
    return unchanged(unitData(request, { Id: unitName(name), ...known }));
  }
  const unit = await readUnit(system, name, scope, context.registered === true);
  if (unit.LoadState === "not-found" && masked !== true) return unitMissing(request, context);
  const data = unitData(request, unit);
  const plan = await planUnit(request, unit, system, context);
  if (plan !== null) return { ...plan, data };
  return reloads && !context.check ? { commands: [], data } : unchanged(data);
}

const NO_UNIT: UnitData = { name: null, status: {} };

/** Return what Ansible returns: what was asked for, and the unit as it was found. */
function unitData({ name, state, enabled }: UnitRequest, status: UnitState): UnitData {
  return {
    name: name ?? null,
    ...(state === undefined ? {} : { state: state === "stopped" ? "stopped" : "started" }),
    ...(enabled === undefined ? {} : { enabled }),
    status: status.ActiveState === OFFLINE ? {} : status,
  };
}

function reloadOnly({ check }: ActionContext): UnitChange | Unchanged<UnitData> {
  // As in Ansible, a reload is no change, but only apply can do it.
  return check
    ? unchanged(NO_UNIT, "systemd would reload its configuration")
    : { commands: [], data: NO_UNIT };
}

function unitMissing({ name = "", daemonReload, scope }: UnitRequest, { check }: ActionContext): UnitChange {
  const where = scope === "system" ? "" : ` in the ${scope} scope`;
  const message = `Could not find the requested service ${name}: there is no unit ${unitName(name)}${where} on this host`;
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
  const { name = "", state, enabled, masked, force, scope } = request;
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
  const enabledNow = isMasked ? false : await isEnabled(system, unit, scope);
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
  // As in Ansible: what is made offline, such as an image, comes to its states when it boots.
  if (ActiveState === OFFLINE) return null;
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

const OFFLINE = "offline";
const UP = ["active", "activating", "reloading", "refreshing"];

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
  if (name === undefined) return { changed: false, data: NO_UNIT };
  await touchUnit(name, context);
  let { commands, data } = change;
  if (reloads.length > 0) {
    const found = await inspectUnit(
      { ...request, daemonReload: false, daemonReexec: false },
      system,
      context,
    );
    commands = "commands" in found ? found.commands : [];
    data = found.data;
  }
  for (const command of commands) await runCommand(command, name, scope, system, options);
  return { changed: commands.length > 0, ...(data === undefined ? {} : { data }) };
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
  // As in Ansible, a unit with a file of its own stays as it is.
  if (result.code === 0 || (verb === "mask" && result.stderr.includes("already exists"))) return;
  const status = await system.query(
    [...systemctl(scope), "status", "--no-pager", "--full", "--lines=8", "--", name],
    options,
  );
  throw new VolleyError("ACTION_FAILED", `Unable to ${verb} service ${name}: ${failureText(result)}`, {
    ...(status.stdout.trim() === "" ? {} : { hint: status.stdout.trim().split("\n").slice(-8).join("\n") }),
  });
}

const PROPERTIES = "Id,LoadState,ActiveState,SubState,UnitFileState,FragmentPath,SourcePath";
const SUFFIX = /\.(?:service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$/;
const UNIT_DIRECTORIES = ["/usr/lib/systemd/system", "/lib/systemd/system"];
const CGROUPS = ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];
const TOUCHED = "systemd:touched";

/** Return a unit's full name; a name without a suffix means a service. */
function unitName(name: string): string {
  return SUFFIX.test(name) ? name : `${name}.service`;
}

/** Tell whether a name is that of a template (systemd.unit(5)): it can be enabled, but only its instances run. */
export function isTemplate(name: string): boolean {
  return unitName(name).replace(SUFFIX, "").endsWith("@");
}

/** Tell whether systemd is the running init. */
export async function runsSystemd(system: ReadSystem): Promise<boolean> {
  return (await system.stat("/run/systemd/system"))?.type === "directory";
}

/** Return the systemctl command for a scope. */
function systemctl(scope: UnitScope): readonly string[] {
  return scope === "system" ? ["systemctl"] : ["systemctl", `--${scope}`];
}

/** Return the environment of systemctl: it finds a user's manager by the runtime directory. */
function systemctlEnvironment(scope: UnitScope, uid: number): Readonly<Record<string, string>> {
  return { LC_ALL: "C", ...(scope === "user" ? { XDG_RUNTIME_DIR: `/run/user/${uid}` } : {}) };
}

function touchedUnits({ memo }: Pick<ActionContext, "memo">): Promise<Set<string>> {
  return memo.get(TOUCHED, async () => new Set<string>());
}

/** Note that an action changes a unit, so that {@link isSurelyUp} returns false for it from then on. */
export async function touchUnit(name: string, context: Pick<ActionContext, "memo">): Promise<void> {
  (await touchedUnits(context)).add(unitName(name));
}

/**
 * Tell from files alone whether a service runs, is enabled and is not masked; systemctl would take a hundred times as
 * long. False also when the files are not conclusive. A service that another process is just stopping counts as up.
 */
export async function isSurelyUp(
  system: ReadSystem,
  name: string,
  context: Pick<ActionContext, "memo">,
): Promise<boolean> {
  const unit = unitName(name);
  if (!unit.endsWith(".service") || (await touchedUnits(context)).has(unit)) return false;
  // systemd keeps this link from the start of a service until it is inactive or has failed.
  const [invocation, wanted, overridden, runtime] = await Promise.all(
    [
      `/run/systemd/units/invocation:${unit}`,
      `/etc/systemd/system/multi-user.target.wants/${unit}`,
      `/etc/systemd/system/${unit}`,
      `/run/systemd/system/${unit}`,
    ].map((path) => system.lstat(path)),
  );
  if (invocation == null || wanted == null || overridden?.type === "link" || runtime != null) return false;
  if (overridden == null) {
    const files = await Promise.all(
      UNIT_DIRECTORIES.map((directory) => system.lstat(`${directory}/${unit}`)),
    );
    if (!files.some((file) => file?.type === "file")) return false;
  }
  // The link also exists while a crashed service waits for its restart: only processes prove that it runs.
  for (const root of CGROUPS) {
    const processes = await system.readIfExists(`${root}/system.slice/${unit}/cgroup.procs`);
    if (processes !== null) return processes.length > 0;
  }
  return false;
}

/** Read a unit's state; `LoadState` is `not-found` for a unit that does not exist. */
async function readUnit(
  system: ReadSystem,
  name: string,
  scope: UnitScope,
  whole: boolean,
): Promise<UnitState> {
  // `systemctl show` knows no templates: read the file's state instead.
  if (scope === "global" || isTemplate(name) || (scope === "system" && !(await runsSystemd(system))))
    return readUnitFile(system, name, scope);
  const wanted = whole ? [] : [`--property=${PROPERTIES}`];
  const shown = await system.query([...systemctl(scope), "show", ...wanted, "--", name], {
    env: systemctlEnvironment(scope, system.uid),
  });
  if (shown.code !== 0) {
    throw new VolleyError("ACTION_FAILED", `cannot ask systemd about ${name}: ${failureText(shown)}`);
  }
  const properties = Object.fromEntries(
    shown.stdout.split("\n").flatMap((line) => {
      const equals = line.indexOf("=");
      return equals === -1 ? [] : [[line.slice(0, equals), line.slice(equals + 1)]];
    }),
  );
  // In a chroot, or with SYSTEMD_OFFLINE, systemctl leaves the question out and ends well.
  if (!("LoadState" in properties))
    return { ...(await readUnitFile(system, name, scope)), ActiveState: OFFLINE };
  return {
    Id: unitName(name),
    LoadState: "not-found",
    ActiveState: "inactive",
    UnitFileState: "",
    ...properties,
  };
}

async function readUnitFile(system: ReadSystem, name: string, scope: UnitScope): Promise<UnitState> {
  const { stdout } = await system.query([...systemctl(scope), "is-enabled", "--", name], {
    env: systemctlEnvironment(scope, system.uid),
  });
  const UnitFileState = stdout.trim().split("\n").at(-1) ?? "";
  const LoadState =
    UnitFileState === "" || UnitFileState === "not-found"
      ? "not-found"
      : UnitFileState.startsWith("masked")
        ? "masked"
        : "loaded";
  return { Id: unitName(name), LoadState, ActiveState: "unknown", UnitFileState };
}

/** Tell whether a unit starts at boot; null for a unit that cannot be enabled or disabled. */
export async function isEnabled(
  system: ReadSystem,
  { UnitFileState, Id }: UnitState,
  scope: UnitScope = "system",
): Promise<boolean | null> {
  if (UnitFileState === "static") return null;
  // Generated from an init script: enabled when a runlevel starts it.
  if (UnitFileState === "generated") return startsInRunlevel(system, Id.replace(/\.service$/, ""));
  // A unit that only enables others says so either way; with --full, systemctl lists what is enabled for it.
  if (UnitFileState === "indirect") {
    const { stdout } = await system.query([...systemctl(scope), "is-enabled", "--full", "--", Id], {
      env: systemctlEnvironment(scope, system.uid),
    });
    return stdout.trim().split("\n").length > 1;
  }
  return UnitFileState === "enabled" || UnitFileState === "enabled-runtime";
}

/** Tell whether a runlevel has a start link for an init script. */
export async function startsInRunlevel(system: ReadSystem, script: string): Promise<boolean> {
  for (const runlevel of [2, 3, 4, 5]) {
    const directory = `/etc/rc${runlevel}.d`;
    if ((await system.stat(directory)) === null) continue;
    if ((await system.list(directory)).some((name) => /^S\d\d/.test(name) && name.slice(3) === script))
      return true;
  }
  return false;
}
