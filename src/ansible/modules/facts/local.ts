import { posix } from "node:path";
import { messageOf } from "../../../core/errors.ts";
import type { System } from "../../../core/system.ts";
import { parseFact } from "../../../core/values/fact-text.ts";

/** Where local facts are, unless `fact_path` says another place. */
export const LOCAL_FACTS = "/etc/ansible/facts.d";

/** Local facts, by file name without `.fact`, and what there is to say of files that give none. */
interface LocalFacts {
  readonly facts: Readonly<Record<string, unknown>>;
  readonly warnings: readonly string[];
}

/** Read the `*.fact` files of a directory, and run those that are programs: their output is the fact. */
export async function gatherLocalFacts(system: System, directory: string): Promise<LocalFacts> {
  if ((await system.stat(directory, true))?.type !== "directory") return { facts: {}, warnings: [] };
  const facts: Record<string, unknown> = {};
  const warnings: string[] = [];
  for (const name of [...(await system.list(directory))].sort()) {
    if (!name.endsWith(".fact")) continue;
    const path = posix.join(directory, name);
    const found = await factOf(system, path);
    if ("problem" in found) warnings.push(found.problem);
    facts[name.slice(0, -".fact".length)] = "problem" in found ? found.problem : found.fact;
  }
  return { facts, warnings };
}

type Fact = { readonly fact: unknown } | { readonly problem: string };

async function factOf(system: System, path: string): Promise<Fact> {
  const stat = await system.stat(path, true);
  if (stat === null)
    return { problem: `Could not stat fact (${path}): [Errno 2] No such file or directory: '${path}'` };
  let text: string;
  try {
    if (stat.type === "file" && (stat.mode & 0o111) !== 0) {
      const { code, stdout, stderr } = await system.query([path]);
      if (code !== 0)
        return { problem: `Failure executing fact script (${path}), rc: ${code}, err: ${stderr}` };
      text = stdout;
    } else text = await system.readText(path);
  } catch (thrown) {
    return {
      problem: `error loading fact - output of running "${path}" cannot be read: ${messageOf(thrown)}`,
    };
  }
  try {
    return { fact: parseFact(text) };
  } catch {
    return { problem: `error loading facts as JSON or ini - please check content: ${path}` };
  }
}
