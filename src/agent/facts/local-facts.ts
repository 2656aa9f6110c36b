import type { Facts } from "../../core/facts.ts";
import { parseJson } from "../../core/json-text.ts";
import { plain } from "../../core/plain-vars.ts";
import type { ReadSystem } from "../../core/system.ts";

const DIRECTORY = "/etc/ansible/facts.d";

/** Reads `*.fact` files as JSON, else as INI; programs among them are left out and named, and a broken one says so in its place. */
export async function gatherLocalFacts(system: ReadSystem): Promise<Pick<Facts, "local" | "local_skipped">> {
  if ((await system.stat(DIRECTORY))?.type !== "directory") return { local: {}, local_skipped: [] };
  const local: Record<string, unknown> = {};
  const skipped: string[] = [];
  for (const name of await system.list(DIRECTORY)) {
    const path = `${DIRECTORY}/${name}`;
    const stat = name.endsWith(".fact") ? await system.stat(path) : null;
    if (stat?.type !== "file") continue;
    if ((stat.mode & 0o111) !== 0) skipped.push(path);
    else local[name.slice(0, -".fact".length)] = await readFact(system, path);
  }
  return { local, local_skipped: skipped };
}

async function readFact(system: ReadSystem, path: string): Promise<unknown> {
  try {
    return parseFact(await system.readText(path));
  } catch (thrown) {
    return `error loading facts from ${path}: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  }
}

function parseFact(text: string): unknown {
  try {
    // Roles see what JavaScript has of it; templates get all of it back.
    return plain(parseJson(text));
  } catch {
    return parseIni(text);
  }
}

/** Sections of `key = value` or `key: value` lines; keys in lower case, as Python's configparser has them. */
function parseIni(text: string): Readonly<Record<string, Readonly<Record<string, string>>>> {
  const sections: Record<string, Record<string, string>> = {};
  let section: Record<string, string> | undefined;
  for (const line of text.split("\n").map((raw) => raw.trim())) {
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const header = /^\[(.+)\]$/.exec(line)?.[1];
    if (header !== undefined) {
      section = sections[header] ?? {};
      sections[header] = section;
      continue;
    }
    const [, key, value] = /^([^=:]+?)\s*[=:]\s*(.*)$/.exec(line) ?? [];
    if (section === undefined || key === undefined)
      throw new Error(`neither JSON nor INI at "${line.slice(0, 40)}"`);
    section[key.toLowerCase()] = value ?? "";
  }
  return sections;
}
