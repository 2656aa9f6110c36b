import { statSync } from "node:fs";
import { resolve } from "node:path";
import type { Names } from "../patterns/select.ts";
import { createDraft } from "./draft.ts";
import { membersOf } from "./extend.ts";
import { keptNames } from "./kept-names.ts";
import { readSource, type SourceOptions } from "./source.ts";

/**
 * Read the names of hosts and groups alone: no vars files and no encrypted ones, no questions. No program is started: its
 * names are those that it printed for the latest command. A source that cannot be read is passed over, with what it names
 * besides.
 */
export async function readNames(
  paths: readonly string[],
  options: Pick<SourceOptions, "cwd" | "loadModule">,
): Promise<Names> {
  const draft = createDraft();
  for (const path of paths) {
    const stats = statSync(resolve(options.cwd, path), { throwIfNoEntry: false });
    // To open a FIFO waits for its writer.
    if (stats !== undefined && !stats.isFile() && !stats.isDirectory()) continue;
    try {
      await readSource(draft, path, { ...options, onProgram: keptNames });
    } catch {
      // The command itself tells of it.
    }
  }
  return {
    hosts: new Map([...draft.hosts.keys()].map((name) => [name, undefined])),
    groups: new Map(
      [...draft.groups.values()].map((group) => [
        group.name,
        { name: group.name, hosts: group.name === "all" ? [...draft.hosts.keys()] : membersOf(draft, group) },
      ]),
    ),
  };
}
