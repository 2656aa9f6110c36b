import { fileURLToPath } from "node:url";
import type { AnsibleSettings } from "../../ansible/config/settings.ts";
import type { PlaybookText } from "../../bundle/playbook.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Host, Inventory } from "../../core/inventory.ts";
import type { RuntimeMode } from "../../core/runtimes.ts";
import type { Vars } from "../../core/values/vars.ts";
import type { AskPassphrase } from "../../transport/ssh/keys.ts";
import type { SecretOptions } from "../../vars/secrets/sources.ts";
import { fanOutKindOf, readRecord, runsDirectory } from "../records/records.ts";
import type { Via } from "../session/state.ts";
import type { AskVar } from "./prompts.ts";
import type { AskHostKeys, BecomeOptions, PersistChoice, Reached, ReachOptions } from "./reach.ts";

/** Hosts that are connected already, as `connect()` gives them. */
export interface ConnectedHosts {
  /** The inventory that they are from. */
  readonly inventory: Inventory;
  readonly names: readonly string[];
  /** Return the way to one of them: its transport lends the connection that is kept. */
  reach(host: Host): Reached;
  /** Notes about the transport of some hosts. */
  readonly notes: readonly { readonly host: string; readonly text: string }[];
}

/** A queue that brings hosts to workers, by the address of its server without a password. */
interface QueueName {
  readonly shown: string;
}

/** Options of `run()`. */
export interface RunOptions extends ReachOptions, BecomeOptions {
  /** Paths of inventories, `host1,host2,` lists, or an inventory already loaded. Default: the fleet's. */
  readonly inventory?: string | readonly string[] | Inventory;
  /** Hosts that are connected already: only they take part, over their connections, which stay open. */
  readonly fleet?: ConnectedHosts;
  /**
   * The playbook's file: an entry to bundle, not a value. With `local`, a file of another name than a playbook's is a
   * carried bundle: its hosts and vars are in it, `inventory` is `[]`, and options about them do not count. Or a
   * playbook in Ansible's YAML as a text, as if a file in `cwd` had it: the hosts that it names must then be there, and
   * the run cannot be picked up.
   */
  readonly playbook: string | URL | PlaybookText;
  /** The connection of hosts whose inventory says nothing of it: `local` works on this machine. Default: `ssh`. */
  readonly connection?: string;
  /** The queue that `run()` was given. Hosts with the connection `local` are worked on from here all the same. */
  readonly queue?: QueueName;
  /** A pattern; only its hosts take part in a play. */
  readonly limit?: string;
  /**
   * Work on this machine alone, without a connection, as the one host that the limit names: by default the host of the
   * inventory with this machine's host name, else `localhost`, else the only one. Plays for other hosts are passed over.
   * Default false.
   */
  readonly local?: boolean;
  /** Hosts at work at a time. Default 50; by a queue, as many as its workers take. */
  readonly concurrency?: number;
  /**
   * By a bundle on the host, directly from here, or (`auto`) directly where the host has no usable Node and cannot be
   * sent one. Default `auto`.
   */
  readonly via?: Via;
  /**
   * How a host without a usable Node gets one: `send` a runtime that was fetched, install the `package` of its
   * distribution (not in check mode), or `never`. Wins over the var `volley_runtime`. Default `send`.
   */
  readonly runtime?: RuntimeMode;
  /** Time limit of a host for each play that sets none itself. Default: no limit. */
  readonly hostTimeoutMs?: number;
  /** Time for a host that exceeded its limit to finish the current task. Default 10 s. */
  readonly graceMs?: number;
  /** Seed of plays in shuffled order. Default: the run's name. */
  readonly seed?: string;
  /** Check mode: change nothing, and report the changes that a run would make. Default false. */
  readonly check?: boolean;
  /** Add the text of changes to events. Default false. */
  readonly diff?: boolean;
  readonly tags?: readonly string[];
  readonly skipTags?: readonly string[];
  /**
   * Vars that win over all others, or texts as `--extra-vars` takes them: `key=value` words, JSON, YAML, or `@file`. Later
   * texts win over earlier ones. Texts are kept in the run's record, mode 0600.
   */
  readonly extraVars?: Vars | readonly string[];
  /** Settings of Ansible for a playbook in YAML. Default: those of the process's working directory. */
  readonly ansible?: AnsibleSettings;
  /** Forget the facts of all hosts that earlier runs have kept, where Ansible's settings say so. Default false. */
  readonly flushFactCache?: boolean;
  /** Skip all tasks before the first whose name, or `role : name`, is this or fits this glob. */
  readonly startAtTask?: string;
  /** Asks before each task whether it is done. The answer holds for all hosts. */
  readonly step?: AskStep;
  /** Run notified handlers on hosts where a task has failed, too. Default false. */
  readonly forceHandlers?: boolean;
  /** The number of `-v`, of which plays in Ansible's YAML may make use. Default 0. */
  readonly verbosity?: number;
  /** Time limit from starting the bundle on a host to its first event. Default 60 s. */
  readonly startTimeoutMs?: number;
  /** Time to try a host again whose connection was lost. Default 60 s. */
  readonly returnTimeoutMs?: number;
  /** Time to wait on a host for another run to end. Default 10 s. */
  readonly lockWaitMs?: number;
  /** A run whose controller was ended, to go on with. See {@link attachOptions}. */
  readonly attach?: string;
  /** An earlier run whose finished tasks are not repeated, unless the bundle has changed. */
  readonly resume?: string;
  /** Options for opening the inventory's secrets. */
  readonly secrets?: SecretOptions;
  /** Asks the user for the passphrase of an encrypted key, a vault password, or a secret. Default: no question. */
  readonly askPassphrase?: AskPassphrase;
  /** Asks the user for the vars of `vars_prompt`, before anything else. Default: they have their defaults, or none. */
  readonly askVar?: AskVar;
  /** Asks the user, once and before the first event, about unknown host keys. Default: no question. */
  readonly askHostKeys?: AskHostKeys;
  /** Its abort cancels the run cleanly, as one Ctrl-C does. */
  readonly signal?: AbortSignal;
  /** Default: the process's working directory. */
  readonly cwd?: string;
  /** Directory of the run's log and record; false: none. Default `~/.local/state/volley/runs`. */
  readonly logDirectory?: string | false;
}

/** A task that is about to be done. */
export interface Step {
  readonly play: string;
  readonly role: string;
  readonly name: string;
  /** Empty where the action is known only when the task is done. */
  readonly action: string;
  readonly handler: boolean;
}

/** Ask the person whether a task is done; `continue`: do it and all that follow. */
export type AskStep = (step: Step) => Promise<"yes" | "no" | "continue">;

/** Defaults of the options. */
export const DEFAULTS = {
  concurrency: 50,
  startTimeoutMs: 60_000,
  returnTimeoutMs: 60_000,
  lockWaitMs: 10_000,
  graceMs: 10_000,
  via: "auto",
} as const;

/**
 * Return the options that pick a run up again. Fails with `USAGE` when there is no such run, or it cannot be picked up.
 */
export function attachOptions(run: string, directory = runsDirectory()): RunOptions {
  const { options } = readRecord(directory, run);
  const kind = fanOutKindOf(run);
  if (kind !== undefined)
    throw new VolleyError("USAGE", `${run} was volley ${kind}, which ended with its controller`);
  const { queue } = options as { readonly queue?: QueueName };
  if (queue !== undefined)
    throw new VolleyError("USAGE", `run ${run} was handed to a queue`, {
      hint: `attach to it there: volley attach --queue ${queue.shown} ${run}`,
    });
  if (options.inventory === undefined || typeof options.playbook !== "string") {
    throw new VolleyError(
      "USAGE",
      `run ${run} was started by a program with an inventory or a playbook of its own`,
      {
        hint: "only that program can attach to it",
      },
    );
  }
  const { persist: _persist, ...recorded } = options;
  return { ...(recorded as unknown as RunOptions), attach: run };
}

/**
 * Return for how many milliseconds a run keeps connections; undefined: as ssh_config says; false: it keeps none, and uses
 * none that others have left.
 */
export function recordedPersist(run: string, directory = runsDirectory()): number | undefined | false {
  const { persist } = readRecord(directory, run).options as {
    readonly persist?: Pick<PersistChoice, "forMs">;
  };
  return persist === undefined ? false : persist.forMs;
}

/** Return the options that another controller needs to pick the run up. That controller asks for passwords again. */
export function recordable(options: RunOptions): Readonly<Record<string, unknown>> {
  // `secrets` stays in: it names the places of passwords, and holds none.
  const {
    inventory,
    playbook,
    signal: _signal,
    password: _password,
    becomePassword: _become,
    fleet: _fleet,
    queue,
    persist,
    ...rest
  } = options;
  const written = Object.entries(rest).filter(
    ([, value]) => value !== undefined && typeof value !== "function",
  );
  return {
    ...Object.fromEntries(written),
    playbook: fileOf({ playbook }),
    ...(queue === undefined ? {} : { queue: { shown: queue.shown } }),
    ...(persist === undefined
      ? {}
      : { persist: persist.forMs === undefined ? {} : { forMs: persist.forMs } }),
    // An inventory given as a value cannot be read again, nor a playbook without a file.
    ...(!isText(playbook) && (typeof inventory === "string" || Array.isArray(inventory))
      ? { inventory }
      : {}),
  };
}

/** Return the path of the playbook, or of the carried bundle; the name of a text. */
export function fileOf({ playbook }: Pick<RunOptions, "playbook">): string {
  return playbook instanceof URL ? fileURLToPath(playbook) : isText(playbook) ? playbook.name : playbook;
}

/** Return whether a playbook is a text. */
export function isText(playbook: RunOptions["playbook"]): playbook is PlaybookText {
  return typeof playbook === "object" && "text" in playbook;
}
