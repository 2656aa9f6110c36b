const REFERENCE = /\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}/g;
const ANY_TEMPLATE = /\{\{|\{%|\{#/;
const MAX_DEPTH = 20;

function lookUp(path: string, look: (name: string) => unknown): unknown {
  const [name, ...keys] = path.split(".");
  let value = look(name!);
  for (const key of keys) {
    value = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
  }
  return value;
}

/**
 * Fills `{{ name }}` and `{{ name.key }}` in a setting that is needed before any template can be rendered; `fail` is
 * told what cannot be filled and must throw.
 */
export function fillReferences(
  value: unknown,
  look: (name: string) => unknown,
  fail: (problem: string) => never,
  depth = 0,
): unknown {
  if (typeof value !== "string" || !ANY_TEMPLATE.test(value)) return value;
  if (depth > MAX_DEPTH) return fail("its vars refer to each other in a circle");
  const resolve = (path: string): unknown => {
    const found = lookUp(path, look);
    if (found === undefined || found === null) return fail(`${path} is not set`);
    return fillReferences(found, look, fail, depth + 1);
  };
  const whole = /^\s*\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}\s*$/.exec(value);
  if (whole !== null) return resolve(whole[1]!);
  const filled = value.replace(REFERENCE, (_, path: string) => String(resolve(path)));
  if (ANY_TEMPLATE.test(filled)) return fail("only plain references such as {{ name }} can be used here");
  return filled;
}
