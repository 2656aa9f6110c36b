import type { System } from "../../core/system.ts";
import { setupFacts } from "../host-state.ts";
import type { ModuleEnd, RenderedCall } from "./call.ts";
import { factsOfSubsets } from "./fact-subsets.ts";

/** `setup` and `gather_facts`: the facts, or those whose names fit `filter`. */
export async function setup({ args, interpreter, facts: found, system }: RenderedCall): Promise<ModuleEnd> {
  const { filter = [], gather_subset: subset = "all" } = args;
  const patterns = listOf(filter).filter((each) => each !== "" && each !== "*");
  const gathered = factsOfSubsets(setupFacts(found), listOf(subset));
  const all = interpreter.tree.asksForPython === true ? await withPython(gathered, system) : gathered;
  const facts =
    patterns.length === 0
      ? all
      : Object.fromEntries(
          Object.entries(all).filter(([name]) =>
            patterns.some((pattern) => {
              const wanted = new RegExp(
                `^${pattern
                  .replace(/[.+^${}()|\\]/g, "\\$&")
                  .replaceAll("*", ".*")
                  .replaceAll("?", ".")}$`,
              );
              return wanted.test(name) || wanted.test(name.replace(/^ansible_/, ""));
            }),
          ),
        );
  interpreter.state.isGathered = true;
  return { register: { changed: false, failed: false, ansible_facts: facts } };
}

function listOf(value: unknown): readonly string[] {
  return (Array.isArray(value) ? value : String(value).split(",")).map(String);
}

/** The names of releases that are not final, as Python writes them in its version. */
const LEVELS: Readonly<Record<string, string>> = { a: "alpha", b: "beta", rc: "candidate" };

/** Complete the facts of the host's Python by its own words. */
async function withPython(facts: Record<string, unknown>, system: System): Promise<Record<string, unknown>> {
  const { ansible_python: known } = facts as { readonly ansible_python?: { readonly executable: string } };
  if (known === undefined) return facts;
  const { stdout, stderr } = await system.query([known.executable, "-V"]);
  const found = /^Python (\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?/.exec(stdout || stderr);
  if (found === null) return facts;
  const [, level] = found.slice(3);
  const [major, minor, micro] = found.slice(1, 4).map(Number) as [number, number, number];
  const releaselevel = level === undefined ? "final" : LEVELS[level]!;
  const serial = Number(found[5] ?? 0);
  return {
    ...facts,
    ansible_python: {
      ...known,
      has_sslcontext: true,
      type: "cpython",
      version: { major, minor, micro, releaselevel, serial },
      version_info: [major, minor, micro, releaselevel, serial],
    },
    ansible_python_version: found[0].slice("Python ".length),
  };
}
