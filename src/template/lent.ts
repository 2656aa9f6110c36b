// The files that the template part of a bundle lends to the part of what templates seldom use (more/). A copy would make
// bundles larger, and Undefined would be another class to each.
export * from "./access.ts";
export * from "./errors.ts";
export * from "./filters/collection.ts";
export * from "./filters/text.ts";
export * from "./lookup-text.ts";
export * from "./methods.ts";
export * from "./operators.ts";
export * from "./values.ts";
export * from "./versions.ts";
