import { CORRUPT, NO_CACHE_EXIT, NO_USABLE_NODE_EXIT, UNKNOWN_RUN_EXIT } from "../../core/bundle.ts";
import { UNUSABLE } from "../../core/runtimes.ts";

// The questions to launch scripts, and the words and exit codes of their answers.

/** How a launch script looks for Node before it starts a bundle: by its name, or by its version, too. */
export type NodeLook = "name" | "version";

/** Printed by a launch script when the host does not have the bundle. */
export const ABSENT = "volley:absent";

/** Printed instead when the host has no Node to start a bundle with. */
export const NO_NODE = "volley:nonode";

/** Printed when a package manager has ended, with its exit code and the last line that it printed. */
export const INSTALLED = "volley:installed";

/** The words that a launch script may print instead of starting a bundle; more words may follow all but the first two. */
export const LAUNCH_ANSWERS = [ABSENT, CORRUPT, NO_NODE, UNUSABLE, INSTALLED] as const;

/** An answer in {@link LAUNCH_ANSWERS}. */
export type LaunchAnswer = (typeof LAUNCH_ANSWERS)[number];

/** Exit codes of launch scripts. */
export const LAUNCH_EXITS = {
  noNode: NO_USABLE_NODE_EXIT,
  noCache: NO_CACHE_EXIT,
  unknownRun: UNKNOWN_RUN_EXIT,
} as const;
