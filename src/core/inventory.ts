import type { VolleyError } from "./errors.ts";
import type { RuntimeMode } from "./runtimes.ts";
import type { Vars } from "./values/vars.ts";

/** A host's connection and vars, as a TypeScript inventory declares them. */
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

/** A whole TypeScript inventory, for {@link defineInventory}. */
export interface InventoryDeclaration {
  /** For every host. */
  readonly defaults?: Omit<HostDeclaration, "address">;
  readonly groups?: Readonly<Record<string, GroupDeclaration>>;
  /** Hosts in no group. */
  readonly hosts?: GroupDeclaration["hosts"];
}

/** The place that set a var. */
export interface VarSource {
  /** The file, relative to the working directory where it lies below it. */
  readonly file: string;
  readonly line?: number;
  /** The group or host that the var was set on: `group web`, `host web1`, `all`. */
  readonly scope: string;
}

/** A value that a nearer one replaced. */
export interface OverriddenVar {
  readonly value: unknown;
  readonly source: VarSource;
}

/** The programs of this machine that lead into a container: `nspawn` is systemd's, `chroot` only another root directory. */
export type ContainerKind = "docker" | "podman" | "lxd" | "incus" | "nspawn" | "chroot";

/** A container on this machine, or one that a program of this machine reaches. */
export interface ContainerSettings {
  readonly kind: ContainerKind;
  /** Its name or id; an absolute path is a root directory. */
  readonly name: string;
  /** The program where it is not the kind's own: a name to look for, or a path. */
  readonly program?: string | undefined;
  /** Arguments of the program itself, before its subcommand. */
  readonly arguments: readonly string[];
}

/** The machines that may read the secrets of hosts. */
export type SecretReader = "controller" | "worker";

/** The connection settings of a host. An undefined setting is left to ssh_config and the defaults. */
export interface ConnectionSettings {
  readonly address: string;
  readonly port: number | undefined;
  readonly user: string | undefined;
  readonly privateKeyFile: string | undefined;
  readonly connection: "ssh" | "local" | ContainerKind;
  /** The container, where the connection is one into a container. */
  readonly container?: ContainerSettings;
  /** The error of a connection that Volley lacks, such as winrm: the host can be listed, and take no part in a run. */
  readonly refused?: VolleyError;
  /** The user to become; null for none; undefined when the inventory does not say. */
  readonly become: string | null | undefined;
  readonly becomeMethod: string | undefined;
  /** The vars `volley_runtime` and `volley_runtime_dir`: how a host without a usable Node gets one, and where it is kept. */
  readonly runtime?: { readonly mode?: RuntimeMode | undefined; readonly directory?: string | undefined };
  /** The var `volley_persist`: how many milliseconds a connection over SSH is kept after its last use; 0: not at all. */
  readonly persistMs?: number;
  /** The var `volley_worker`: the label of the workers that can reach the host, in runs by a queue. Default: `default`. */
  readonly worker?: string;
  /** The var `volley_secrets`: the machine that reads the host's secrets, in runs by a queue. Default: `controller`. */
  readonly secrets?: SecretReader;
}

/** A host, with everything the inventory says about it. */
export interface Host {
  readonly name: string;
  readonly connection: ConnectionSettings;
  /** Merged: host over nearer group over farther group over `all`. */
  readonly vars: Vars;
  /** For each var, where the value that won was set. */
  readonly sources: Readonly<Record<string, VarSource>>;
  /** For each var set in more than one place, the values that lost, nearest first. */
  readonly overridden?: Readonly<Record<string, readonly OverriddenVar[]>>;
  /** The groups that hold the host, directly or through children, nearest first, without `all`. */
  readonly groups: readonly string[];
  /** Errors of the host's vars files that could not be decrypted; without their vars the host cannot take part in a run. */
  readonly locked?: readonly VolleyError[];
  /** The texts to mask in the host's part of a run, by var; present once the secrets have been read. */
  readonly secretTexts?: Readonly<Record<string, readonly string[]>>;
}

/** A named set of hosts. */
export interface Group {
  readonly name: string;
  /** The group's own hosts in the order written, then those of its children, level by level. */
  readonly hosts: readonly string[];
  /** The hosts that the group itself names. */
  readonly directHosts: readonly string[];
  readonly children: readonly string[];
  readonly vars: Vars;
}

/** A host, or more groups and vars of one, that a task of a run adds to an inventory. */
export interface Addition {
  readonly host: string;
  readonly groups: readonly string[];
  readonly vars: Vars;
  /** The groups to put above those groups. */
  readonly parents?: readonly string[];
}

/** An inventory with an addition. */
export interface Extended {
  readonly inventory: Inventory;
  /** The names of the hosts whose vars and groups may be others now. */
  readonly changed: readonly string[];
}

/** All hosts and groups. */
export interface Inventory {
  readonly hosts: ReadonlyMap<string, Host>;
  /** `all` and `ungrouped` included. */
  readonly groups: ReadonlyMap<string, Group>;
  /** This machine under the names by which patterns mean it although no source names it: with the vars of `all`, and in no group. */
  readonly implicit?: ReadonlyMap<string, Host>;
  /** The files and directories that the inventory was read from. */
  readonly paths: readonly string[];
  /** Warnings about lines that probably mean something else than they say. */
  readonly warnings?: readonly string[];
  /** The sources that were passed over as Ansible does, each with the reason: those of the warnings. */
  readonly passedOver?: readonly string[];
  /** The names of `group_vars` that belong to no group yet. */
  readonly spareVars?: ReadonlySet<string>;
  /**
   * Add to the inventory as the last call has left it; the vars of new groups and hosts are read from their files.
   * Fails with `INVENTORY_INVALID` or `SECRET_FAILED`.
   */
  readonly extend?: (addition: Addition) => Promise<Extended>;
}

/** Declare an inventory in TypeScript. */
export function defineInventory<const I extends InventoryDeclaration>(inventory: I): I {
  return inventory;
}
