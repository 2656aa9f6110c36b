import { posix } from "node:path";
import { OMIT, type Vars } from "../core/values/vars.ts";
import { SELF, UNSAFE_TEXT, type VarLayer } from "../vars/scope.ts";
import { type Frame, framesOf, inherited, type RoleInstance, shortName } from "./frame.ts";
import type { HostState } from "./host-state.ts";
import { CONTROLLER } from "./keywords.ts";

// The vars of a task, in Ansible's order of precedence: a layer for each of its levels, the lowest first.

/** The sources of vars that all tasks of a play share. */
export interface PlayVars {
  /** Vars for want of any others. */
  readonly initial: Vars;
  /** The host's vars by the inventory. */
  readonly inventory: Vars;
  readonly play: Vars;
  /** Vars of `vars_prompt`. */
  readonly prompted: Vars;
  /** Vars of `vars_files`, in order. */
  readonly files: readonly Vars[];
  readonly extra: Vars;
  readonly magic: Vars;
  readonly state: HostState;
  /** The host that is reached, where a task is delegated to it. */
  readonly reached?: string;
  /** False where facts are in `ansible_facts` alone. */
  readonly injectsFacts: boolean;
  /** The roles of the play, dependencies included, in order; those of public includes behind them. */
  readonly roles: readonly RoleInstance[];
  /** The controller's path that those of roles begin at. */
  readonly project: string;
}

function templates(vars: Vars): VarLayer {
  return { kind: "template", vars, origin: (name) => ({ name }) };
}

function data(vars: Vars, textType?: string): VarLayer {
  return { kind: "data", vars, ...(textType === undefined ? {} : { textType }) };
}

/** Stack the layers of vars that a task sees. `own` is above all others but the magic vars: items of loops. */
export function layersOf(play: PlayVars, frame: Frame | undefined, own: Vars = {}): readonly VarLayer[] {
  const { state } = play;
  const role = frame?.role;
  const frames = frame === undefined ? [] : framesOf(frame);
  const layers = [
    data(play.initial),
    ...(frame === undefined ? [] : [templates(connectionVars(frame, play))]),
    ...play.roles.map(({ defaults }) => templates(defaults)),
    ...(role === undefined ? [] : defaultsOf(role).map((vars) => templates(vars))),
    templates(play.inventory),
    data(play.injectsFacts ? state.factVars() : bareFacts(state.factVars()), UNSAFE_TEXT),
    templates(play.play),
    templates(play.prompted),
    ...play.files.map((vars) => templates(vars)),
    ...play.roles.flatMap((each) => [templates(each.vars), templates(each.given)]),
    ...(role === undefined ? [] : varsOfRole(role).map((vars) => templates(vars))),
    ...frames.map(({ vars }) => templates(vars)),
    templates(state.included),
    data(state.learned, UNSAFE_TEXT),
    ...(role === undefined ? [] : paramsOf(role).map((vars) => templates(vars))),
    ...frames.map(({ params = {} }) => templates(params)),
    { ...templates(play.extra), textType: "str" },
    data(own),
    data(play.magic),
    ...(role === undefined ? [] : [data(roleMagic(role, play.project))]),
  ];
  return layers.filter(({ vars }) => Object.keys(vars).length > 0);
}

/** Vars of connections with the older name that an inventory may give them by; without it only the first is there. */
const CONNECTION_NAMES = [
  ["ansible_host", "ansible_ssh_host"],
  ["ansible_user", "ansible_ssh_user"],
  ["ansible_port", "ansible_ssh_port"],
] as const;

/**
 * The vars that tell a task how its host is reached, for want of the inventory's. Other hosts do not see them. The name of
 * the host is not among them: a task may have made it of text that came from a host, which must not be rendered.
 */
function connectionVars(frame: Frame, { inventory, magic, reached }: PlayVars): Vars {
  const host = reached ?? String(magic.inventory_hostname);
  const given: Record<string, unknown> = {
    ansible_user: inherited(frame, "remote_user"),
    ansible_port: inherited(frame, "port"),
  };
  const vars: Record<string, unknown> = {
    ansible_connection: inherited(frame, "connection") ?? (CONTROLLER.has(host) ? "local" : "ssh"),
    ansible_shell_executable: "/bin/sh",
    ansible_timeout: 10,
    ansible_pipelining: false,
  };
  for (const [name, other] of CONNECTION_NAMES) {
    const value = inventory[name] ?? inventory[other] ?? given[name];
    if (value !== undefined) vars[name] = value;
  }
  return vars;
}

function bareFacts({ ansible_facts, ansible_local }: Vars): Vars {
  return { ansible_facts, ...(ansible_local === undefined ? {} : { ansible_local }) };
}

function defaultsOf(role: RoleInstance): readonly Vars[] {
  return [
    ...allDependencies(role).map(({ defaults }) => defaults),
    ...role.parents.map(({ defaults }) => defaults),
    role.defaults,
  ];
}

function varsOfRole(role: RoleInstance): readonly Vars[] {
  return [
    ...role.parents.flatMap(({ vars, given }) => [vars, given]),
    ...allDependencies(role).flatMap(({ vars, given }) => [vars, given]),
    role.vars,
    role.given,
  ];
}

function paramsOf(role: RoleInstance): readonly Vars[] {
  return [...role.parents.map(({ params }) => params), role.params];
}

/** The dependencies of a role, at any depth. */
export function allDependencies(role: RoleInstance): readonly RoleInstance[] {
  return role.dependencies.flatMap((each) => [...allDependencies(each), each]);
}

function roleMagic(role: RoleInstance, base: string): Vars {
  const { name, path, collection } = role.node;
  return {
    role_name: shortName(role.node),
    ansible_role_name: name,
    role_path: posix.resolve(base, path),
    ...(collection === undefined ? {} : { ansible_collection_name: collection }),
    ...(role.isDependency === true || role.parents.length === 0
      ? {}
      : {
          ansible_parent_role_names: role.parents.map(({ node }) => node.name).reverse(),
          ansible_parent_role_paths: role.parents.map(({ node }) => posix.resolve(base, node.path)).reverse(),
        }),
  };
}

/** The vars every play has by itself. */
export function magicVars(given: Vars): Vars {
  const vars = {
    omit: OMIT,
    vars: SELF,
    ansible_version: { full: "2.14.18", major: 2, minor: 14, revision: 18, string: "2.14.18" },
    ansible_managed: "Ansible managed",
  };
  // Some are worked out when they are asked for.
  return Object.defineProperties(vars, Object.getOwnPropertyDescriptors(given));
}
