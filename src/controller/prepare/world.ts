import { readFile } from "node:fs/promises";
import { gatherFacts } from "../../agent/facts/gather.ts";
import { thisMachine } from "../../agent/facts/sources.ts";
import { type ActionContext, createMemo } from "../../core/action.ts";
import type { Host, Inventory } from "../../core/inventory.ts";
import type { FactCache, Machine, ProgramWorld } from "../../core/program.ts";
import type { Vars } from "../../core/values/vars.ts";
import { openMachine } from "../../direct/host.ts";
import { AddedHosts } from "../../inventory/added-hosts.ts";
import { describeHost, MACHINE_NAMES } from "../../inventory/connection.ts";
import { limitHosts, selectHosts } from "../../inventory/select.ts";
import { createLocalSystem } from "../../system/local/local-system.ts";
import { resolveVars, type SecretStore } from "../../vars/secrets/store.ts";
import { createControllerLookups } from "../lookups/perform.ts";
import type { RunOptions } from "./options.ts";
import { hostBecome } from "./reach.ts";
import { openRemoteShell } from "./remote-shell.ts";
import { openTransports, type Reached, type Transports } from "./transports.ts";

/** The parts of a world. */
interface WorldOptions {
  /** The playbook's directory. */
  readonly directory: string;
  readonly inventory: Inventory;
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
  inventory,
  secrets,
  options,
  facts,
  signal,
}: WorldOptions): OpenWorld {
  const machines = new Map<string, Promise<Machine>>();
  const opened: Transports[] = [];
  const local = async (): Promise<Machine> => {
    const system = createLocalSystem();
    return { systemOf: () => system, facts: await gatherFacts(system, process.env, thisMachine) };
  };
  const added = new AddedHosts(inventory, directory);
  const reach = async (host: Host): Promise<Reached> => {
    // Nobody can be asked while hosts are at work.
    const { askHostKeys: _ask, ...rest } = options;
    const transports = await openTransports([host], rest, signal);
    opened.push(transports);
    return transports.of(host);
  };
  const remote = async (host: Host): Promise<Machine> => {
    const { vars } = await resolveVars(
      host.vars,
      { name: `host ${host.name}`, locate: () => undefined },
      secrets,
    );
    const known = { ...host, vars };
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
    addHost: (name, groups, vars) => added.add(name, groups, vars),
    select: (pattern) => {
      const { limit, cwd = process.cwd() } = options;
      const known = added.inventory;
      const passOver = { onUnknown: () => {} };
      const hosts = selectHosts(known, pattern, passOver);
      return limit === undefined ? hosts : limitHosts(hosts, known, limit, { cwd, ...passOver });
    },
    reach,
    hosts: new Map(),
    ...(facts === undefined ? {} : { facts }),
    close: () => {
      for (const transports of opened) transports.close();
    },
  };
}
