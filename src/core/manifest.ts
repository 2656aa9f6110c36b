import type { Vars } from "./json.ts";

/** The version of the bundle's layout; a runner only ever meets its own. */
export const BUNDLE_FORMAT = 1;

/** What a bundle says of itself: its entry `manifest.json`. */
export interface Manifest {
  readonly format: number;
  /** Volley's version. */
  readonly volley: string;
  /** The playbook's file name. */
  readonly playbook: string;
  readonly plays: readonly {
    readonly name: string;
    readonly hosts: string;
    readonly roles: readonly string[];
  }[];
  /** The hosts a bundle made to be carried is for; absent from one sent by a run. */
  readonly hosts?: Readonly<Record<string, CarriedHost>>;
}

/** What a carried bundle knows of one host. */
export interface CarriedHost {
  readonly groups: readonly string[];
  readonly vars: Vars;
  readonly plays: readonly number[];
  readonly inventoryGroups?: Readonly<Record<string, readonly string[]>>;
  readonly hostVars: Readonly<Record<string, Vars>>;
  /** Texts among the vars that must never be told. */
  readonly secrets?: readonly string[];
  /** Where those of the vars are set that hold templates, for errors to say. */
  readonly sources?: Readonly<Record<string, { readonly file: string; readonly line?: number }>>;
}

/** The name of an asset's entry in a bundle; a role is known by its directory. */
export function assetEntry(role: string, path: string): string {
  return `assets/${role}/${path}`;
}

/** Exit code of a bundle that finds no usable Node. */
export const NO_USABLE_NODE_EXIT = 97;

/** Exit code of a bundle asked for a run its host knows nothing of. */
export const UNKNOWN_RUN_EXIT = 95;
