// The files that the runner lends to the actions and the other parts of a bundle. A copy would make bundles larger, and
// a Float or an error would be another class to each.
export * from "../actions/define.ts";
export * from "../core/action.ts";
export * from "../core/asset.ts";
export * from "../core/errors.ts";
export * from "../core/unix/full-name.ts";
export * from "../core/unix/permissions.ts";
export * from "../core/unix/shell.ts";
export * from "../core/unix/users.ts";
export * from "../core/values/bytes.ts";
export * from "../core/values/characters.ts";
export * from "../core/values/fact-text.ts";
export * from "../core/values/kept-text.ts";
export * from "../core/values/python-regex.ts";
export * from "../core/values/value.ts";
export * from "../core/values/vars.ts";
export * from "../core/values/vaulted.ts";
export * from "../engine/check-task.ts";
export * from "../engine/context.ts";
export * from "../engine/limits.ts";
export * from "../engine/perform.ts";
export * from "../engine/render.ts";
export * from "../system/endable.ts";
export * from "../vars/scope.ts";
export * from "../vars/whole-value.ts";
