import { VolleyError } from "../../../core/errors.ts";
import type { System } from "../../../core/system.ts";
import { setupFacts } from "../../host-state.ts";
import type { ModuleEnd, RenderedCall } from "../call.ts";
import { gatherLocalFacts, LOCAL_FACTS } from "./local.ts";
import { collectorsOf, isCollected } from "./subsets.ts";

const PREFIX = /^ansible_/;

/**
 * `setup` and `gather_facts`: the facts of the wanted subsets whose names fit `filter`; local facts by what their files
 * say now, the others gathered anew once a task has worked on the host.
 */
export async function setup(call: RenderedCall): Promise<ModuleEnd> {
  const { args, interpreter, facts, system, environment } = call;
  const { gather_timeout: timeout = 10, fact_path: path = LOCAL_FACTS } = args;
  if (!Number.isInteger(Number(timeout)))
    throw new VolleyError(
      "PARAMS_INVALID",
      "argument 'gather_timeout' is of type <class 'str'> and we were unable to convert to int: <class 'str'> cannot be converted to an int",
    );
  const subset = listOf(args.gather_subset ?? "all");
  const collectors = collectorsOf(subset);
  const { host, state } = interpreter;
  // The facts of the run's beginning hold until a task has changed something.
  const found = facts === host.facts && state.isTouched ? await host.gather() : facts;
  const { ansible_local_skipped: _skipped, ...gathered } = setupFacts({
    ...found,
    env: { ...found.env, ...environment },
  });
  const all = interpreter.tree.asksForPython === true ? await withPython(gathered, system) : gathered;
  const interfaces = new Set(Object.keys(found.network ?? {}).map((name) => name.replace(/[-:.]/g, "_")));
  const fits = filterOf(listOf(args.filter ?? []));
  const wanted: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(all))
    if (isCollected(name.replace(PREFIX, ""), collectors, interfaces) && fits(name)) wanted[name] = value;
  const warnings: string[] = [];
  if (wanted.ansible_local !== undefined) {
    const local = await gatherLocalFacts(system, await homePath(system, String(path)));
    wanted.ansible_local = local.facts;
    warnings.push(...local.warnings);
  }
  if (wanted.gather_subset !== undefined) wanted.gather_subset = subset;
  state.isGathered = true;
  return {
    register: {
      changed: false,
      failed: false,
      ansible_facts: wanted,
      ...(warnings.length === 0 ? {} : { warnings }),
    },
  };
}

function listOf(value: unknown): readonly string[] {
  const items = Array.isArray(value) ? value : String(value).split(",");
  return items.map((item) => String(item).trim()).filter((item) => item !== "");
}

async function homePath(system: System, path: string): Promise<string> {
  return path === "~" || path.startsWith("~/") ? `${await system.workingDirectory()}${path.slice(1)}` : path;
}

/** Return whether a fact's name, with `ansible_` or without, fits one of the patterns; all fit where there are none. */
function filterOf(given: readonly string[]): (name: string) => boolean {
  const patterns = given
    .filter((pattern) => pattern !== "*")
    .map(
      (pattern) =>
        new RegExp(
          `^${pattern
            .replace(/[.+^${}()|\\]/g, "\\$&")
            .replaceAll("*", ".*")
            .replaceAll("?", ".")}$`,
        ),
    );
  return (name) =>
    patterns.length === 0 ||
    patterns.some((pattern) => pattern.test(name) || pattern.test(name.replace(PREFIX, "")));
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
