import { statSync } from "node:fs";
import { resolve } from "node:path";
import type { Names } from "../patterns/select.ts";
import { createDraft } from "./draft.ts";
import { membersOf } from "./extend.ts";
import { readSource, type SourceOptions } from "./source.ts";

/** The names in an inventory, and the programs that would print more of it. */
export interface ReadNames extends Names {
  readonly programs: readonly string[];
}

/**
 * Read the names of hosts and groups alone: no vars files and no encrypted ones, no questions, and no program is started.
 * A source that cannot be read is passed over, with what it names besides.
 */
export async function readNames(
  paths: readonly string[],
  options: Pick<SourceOptions, "cwd" | "loadModule">,
): Promise<ReadNames> {
  const draft = createDraft();
  const programs: string[] = [];
  for (const path of paths) {
    const stats = statSync(resolve(options.cwd, path), { throwIfNoEntry: false });
    // To open a FIFO waits for its writer.
    if (stats !== undefined && !stats.isFile() && !stats.isDirectory()) continue;
    try {
      await readSource(draft, path, { ...options, onProgram: (file) => void programs.push(file) });
    } catch {
      // The command itself tells of it.
    }
  }
  return {
    programs,
    hosts: new Map([...draft.hosts.keys()].map((name) => [name, undefined])),
    groups: new Map(
      [...draft.groups.values()].map((group) => [
        group.name,
        { name: group.name, hosts: group.name === "all" ? [...draft.hosts.keys()] : membersOf(draft, group) },
      ]),
    ),
  };
}
