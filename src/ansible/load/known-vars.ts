import { VolleyError } from "../../core/errors.ts";
import type { Vars } from "../../core/values/vars.ts";
import { fillReferences } from "../../vars/scope.ts";

/** The vars that are known before the run, where names of what is imported may be made of them. */
export class KnownVars {
  readonly #extra: Vars;
  /** The vars of the imports and of the play that is read; those of imports win over those of plays. */
  #layers: readonly Vars[] = [];

  constructor(extra: Vars) {
    this.#extra = extra;
  }

  /** Read what `vars` stand around by `work`. */
  within<T>(vars: Vars, work: () => T): T {
    const before = this.#layers;
    this.#layers = [vars, ...before];
    try {
      return work();
    } finally {
      this.#layers = before;
    }
  }

  /** Fill the vars of a name; undefined where it cannot be known before the run. `own` are those of the task or import. */
  fill(name: string, own: Vars): string | undefined {
    if (!name.includes("{{")) return name;
    const sources = [own, ...this.#layers, this.#extra];
    const look = (each: string): unknown => sources.findLast((vars) => Object.hasOwn(vars, each))?.[each];
    try {
      return String(
        fillReferences(name, look, (problem) => {
          throw new VolleyError("PLAYBOOK_INVALID", problem);
        }),
      );
    } catch {
      return undefined;
    }
  }
}
