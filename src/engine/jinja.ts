import type { Jinja } from "../core/role.ts";
import { restoreVars, type Vars } from "../core/values/vars.ts";
import type { Templates } from "../template/index.ts";
import { stackLayers } from "../vars/scope.ts";
import { resultOf } from "./handle.ts";
import { RENDER_MS, renderWithin } from "./limits.ts";

/** Make the templates of a role's own code over the vars of a scope. */
export function createJinja(
  templates: () => Templates,
  vars: Vars,
  origins: Pick<Jinja, "given" | "ofPlay">,
): Jinja {
  return {
    vars,
    ...origins,
    value: (value) => templates().renderArguments(value, vars),
    condition: (condition) => templates().condition(condition, vars),
    lookup: (name, terms) => templates().runLookup(name, terms, vars),
    render: (src, style) =>
      renderWithin(RENDER_MS, `the template ${src}`, () => templates().render(src, vars, style)),
    with: (more, { isTemplate = false } = {}) => {
      const layer = isTemplate
        ? { kind: "template" as const, vars: more, origin: (name: string) => ({ name }) }
        : { kind: "data" as const, vars: restoreVars(more) };
      return createJinja(templates, stackLayers(vars, layer), origins);
    },
    result: resultOf,
  };
}
