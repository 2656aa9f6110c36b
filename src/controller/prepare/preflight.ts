import type { ActionCall } from "../../core/action.ts";
import { type AssetStore, searchTree } from "../../core/asset.ts";
import { isVolleyError } from "../../core/errors.ts";
import type { Facts } from "../../core/facts.ts";
import type { Host } from "../../core/inventory.ts";
import type { PlayDefinition } from "../../core/playbook.ts";
import type { GuestRoles, TaskOutline } from "../../core/program.ts";
import {
  type RoleContext,
  type RoleUse,
  resolveRoleVars,
  type StandardIssue,
  type StandardResult,
  type StandardSchemaV1,
  type TaskHandle,
  type TaskOptions,
  type TasksContext,
} from "../../core/role.ts";
import { findSecrets } from "../../core/secret.ts";
import { isRecord } from "../../core/values/value.ts";
import { plain, type Vars } from "../../core/values/vars.ts";
import {
  checkHandler,
  checkIncluded,
  checkNotify,
  checkTask,
  notifyList,
  tagList,
} from "../../engine/check-task.ts";
import { findAsset, magicVariables } from "../../engine/context.ts";
import { foresee } from "../../engine/handle.ts";
import { mayTakeLong, RENDER_MS, renderWithin } from "../../engine/limits.ts";
import { createTemplates } from "../../template/index.ts";
import { createScope, isRendered, type RenderVar } from "../../vars/scope.ts";
import { hasLeft } from "../queued/left-secrets.ts";

/** Subject of the checks before a run. */
interface PreflightOptions {
  /** The roles in Ansible's YAML that plays in TypeScript use. */
  readonly guests?: GuestRoles | undefined;
  readonly plays: readonly { readonly play: PlayDefinition; readonly hosts: readonly Host[] }[];
  readonly assets: AssetStore;
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly check: boolean;
  /** The names of vars that win over all others; they are among the hosts' vars. */
  readonly extraVars?: readonly string[] | undefined;
}

/**
 * Check a playbook before any host is touched: the vars of every role for every host and, for one host of each play,
 * the parameters and assets of the tasks that roles declare before they ask the host. Returns the hosts that were
 * passed over, because only a run knows their vars.
 */
export async function preflight({
  guests,
  plays,
  assets,
  groups,
  check,
  extraVars = [],
}: PreflightOptions): Promise<ReadonlySet<string>> {
  const passedOver = new Set<string>();
  for (const { play, hosts } of plays) {
    /** By role, the number of hosts the role was declared for, until all of its vars were known. */
    const declared = new Map<RoleUse, number>();
    const vars = without(play.vars ?? {}, extraVars);
    for (const host of hosts) {
      for (const used of play.roles) {
        const use = { ...used, vars: without(used.vars, extraVars) };
        // The code of a schema is the playbook's own, too.
        const foreseen = await foresee(() => foreseeRoleVars(use, host, vars, { groups, extraVars }));
        const tries = declared.get(used) ?? 0;
        if (tries < MAX_TRIES) {
          const onInclude = (included: RoleUse): void => void guests?.outline(included, []);
          await declareRole(use, foreseen, host, { assets, groups, check, onInclude });
          declared.set(used, foreseen.isShort() ? tries + 1 : MAX_TRIES);
        }
        if (foreseen.isShort()) passedOver.add(host.name);
      }
    }
  }
  return passedOver;
}

function without(vars: Vars, names: readonly string[]): Vars {
  return Object.fromEntries(Object.entries(vars).filter(([name]) => !names.includes(name)));
}

/** A play whose tasks are asked for. */
interface ForeseenPlay extends Pick<PreflightOptions, "assets" | "groups" | "extraVars" | "guests"> {
  readonly play: PlayDefinition;
  readonly hosts: readonly Host[];
}

/**
 * Return the tasks that a play's roles declare for its first host before they await anything. A role that only the host
 * can decide about has fewer. Fails as {@link preflight}.
 */
export async function foreseeTasks({
  play,
  hosts: [host],
  assets,
  groups,
  extraVars = [],
  guests,
}: ForeseenPlay): Promise<readonly TaskOutline[]> {
  const tasks: TaskOutline[] = [];
  if (host === undefined) return tasks;
  const vars = without(play.vars ?? {}, extraVars);
  for (const used of play.roles) {
    const use = { ...used, vars: without(used.vars, extraVars) };
    const foreseen = await foresee(() => foreseeRoleVars(use, host, vars, { groups, extraVars }));
    const onTask = (name: string, tags: TaskOptions["tags"]): void => {
      tasks.push({
        name,
        role: use.role.tasks === play.tasks ? "" : use.role.name,
        tags: [...around, ...tagList(tags)],
      });
    };
    const around = [...tagList(play.tags), ...tagList(use.options.tags)];
    const onInclude = (included: RoleUse): void => {
      const own = included.role === use.role ? [] : tagList(included.options.tags);
      tasks.push(...(guests?.outline(included, [...around, ...own]) ?? []));
    };
    await declareRole(use, foreseen, host, { assets, groups, check: false, onTask, onInclude });
  }
  return tasks;
}

/** Hosts to try for a role whose vars only a run knows, in search of one whose vars are known now. */
const MAX_TRIES = 3;

async function declareRole(
  use: RoleUse,
  { vars, hostVars }: ForeseenVars,
  host: Host,
  {
    assets,
    groups,
    check,
    onTask,
    onInclude,
  }: Pick<PreflightOptions, "assets" | "groups" | "check"> & {
    readonly onTask?: (name: string, tags: TaskOptions["tags"]) => void;
    readonly onInclude?: (use: RoleUse) => void;
  },
): Promise<void> {
  const context: RoleContext = {
    vars,
    facts: unknowable<Facts>(),
    host: { name: host.name, groups: host.groups, vars: hostVars },
    groups,
    hostVars: unknowable(),
    check,
  };
  const directory = use.role.directory ?? use.role.name;
  const look = (call: unknown): void => {
    if (typeof call === "object" && call !== null) findMissingAsset(call as ActionCall, directory, assets);
  };
  const tasksContext: TasksContext = {
    ...context,
    task: ((name: string, call: unknown, options?: TaskOptions) => {
      checkTask(use.role.name, name, call, options, use.role.delegates);
      // The handlers of other roles may depend on the host.
      const own = notifyList(options?.notify).filter((handler) => !handler.includes(":"));
      checkNotify(use.role.name, `task "${name}"`, own, { own: handlerNames, all: [] });
      onTask?.(name, options?.tags);
      look(call);
      // A role that catches the error and tries again for ever must not keep the controller.
      return unknowable<TaskHandle>("leave");
    }) as TasksContext["task"],
    handler: (name: string, call: unknown, options?: unknown) => {
      checkHandler(use.role.name, name, call, options);
      handlerNames = [...handlerNames, name];
      look(call);
    },
    system: unknowable(),
    include: (included) => {
      checkIncluded(use.role.name, included);
      onInclude?.(included);
      return unknowable<TaskHandle<Vars>>("leave");
    },
    jinja: unknowable(),
    flushHandlers: () => {},
    end: (part) => {
      throw new Error(`the ${part} has ended`);
    },
    log: () => {},
  };
  let handlerNames: readonly string[] = [];
  // The role prints on the host, where secrets are masked.
  const restoreConsole = silenceConsole();
  try {
    const { handlers } = use.role;
    const declared: unknown = foresee(() => (typeof handlers === "function" ? handlers(context) : handlers));
    handlerNames = Object.keys(declared ?? {});
    for (const spec of Object.values(declared ?? {})) for (const call of [spec].flat()) look(call);
    if (use.role.facts !== undefined) return;
    // Look only at the tasks declared before the role awaits anything.
    const tasks = foresee(() => use.role.tasks(tasksContext));
    await Promise.race([tasks, new Promise((resolve) => setImmediate(resolve))]);
  } catch (thrown) {
    // Other errors than Volley's own may come from this machine, and not happen on the host.
    if (isVolleyError(thrown)) throw thrown;
  } finally {
    restoreConsole();
  }
}

function findMissingAsset({ action, params }: ActionCall, role: string, assets: AssetStore): void {
  const { src, remote_src: remote } = params;
  if (typeof src !== "string" || remote === true || src.startsWith("/")) return;
  if (action === "template") findAsset(assets, role, "templates", src);
  else if ((action === "copy" || action === "unarchive" || action === "script") && !/^\w+:\/\//.test(src)) {
    if (searchTree(assets, role, "files", src) === null) findAsset(assets, role, "files", src);
  }
}

/** A role's vars on one host, as far as the controller can know them. */
interface ForeseenVars {
  /** Reading a var that only a run knows throws {@link OnlyTheHostKnows}. */
  readonly vars: Vars;
  /** The host's own vars, likewise. */
  readonly hostVars: Vars;
  /** Return whether a var was read that only a run knows. */
  isShort(): boolean;
}

/** Parts of templates that depend on the host or on the moment. */
const ASKS_HOST =
  /\b(?:lookup|query|q|now|random|shuffle|random_mac|password_hash|ansible_\w*|hostvars|vars|exists|file|is_file|directory|is_dir|link|is_link|mount|is_mount|same_file|is_same_file|expanduser|expandvars|realpath|fileglob)\b/;

const templates = createTemplates();

const render: RenderVar = (text, scope, origin) => {
  const code = text.match(/\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}/g) ?? [];
  if (code.some((part) => ASKS_HOST.test(part))) throw new OnlyTheHostKnows();
  return mayTakeLong(text)
    ? renderWithin(RENDER_MS, `the var "${origin.name}"`, () => templates.renderValue(text, scope, origin))
    : templates.renderValue(text, scope, origin);
};

/** Make the scope of a host's vars that renders only templates whose value is the same everywhere. */
function foreseenScope(host: Host, play: Vars, groups: Readonly<Record<string, readonly string[]>>): Vars {
  const magic = {
    ...magicVariables(host.name, { inventoryGroups: groups }),
    group_names: [...host.groups].sort(),
  };
  return createScope(
    [
      { kind: "template", vars: host.vars, origin: (name) => ({ name }) },
      { kind: "data", vars: magic },
      { kind: "data", vars: play },
    ],
    render,
  );
}

/**
 * Check a role's vars on a host as far as they are known before any host is touched. Secrets that are not open or are left
 * to a worker, and templates that need facts, are not known. Fails with `VARS_INVALID`.
 */
async function foreseeRoleVars(
  use: RoleUse,
  host: Host,
  play: Vars,
  { groups, extraVars }: Pick<PreflightOptions, "groups"> & { readonly extraVars: readonly string[] },
): Promise<ForeseenVars> {
  const scope = foreseenScope(host, play, groups);
  let short = false;
  const onlyThere = (): never => {
    short = true;
    throw new OnlyTheHostKnows();
  };
  /** Make vars that are computed when they are read. */
  const foreseen = (names: Vars, value: (name: string) => unknown): Vars =>
    new Proxy(names, {
      get: (_target, name) => (typeof name === "string" ? value(name) : undefined),
      // Object.entries reads values through descriptors.
      getOwnPropertyDescriptor: (_target, name) =>
        Object.hasOwn(names, name)
          ? { get: () => value(name as string), enumerable: true, configurable: true }
          : undefined,
    });
  const own = (name: string): unknown => {
    // A file that stays closed may hold any var.
    if (!Object.hasOwn(host.vars, name) && !Object.hasOwn(play, name))
      return host.locked === undefined ? undefined : onlyThere();
    if (findSecrets(host.vars[name]).length > 0 && play[name] === undefined) return onlyThere();
    try {
      const value = plain(scope[name]);
      return hasLeft(value) ? onlyThere() : value;
    } catch {
      // The host reports the error where the var is used.
      return onlyThere();
    }
  };
  const hostVars = foreseen({ ...host.vars }, own);
  const { vars: schema } = use.role;
  if (schema === undefined) {
    const value = (name: string): unknown => use.vars[name] ?? own(name);
    return { vars: foreseen({ ...host.vars, ...play, ...use.vars }, value), hostVars, isShort: () => short };
  }
  const fields = fieldsOf(schema);
  const known: Record<string, unknown> = {};
  const unknown = new Set<string>();
  for (const name of Object.keys(fields ?? { ...host.vars, ...play })) {
    if (use.vars[name] !== undefined) continue;
    try {
      const value = own(name);
      if (value !== undefined) known[name] = value;
    } catch {
      unknown.add(name);
    }
  }
  if (unknown.size > 0 && fields === undefined)
    return { vars: foreseen({}, onlyThere), hostVars, isShort: () => true };
  const part = unknown.size === 0 ? schema : schemaOf(fields!, unknown);
  const checked = await resolveRoleVars(
    { ...use, role: { ...use.role, vars: part } },
    known,
    host.name,
    (name) => extraVars.includes(name) || (!Object.hasOwn(use.vars, name) && isRendered(scope, name)),
  );
  const vars = foreseen({ ...checked }, (name) => (unknown.has(name) ? onlyThere() : checked[name]));
  return { vars, hostVars, isShort: () => short };
}

type Fields = Readonly<Record<string, StandardSchemaV1 | undefined>>;

/** Return the schemas of an object schema's fields: valibot's `entries`, zod's `shape`. Undefined for other schemas. */
function fieldsOf(schema: StandardSchemaV1): Fields | undefined {
  const { entries, shape } = schema as { readonly entries?: unknown; readonly shape?: unknown };
  return isRecord(entries) ? (entries as Fields) : isRecord(shape) ? (shape as Fields) : undefined;
}

/** Make a schema of the known fields. */
function schemaOf(fields: Fields, unknown: ReadonlySet<string>): StandardSchemaV1 {
  const entries = Object.fromEntries(Object.entries(fields).filter(([name]) => !unknown.has(name)));
  const validate = async (given: unknown): Promise<StandardResult<unknown>> => {
    const value: Record<string, unknown> = {};
    const issues: StandardIssue[] = [];
    for (const [name, field] of Object.entries(entries)) {
      const checked = await field?.["~standard"]?.validate((given as Vars)[name]);
      if (checked?.issues === undefined) value[name] = checked?.value;
      else for (const issue of checked.issues) issues.push({ ...issue, path: [name, ...(issue.path ?? [])] });
    }
    return issues.length > 0 ? { issues } : { value };
  };
  const schema = { "~standard": { version: 1, vendor: "volley", validate }, entries } as const;
  return schema;
}

/** Thrown when a role asks what only its host knows: the host carries out the rest of the role. */
export class OnlyTheHostKnows extends Error {}

/** Make an object whose every property only a host knows. Code that awaits it gets an error, or waits for ever. */
export function unknowable<T extends object>(awaiting: "throw" | "leave" = "throw"): T {
  return new Proxy({} as T, {
    get: (_target, property) => {
      if (typeof property === "symbol") return undefined;
      if (property === "then" && awaiting === "leave") return () => {};
      throw new OnlyTheHostKnows();
    },
    has: () => {
      throw new OnlyTheHostKnows();
    },
    ownKeys: () => {
      throw new OnlyTheHostKnows();
    },
  });
}

/**
 * Silence `console` while a role's code runs here: only the host masks secrets in its output. Returns the function that
 * undoes it.
 */
export function silenceConsole(): () => void {
  const { log, info, debug, warn, error } = console;
  const nothing = (): void => {};
  Object.assign(console, { log: nothing, info: nothing, debug: nothing, warn: nothing, error: nothing });
  return () => Object.assign(console, { log, info, debug, warn, error });
}
