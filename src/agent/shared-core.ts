// What of core/ the template part of a bundle is given by the runner, instead of holding a copy: a bundle is smaller for
// it, and a Float is the same class to both.
export * from "../core/errors.ts";
export * from "../core/json-text.ts";
export * from "../core/plain-vars.ts";
export * from "../core/python-regex.ts";
export * from "../core/text.ts";
export * from "../core/value.ts";
