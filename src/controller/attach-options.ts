import { fileURLToPath } from "node:url";
import { VolleyError } from "../core/errors.ts";
import type { RunOptions } from "./run-options.ts";
import { fanOutKindOf, readRecord, runsDirectory } from "./run-records.ts";

/** The options that pick a run up again. Fails with `USAGE` when there is no such run, or none that can be picked up. */
export function attachOptions(run: string, directory = runsDirectory()): RunOptions {
  const { options } = readRecord(directory, run);
  const kind = fanOutKindOf(run);
  if (kind !== undefined)
    throw new VolleyError("USAGE", `${run} was volley ${kind}, which ended with its controller`);
  if (options.inventory === undefined || typeof options.playbook !== "string") {
    throw new VolleyError("USAGE", `run ${run} was started by a program with an inventory of its own`, {
      hint: "only that program can attach to it",
    });
  }
  return { ...(options as unknown as RunOptions), attach: run };
}

/** The options that another controller needs to pick the run up; passwords and the like are asked for anew. */
export function recordable(options: RunOptions): Readonly<Record<string, unknown>> {
  // How secrets are opened says where passwords lie, and holds none.
  const {
    inventory,
    playbook,
    signal: _signal,
    password: _password,
    becomePassword: _become,
    ...rest
  } = options;
  const written = Object.entries(rest).filter(
    ([, value]) => value !== undefined && typeof value !== "function",
  );
  return {
    ...Object.fromEntries(written),
    playbook: playbook instanceof URL ? fileURLToPath(playbook) : playbook,
    // One that was given as a value cannot be read again.
    ...(typeof inventory === "string" || Array.isArray(inventory) ? { inventory } : {}),
  };
}
