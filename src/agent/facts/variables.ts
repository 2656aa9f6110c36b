import type { Facts } from "../../core/facts.ts";
import { restore } from "../../core/plain-vars.ts";
import { float, mapLeaves } from "../../core/value.ts";

/** Facts as templates see them: all of them in `ansible_facts`, each as `ansible_<name>`, and each network interface as `ansible_<interface>` with `-`, `:` and `.` as `_`. */
export function factVariables(facts: Facts): Record<string, unknown> {
  const { network, ...named } = facts;
  const all: Record<string, unknown> = {
    ...named,
    local: restore(facts.local),
    loadavg: mapLeaves(facts.loadavg, (load) => (typeof load === "number" ? float(load) : load)),
    proc_cmdline: facts.cmdline,
  };
  for (const [name, described] of Object.entries(network ?? {})) {
    const key = name.replace(/[-:.]/g, "_");
    // An interface may be called as a fact is, such as `dns`: the fact stays.
    if (!(key in all)) all[key] = described;
  }
  const variables: Record<string, unknown> = { ansible_facts: all };
  for (const [name, value] of Object.entries(all)) variables[`ansible_${name}`] = value;
  return variables;
}
