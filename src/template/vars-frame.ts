import nunjucksRuntime from "nunjucks/src/runtime.js";

type Frame = InstanceType<typeof nunjucksRuntime.Frame>;

/** A scope over the caller's variables: they are read when asked for, never copied, and never changed by an assignment. */
export class VarsFrame extends nunjucksRuntime.Frame {
  readonly #vars: Readonly<Record<string, unknown>>;

  constructor(parent: Frame, vars: Readonly<Record<string, unknown>>) {
    super(parent);
    this.#vars = vars;
  }

  override lookup(name: string): unknown {
    const given = Object.hasOwn(this.#vars, name) ? this.#vars[name] : undefined;
    return given === undefined ? super.lookup(name) : given;
  }
}
