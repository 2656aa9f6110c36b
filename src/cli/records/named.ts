import { existsSync } from "node:fs";
import { basename, dirname, extname, resolve } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { Event } from "../../core/events.ts";

// Runs that the command line names.

/**
 * Resolve `@last`, `latest`, a run's name (with or without an @ before it), or the beginning of a name. Fails with
 * `USAGE` when no run matches, or several do.
 */
async function namedRun(name: string): Promise<string> {
  const { listPlaybookRuns, listRuns, runsDirectory } = await import("../../controller/records/records.ts");
  const runs = listRuns(runsDirectory());
  const isLast = name === "@last" || name === "latest";
  const last = listPlaybookRuns(runsDirectory())[0];
  if (runs.length === 0) throw new VolleyError("USAGE", "there has been no run yet");
  if (isLast && last === undefined)
    throw new VolleyError("USAGE", "no playbook has been run yet", {
      hint: "volley runs lists the records of exec, do, put and get: name one",
    });
  if (isLast) return last!;
  const wanted = name.startsWith("@") ? name.slice(1) : name;
  const found = runs.includes(wanted)
    ? [wanted]
    : runs.filter((run) => wanted !== "" && run.startsWith(wanted));
  if (found.length === 1) return found[0]!;
  throw new VolleyError(
    "USAGE",
    found.length === 0
      ? `there is no run ${name} here`
      : `${name} may be ${found.slice(0, 3).join(", ")}${found.length > 3 ? ", …" : ""}`,
    { hint: "volley runs lists them" },
  );
}

const LOG_EXTENSION = ".ndjson";

/** Return whether a word is made like the name of a run, and not like one of a host. */
export function isRunName(word: string): boolean {
  return word === "latest" || /^(?:@|\d{8}(?:-|$))/.test(word) || extname(word) === LOG_EXTENSION;
}

/** A run's log. */
export interface LoggedRun {
  readonly run: string;
  readonly events: readonly Event[];
  /** The controller's process is still there. */
  readonly goingOn: boolean;
  /** The file of events. */
  readonly file: string;
}

/** Read the log of a run by its name, or of a file of events. Fails with `USAGE` when there is no such run. */
export async function readRun(name: string): Promise<LoggedRun> {
  const { isControlled, logFileOf, readEvents, readRecord, runsDirectory } = await import(
    "../../controller/records/records.ts"
  );
  if (existsSync(name) && extname(name) === LOG_EXTENSION) {
    const run = basename(name, LOG_EXTENSION);
    return { run, events: [...readEvents(dirname(name), run)], goingOn: false, file: name };
  }
  const directory = runsDirectory();
  const run = await namedRun(name);
  const events = [...readEvents(directory, run)];
  return { run, events, goingOn: isControlled(readRecord(directory, run)), file: logFileOf(directory, run) };
}

/** Select hosts of a run, in the run's order; a run knows no groups. Without a pattern: all. Fails with `USAGE`. */
export async function selectHosts(
  hosts: readonly string[],
  pattern: string | undefined,
): Promise<readonly string[]> {
  if (pattern === undefined) return hosts;
  const { selectNames } = await import("../../patterns/select.ts");
  const names = {
    hosts: new Map(hosts.map((host) => [host, undefined])),
    groups: new Map([["all", { name: "all", hosts }]]),
  };
  let isUnknown = false;
  const onUnknown = (): void => {
    isUnknown = true;
  };
  const selected = new Set(selectNames(names, pattern, { onUnknown }));
  const found = hosts.filter((host) => selected.has(host));
  if (found.length > 0 && !isUnknown) return found;
  throw new VolleyError("USAGE", `the run has no host ${pattern}`, {
    hint: "volley log RUN shows its hosts, and volley runs lists the runs",
  });
}

/** Return the latest run of the same playbook before a run. Fails with `USAGE` when there is none. */
export async function previousRun(name: string): Promise<string> {
  const { listPlaybookRuns, readRecord, runsDirectory } = await import("../../controller/records/records.ts");
  const directory = runsDirectory();
  const run = await namedRun(name);
  const playbookOf = (of: string): string | undefined => {
    try {
      const { cwd, playbook } = readRecord(directory, of).options;
      return resolve(String(cwd ?? ""), String(playbook ?? ""));
    } catch {
      // A record that cannot be read.
      return undefined;
    }
  };
  const playbook = playbookOf(run);
  const before = listPlaybookRuns(directory).find((other) => other < run && playbookOf(other) === playbook);
  if (before !== undefined) return before;
  throw new VolleyError("USAGE", `there is no earlier run of the playbook of ${run} to compare it with`, {
    hint: "name two runs: volley runs lists them",
  });
}

/** Return what the record of a fan-out lacks; undefined for a run of a playbook. */
export async function lackOf(run: string): Promise<string | undefined> {
  const { fanOutKindOf } = await import("../../controller/records/records.ts");
  const kind = fanOutKindOf(run);
  return kind && `The record of volley ${kind} holds how each host ended, but no results and no output.`;
}
