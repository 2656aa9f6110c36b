import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { text as readText } from "node:stream/consumers";
import { VolleyError } from "../core/errors.ts";

/** The latest run. Fails with `USAGE` when there has been none. */
async function latestRun(): Promise<string> {
  const { listPlaybookRuns, runsDirectory } = await import("../controller/records/records.ts");
  const [run] = listPlaybookRuns(runsDirectory());
  if (run === undefined) throw new VolleyError("USAGE", "there has been no run yet");
  return run;
}

/** The latest run of a playbook that was not for checking. Fails with `USAGE` when there has been none. */
export async function latestRunOf(playbook: string): Promise<string> {
  const { listPlaybookRuns, readRecord, runsDirectory } = await import("../controller/records/records.ts");
  const directory = runsDirectory();
  const run = listPlaybookRuns(directory).find((name) => {
    try {
      const { options } = readRecord(directory, name);
      const file = resolve(String(options.cwd ?? ""), String(options.playbook ?? ""));
      return file === resolve(playbook) && options.check !== true;
    } catch {
      // A record that cannot be read is no run to go on with.
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

/**
 * The run that `@last`, a run's name (also with an @ before it) or the beginning of one stands for. Fails with `USAGE`
 * when there is none, or more than one.
 */
export async function namedRun(name: string): Promise<string> {
  const { listRuns, runsDirectory } = await import("../controller/records/records.ts");
  const runs = listRuns(runsDirectory());
  if (runs.length === 0) throw new VolleyError("USAGE", "there has been no run yet");
  const wanted = name.startsWith("@") ? name.slice(1) : name;
  if (name === "@last") return latestRun();
  const found = runs.includes(wanted)
    ? [wanted]
    : runs.filter((run) => wanted !== "" && run.startsWith(wanted));
  if (found.length === 1) return found[0] as string;
  throw new VolleyError(
    "USAGE",
    found.length === 0
      ? `there is no run ${name} here`
      : `${name} may be ${found.slice(0, 3).join(", ")}${found.length > 3 ? ", …" : ""}`,
    { hint: "volley runs lists them" },
  );
}

let namesOfStdin: Promise<string> | undefined;

/** The names on stdin as a pattern: any number to a line, `#` begins a comment. Fails with `USAGE` when there is none. */
async function patternFromStdin(): Promise<string> {
  namesOfStdin ??= readText(process.stdin);
  const names = (await namesOfStdin)
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line !== "");
  if (names.length === 0) throw new VolleyError("USAGE", "there is no host name on stdin");
  return names.join(",");
}

/**
 * A pattern in which `@failed`, `@changed` and `@RUN` are replaced by the hosts they stand for, or the names on stdin
 * for `-`; `@FILE` is left to the inventory, and so is everything else.
 */
export async function expandLimit<Limit extends string | undefined>(limit: Limit): Promise<Limit | string> {
  if (limit === "-") return patternFromStdin();
  if (limit === undefined || !limit.includes("@")) return limit;
  const { hostsOfRuns, runsDirectory } = await import("../controller/records/records.ts");
  const parts = limit.split(/([:,]&?!?)/).map((part) => {
    if (!part.startsWith("@") || existsSync(part.slice(1))) return part;
    const hosts = hostsOfRuns(runsDirectory(), part.slice(1));
    if (hosts.length === 0)
      throw new VolleyError("PATTERN_UNKNOWN", `${part} stands for no host: there is none to run on`);
    return hosts.join(",");
  });
  return parts.join("");
}
