import { readFile } from "node:fs/promises";
import { gatherFacts } from "../../agent/facts/gather.ts";
import { thisMachine } from "../../agent/facts/sources.ts";
import { type ActionContext, createMemo } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Host, Inventory } from "../../core/inventory.ts";
import type { FactCache, Machine, ProgramWorld } from "../../core/program.ts";
import { secretLocation } from "../../core/secret.ts";
import type { Vars } from "../../core/values/vars.ts";
import { openMachine } from "../../direct/host.ts";
import { describeHost, MACHINE_NAMES } from "../../inventory/connection.ts";
import { extendMade } from "../../inventory/load.ts";
import { limitHosts, selectHosts } from "../../inventory/select.ts";
import { createLocalSystem } from "../../system/local/local-system.ts";
import { type SecretStore, textsOf } from "../../vars/secrets/store.ts";
import { createControllerLookups } from "../lookups/perform.ts";
import type { RunOptions } from "./options.ts";
import { openHost, withoutPasswords } from "./plan.ts";
import { hostBecome } from "./reach.ts";
import { openRemoteShell } from "./remote-shell.ts";
import { openTransports, type Reached, type Transports } from "./transports.ts";

/** The parts of a world. */
interface WorldOptions {
  /** The playbook's directory. */
  readonly directory: string;
  readonly inventory: Inventory;
  /** The hosts of the inventory with their secrets closed. */
  readonly closed: Inventory["hosts"];
  readonly secrets: SecretStore;
  readonly options: RunOptions;
  readonly facts: FactCache | undefined;
  readonly signal: AbortSignal;
}

/** A world, with the controller's side. */
export interface OpenWorld extends ProgramWorld {
  /** Return the hosts that a pattern stands for by now, those that tasks have added among them. */
  select(pattern: string): readonly Host[];
  /** Find out how to reach a host that the plan does not have. */
  reach(host: Host): Promise<Reached>;
  close(): void;
}

/** Make what plays may use of this machine when they are carried out here: lookups, the machine itself, and others. */
export function createWorld({
  directory,
  inventory: first,
  closed,
  secrets,
  options,
  facts,
  signal,
}: WorldOptions): OpenWorld {
  let inventory = first;
  const extend = first.extend ?? extendMade(first, directory);
  const machines = new Map<string, Promise<Machine>>();
  const opened: Transports[] = [];
  const local = async (): Promise<Machine> => {
    const system = createLocalSystem();
    return { systemOf: () => system, facts: await gatherFacts(system, process.env, thisMachine) };
  };
  const reach = async (host: Host): Promise<Reached> => {
    // Nobody can be asked while hosts are at work.
    const { askHostKeys: _ask, ...rest } = options;
    const transports = await openTransports([host], rest, signal);
    opened.push(transports);
    return transports.of(host);
  };
  const remote = async (host: Host): Promise<Machine> => {
    const known = await openHost(host, secrets);
    const { endpoint, transport } = await reach(known);
    const connection = await transport.connect(endpoint, signal);
    return openMachine(connection, {
      endpoint,
      job: hostBecome(known, endpoint.user, [], options).job,
      signal,
    });
  };
  const open = (name: string, vars: Vars): Promise<Machine> => {
    const host = inventory.hosts.get(name);
    if (host === undefined && MACHINE_NAMES.includes(name)) return local();
    const found = host ?? describeHost(name, vars, inventory, directory);
    return found.connection.connection === "local" ? local() : remote(found);
  };
  const machine: OpenWorld["machine"] = (name, vars) => {
    const known = machines.get(name) ?? open(name, vars);
    machines.set(name, known);
    // The next task tries again: the machine may have been away.
    known.catch(() => machines.delete(name));
    return known;
  };
  return {
    lookups: createControllerLookups({
      env: process.env,
      directory,
      openVault: (text, file) => secrets.openVaultFile(text, file),
      signal,
    }),
    machine,
    elsewhere:
      (name, { hostVars }, become) =>
      async (context) => {
        const { systemOf, facts } = await machine(
          name === "controller" ? "localhost" : name,
          hostVars[name] ?? {},
        );
        const own = { facts: { value: facts }, memo: { value: createMemo() } };
        return [systemOf(become), Object.create(context, own) as ActionContext];
      },
    openVaultFile: async (path) => secrets.openVaultBytes(await readFile(path, "latin1"), path),
    remoteShell: openRemoteShell,
    extend: async (addition) => {
      const extended = await extend(addition);
      ({ inventory } = extended);
      return extended;
    },
    hostVars: new Map([...closed.values()].map(({ name, vars }) => [name, withoutPasswords(vars)])),
    refuseLocked: (name) => {
      const [locked] = (inventory.hosts.get(name) ?? inventory.implicit?.get(name))?.locked ?? [];
      if (locked === undefined) return;
      const { code, message, hint, location } = locked;
      const said = `the vars of ${name} stay closed: ${location?.file ?? "a file"}: ${message}`;
      throw new VolleyError(code, said, { cause: locked, ...(hint === undefined ? {} : { hint }) });
    },
    secrets: {
      open: (secret, what) => secrets.value(secret, what, secretLocation(secret)),
      textsOf,
    },
    select: (pattern) => {
      const { limit, cwd = process.cwd() } = options;
      const passOver = { onUnknown: () => {} };
      const hosts = selectHosts(inventory, pattern, passOver);
      return limit === undefined ? hosts : limitHosts(hosts, inventory, limit, { cwd, ...passOver });
    },
    reach,
    hosts: new Map(),
    ...(facts === undefined ? {} : { facts }),
    close: () => {
      for (const transports of opened) transports.close();
    },
  };
}
