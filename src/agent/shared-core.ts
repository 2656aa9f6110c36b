// The parts of core/ that the runner lends to the template part of a bundle. A copy would make bundles larger, and a
// Float would be another class to each.
export * from "../core/errors.ts";
export * from "../core/json-text.ts";
export * from "../core/plain-vars.ts";
export * from "../core/python-regex.ts";
export * from "../core/text.ts";
export * from "../core/value.ts";
