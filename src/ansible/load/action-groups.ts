import { readFileSync } from "node:fs";
import { join } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { isRecord } from "../../core/values/value.ts";
import { shortModuleName } from "../keywords.ts";
import { isFile, readVars, recordOf } from "./read.ts";

/** The modules of groups that `module_defaults` names. */
export class ActionGroups {
  /** By the name that `module_defaults` has, such as `group/community.docker.docker`. */
  readonly modules: Record<string, readonly string[]> = {};
  readonly #paths: readonly string[];
  readonly #inputs: Set<string>;

  /** `paths`: the directories that hold `ansible_collections`, in order. `inputs` gets the files that are read. */
  constructor(paths: readonly string[], inputs: Set<string>) {
    this.#paths = paths;
    this.#inputs = inputs;
  }

  /**
   * Find the modules of the groups among the names of `module_defaults`, by the `meta/runtime.yml` of collections. A
   * group without a collection has none. Fails with `PLAYBOOK_INVALID` for a group that a collection lacks.
   */
  take(defaults: unknown, at: string): void {
    for (const given of [defaults].flat())
      for (const name of Object.keys(recordOf(given)))
        if (/^group\/[^.]+\./.test(name))
          this.modules[name] ??= [...this.#find(name.slice("group/".length), at)];
  }

  #find(name: string, at: string, found = new Set<string>(), seen = new Set<string>()): ReadonlySet<string> {
    const [namespace, collection, group] = name.split(".");
    const entries = this.#groups(join(namespace ?? "", collection ?? ""))[group ?? ""];
    if (!Array.isArray(entries))
      throw new VolleyError("PLAYBOOK_INVALID", `${at}: could not resolve the module_defaults group ${name}`);
    seen.add(name);
    for (const entry of entries) {
      if (typeof entry === "string") found.add(shortModuleName(entry));
      const { extend_group: others = [] } = recordOf(recordOf(entry).metadata);
      for (const other of [others].flat().map(String)) {
        const whole = other.includes(".") ? other : `${namespace}.${collection}.${other}`;
        if (!seen.has(whole)) this.#find(whole, at, found, seen);
      }
    }
    return found;
  }

  /** Read the groups of a collection from its `meta/runtime.yml`. */
  #groups(below: string): Readonly<Record<string, unknown>> {
    const file = this.#paths
      .map((path) => join(path, "ansible_collections", below, "meta", "runtime.yml"))
      .find(isFile);
    if (file === undefined) return {};
    this.#inputs.add(file);
    const { action_groups: groups } = readVars(readFileSync(file, "utf8"), file, () => null);
    return isRecord(groups) ? groups : {};
  }
}
