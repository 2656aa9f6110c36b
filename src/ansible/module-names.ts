import { editDistance, nearest } from "../core/errors.ts";
import type { Node, PlaybookTree } from "./ir.ts";
import { PLAY_MODULES } from "./modules/play-modules.ts";
import type { Modules } from "./modules/registry.ts";

/** Return whether the interpreter has a module of this name itself; a name with a collection is one of a module in any case. */
export function isModuleName(name: string): boolean {
  return name === "meta" || Object.hasOwn(PLAY_MODULES, name) || name.includes(".");
}

/** Something wrong with the name of a module. */
export interface ModuleFault {
  readonly kind: "unknown" | "python";
  readonly message: string;
}

/** Return what is wrong with the module of a task; undefined for one that can be called, and for a template. */
export function moduleFault(
  module: string,
  library: PlaybookTree["library"],
  modules: Modules,
): ModuleFault | undefined {
  // A name with templates is known only in a run.
  if (module.includes("{{") || module === "meta") return undefined;
  const own = Object.hasOwn(library, module) ? library[module] : undefined;
  if (own?.kind === "python")
    return { kind: "python", message: `the module ${module} (${own.path}) needs Ansible's Python` };
  if (own !== undefined || Object.hasOwn(PLAY_MODULES, module) || modules.find(module) !== undefined)
    return undefined;
  const near = nearest(module, [...Object.keys(PLAY_MODULES), ...modules.names()]);
  // Modules of other systems have names that differ by more: "zypper_repository" is no slip for "apt_repository".
  const isSlip = near !== undefined && editDistance(module, near) <= 2 && near[0] === module[0];
  const advice = isSlip ? `; did you mean "${near}"?` : "";
  return { kind: "unknown", message: `there is no module "${module}"${advice}` };
}

/** Return what a run would tell only when it reaches it, with the place: modules that nobody has, or that need Ansible's Python. */
export function moduleFaults(tree: PlaybookTree, modules: Modules): readonly string[] {
  const faults = new Set<string>();
  const look = (nodes: readonly Node[]): void => {
    for (const node of nodes) {
      if (node.kind === "block") for (const list of [node.block, node.rescue, node.always]) look(list);
      if (node.kind !== "task") continue;
      const fault = moduleFault(node.module, tree.library, modules);
      if (fault !== undefined) faults.add(`${node.at}: ${fault.message}`);
    }
  };
  for (const { preTasks, tasks, postTasks, handlers } of tree.plays)
    for (const nodes of [preTasks, tasks, postTasks, handlers]) look(nodes);
  for (const file of Object.values(tree.tasks)) if ("content" in file) look(file.content);
  return [...faults];
}
