import {
  type ActionContext,
  type Applied,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { sleep } from "../flow/sleep.ts";
import { runTool } from "../shared/run-tool.ts";
import type { UnitData } from "./unit-plan.ts";
import { startsInRunlevel } from "./unit-state.ts";

/** What a service of a host without systemd should be. */
export interface ScriptRequest {
  readonly name: string;
  readonly state: "started" | "stopped" | "restarted" | "reloaded" | undefined;
  readonly enabled: boolean | undefined;
  /** Given to the init script after the verb. */
  readonly args: readonly string[];
  /** Milliseconds between stop and start of a restart. */
  readonly pauseMs: number;
}

/** What `update-rc.d` and `service` have to do. */
export interface ScriptChange extends Change {
  readonly commands: readonly (readonly string[])[];
}

/** Finds out what has to be done for an init script: its exit code of `status` tells whether it runs (LSB). */
export async function inspectScript(
  { name, state, enabled, args }: ScriptRequest,
  system: ReadSystem,
  { check, signal }: ActionContext,
): Promise<ScriptChange | Unchanged<UnitData>> {
  if ((await system.stat(`/etc/init.d/${name}`)) === null) {
    const message = `there is no service ${name} on this host`;
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
  if (commands.length === 0)
    return unchanged({ name, state: isUp ? "started" : "stopped", enabled: enabledNow });
  return {
    commands,
    diff: { path: `service ${name}`, attributes },
    message: commands.map((argv) => argv.join(" ")).join(", "),
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

/** Does what {@link inspectScript} found. */
export async function applyScript(
  { commands }: ScriptChange,
  { name, pauseMs }: ScriptRequest,
  system: System,
  { signal, output }: ActionContext,
): Promise<Applied<UnitData>> {
  for (const argv of commands) {
    const verb = argv[2] ?? "";
    await runTool(system, argv, `${verb} the service ${name}`, { signal, onOutput: output });
    if (verb === "stop" && pauseMs > 0) await sleep(pauseMs, signal);
  }
  return { data: { name, enabled: await startsInRunlevel(system, name) } };
}
