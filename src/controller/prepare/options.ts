import { fileURLToPath } from "node:url";
import { VolleyError } from "../../core/errors.ts";
import type { Inventory } from "../../core/inventory.ts";
import type { AskPassphrase } from "../../transport/ssh/keys.ts";
import type { SecretOptions } from "../../vars/secrets/sources.ts";
import { fanOutKindOf, readRecord, runsDirectory } from "../records/records.ts";
import type { Via } from "../session/state.ts";
import type { BecomeOptions } from "./become.ts";
import type { AskHostKeys, ReachOptions } from "./reach.ts";

/** What to run, where, and how. */
export interface RunOptions extends ReachOptions, BecomeOptions {
  /** Paths of inventories, `host1,host2,` lists, or an inventory already loaded. */
  readonly inventory: string | readonly string[] | Inventory;
  /** The playbook's file: an entry to bundle, not a value. */
  readonly playbook: string | URL;
  /** A pattern that narrows the hosts of every play. */
  readonly limit?: string;
  /** Hosts worked on at a time. Default 50. */
  readonly concurrency?: number;
  /** How hosts are worked on: by a bundle there, directly from here, or (auto) directly where there is no usable Node. Default `auto`. */
  readonly via?: Via;
  /** How long a host may take for each play that does not say it itself. Default: no limit. */
  readonly hostTimeoutMs?: number;
  /** How long a host that took too long may finish the task it is at. Default 10 s. */
  readonly graceMs?: number;
  /** What shuffled plays are shuffled by. Default: the run's name. */
  readonly seed?: string;
  /** Changes nothing, says what would change. Default false. */
  readonly check?: boolean;
  /** Whether events carry the text of what changes. Default false. */
  readonly diff?: boolean;
  readonly tags?: readonly string[];
  readonly skipTags?: readonly string[];
  /** From starting the bundle on a host to its first word. Default 60 s. */
  readonly startTimeoutMs?: number;
  /** How long a host whose connection went is tried again. Default 60 s. */
  readonly returnTimeoutMs?: number;
  /** How long to wait on a host for another run to end. Default 10 s. */
  readonly lockWaitMs?: number;
  /** A run whose controller was ended: its hosts are asked for the rest. See {@link attachOptions}. */
  readonly attach?: string;
  /** An earlier run: what it has done on a host is not repeated there, unless the bundle has changed. */
  readonly resume?: string;
  /** How what is encrypted in the inventory is opened. */
  readonly secrets?: SecretOptions;
  /** Asks for the passphrase of an encrypted key, a vault password, or a secret. Default: nobody is asked. */
  readonly askPassphrase?: AskPassphrase;
  /** Asks, once and before the first event, whether host keys that are not known are right. Default: nobody is asked. */
  readonly askHostKeys?: AskHostKeys;
  /** Aborted: stop cleanly, as one Ctrl-C does. */
  readonly signal?: AbortSignal;
  /** Default: the process's working directory. */
  readonly cwd?: string;
  /** Where the run's log goes; false: nowhere. Default `~/.local/state/volley/runs`. */
  readonly logDirectory?: string | false;
}

/** What is done where the options say nothing. */
export const DEFAULTS = {
  concurrency: 50,
  startTimeoutMs: 60_000,
  returnTimeoutMs: 60_000,
  lockWaitMs: 10_000,
  graceMs: 10_000,
  via: "auto",
} as const;

/** The options that pick a run up again. Fails with `USAGE` when there is no such run, or none that can be picked up. */
export function attachOptions(run: string, directory = runsDirectory()): RunOptions {
  const { options } = readRecord(directory, run);
  const kind = fanOutKindOf(run);
  if (kind !== undefined)
    throw new VolleyError("USAGE", `${run} was volley ${kind}, which ended with its controller`);
  if (options.inventory === undefined || typeof options.playbook !== "string") {
    throw new VolleyError("USAGE", `run ${run} was started by a program with an inventory of its own`, {
      hint: "only that program can attach to it",
    });
  }
  return { ...(options as unknown as RunOptions), attach: run };
}

/** The options that another controller needs to pick the run up; passwords and the like are asked for anew. */
export function recordable(options: RunOptions): Readonly<Record<string, unknown>> {
  // How secrets are opened says where passwords lie, and holds none.
  const {
    inventory,
    playbook,
    signal: _signal,
    password: _password,
    becomePassword: _become,
    ...rest
  } = options;
  const written = Object.entries(rest).filter(
    ([, value]) => value !== undefined && typeof value !== "function",
  );
  return {
    ...Object.fromEntries(written),
    playbook: playbook instanceof URL ? fileURLToPath(playbook) : playbook,
    // One that was given as a value cannot be read again.
    ...(typeof inventory === "string" || Array.isArray(inventory) ? { inventory } : {}),
  };
}
