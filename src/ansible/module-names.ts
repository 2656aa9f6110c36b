import { didYouMean } from "../core/errors.ts";
import type { Node, PlaybookTree } from "./ir.ts";
import { PLAY_MODULES } from "./modules/play-modules.ts";
import type { Modules } from "./modules/registry.ts";

/** Return whether the interpreter has a module of this name itself; a name with a collection is one of a module in any case. */
export function isModuleName(name: string): boolean {
  return name === "meta" || Object.hasOwn(PLAY_MODULES, name) || name.includes(".");
}

/** Return what a run would tell only when it reaches it, with the place: modules that nobody has, or that need Ansible's Python. */
export function moduleFaults(tree: PlaybookTree, modules: Modules): readonly string[] {
  const faults = new Set<string>();
  const look = (nodes: readonly Node[]): void => {
    for (const node of nodes) {
      if (node.kind === "block") for (const list of [node.block, node.rescue, node.always]) look(list);
      if (node.kind !== "task") continue;
      const { module, at } = node;
      const own = Object.hasOwn(tree.library, module) ? tree.library[module] : undefined;
      if (own?.kind === "python")
        faults.add(`${at}: the module ${module} (${own.path}) needs Ansible's Python`);
      // A name with templates is known only in a run.
      if (own !== undefined || module.includes("{{") || module === "meta") continue;
      if (Object.hasOwn(PLAY_MODULES, module) || modules.find(module) !== undefined) continue;
      const near = didYouMean(module, [...Object.keys(PLAY_MODULES), ...modules.names()]);
      faults.add(`${at}: there is no module "${module}"${near}`);
    }
  };
  for (const { preTasks, tasks, postTasks, handlers } of tree.plays)
    for (const nodes of [preTasks, tasks, postTasks, handlers]) look(nodes);
  for (const file of Object.values(tree.tasks)) if ("content" in file) look(file.content);
  return [...faults];
}
