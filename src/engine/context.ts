import { basename } from "node:path";
import type { ActionContext, Memo } from "../core/action.ts";
import {
  type Asset,
  type AssetKind,
  type AssetStore,
  PLAYBOOK_ROLE,
  searchAsset,
  searchTree,
} from "../core/asset.ts";
import { nearest, VolleyError } from "../core/errors.ts";
import type { Facts } from "../core/facts.ts";
import type { PlayDefinition } from "../core/playbook.ts";
import type { Job } from "../core/protocol.ts";
import { type RoleContext, type RoleUse, resolveRoleVars } from "../core/role.ts";
import type { ReadSystem } from "../core/system.ts";
import { float, mapLeaves } from "../core/values/value.ts";
import { LATE, plain, plainVars, restore, restoreVars, type Vars } from "../core/values/vars.ts";
import {
  createScope,
  extendScope,
  isRendered,
  listedScope,
  type RenderVar,
  SELF,
  type VarLayer,
  viewScope,
} from "../vars/scope.ts";
import { tagList } from "./check-task.ts";
import type { Effects, Render } from "./effects.ts";
import type { IncludedRoles, PlayGuests, TypeScriptGuest } from "./guest-types.ts";
import { createJinja } from "./jinja.ts";
import { leftUntil, RENDER_MS, renderWithin } from "./limits.ts";
import { whenAnswered } from "./render.ts";
import { RoleRun } from "./role.ts";

// The surroundings of actions and roles: assets, vars in their layers, the contexts made of them, and roles as they
// declare their tasks.

/** The parts of a task's ActionContext. */
interface ActionContextOptions {
  readonly role: string;
  readonly vars: Vars;
  readonly facts: Facts;
  readonly check: boolean;
  readonly registered?: boolean;
  readonly signal: AbortSignal;
  readonly memo: Memo;
  readonly assets: AssetStore;
  readonly render: Render;
  readonly output: (stream: "stdout" | "stderr", text: string) => void;
  readonly restart?: ((timeoutMs: number) => void) | undefined;
}

/** Make the context of a task's action. */
export function createActionContext(options: ActionContextOptions): ActionContext {
  const { role, vars, facts, check, signal, memo, assets, render, output, restart } = options;
  let seen: Vars | undefined;
  return {
    get vars() {
      seen ??= plainVars(vars);
      return seen;
    },
    facts,
    check,
    signal,
    memo,
    output,
    ...(options.registered === undefined ? {} : { registered: options.registered }),
    ...(restart === undefined ? {} : { restart }),
    asset: (kind, src) => findAsset(assets, role, kind, src),
    assetTree: (kind, src) => searchTree(assets, role, kind, src),
    render: (src, extra = {}, style = {}) => {
      const work = (): string => render(role, src, extendScope(vars, restoreVars(extra)), style);
      const leftMs = leftUntil(signal);
      return whenAnswered(() =>
        leftMs < RENDER_MS ? renderWithin(leftMs, `the template ${src}`, work) : work(),
      );
    },
  };
}

/** Find an asset, as {@link searchAsset} does. Fails with `ASSET_MISSING`. */
export function findAsset(assets: AssetStore, role: string, kind: AssetKind, src: string): Asset {
  const found = searchAsset(assets, role, kind, src);
  if (found !== null) return found;
  const known = assets.tree(role, kind) ?? [];
  const near = nearest(src, known);
  // The assets of a play's own tasks lie beside the playbook.
  const owner = role === PLAYBOOK_ROLE ? "the playbook" : `role "${role}"`;
  throw new VolleyError("ASSET_MISSING", `${owner} has no file ${kind}/${src}`, {
    hint:
      near !== undefined
        ? `did you mean ${kind}/${near}?`
        : known.length === 0
          ? `its ${kind} directory is empty or missing`
          : `its ${kind} are: ${known.slice(0, 8).join(", ")}${known.length > 8 ? ", …" : ""}`,
  });
}

/** The vars every template of a host sees, whatever the role: Ansible's magic names over facts over the inventory's. */
export function hostVariables(job: Job, facts: Facts, render: RenderVar): Vars {
  const magic = {
    ...magicVariables(job.host, job),
    group_names: [...job.groups].sort(),
    get hostvars(): Vars {
      return hostvars;
    },
    vars: SELF,
  };
  const scope = createScope(
    [
      {
        kind: "data",
        vars: {
          ansible_managed: "Volley managed",
          ansible_check_mode: job.options.check,
          ansible_diff_mode: job.options.diff,
        },
      },
      inventoryLayer(job, job.vars),
      { kind: "data", vars: factVariables(facts) },
      ...extraLayers(job),
      { kind: "data", vars: magic },
    ],
    render,
  );
  const hostvars = hostVarsOf(job, scope, render);
  return scope;
}

/** The vars that win over all others, `--extra-vars`, as a layer. */
function extraLayers(job: Job): readonly VarLayer[] {
  const { extraVars } = job;
  return extraVars === undefined ? [] : [{ ...inventoryLayer(job, extraVars), isTop: true }];
}

/** Return the vars that extra vars do not replace. */
export function withoutExtra(vars: Vars, { extraVars = {} }: Pick<Job, "extraVars">): Vars {
  if (!Object.keys(extraVars).some((name) => Object.hasOwn(vars, name))) return vars;
  return Object.fromEntries(Object.entries(vars).filter(([name]) => !Object.hasOwn(extraVars, name)));
}

/** The vars every host has about itself and the inventory. */
export function magicVariables(host: string, { inventoryGroups }: Pick<Job, "inventoryGroups">): Vars {
  return {
    inventory_hostname: host,
    inventory_hostname_short: host.split(".")[0],
    ...(inventoryGroups === undefined ? {} : { groups: inventoryGroups }),
  };
}

/**
 * Facts as templates see them: all of them in `ansible_facts`, each as `ansible_<name>`, and each network interface as
 * `ansible_<interface>` with `-`, `:` and `.` as `_`.
 */
export function factVariables(facts: Facts): Record<string, unknown> {
  const { network, ...named } = facts;
  const all: Record<string, unknown> = {
    ...named,
    local: restore(facts.local),
    loadavg: mapLeaves(facts.loadavg, (load) => (typeof load === "number" ? float(load) : load)),
    proc_cmdline: facts.cmdline,
  };
  for (const [name, described] of Object.entries(network ?? {})) {
    const key = name.replace(/[-:.]/g, "_");
    // An interface may have the name of a fact, such as `dns`: the fact stays.
    if (!(key in all)) all[key] = described;
  }
  const variables: Record<string, unknown> = { ansible_facts: all };
  for (const [name, value] of Object.entries(all)) variables[`ansible_${name}`] = value;
  return variables;
}

/** The vars a role's templates see: the host's under the play's under the role's `checked` ones; these are data. */
export function roleVariables(host: Vars, play: Vars, use: RoleUse, checked: Vars): Vars {
  // A role without a schema has its host's vars, which stay the templates they are.
  const roleVars = use.role.vars === undefined ? use.vars : checked;
  // Templates see a var that the role has from its host as it was written, and a var that the play gave as given.
  const written = (name: string): unknown =>
    Object.hasOwn(use.vars, name) || Object.hasOwn(play, name) ? undefined : host[name];
  return extendScope(host, restoreVars(play), restoreVars(roleVars, written), {
    role_name: use.role.name,
    ...(use.role.directory === undefined
      ? {}
      : { role_path: use.role.directory, role_directory: basename(use.role.directory) }),
  });
}

/** The vars a task adds for its templates: its loop's item and its own vars, one of which may be named `item`, too. */
export function taskVariables(vars: Vars, item: readonly unknown[]): Vars {
  return item.length === 0 ? vars : { item: item[0], ...vars };
}

/** The inventory's vars of a host: their texts are templates, unless they are marked as data. */
function inventoryLayer({ sources = {} }: Job, vars: Vars): VarLayer {
  return {
    kind: "template",
    vars,
    origin: (name) => ({ name, ...(Object.hasOwn(sources, name) ? sources[name] : undefined) }),
  };
}

/** Every host's vars as others see them: the templates of each host are rendered with its own vars. */
function hostVarsOf(job: Job, own: Vars, render: RenderVar): Vars {
  const all = Object.defineProperty({}, LATE, { value: true });
  for (const [host, vars] of Object.entries(job.hostVars)) {
    let scope: Vars | undefined;
    const get = (): Vars => {
      scope ??= createScope(
        [inventoryLayer(job, vars), ...extraLayers(job), { kind: "data", vars: magicVariables(host, job) }],
        render,
      );
      return scope;
    };
    Object.defineProperty(all, host, { get, enumerable: true, configurable: true });
  }
  return Object.defineProperty(all, job.host, { value: own, enumerable: true, configurable: true });
}

/** The options of declaring a play's roles. */
export interface DeclareOptions {
  readonly play: PlayDefinition;
  readonly job: Job;
  /** The vars every template of the play sees. */
  readonly hostVars: Vars;
  readonly facts: Facts;
  readonly systemOf: (become: boolean | string | undefined) => ReadSystem;
  /** Aborted: queries of a role's own code are ended. */
  readonly cancel: AbortSignal;
  readonly log: (text: string) => void;
  /** The roles in Ansible's YAML that the roles may include. Absent where roles only declare their tasks. */
  readonly included?: PlayGuests & IncludedRoles;
  readonly templatesOf: Effects["templatesOf"];
}

/** Have the roles of a play declare their tasks, each up to its first `await`. */
export async function declareRoles(options: DeclareOptions): Promise<readonly RoleRun[]> {
  const roles: RoleRun[] = [];
  const handlersOfPlay = (): readonly string[] =>
    roles
      .flatMap(({ use, handlers }) => [...handlers.keys()].map((name) => `${use.role.name}:${name}`))
      .concat(options.included?.opened?.handlers ?? []);
  for (const use of options.play.roles) roles.push(await prepareRole(use, handlersOfPlay, options));
  // Roles in YAML are all known before the others name their handlers.
  for (const role of [...roles].sort((one, other) => Number(isYaml(other)) - Number(isYaml(one))))
    role.declare();
  return roles;
}

function isYaml({ use }: RoleRun): boolean {
  return use.role.ansible !== undefined;
}

/** A role of a play in YAML has no tree of its own. */
const NOTHING_INCLUDED: PlayGuests & IncludedRoles = {
  opened: undefined,
  meet: () => {},
  declare: () => {
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      "a role that a play in YAML uses cannot include roles in YAML",
      {
        hint: "name them in the play",
      },
    );
  },
};

/** Have a role declare its tasks that a play in YAML has come to, whose vars are a scope. */
export async function declareGuest(
  { use, vars, defaults }: TypeScriptGuest,
  handlersOfPlay: () => readonly string[],
  options: DeclareOptions,
): Promise<RoleRun> {
  const role = await prepareRole(use, handlersOfPlay, {
    ...options,
    // The vars of the play are among those of this place.
    play: { ...options.play, vars: {}, tags: [] },
    hostVars: vars,
    defaults,
    included: NOTHING_INCLUDED,
  });
  role.declare();
  return role;
}

async function prepareRole(
  use: RoleUse,
  handlersOfPlay: () => readonly string[],
  {
    play,
    job,
    hostVars,
    facts,
    systemOf,
    cancel,
    log,
    included,
    defaults,
    templatesOf,
  }: DeclareOptions & Partial<Pick<TypeScriptGuest, "defaults">>,
): Promise<RoleRun> {
  const system = systemOf(use.options.become);
  const { extraVars = {} } = job;
  const playVars = withoutExtra(play.vars ?? {}, job);
  const given = { ...use, vars: withoutExtra(use.vars, job) };
  const scope = roleVariables(hostVars, playVars, given, given.vars);
  // A play in YAML has vars from many places, and all of them are as good as text.
  const isGuest = defaults !== undefined;
  const seen = plainVars(
    isGuest ? listedScope(scope) : viewScope(scope, job.vars, playVars, extraVars),
    playVars,
  );
  const isText = (name: string): boolean =>
    isGuest || Object.hasOwn(extraVars, name) || isRendered(scope, name);
  const vars = await whenAnswered(() => resolveRoleVars(given, seen, job.host, isText));
  const own = use.role.facts === undefined ? {} : ((await use.role.facts(system, facts)) as object);
  const context: RoleContext = {
    vars,
    // Facts may be known only when they are asked for, so they are copied only where the role adds its own.
    facts: use.role.facts === undefined ? facts : { ...facts, ...own },
    host: { name: job.host, groups: job.groups, vars: plainVars(viewScope(hostVars, job.vars, extraVars)) },
    groups: job.inventoryGroups ?? UNSENT,
    hostVars: plain(job.hostVars) as Job["hostVars"],
    check: job.options.check,
  };
  const playTags = tagList(play.tags);
  const directory = use.role.directory ?? use.role.name;
  const jinja = createJinja(() => templatesOf(directory), roleVariables(hostVars, playVars, given, vars), {
    given: given.vars,
    ofPlay: playVars,
  });
  return new RoleRun({
    use,
    context,
    system,
    jinja,
    selection: job.options,
    playTags,
    handlersOfPlay,
    included,
    defaults,
    cancel,
    log,
  });
}

/** Stands for groups that were not sent because nothing seemed to ask for them: an error is better than no groups. */
const UNSENT: RoleContext["groups"] = new Proxy(
  {},
  {
    get: (_groups, name) => {
      if (typeof name === "symbol") return undefined;
      throw new VolleyError("PLAYBOOK_INVALID", "the inventory's groups were not sent to this host", {
        hint: "they are where the playbook's code has the word `groups`",
      });
    },
  },
);
