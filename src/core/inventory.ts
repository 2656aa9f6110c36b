import type { VolleyError } from "./errors.ts";
import type { Vars } from "./json.ts";

/** How a host is reached and what is known of it, as a TypeScript inventory declares it. */
export interface HostDeclaration {
  /** Name or IP address to connect to. Default: the host's own name. */
  readonly address?: string;
  /** Default 22. */
  readonly port?: number;
  /** Default: the current user. */
  readonly user?: string;
  readonly privateKeyFile?: string;
  /** The user to become; `true` is root, `false` none. */
  readonly become?: boolean | string;
  readonly vars?: Vars;
}

/** Hosts that belong together, as a TypeScript inventory declares them. */
export interface GroupDeclaration extends Omit<HostDeclaration, "address"> {
  /** By name; a name may hold a range: `web[01:20]`. */
  readonly hosts?: Readonly<Record<string, HostDeclaration | undefined>> | readonly string[];
  /** Groups below this one: by name, or declared in place. */
  readonly children?: readonly string[] | Readonly<Record<string, GroupDeclaration>>;
}

/** A whole TypeScript inventory: what {@link defineInventory} takes. */
export interface InventoryDeclaration {
  /** For every host. */
  readonly defaults?: Omit<HostDeclaration, "address">;
  readonly groups?: Readonly<Record<string, GroupDeclaration>>;
  /** Hosts in no group. */
  readonly hosts?: GroupDeclaration["hosts"];
}

/** Where a var's value came from. */
export interface VarSource {
  /** The file, relative to the working directory where it lies below it. */
  readonly file: string;
  readonly line?: number;
  /** The group or host it was set on: `group web`, `host web1`, `all`. */
  readonly scope: string;
}

/** A value that a nearer one replaced. */
export interface OverriddenVar {
  readonly value: unknown;
  readonly source: VarSource;
}

/** The connection a host asks for; what is undefined is decided elsewhere (ssh_config, defaults). */
export interface ConnectionSettings {
  readonly address: string;
  readonly port: number | undefined;
  readonly user: string | undefined;
  readonly privateKeyFile: string | undefined;
  /** `ssh` or `local`. */
  readonly connection: "ssh" | "local";
  /** The user to become; null for none; undefined when the inventory does not say. */
  readonly become: string | null | undefined;
  readonly becomeMethod: string | undefined;
}

/** One host with everything the inventory says of it. */
export interface Host {
  readonly name: string;
  readonly connection: ConnectionSettings;
  /** Merged: host over nearer group over farther group over `all`. */
  readonly vars: Vars;
  /** For each var, where the value that won was set. */
  readonly sources: Readonly<Record<string, VarSource>>;
  /** For each var set in more than one place, the values that lost, nearest first. */
  readonly overridden?: Readonly<Record<string, readonly OverriddenVar[]>>;
  /** Groups it is in, directly or through children, nearest first, without `all`. */
  readonly groups: readonly string[];
  /** Why files with vars of it could not be decrypted: it cannot take part in a run without them. */
  readonly locked?: readonly VolleyError[];
  /** Once its secrets have been had: by var, the texts to mask wherever the host's part of a run is told. */
  readonly secretTexts?: Readonly<Record<string, readonly string[]>>;
}

/** A named set of hosts. */
export interface Group {
  readonly name: string;
  /** Its own in the order they are named there, then those of its children, then of theirs. */
  readonly hosts: readonly string[];
  /** Those of the hosts that this group names itself. */
  readonly directHosts: readonly string[];
  readonly children: readonly string[];
  readonly vars: Vars;
}

/** Who there is. */
export interface Inventory {
  readonly hosts: ReadonlyMap<string, Host>;
  /** `all` and `ungrouped` included. */
  readonly groups: ReadonlyMap<string, Group>;
  /** The files and directories it was read from. */
  readonly paths: readonly string[];
  /** What is likely not to be meant as it is written. */
  readonly warnings?: readonly string[];
}

/** Declares an inventory in TypeScript. */
export function defineInventory<const I extends InventoryDeclaration>(inventory: I): I {
  return inventory;
}
