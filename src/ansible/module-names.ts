import { PLAY_MODULES } from "./modules/play-modules.ts";

/** The names of the modules that the interpreter has itself. */
const OWN = new Set([
  ...Object.keys(PLAY_MODULES),
  "meta",
  "add_host",
  "group_by",
  "async_status",
  "fetch",
  "validate_argument_spec",
]);

/** Return whether a name is that of a module that Volley knows; a name with a collection is one in any case. */
export function isModuleName(name: string): boolean {
  return OWN.has(name) || name.includes(".") || KNOWN.has(name);
}

/** Names of modules that are actions. */
const KNOWN = new Set<string>();
