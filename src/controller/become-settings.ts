import { type Become, type BecomeMethod, becomeUser } from "../core/become.ts";
import { VolleyError } from "../core/errors.ts";
import type { Host } from "../core/inventory.ts";
import type { PlayDefinition } from "../core/playbook.ts";
import { readText, whereOf } from "./host-var.ts";

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
export function playUser(host: Host, play: PlayDefinition, options: BecomeOptions): string | null {
  const said = play.become ?? host.connection.become;
  return said === null ? null : becomeUser(said ?? options.become ?? false);
}
