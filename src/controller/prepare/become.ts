import { VolleyError } from "../../core/errors.ts";
import type { Host } from "../../core/inventory.ts";
import type { PlayDefinition } from "../../core/playbook.ts";
import type { JobBecome } from "../../core/protocol.ts";
import {
  BECOME_PASSWORD_VARS,
  type Become,
  type BecomeMethod,
  becomeUser,
  DEFAULT_BECOME_USER,
} from "../../core/unix/users.ts";
import { readText, whereOf } from "./host-var.ts";
import type { PlayHosts } from "./plan.ts";

/** Options for becoming another user, where neither inventory nor plays set them. */
export interface BecomeOptions {
  /** The user to become; `true` is root. */
  readonly become?: boolean | string;
  /** Default `sudo`. */
  readonly becomeMethod?: BecomeMethod;
  /** The password that sudo, doas or su asks for. Without one, a host that asks fails. */
  readonly becomePassword?: string;
}

const METHODS: Readonly<Record<string, BecomeMethod>> = {
  sudo: "sudo",
  "ansible.builtin.sudo": "sudo",
  su: "su",
  "ansible.builtin.su": "su",
  doas: "doas",
  "community.general.doas": "doas",
};

/** Return the method and the password to become any other user on a host. Fails with `INVENTORY_INVALID` or `USAGE`. */
export function becomeWay(host: Host, options: BecomeOptions): Omit<Become, "user"> {
  const named = readText(host, "ansible_become_method");
  const method = named === undefined ? (options.becomeMethod ?? "sudo") : METHODS[named];
  if (method === undefined) {
    throw new VolleyError(
      "INVENTORY_INVALID",
      `${whereOf(host, "ansible_become_method")} must be sudo, doas or su, not "${named}"`,
    );
  }
  const exe = readText(host, "ansible_become_exe");
  const flags = readText(host, "ansible_become_flags");
  const inInventory = BECOME_PASSWORD_VARS.map((name) => readText(host, name)).find(
    (text) => text !== undefined,
  );
  const password = inInventory ?? options.becomePassword;
  if (password !== undefined && /[\r\n\0]/.test(password)) {
    throw new VolleyError(
      "USAGE",
      `the password to become another user on ${host.name} has a line break in it`,
    );
  }
  return {
    method,
    ...(exe === undefined ? {} : { exe }),
    ...(flags === undefined ? {} : { flags: flags.split(/\s+/).filter((flag) => flag !== "") }),
    ...(password === undefined ? {} : { password }),
  };
}

/** Return the user of a play on a host: the play's, else the inventory's, else the caller's. Null: the login user. */
function playUser(host: Host, play: PlayDefinition, options: BecomeOptions): string | null {
  const said = play.become ?? host.connection.become;
  return said === null ? null : becomeUser(said ?? options.become ?? false);
}

/** The users of one host's part of a run. */
export interface HostBecome {
  /** The user to start the bundle as; null: the login user. */
  readonly start: Become | null;
  /** The way for the agent to run plays, roles and tasks as other users. */
  readonly job: JobBecome;
  /** Texts to mask in all output. */
  readonly secrets: readonly string[];
}

/**
 * Choose the user to start the bundle as: the user of every play; where plays differ, root if a play is root's, because
 * root can become anybody, else the login user. The agent starts a process for each other user.
 */
export function hostBecome(
  host: Host,
  login: string,
  plays: readonly PlayHosts[],
  options: BecomeOptions,
): HostBecome {
  const way = becomeWay(host, options);
  const wanted = plays.map(({ index, play }) => [index, playUser(host, play, options) ?? login] as const);
  const users = new Set(wanted.map(([, user]) => user));
  const user =
    users.size === 1 ? [...users][0]! : users.has(DEFAULT_BECOME_USER) ? DEFAULT_BECOME_USER : login;
  const others = wanted.filter(([, each]) => each !== user);
  const { password, ...rest } = way;
  return {
    start: user === login ? null : { ...way, user },
    job: {
      login,
      users: Object.fromEntries(others),
      // sudo asks the login user for a password, and root for none.
      way: user === login && login !== DEFAULT_BECOME_USER ? way : rest,
    },
    secrets: password === undefined ? [] : [password],
  };
}
