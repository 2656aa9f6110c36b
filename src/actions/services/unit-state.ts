import * as v from "valibot";
import type { ActionContext } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { text } from "../shared/params.ts";
import { failureText } from "../shared/run-tool.ts";

/** The service manager: the system's, the user's own, or the defaults of all users. */
export type UnitScope = "system" | "user" | "global";

/** The state of a unit, under systemd's own names; `ActiveState` is `unknown` where no manager runs. */
export interface UnitState {
  readonly Id: string;
  readonly LoadState: string;
  readonly ActiveState: string;
  readonly UnitFileState: string;
  readonly FragmentPath?: string;
  readonly SourcePath?: string;
  readonly SubState?: string;
}

const PROPERTIES = "Id,LoadState,ActiveState,SubState,UnitFileState,FragmentPath,SourcePath";
const SUFFIX = /\.(?:service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$/;
const UNIT_DIRECTORIES = ["/usr/lib/systemd/system", "/lib/systemd/system"];
const CGROUPS = ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];
const TOUCHED = "systemd:touched";

/** Return a unit's full name; a name without a suffix means a service. */
export function unitName(name: string): string {
  return SUFFIX.test(name) ? name : `${name}.service`;
}

/** Tell whether a name is that of a template (systemd.unit(5)): it can be enabled, but only its instances run. */
export function isTemplate(name: string): boolean {
  return unitName(name).replace(SUFFIX, "").endsWith("@");
}

/** Say why a text does not name one unit; undefined when it does. systemctl would expand a glob to all matching units. */
export function refuseUnitName(name: string): string | undefined {
  const glob = /[*?[]/.exec(name)?.[0];
  if (glob !== undefined)
    return `"${name}" is a pattern (it has a "${glob}"): name one unit, and give several with loop`;
  if (/\s/.test(name)) return `"${name}" has white space: name one unit, and give several with loop`;
  return undefined;
}

/** Tell whether systemd is the running init. */
export async function runsSystemd(system: ReadSystem): Promise<boolean> {
  return (await system.stat("/run/systemd/system"))?.type === "directory";
}

/** Return the systemctl command for a scope. */
export function systemctl(scope: UnitScope): readonly string[] {
  return scope === "system" ? ["systemctl"] : ["systemctl", `--${scope}`];
}

/** Return the environment of systemctl: it finds a user's manager by the runtime directory. */
export function systemctlEnvironment(scope: UnitScope, uid: number): Readonly<Record<string, string>> {
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
export async function readUnit(system: ReadSystem, name: string, scope: UnitScope): Promise<UnitState> {
  // `systemctl show` knows no templates: read the file's state instead.
  if (scope === "global" || isTemplate(name) || (scope === "system" && !(await runsSystemd(system))))
    return readUnitFile(system, name, scope);
  const shown = await system.query([...systemctl(scope), "show", `--property=${PROPERTIES}`, "--", name], {
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
): Promise<boolean | null> {
  if (UnitFileState === "static") return null;
  // Generated from an init script: enabled when a runlevel starts it.
  if (UnitFileState === "generated") return startsInRunlevel(system, Id.replace(/\.service$/, ""));
  return UnitFileState === "enabled";
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
