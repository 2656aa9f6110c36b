import type { SourceLocation } from "../core/errors.ts";
import type { NamedVar } from "../template/inspect.ts";

// The notes on a playbook or a role while its files are looked at.

interface Handler {
  /** Its name, and what it listens to. */
  readonly names: readonly string[];
  readonly at: SourceLocation;
}

/** The handlers that a unit declares, and those that it notifies. */
export class HandlerBook {
  readonly declared: Handler[] = [];
  /** Further names that may be notified. */
  readonly known: string[] = [];
  readonly notified: { readonly name: string; readonly at: SourceLocation }[] = [];

  declare(names: readonly string[], at: SourceLocation): void {
    this.declared.push({ names, at });
  }

  notify(name: string, at: SourceLocation): void {
    this.notified.push({ name, at });
  }
}

interface VarUse {
  readonly name: string;
  readonly at: SourceLocation;
  /** True within the value of a var, which only a use of that var renders. */
  readonly isLazy: boolean;
}

/** The vars that a unit defines, and those that it reads. */
export class VarBook {
  /** Names that tasks set: facts, registers and the items of loops, which win over other vars. */
  readonly set = new Set<string>();
  readonly defined = new Set<string>();
  /** Names that a template somewhere reckons to be undefined. */
  readonly guarded = new Set<string>();
  readonly used: VarUse[] = [];
  /** Vars that win over all others but those that tasks set, with their templates. */
  readonly own: (Omit<VarUse, "isLazy"> & { readonly text: string })[] = [];
  /** Vars that the user of the role or playbook is asked to give: defaults, and prompts. */
  readonly given = new Set<string>();
  /** Command lines of the shell. */
  readonly shell: { readonly text: string; readonly at: SourceLocation }[] = [];
  #isLazy = false;
  /** True where names of vars are known only in a run. */
  isOpen = false;

  define(...names: readonly string[]): void {
    for (const name of names) this.defined.add(name);
  }

  /** Define a var that a task sets in a run. */
  setBy(...names: readonly string[]): void {
    for (const name of names) {
      this.defined.add(name);
      this.set.add(name);
    }
  }

  use({ name, isGuarded }: NamedVar, at: SourceLocation): void {
    if (isGuarded) this.guarded.add(name);
    else this.used.push({ name, at, isLazy: this.#isLazy });
  }

  /** Look at values of vars. */
  lazily(work: () => void): void {
    const before = this.#isLazy;
    this.#isLazy = true;
    work();
    this.#isLazy = before;
  }
}
