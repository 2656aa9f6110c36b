import { VolleyError } from "../core/errors.ts";
import type { ReadSystem } from "../core/system.ts";
import type { Channels } from "./channels.ts";
import { runScript } from "./script.ts";
import { createShells, type Shells, type StartScript } from "./shell.ts";

/** Who a System works as, and in what. */
export interface HostUser {
  readonly uid: number;
  readonly gid: number;
  readonly umask: number;
  readonly home: string;
  /** See {@link ReadSystem.workingDirectory}. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Asks who the user is: ids, umask, home, where commands run, then the environment, which may hold anything but a NUL. */
const SCRIPT = `id -u; id -g; umask; echo "$HOME"; ([ -r . ] && [ -x . ] || cd "$HOME" 2>/dev/null || cd /; pwd -P); env -0 2>/dev/null || cat /proc/$$/environ`;

const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Where commands are searched for: the user's own PATH and then the system's. */
export function searchPath({ env }: Pick<HostUser, "env">): string {
  const all = `${env.PATH ?? ""}:${SYSTEM_PATH}`.split(":").filter((directory) => directory.startsWith("/"));
  return [...new Set(all)].join(":");
}

/** Starts shells as a user of a host, and finds out who that is. */
export async function openShells(
  start: StartScript,
  channels: Channels,
): Promise<{ readonly shells: Shells; readonly user: HostUser }> {
  const shells = createShells(start, channels);
  const text = (await runScript(shells, SCRIPT)).toString("utf8");
  const [uid = "", gid = "", umask = "", home = "", directory = "", ...rest] = text.split("\n");
  if (!/^\d+$/.test(uid) || !/^\d+$/.test(gid)) {
    throw new VolleyError(
      "CONNECT_FAILED",
      "the host does not say who is logged in: it has no id command, or its shell is none",
    );
  }
  const env = Object.fromEntries(
    rest
      .join("\n")
      .split("\0")
      .flatMap((entry) => {
        const equals = entry.indexOf("=");
        return equals > 0 ? [[entry.slice(0, equals), entry.slice(equals + 1)]] : [];
      }),
  );
  return {
    shells,
    user: {
      uid: Number(uid),
      gid: Number(gid),
      umask: Number.parseInt(umask, 8) || 0,
      home: home.startsWith("/") ? home : "/",
      directory: directory.startsWith("/") ? directory : "/",
      env,
    },
  };
}
