import { Data, Float } from "../core/values/value.ts";
import { isTemplate } from "./scope.ts";

const REFERENCE = /\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}/g;
const MAX_DEPTH = 20;
/** The longest setting, in characters: vars that hold others twice each grow without end. */
const MAX_LENGTH = 10_000;

/**
 * Fill `{{ name }}` and `{{ name.key }}` in a setting that is needed before templates can be rendered. `fail` gets the
 * reason why a reference cannot be filled, and must throw.
 */
export function fillReferences(
  value: unknown,
  look: (name: string) => unknown,
  fail: (problem: string) => never,
  depth = 0,
): unknown {
  if (value instanceof Data) return value.text;
  if (typeof value !== "string" || !isTemplate(value)) return value;
  if (depth > MAX_DEPTH) return fail("its vars refer to each other in a circle");
  const resolve = (path: string): unknown => {
    const found = lookUp(path, look);
    if (found === undefined || found === null) return fail(`${path} is not set`);
    return fillReferences(found, look, fail, depth + 1);
  };
  const whole = /^\s*\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}\s*$/.exec(value);
  if (whole !== null) return resolve(whole[1]!);
  if (isTemplate(value.replace(REFERENCE, "")))
    return fail("only plain references such as {{ name }} can be used here");
  if (value.length > MAX_LENGTH) return fail(`it comes to more than ${MAX_LENGTH} characters`);
  let length = 0;
  return value.replace(REFERENCE, (_, path: string) => {
    const found = resolve(path);
    if (typeof found === "object" && !(found instanceof Float)) return fail(`${path} is no text`);
    const text = String(found);
    length += text.length;
    return length > MAX_LENGTH ? fail(`it comes to more than ${MAX_LENGTH} characters`) : text;
  });
}

/** Return a value's own property; undefined for an inherited one. */
export function own(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

function lookUp(path: string, look: (name: string) => unknown): unknown {
  const [name, ...keys] = path.split(".");
  let value = look(name!);
  for (const key of keys) {
    value = own(value, key);
  }
  return value;
}
