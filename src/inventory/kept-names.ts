import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { type Dict, dictEntries, isDict, makeDict, parseJson, writeJson } from "../core/values/value.ts";
import { cacheDirectory, openOwnFiles } from "../system/own-files.ts";

// Names of hosts and groups that inventory programs have printed, without vars. Completion reads them: a Tab starts no
// program, which may be slow, ask a question, or come with a directory that nobody trusts yet.

const BELOW = "inventories";
const KEPT_FILES = 64;
const NAME_KEYS = new Set(["hosts", "children"]);

/** Keep the names of what a program has printed, in place of those before. This never fails. */
export function keepNames(program: string, listing: Dict): void {
  const groups = dictEntries(listing)
    .filter(([name]) => name !== "_meta")
    .map(([name, group]) => [name, isDict(group) ? namesOf(group) : group] as const);
  openOwnFiles(fs, cacheDirectory(), BELOW).write(
    fileOf(program),
    writeJson(makeDict([...groups, ["_meta", {}]])),
    KEPT_FILES,
  );
}

function namesOf(group: Dict): Dict {
  return makeDict(dictEntries(group).filter(([key]) => NAME_KEYS.has(String(key))));
}

/** Return the names that a program printed for the latest command; undefined where none are kept. */
export function keptNames(program: string): Dict | undefined {
  const bytes = openOwnFiles(fs, cacheDirectory(), BELOW).read(fileOf(program));
  if (bytes === undefined) return undefined;
  const listing = parseJson(bytes.toString());
  return isDict(listing) ? listing : undefined;
}

function fileOf(program: string): string {
  return `${createHash("sha256").update(program).digest("hex")}.json`;
}
