import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { gatherFacts } from "../../agent/facts/gather.ts";
import { thisMachine } from "../../agent/facts/sources.ts";
import { type ActionContext, createMemo } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Host, Inventory } from "../../core/inventory.ts";
import type { FactCache, Machine, OtherWay, ProgramWorld } from "../../core/program.ts";
import { secretLocation } from "../../core/secret.ts";
import type { System } from "../../core/system.ts";
import { becomeUser, findPasswd } from "../../core/unix/users.ts";
import { Data } from "../../core/values/value.ts";
import type { Vars } from "../../core/values/vars.ts";
import { openMachine } from "../../direct/host.ts";
import { bareHost, describeHost } from "../../inventory/connection.ts";
import { extendMade } from "../../inventory/load.ts";
import { limitHosts, selectHosts } from "../../inventory/select.ts";
import { MACHINE_NAMES } from "../../patterns/names.ts";
import { createLocalSystem } from "../../system/local/local-system.ts";
import { createLateSystem } from "../../system/remote-system.ts";
import { type SecretStore, textsOf } from "../../vars/secrets/store.ts";
import { createControllerLookups } from "../lookups/perform.ts";
import type { RunOptions } from "./options.ts";
import { openHost, withoutPasswords } from "./plan.ts";
import { hostBecome, type Reached } from "./reach.ts";
import { openRemoteShell } from "./remote-shell.ts";
import { openTransports, type Transports } from "./transports.ts";

/** The parts of a world. */
interface WorldOptions {
  /** The playbook's directory. */
  readonly directory: string;
  readonly inventory: Inventory;
  /** The hosts of the plays, with the connections that the plays give them. */
  readonly planned: readonly Host[];
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
  planned: hosts,
  closed,
  secrets,
  options,
  facts,
  signal,
}: WorldOptions): OpenWorld {
  let inventory = first;
  const planned = new Map(hosts.map((host) => [host.name, host]));
  const extend = first.extend ?? extendMade(first, directory);
  const machines = new Map<string, Promise<Machine>>();
  const opened: Transports[] = [];
  const local = async (way: OtherWay = {}): Promise<Machine> => {
    const system = createLocalSystem();
    const self = userInfo().username;
    const others = new Map<string, System>();
    // Another user is asked for as on any host.
    let opening: Promise<Machine> | undefined;
    const asHost = (): Promise<Machine> => {
      opening ??= remote(withWay({ ...bareHost("localhost", "local") }, way));
      opening.catch(() => {
        opening = undefined;
      });
      return opening;
    };
    return {
      systemOf: (become) => {
        const user = becomeUser(become ?? false, options.becomeUser);
        if (user === null || user === self) return system;
        const known =
          others.get(user) ??
          createLateSystem(
            async () => (await asHost()).systemOf(user),
            () => idsOf(user),
          );
        others.set(user, known);
        return known;
      },
      facts: await gatherFacts(system, process.env, thisMachine),
    };
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
  const open = (name: string, vars: Vars, way: OtherWay): Promise<Machine> => {
    const host = (Object.keys(way).length === 0 ? undefined : planned.get(name)) ?? inventory.hosts.get(name);
    if (
      way.connection === "local" ||
      (host === undefined && MACHINE_NAMES.includes(name) && way.connection === undefined)
    )
      return local(way);
    const found = withWay(host ?? describeHost(name, vars, inventory, directory), way);
    return found.connection.connection === "local" ? local(way) : remote(found);
  };
  const machine: OpenWorld["machine"] = (name, vars, way = {}) => {
    const key = JSON.stringify([name, way]);
    const known = machines.get(key) ?? open(name, vars, way);
    machines.set(key, known);
    // The next task tries again: the machine may have been away.
    known.catch(() => machines.delete(key));
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
    portOf: (name) => planned.get(name)?.connection.port,
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

/** Give a host another way to it. */
function withWay(host: Host, way: OtherWay): Host {
  const { connection, vars } = host;
  const { becomeMethod, becomeExe, becomeFlags, becomePassword, password, privateKeyFile } = way;
  const said = Object.entries({
    ansible_become_method: becomeMethod,
    ansible_become_exe: becomeExe,
    ansible_become_flags: becomeFlags,
    ansible_become_password: becomePassword === undefined ? undefined : new Data(becomePassword),
    ansible_ssh_password: password === undefined ? undefined : new Data(password),
  }).filter(([, value]) => value !== undefined);
  return {
    ...host,
    connection: {
      ...connection,
      connection: way.connection ?? connection.connection,
      user: way.user ?? connection.user,
      port: way.port ?? connection.port,
      address: way.address ?? connection.address,
      privateKeyFile: privateKeyFile ?? connection.privateKeyFile,
    },
    vars: { ...vars, ...Object.fromEntries(said) },
  };
}

/** The ids of an account of this machine. Fails with `BECOME_FAILED`. */
function idsOf(user: string): { readonly uid: number; readonly gid: number } {
  const found = findPasswd(readFileSync("/etc/passwd", "utf8"), user);
  if (found === undefined)
    throw new VolleyError("BECOME_FAILED", `cannot become ${user}: there is no such user`);
  return found;
}
