import type { ActionContext } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { sleep } from "../flow/sleep.ts";
import { failureText } from "../shared/run-tool.ts";
import { type AptRunOptions, runApt } from "./apt-get.ts";

// The stamp is written by the hooks of Ubuntu and of unattended-upgrades; where there is none, the directory itself tells.
const STAMP = "/var/lib/apt/periodic/update-success-stamp";
const LISTS = "/var/lib/apt/lists";
const FETCH_FAILED = /^(?:W: Failed to fetch|W: Some index files failed|E: )/m;

/** When the package lists were last new, in milliseconds since 1970; 0 when they never were. */
export async function listsTimeMs(system: ReadSystem): Promise<number> {
  return ((await system.stat(STAMP)) ?? (await system.stat(LISTS)))?.mtimeMs ?? 0;
}

/** When it was last asked for new package lists, whether there were any or not, in milliseconds since 1970; 0 when there are no lists. */
export async function fetchedTimeMs(system: ReadSystem): Promise<number> {
  if (await listsAreEmpty(system)) return 0;
  // Every fetch makes files in this directory, where the lists' own is touched by new lists only.
  const partial = await system.stat(`${LISTS}/partial`);
  return Math.max(await listsTimeMs(system), partial?.mtimeMs ?? 0);
}

/** Whether there are no package lists, as in a container image just made. */
export async function listsAreEmpty(system: ReadSystem): Promise<boolean> {
  if ((await system.stat(LISTS))?.type !== "directory") return true;
  return !(await system.list(LISTS)).some((name) => /_(?:Packages|InRelease|Release)/.test(name));
}

/** How often, and with what waits between, lists that cannot be fetched are tried again. */
export interface FetchRetries {
  readonly retries: number;
  readonly maxDelaySeconds: number;
}

/** Fetches the package lists; `ACTION_FAILED` when some cannot be fetched, also when apt-get itself would only warn. */
export async function fetchLists(
  system: System,
  options: AptRunOptions,
  { retries, maxDelaySeconds }: FetchRetries,
  context: Pick<ActionContext, "signal" | "output">,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const result = await runApt(system, ["update"], options, context);
    if (result.code === 0 && !FETCH_FAILED.test(result.stderr)) return;
    if (attempt >= retries) {
      throw new VolleyError("ACTION_FAILED", `cannot fetch the package lists: ${failureText(result)}`);
    }
    await sleep(Math.min(2 ** attempt, maxDelaySeconds) * 1_000, context.signal);
  }
}
