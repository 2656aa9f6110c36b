import { userInfo } from "node:os";
import { type Become, becomeUser } from "../core/become.ts";
import type { JobBecome } from "../core/protocol.ts";
import type { System } from "../core/system.ts";
import { createLateSystem, type RemoteSystem, startSystem } from "../system/remote-process/remote-system.ts";

import { findAccount } from "./become-user.ts";

/** The machine as each of its users acts on it. */
export interface UserSystems {
  /** The user a play's part is carried out as; undefined: whoever this process is. */
  userOfPlay(index: number): string | undefined;
  /** The user that a role's or task's `become` names; `outer` is who it is without. */
  userOf(become: boolean | string | undefined, outer: string | undefined): string | undefined;
  /** This process's own System for undefined; else one whose process is started when it is first used. */
  of(user: string | undefined): System;
  /** Has a user's System ready for what is asked of it at once. Absent: it is ready when it is used. */
  prepare?(user: string): Promise<void>;
  /** A user's environment, as far as it can be known. */
  envOf(user: string): NodeJS.ProcessEnv;
  /** Ends every process that was started. */
  close(): Promise<void>;
}

/** Makes the Systems of a run; `own` is this process's, `bundle` the file it was started from. */
export function createUserSystems(own: System, bundle: string, job: JobBecome | undefined): UserSystems {
  const self = userInfo().username;
  const way: Omit<Become, "user"> = job?.way ?? { method: "sudo" };
  const systems = new Map<string, System>();
  const started: Promise<RemoteSystem>[] = [];
  const other = (user: string | null | undefined): string | undefined =>
    user === null || user === self ? undefined : user;
  return {
    userOfPlay: (index) => other(job?.users[index]),
    // The way back is to whoever is logged in.
    userOf: (become, outer) =>
      become === undefined ? outer : other(becomeUser(become) ?? job?.login ?? null),
    of: (user) => {
      if (user === undefined) return own;
      let system = systems.get(user);
      if (system === undefined) {
        let starting: Promise<RemoteSystem> | undefined;
        let known: { readonly uid: number; readonly gid: number } | undefined;
        const begin = async (): Promise<System> => {
          if (starting === undefined) {
            const attempt = startSystem({ ...way, user }, bundle);
            starting = attempt;
            started.push(attempt);
            // The next to use it tries again: the user may have been made meanwhile.
            attempt.catch(() => {
              starting = undefined;
            });
          }
          const { system: remote } = await starting;
          known = remote;
          return remote;
        };
        system = createLateSystem(begin, () => known ?? findAccount(user));
        systems.set(user, system);
      }
      return system;
    },
    envOf: (user) => {
      const { name, home, shell } = findAccount(user);
      return { ...process.env, HOME: home, USER: name, LOGNAME: name, SHELL: shell };
    },
    close: async () => {
      await Promise.all(
        started.map((starting) =>
          starting.then(
            (remote) => remote.close(),
            () => {},
          ),
        ),
      );
    },
  };
}
