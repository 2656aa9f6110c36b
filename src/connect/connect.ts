import { resolve } from "node:path";
import pLimit from "p-limit";
import type { ConnectedHosts } from "../controller/prepare/options.ts";
import type { BecomeOptions, Reached, TransportsOptions } from "../controller/prepare/reach.ts";
import { noteOf, openTransports } from "../controller/prepare/transports.ts";
import { VolleyError } from "../core/errors.ts";
import type { Host, Inventory } from "../core/inventory.ts";
import { defaultInventory } from "../inventory/default.ts";
import { keepConnections } from "../transport/kept.ts";
import type { Transport } from "../transport/transport.ts";
import type { SecretOptions } from "../vars/secrets/sources.ts";
import { createSecretStore } from "../vars/secrets/store.ts";
import { createApplier } from "./apply.ts";
import { createHostSet, type HostSet } from "./fleet.ts";
import { findHosts, withPasswords } from "./hosts.ts";
import { becomeOn, type Core, createMasking, type Member } from "./members.ts";
import { choosePersist, type PersistTime } from "./persist.ts";
import { anyOf } from "./signals.ts";

/** Options of {@link connect}. */
export interface ConnectOptions extends Omit<FleetOptions, "persist"> {
  /**
   * Keep connections for the next program or command, for so long after their last use, in a background process of the
   * user's, and use those that others have left: a time such as `"10m"`, `"2h"` or `"90"` (seconds), or a number of
   * milliseconds; false: keep none, and use none. Default: the inventory's `volley_persist`, else ssh_config's
   * ControlPersist with ControlMaster.
   */
  readonly persist?: PersistTime;
}

/** Options of a fleet; `persist` says how the background process is reached. */
interface FleetOptions extends TransportsOptions, BecomeOptions {
  /**
   * Paths of inventories, `host1,host2,`, or an inventory already loaded. Default: `$VOLLEY_INVENTORY`, then `inventory` in
   * the working directory; where there is none, the names of the pattern are the hosts, as for ssh.
   */
  readonly inventory?: string | readonly string[] | Inventory;
  /** A second pattern: only hosts that are in both. */
  readonly limit?: string;
  /** The connection of hosts that say nothing of it, where the inventory is read here: `local`, `docker`, …. Default: `ssh`. */
  readonly connection?: string;
  /** Hosts at work at a time, for all that is done at once. Default 50. */
  readonly forks?: number;
  /** Keys to encrypted values and files of the inventory. */
  readonly secrets?: SecretOptions;
  /** Ends connecting and asking, and closes the fleet. */
  readonly signal?: AbortSignal;
  /** Local paths, and the files of actions, count from here. Default: the process's working directory. */
  readonly cwd?: string;
}

/** Hosts with a connection each, which is opened when it is first needed, kept, and opened again once it went. */
export interface Fleet extends HostSet, ConnectedHosts, AsyncDisposable {
  /** End what goes on, and close all connections. Resolves when they are closed; commands are not left behind. */
  close(): Promise<void>;
}

const DEFAULT_FORKS = 50;

/**
 * Choose hosts by a pattern (`web:&prod:!db`, `web[01:20]`, globs, `~regex`), and find out how to reach them: no host is
 * touched yet. Asks for passphrases and about unknown host keys where the options can. Fails with `INVENTORY_*`,
 * `PATTERN_UNKNOWN`, `SECRET_FAILED`, `USAGE` or `CANCELLED`.
 */
export async function connect(pattern: string, options: ConnectOptions = {}): Promise<Fleet> {
  const { persist, ...others } = options;
  const failures: string[] = [];
  const choice = choosePersist(persist, (why) => failures.push(why));
  const fleet = await openFleet(pattern, { ...others, ...choice });
  return {
    ...fleet,
    // The background process is started when a host is reached, or later.
    get notes() {
      return [
        ...fleet.notes,
        ...failures.map((why) => noteOf(`connections are not kept: ${why}`, fleet.names)),
      ];
    },
  };
}

/** Open a fleet as {@link connect} does. */
export async function openFleet(pattern: string, options: FleetOptions): Promise<Fleet> {
  const { forks = DEFAULT_FORKS, inventory: given, limit, password, becomePassword, askPassphrase } = options;
  if (!Number.isInteger(forks) || forks < 1)
    throw new VolleyError("USAGE", `forks must be a whole number of 1 or more, not ${String(forks)}`);
  const cwd = resolve(options.cwd ?? ".");
  const closing = new AbortController();
  const ends = anyOf(options.signal, closing.signal);
  const secrets = createSecretStore({
    ...options.secrets,
    cwd,
    signal: ends,
    ...(askPassphrase === undefined ? {} : { ask: askPassphrase }),
  });
  const { inventory, hosts: found } = await findHosts({
    ...{ pattern, limit, secrets, cwd, connection: options.connection },
    inventories: (areNames) => inventoriesOf(given, cwd, areNames),
  });
  const masking = createMasking();
  masking.add([password, becomePassword].filter((text) => text !== undefined));
  const hosts: Host[] = [];
  for (const { host, secretTexts } of await Promise.all(found.map((each) => withPasswords(each, secrets)))) {
    hosts.push(host);
    masking.add(secretTexts);
  }
  const transports = await openTransports(hosts, options, ends);
  if (ends.aborted) {
    transports.close();
    throw new VolleyError("CANCELLED", "cancelled before a host was reached");
  }
  const kept = keepConnections();
  const over = new Map<Transport, Transport>();
  const reach = (host: Host): Reached => {
    const { endpoint, transport } = transports.of(host);
    const lending = over.get(transport) ?? kept.over(transport);
    over.set(transport, lending);
    return { endpoint, transport: lending };
  };
  const members: readonly Member[] = hosts.map((host) => ({ name: host.name, host, ...reach(host) }));
  const core: Core = {
    ...{ inventory, forks, secrets, cwd, masking, become: options },
    limit: pLimit(forks),
    closing: closing.signal,
    endings: new Set(),
  };
  // The inventory's faults about becoming users are told now, and not in the midst of the work.
  for (const member of members) becomeOn(member, true, options);
  const applier = createApplier(core);
  let closed: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    options.signal?.removeEventListener("abort", close);
    const ended = [...core.endings].map((each) => each());
    closing.abort();
    await Promise.all(ended);
    await applier.close();
    await kept.close();
    transports.close();
  };
  const close = (): Promise<void> => {
    closed ??= end();
    return closed;
  };
  options.signal?.addEventListener("abort", close, { once: true });
  const byName = new Map(members.map((member) => [member.name, member]));
  return {
    ...createHostSet(members, core, applier),
    inventory,
    names: members.map(({ name }) => name),
    reach: (host) => {
      const { endpoint, transport } = byName.get(host.name)!;
      return { endpoint, transport };
    },
    notes: transports.notes,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function inventoriesOf(
  given: ConnectOptions["inventory"],
  cwd: string,
  areNames: boolean,
): readonly string[] | Inventory | undefined {
  if (typeof given === "string") return [given];
  if (given !== undefined) return given;
  const found = defaultInventory(cwd);
  if (found !== undefined) return [found];
  if (areNames) return undefined;
  throw new VolleyError("INVENTORY_MISSING", "there is no inventory here", {
    hint: "name one with the option `inventory`: a file, a directory, or host names with a comma",
  });
}
