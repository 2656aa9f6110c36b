import type { UserSystems } from "../agent/user-systems.ts";
import { type Become, becomeUser, DEFAULT_BECOME_USER } from "../core/become.ts";
import { VolleyError } from "../core/errors.ts";
import type { JobBecome } from "../core/protocol.ts";
import type { System } from "../core/system.ts";
import { createLateSystem } from "../system/remote-process/remote-system.ts";

import type { Channels } from "./channels.ts";
import type { DirectSystem } from "./direct-system.ts";
import { type OpenedSystem, openSystem, type UserAccess } from "./open-system.ts";

/** What the Systems of a host's users are made from. */
export interface DirectUsersOptions {
  readonly own: DirectSystem;
  /** The name of who that is. */
  readonly self: string;
  readonly job: JobBecome | undefined;
  readonly channels: Channels;
  /** The host's /etc/passwd, from when the run began. */
  readonly passwd: string;
  /** How to act as a user: with the login user's leave, or root's. */
  access(become: Become): UserAccess;
}

/** Makes the Systems of a run over one connection: each user's own shell and SFTP session, opened when first used. */
export function createDirectUsers(options: DirectUsersOptions): UserSystems & { forget(): void } {
  const { own, self, job, channels, passwd, access } = options;
  // Root needs nobody's leave; `su` is wherever there are users.
  const way: Omit<Become, "user"> = own.uid === 0 ? { method: "su" } : (job?.way ?? { method: "sudo" });
  const opened = new Map<string, Promise<OpenedSystem>>();
  const known = new Map<string, DirectSystem>();
  const systems = new Map<string, System>();
  const other = (user: string | null | undefined): string | undefined =>
    user === null || user === self ? undefined : user;
  const begin = async (user: string): Promise<DirectSystem> => {
    let opening = opened.get(user);
    if (opening === undefined) {
      opening = openSystem(access({ ...way, user }), channels);
      opened.set(user, opening);
      // The next to use it tries again: the user may have been made meanwhile.
      opening.catch(() => opened.delete(user));
    }
    const { system } = await opening;
    known.set(user, system);
    return system;
  };
  const accountOf = (user: string): Account => {
    const account = findAccount(passwd, user);
    if (account === undefined)
      throw new VolleyError(
        "BECOME_FAILED",
        `cannot become ${user}: there was no such user when the run began`,
      );
    return account;
  };
  return {
    userOfPlay: (index) => other(job?.users[index]),
    userOf: (become, outer) =>
      become === undefined ? outer : other(becomeUser(become) ?? job?.login ?? null),
    prepare: async (user) => void (await begin(user)),
    of: (user) => {
      if (user === undefined) return own;
      let system = systems.get(user);
      if (system === undefined) {
        const ids = () =>
          known.get(user) ?? (user === DEFAULT_BECOME_USER ? { uid: 0, gid: 0 } : accountOf(user));
        system = createLateSystem(() => begin(user), ids);
        // Ports are the machine's.
        Object.assign(system, { dial: own.dial });
        systems.set(user, system);
      }
      return system;
    },
    envOf: (user) => {
      const system = known.get(user);
      if (system !== undefined) return { ...system.user.env };
      const { home, shell } = accountOf(user);
      return { ...own.user.env, HOME: home, USER: user, LOGNAME: user, SHELL: shell };
    },
    forget: () => {
      own.forget();
      for (const system of known.values()) system.forget();
    },
    close: async () => {
      const all = await Promise.allSettled(opened.values());
      await Promise.all(
        all.map((one) => (one.status === "fulfilled" ? one.value.system.close() : undefined)),
      );
    },
  };
}

interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

function findAccount(passwd: string, user: string): Account | undefined {
  const line = passwd.split("\n").find((one) => one.startsWith(`${user}:`));
  if (line === undefined) return undefined;
  const [, , uid, gid, , home, shell] = line.split(":");
  return { uid: Number(uid), gid: Number(gid), home: home || "/", shell: shell || "/bin/sh" };
}
