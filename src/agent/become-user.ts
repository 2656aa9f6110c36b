import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { VolleyError } from "../core/errors.ts";

/** An account, as passwd(5) has it. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

/** Not among the declared methods of a process. */
type Groups = NodeJS.Process & { initgroups(user: string, extraGroup: number): void };

/** What another user's process keeps of this one's environment: how sudo(8) does it by default, and proxies. */
const KEPT =
  /^(?:PATH|LANG|LANGUAGE|LC_\w+|TZ|TERM|COLORTERM|NODE_\w+|VOLLEY_NODE|(?:https?|ftp|no|all)_proxy)$/i;

/** Finds an account, wherever the host keeps it. Fails with `BECOME_FAILED` when there is none. */
export function findAccount(user: string): Account {
  const [name, , uid, gid, , home, shell] = passwdLine(user)?.split(":") ?? [];
  if (name === undefined || uid === undefined || gid === undefined) {
    throw new VolleyError("BECOME_FAILED", `cannot become ${user}: there is no such user`);
  }
  return { name, uid: Number(uid), gid: Number(gid), home: home || "/", shell: shell || "/bin/sh" };
}

function passwdLine(user: string): string | undefined {
  const find = (text: string): string | undefined =>
    text.split("\n").find((line) => line.startsWith(`${user}:`));
  const local = find(readFileSync("/etc/passwd", "utf8"));
  if (local !== undefined) return local;
  try {
    // Accounts of a directory service.
    return find(
      execFileSync("getent", ["passwd", "--", user], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }),
    );
  } catch {
    return undefined;
  }
}

/** Makes this process, which is root's, another user's for good: ids, groups, home and environment. Fails with `BECOME_FAILED`. */
export function becomeThisUser(user: string): void {
  const { name, uid, gid, home, shell } = findAccount(user);
  try {
    (process as Groups).initgroups(name, gid);
    process.setgid!(gid);
    process.setuid!(uid);
  } catch (thrown) {
    throw new VolleyError("BECOME_FAILED", `cannot become ${user}: ${(thrown as Error).message}`, {
      cause: thrown,
    });
  }
  for (const key of Object.keys(process.env)) if (!KEPT.test(key)) delete process.env[key];
  Object.assign(process.env, { HOME: home, USER: name, LOGNAME: name, SHELL: shell });
}
