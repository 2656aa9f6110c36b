import { homedir } from "node:os";
import { join } from "node:path";

/** Where this user's state is kept: `$XDG_STATE_HOME/volley`, default `~/.local/state/volley`. */
export function stateDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return join(env.XDG_STATE_HOME || join(env.HOME || homedir(), ".local", "state"), "volley");
}
