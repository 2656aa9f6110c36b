// The parts of core/ that the runner lends to the template part of a bundle. A copy would make bundles larger, and a
// Float would be another class to each.
export * from "../core/errors.ts";
export * from "../core/values/json-text.ts";
export * from "../core/values/plain-vars.ts";
export * from "../core/values/python-regex.ts";
export * from "../core/values/text.ts";
export * from "../core/values/value.ts";
