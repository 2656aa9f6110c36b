// The parts of core/ that the runner lends to the template part of a bundle. A copy would make bundles larger, and a
// Float would be another class to each.
export * from "../core/errors.ts";
export * from "../core/values/bytes.ts";
export * from "../core/values/python-regex.ts";
export * from "../core/values/value.ts";
export * from "../core/values/vars.ts";
