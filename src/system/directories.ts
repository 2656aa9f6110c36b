import { homedir } from "node:os";
import { join } from "node:path";

/** The cache of this user on the controller: `$XDG_CACHE_HOME/volley`, default `~/.cache/volley`. */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), ".cache"), "volley");
}

/** The state of this user on the controller: `$XDG_STATE_HOME/volley`, default `~/.local/state/volley`. */
export function stateDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return join(env.XDG_STATE_HOME || join(env.HOME || homedir(), ".local", "state"), "volley");
}

/** The directory of bundles, locks and journals on a host: `~/.cache/volley` of the user that the agent runs as. */
export function hostDirectory(): string {
  return join(process.env.HOME || homedir(), ".cache", "volley");
}
