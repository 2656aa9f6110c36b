import { VolleyError } from "../core/errors.ts";
import { isRecord, markLate, type Vars } from "../core/json.ts";

/** Gives a text with Jinja in it its value: a text that is one `{{ expression }}` keeps the expression's type. */
export type RenderText = (text: string, vars: Vars) => unknown;

function isTemplated(value: unknown): boolean {
  if (typeof value === "string") return value.includes("{{") || value.includes("{%");
  if (Array.isArray(value)) return value.some(isTemplated);
  return isRecord(value) && Object.values(value).some(isTemplated);
}

/**
 * Vars whose Jinja text is rendered when it is asked for, with `scope()` as its variables: as in Ansible, a var may
 * refer to others that are set elsewhere, and one that nobody asks for may be wrong. Texts among `literals` are taken as
 * they are.
 */
export function renderLate(
  vars: Vars,
  render: RenderText,
  scope: () => Vars,
  literals: readonly string[] = [],
): Vars {
  if (!Object.values(vars).some(isTemplated)) return vars;
  const renderUnlessLiteral: RenderText = (text, variables) =>
    literals.includes(text) ? text : render(text, variables);
  const resolved = {};
  for (const [name, value] of Object.entries(vars)) {
    Object.defineProperty(resolved, name, {
      enumerable: true,
      configurable: true,
      ...(isTemplated(value) ? { get: lateValue(name, value, renderUnlessLiteral, scope) } : { value }),
    });
  }
  return markLate(resolved);
}

function lateValue(name: string, value: unknown, render: RenderText, scope: () => Vars): () => unknown {
  let state: "new" | "busy" | "done" = "new";
  let result: unknown;
  const resolve = (part: unknown): unknown => {
    if (typeof part === "string") return isTemplated(part) ? render(part, scope()) : part;
    if (Array.isArray(part)) return part.map(resolve);
    if (!isRecord(part)) return part;
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, resolve(inner)]));
  };
  return () => {
    if (state === "done") return result;
    if (state === "busy") throw new VolleyError("TEMPLATE_FAILED", `the var "${name}" refers to itself`);
    state = "busy";
    try {
      result = resolve(value);
      state = "done";
      return result;
    } finally {
      if (state === "busy") state = "new";
    }
  };
}
