import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { text as readText } from "node:stream/consumers";
import { VolleyError } from "../../core/errors.ts";

// Earlier runs in options: runs to resume, and limits that name a run.

/** Return the latest run of a playbook that was not a check. Fails with `USAGE` when there is none. */
export async function latestRunOf(playbook: string): Promise<string> {
  const { listPlaybookRuns, readRecord, runsDirectory } = await import("../../controller/records/records.ts");
  const directory = runsDirectory();
  const run = listPlaybookRuns(directory).find((name) => {
    try {
      const { options } = readRecord(directory, name);
      const file = resolve(String(options.cwd ?? ""), String(options.playbook ?? ""));
      return file === resolve(playbook) && options.check !== true;
    } catch {
      // A run whose record cannot be read cannot be resumed.
      return false;
    }
  });
  if (run === undefined) {
    throw new VolleyError("USAGE", `there has been no run of ${playbook} yet: nothing can be resumed`, {
      hint: "volley runs lists those of other playbooks",
    });
  }
  return run;
}

/** Return the name of a run to resume, if one is given. Fails with `USAGE` when there is no such run: all would be done anew. */
export async function recordedRun(name: string | undefined): Promise<string | undefined> {
  if (name === undefined) return undefined;
  const { readRecord, runsDirectory } = await import("../../controller/records/records.ts");
  return readRecord(runsDirectory(), name).run;
}

/**
 * Replace `@failed`, `@changed` and `@RUN` in a pattern by their hosts, and `-` by the names on stdin. `@FILE`, and
 * everything else, is left to the inventory.
 */
export async function expandLimit<Limit extends string | undefined>(limit: Limit): Promise<Limit | string> {
  if (limit === "-") return patternFromStdin();
  if (limit === undefined || !limit.includes("@")) return limit;
  const { hostsOfRuns, runsDirectory } = await import("../../controller/records/records.ts");
  const parts = limit.split(/([:,]&?!?)/).map((part) => {
    if (!part.startsWith("@") || existsSync(part.slice(1))) return part;
    const hosts = hostsOfRuns(runsDirectory(), part.slice(1));
    if (hosts.length === 0)
      throw new VolleyError("PATTERN_UNKNOWN", `${part} stands for no host: there is none to run on`);
    return hosts.join(",");
  });
  return parts.join("");
}

/** Stdin can be read once; several patterns may ask for its names. */
let namesOfStdin: Promise<string> | undefined;

/** Join the names on stdin to a pattern; `#` begins a comment. Fails with `USAGE` when there is no name. */
async function patternFromStdin(): Promise<string> {
  namesOfStdin ??= readText(process.stdin);
  const names = (await namesOfStdin)
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line !== "");
  if (names.length === 0) throw new VolleyError("USAGE", "there is no host name on stdin");
  return names.join(",");
}
