import type { UserSystems } from "../agent/users.ts";
import { VolleyError } from "../core/errors.ts";
import type { JobBecome } from "../core/protocol.ts";
import type { System } from "../core/system.ts";
import { type Become, becomeUser, DEFAULT_BECOME_USER, findPasswd } from "../core/unix/users.ts";
import { createLateSystem } from "../system/remote-system.ts";
import { startAs } from "../transport/become.ts";
import { FILE_SERVER_SCRIPT, openFileSession } from "../transport/sftp/open-file-session.ts";
import type { Connection, Endpoint, FileSession, RemoteProcess, Sessions } from "../transport/transport.ts";
import { createDirectSystem, type DirectSystem } from "./direct-system.ts";
import { openLateFiles } from "./sessions.ts";
import { openShells, type Shells, type StartScript } from "./shell.ts";

/** The ways to start scripts and open files as one user of a host. */
export interface UserAccess {
  readonly start: StartScript;
  files(): Promise<FileSession>;
  /** See {@link Connection.forward}. */
  readonly forward: Connection["forward"];
  /** True when every start needs a password. A wrong one must not be given twice. */
  readonly givesPassword?: boolean;
}

/** A System, with its shells and its file session. */
export interface OpenedSystem {
  readonly system: DirectSystem;
  readonly shells: Shells;
  readonly files: FileSession;
}

/** Open a file session and a shell at the same time. Fails as either does, and closes the other. */
export async function openSystem(
  { start, files, forward, givesPassword = false }: UserAccess,
  sessions: Sessions,
  options: { readonly root?: string } = {},
): Promise<OpenedSystem> {
  const opening = openShells(start, sessions);
  const openFiles = (): Promise<FileSession> => openLateFiles(files, sessions);
  const [shell, session] = await Promise.allSettled([
    opening,
    givesPassword ? opening.then(openFiles) : openFiles(),
  ]);
  if (shell.status === "fulfilled" && session.status === "fulfilled") {
    const { shells, user } = shell.value;
    return {
      system: createDirectSystem({ files: session.value, shells, user, forward, ...options }),
      shells,
      files: session.value,
    };
  }
  if (shell.status === "fulfilled") shell.value.shells.close();
  if (session.status === "fulfilled") session.value.close();
  // The shell names the reason of a failed change of user; SFTP only fails.
  throw shell.status === "rejected" ? shell.reason : (session as PromiseRejectedResult).reason;
}

/** The parts of the Systems of a host's users. */
interface DirectUsersOptions {
  readonly own: DirectSystem;
  /** The name of its user. */
  readonly self: string;
  readonly job: JobBecome | undefined;
  readonly sessions: Sessions;
  /** The host's /etc/passwd at the beginning of the run. */
  readonly passwd: string;
  /** Return the access to a user, by the rights of the login user, or of root. */
  access(become: Become): UserAccess;
}

/** Make the Systems of a run over one connection: each user's own shell and SFTP session, opened when first used. */
export function createDirectUsers(options: DirectUsersOptions): UserSystems & { forget(): void } {
  const { own, self, job, sessions, passwd, access } = options;
  // Root may become anybody; `su` is on every host.
  const way: Omit<Become, "user"> = own.uid === 0 ? { method: "su" } : (job?.way ?? { method: "sudo" });
  const opened = new Map<string, Promise<OpenedSystem>>();
  const known = new Map<string, DirectSystem>();
  const systems = new Map<string, System>();
  const other = (user: string | null | undefined): string | undefined =>
    user === null || user === self ? undefined : user;
  const begin = async (user: string): Promise<DirectSystem> => {
    let opening = opened.get(user);
    if (opening === undefined) {
      opening = openSystem(access({ ...way, user }), sessions);
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
      become === undefined ? outer : other(becomeUser(become, job?.standard) ?? job?.login ?? null),
    prepare: async (user) => void (await begin(user)),
    of: (user) => {
      if (user === undefined) return own;
      let system = systems.get(user);
      if (system === undefined) {
        const ids = () =>
          known.get(user) ?? (user === DEFAULT_BECOME_USER ? { uid: 0, gid: 0 } : accountOf(user));
        system = createLateSystem(() => begin(user), ids);
        // Ports are the machine's.
        Object.assign(system, {
          dial: own.dial,
          pipe: async (...given: Parameters<NonNullable<System["pipe"]>>) => {
            const { pipe } = await begin(user);
            return pipe!(...given);
          },
        });
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
  const entry = findPasswd(passwd, user);
  if (entry === undefined) return undefined;
  const { uid, gid, home, shell } = entry;
  return { uid, gid, home: home || "/", shell: shell || "/bin/sh" };
}

/** Return the access to the login user: the connection's own commands and SFTP. */
export function loginAccess(connection: Connection, signal: AbortSignal): UserAccess {
  return {
    start: (script) => connection.exec(script, signal, { wait: "taken" }),
    files: () => connection.files(signal, "taken"),
    forward: connection.forward,
  };
}

/** Return the access to another user: `outer` starts each shell, and an sftp-server, through sudo, doas or su. */
export function becomeAccess(
  outer: UserAccess,
  become: Become,
  { endpoint, signal }: { readonly endpoint: Endpoint; readonly signal: AbortSignal },
): UserAccess {
  const { host, user: login } = endpoint;
  const start = (script: string): Promise<RemoteProcess> =>
    startAs(outer.start, script, {
      ...{ host, login, become, signal },
      terminalHint: "use --via bundle, or add a nopass rule to doas.conf",
    });
  return {
    start,
    files: async () => await openFileSession(await start(FILE_SERVER_SCRIPT), { host, signal }),
    forward: outer.forward,
    givesPassword: become.password !== undefined,
  };
}
