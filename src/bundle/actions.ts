import type { ActionModules } from "./parts.ts";

// Which actions a bundle holds, and the script they are in.

/** Names of actions, or all of them. */
export type ActionNames = readonly string[] | "all";

/** How esbuild writes that a namespace has all exports of `volley`: that of each module in `playbook.ts`, `volleyModule`. */
const NAMESPACE = /__reExport\(([\w$]+),require\("volley"\)/g;

/** A `require` of a name that only a run knows. */
const REQUIRES_ANY = /(?<![\w$.])require\((?!"[^"]*"\))/;

/**
 * Return the names that compiled code takes from `volley`, whether they are actions or not. Code that does more with the
 * module than naming its exports (`import * as volley` handed on, `import("volley")`, `require`) may reach all.
 */
export function namesReached(code: string): ActionNames {
  if (REQUIRES_ANY.test(code)) return "all";
  const names = new Set<string>();
  for (const namespace of new Set([...code.matchAll(NAMESPACE)].map(([, name]) => name!))) {
    const rest = [
      `${namespace}={}`,
      `__export(${namespace},{`,
      `__reExport(${namespace},require("volley")`,
    ].reduce((text, declaration) => text.replaceAll(declaration, ""), code);
    const use = new RegExp(
      `(?<![\\w$])${namespace.replaceAll("$", "\\$")}(?![\\w$])(?:\\.([A-Za-z_$][\\w$]*))?`,
      "g",
    );
    for (const [, name] of rest.matchAll(use)) {
      if (name === undefined) return "all";
      names.add(name);
    }
  }
  return [...names].sort();
}

/** Join choices of actions. */
export function joinNames(...choices: readonly ActionNames[]): ActionNames {
  const names: string[] = [];
  for (const choice of choices) {
    if (choice === "all") return "all";
    names.push(...choice);
  }
  return [...new Set(names)].sort();
}

/** Write the script that holds the actions of these names, and all that they import. Other names are ignored. */
export function actionsScript({ actions, modules }: ActionModules, names: ActionNames): string {
  const chosen = Object.entries(actions).filter(([name]) => names === "all" || names.includes(name));
  const ids = new Set(chosen.map(([, id]) => id));
  // A set grows while it is walked.
  for (const id of ids) for (const needed of modules[id]!.needs) ids.add(needed);
  const exports = chosen.map(([name, id]) => `${name}:${JSON.stringify(id)}`);
  const definitions = [...ids].sort().map((id) => `${JSON.stringify(id)}:${modules[id]!.code}`);
  return `module.exports={actions:{${exports.join(",")}},modules:{${definitions.join(",\n")}},require}`;
}
