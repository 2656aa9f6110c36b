import { type Become, type BecomeMethod, becomeUser, DEFAULT_BECOME_USER } from "../../core/become.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Host } from "../../core/inventory.ts";
import type { PlayDefinition } from "../../core/playbook.ts";
import type { JobBecome } from "../../core/protocol.ts";
import { readText, whereOf } from "./host-var.ts";
import type { PlayHosts } from "./plan.ts";

/** What the caller says of becoming another user, where inventory and plays say nothing. */
export interface BecomeOptions {
  /** The user to become; `true` is root. */
  readonly become?: boolean | string;
  /** Default `sudo`. */
  readonly becomeMethod?: BecomeMethod;
  /** What sudo, doas or su asks for. Default: it must not ask. */
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

/** Vars that hold the password; they travel to no host as vars. */
export const PASSWORD_VARS: readonly string[] = ["ansible_become_password", "ansible_become_pass"];

/** How one becomes another user on a host, whoever that is. Fails with `INVENTORY_INVALID` or `USAGE`. */
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
  const inInventory = PASSWORD_VARS.map((name) => readText(host, name)).find((text) => text !== undefined);
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

/** The user a play's part of a host is run as; null: the login user. The play says it first, then the inventory, then the caller. */
function playUser(host: Host, play: PlayDefinition, options: BecomeOptions): string | null {
  const said = play.become ?? host.connection.become;
  return said === null ? null : becomeUser(said ?? options.become ?? false);
}

/** Who a host's part of a run is carried out as. */
export interface HostBecome {
  /** Whom the bundle is started as; null: whoever is logged in. */
  readonly start: Become | null;
  /** What the process must know to carry out plays, roles and tasks as others. */
  readonly job: JobBecome;
  /** Texts that must never be told. */
  readonly secrets: readonly string[];
}

/**
 * Finds who the bundle is started as: the user of every play; where they differ, root if a play is root's, for root can
 * be anybody, else whoever is logged in. Plays of other users are carried out by processes of those that it starts.
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
      // The password is the login user's to give; root needs none.
      way: user === login && login !== DEFAULT_BECOME_USER ? way : rest,
    },
    secrets: password === undefined ? [] : [password],
  };
}
