import { existsSync } from "node:fs";
import { VolleyError } from "../core/errors.ts";

/** The latest run. Fails with `USAGE` when there has been none. */
export async function latestRun(): Promise<string> {
  const { listRuns, runsDirectory } = await import("../controller/run-records.ts");
  const [run] = listRuns(runsDirectory());
  if (run === undefined) throw new VolleyError("USAGE", "there has been no run yet: nothing can be resumed");
  return run;
}

/**
 * A limit in which `@failed`, `@changed` and `@RUN` are replaced by the hosts they stand for; `@FILE` is left to the
 * inventory, and so is everything else.
 */
export async function expandLimit(limit: string | undefined): Promise<string | undefined> {
  if (limit === undefined || !limit.includes("@")) return limit;
  const { hostsOfRuns, runsDirectory } = await import("../controller/run-records.ts");
  const parts = limit.split(/([:,]&?!?)/).map((part) => {
    if (!part.startsWith("@") || existsSync(part.slice(1))) return part;
    const hosts = hostsOfRuns(runsDirectory(), part.slice(1));
    if (hosts.length === 0)
      throw new VolleyError("PATTERN_UNKNOWN", `${part} stands for no host: there is none to run on`);
    return hosts.join(",");
  });
  return parts.join("");
}
