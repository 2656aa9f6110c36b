import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import type { Readable, Writable } from "node:stream";
import { serializeError, VolleyError } from "../core/errors.ts";
import type { JobBecome } from "../core/protocol.ts";
import { type ProcessOptions, SYSTEM_CALLS, type System } from "../core/system.ts";
import {
  type Become,
  becomeUser,
  DEFAULT_BECOME_USER,
  findPasswd,
  type PasswdEntry,
} from "../core/unix/users.ts";
import { attempt } from "../system/local/files.ts";
import { createLocalSystem } from "../system/local/local-system.ts";
import { readLines } from "../system/output.ts";
import {
  createLateSystem,
  decodeMessage,
  encodeMessage,
  type RemoteSystem,
  type SystemReply,
  type SystemRequest,
  startSystem,
} from "../system/remote-system.ts";
import { settleWorkingDirectory } from "../system/this-process.ts";

/** The machine as each of its users acts on it. */
export interface UserSystems {
  /** The user of a play; undefined for the user of this process. */
  userOfPlay(index: number): string | undefined;
  /** The user that a role's or task's `become` names; `outer` is who it is without. */
  userOf(become: boolean | string | undefined, outer: string | undefined): string | undefined;
  /** This process's own System for undefined; else one whose process is started when it is first used. */
  of(user: string | undefined): System;
  /** Has a user's System ready for what is asked of it at once. Absent: it is ready when it is used. */
  prepare?(user: string): Promise<void>;
  /** A user's environment, as far as it can be known. */
  envOf(user: string): NodeJS.ProcessEnv;
  /** End every process that was started. */
  close(): Promise<void>;
}

/** Make the Systems of a run; `own` is this process's, `bundle` the file it was started from. */
export function createUserSystems(own: System, bundle: string, job: JobBecome | undefined): UserSystems {
  const self = ownName();
  const way: Omit<Become, "user"> = job?.way ?? { method: "sudo" };
  const systems = new Map<string, System>();
  const started: Promise<RemoteSystem>[] = [];
  const other = (user: string | null | undefined): string | undefined =>
    user === null || user === self ? undefined : user;
  return {
    userOfPlay: (index) => other(job?.users[index]),
    // The way back is to whoever is logged in.
    userOf: (become, outer) =>
      become === undefined ? outer : other(becomeUser(become, job?.standard) ?? job?.login ?? null),
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

/** Return the name of this process's user. A root with nothing but programs in it has no file that names users. */
function ownName(): string {
  try {
    return userInfo().username;
  } catch {
    const uid = process.getuid!();
    return uid === 0 ? DEFAULT_BECOME_USER : String(uid);
  }
}

/** An account, as passwd(5) has it. */
interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

/** Not among the declared methods of a process. */
type Groups = NodeJS.Process & { initgroups(user: string, extraGroup: number): void };

/** The variables that another user's process keeps of this one's environment: those of sudo(8)'s default, and proxies. */
const KEPT =
  /^(?:PATH|LANG|LANGUAGE|LC_\w+|TZ|TERM|COLORTERM|NODE_\w+|VOLLEY_NODE|(?:https?|ftp|no|all)_proxy)$/i;

/** Find an account, wherever the host keeps it. Fails with `BECOME_FAILED` when there is none. */
function findAccount(user: string): Account {
  const entry = findPasswd(readFileSync("/etc/passwd", "utf8"), user) ?? askDirectory(user);
  if (entry === undefined) {
    throw new VolleyError("BECOME_FAILED", `cannot become ${user}: there is no such user`);
  }
  const { name, uid, gid, home, shell } = entry;
  return { name, uid, gid, home: home || "/", shell: shell || "/bin/sh" };
}

/** Find an account of a directory service. */
function askDirectory(user: string): PasswdEntry | undefined {
  try {
    const found = execFileSync("getent", ["passwd", "--", user], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return findPasswd(found, user);
  } catch {
    return undefined;
  }
}

/** Make this process, which is root's, another user's for good: ids, groups, home and environment. Fails with `BECOME_FAILED`. */
function becomeThisUser(user: string): void {
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

/** Serves this machine as a user's System, until its input ends; `user`, for root: whom to become first. */
export async function serveSystem(
  user: string | undefined,
  input: Readable,
  output: Writable,
): Promise<number> {
  if (user !== undefined) becomeThisUser(user);
  settleWorkingDirectory(process.env.HOME);
  const system = createLocalSystem();
  const say = (reply: SystemReply): void => void output.write(encodeMessage(reply));
  // A reply that cannot be written has no reader.
  output.on("error", () => {});
  const calls = new Calls(system, say);
  const ended = new Promise<void>((resolve) => {
    input.once("end", resolve);
    input.once("close", resolve);
    input.once("error", () => resolve());
  });
  const onLine = (line: string): void => {
    const request = decodeMessage<SystemRequest>(line);
    if (request !== undefined) calls.take(request);
  };
  readLines(input, onLine, Number.POSITIVE_INFINITY);
  const env = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  say({ ready: { uid: system.uid, gid: system.gid, env: Object.fromEntries(env) } });
  await ended;
  await calls.end();
  system.close();
  return 0;
}

/** The content of a file being written, as it comes. */
class Pieces implements AsyncIterable<Uint8Array> {
  readonly #pieces: (Uint8Array | null | "broken")[] = [];
  #wake: (() => void) | undefined;

  push(piece: Uint8Array | null | "broken"): void {
    this.#pieces.push(piece);
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece === null) return;
      if (piece === "broken") throw new VolleyError("CANCELLED", "the content broke off");
      if (piece !== undefined) yield piece;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

/** The calls in progress. */
class Calls {
  readonly #system: System;
  readonly #say: (reply: SystemReply) => void;
  readonly #aborts = new Map<number, AbortController>();
  readonly #contents = new Map<number, Pieces>();
  readonly #going = new Set<Promise<void>>();

  constructor(system: System, say: (reply: SystemReply) => void) {
    this.#system = system;
    this.#say = say;
  }

  take(request: SystemRequest): void {
    const { id } = request;
    if ("abort" in request) return this.#aborts.get(id)?.abort();
    if ("piece" in request)
      return this.#contents.get(id)?.push(request.broken === true ? "broken" : request.piece);
    const { args } = request;
    // A value that is too large for a line is an error with the path.
    const going = this.#carryOut(request)
      .then((value) => attempt("read", String(args[0]), () => this.#say({ id, value })))
      .catch((thrown) => this.#say({ id, error: serializeError(thrown) }))
      .finally(() => {
        this.#aborts.delete(id);
        this.#contents.delete(id);
        this.#going.delete(going);
      });
    this.#going.add(going);
  }

  /** End what is being done. */
  async end(): Promise<void> {
    for (const abort of this.#aborts.values()) abort.abort();
    for (const content of this.#contents.values()) content.push("broken");
    await Promise.all(this.#going);
  }

  async #carryOut({ id, call, args }: Extract<SystemRequest, { call: string }>): Promise<unknown> {
    const system = this.#system;
    switch (call) {
      case "run":
      case "query": {
        const [argv, { told, ...options }] = args as [string[], ProcessOptions & { readonly told: boolean }];
        const abort = new AbortController();
        this.#aborts.set(id, abort);
        return system[call](argv, {
          ...options,
          signal: abort.signal,
          ...(told ? { onOutput: (stream, text) => this.#say({ id, stream, text }) } : {}),
        });
      }
      case "writeFile": {
        const [path, content, options] = args as Parameters<System["writeFile"]>;
        if (content !== null) return system.writeFile(path, content, options);
        const pieces = new Pieces();
        this.#contents.set(id, pieces);
        return system.writeFile(path, pieces, options);
      }
      default: {
        if (!SYSTEM_CALLS.includes(call))
          throw new VolleyError("INTERNAL", `a System has no ${String(call)}`);
        return (system[call] as (...given: readonly unknown[]) => Promise<unknown>)(...args);
      }
    }
  }
}
