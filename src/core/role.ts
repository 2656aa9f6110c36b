import type { ActionCall, RenderStyle } from "./action.ts";
import { didYouMean, VolleyError } from "./errors.ts";
import type { Facts } from "./facts.ts";
import { checkOptions, isA, type Kind, SWITCH } from "./options.ts";
import type { Result, State } from "./result.ts";
import type { ReadSystem } from "./system.ts";
import { isRecord } from "./values/value.ts";
import { mergeVars, type Vars } from "./values/vars.ts";

const TEXT: Kind = ["a string", isA("string")];

/** A value, or a function called for the value when the task's turn comes. */
type Condition<A extends readonly unknown[] = []> = boolean | ((...args: A) => boolean | Promise<boolean>);

/** The options of a task: everything but its name and action. */
export interface TaskOptions<H extends string = string, D = unknown, A extends readonly unknown[] = []> {
  /** Skip the task unless this holds. */
  readonly when?: Condition<A>;
  /** Handlers to run at the end of the play if the task changes anything; `role:handler` names another role's. */
  readonly notify?: H | readonly H[] | (string & {}) | readonly (string & {})[];
  readonly tags?: string | readonly string[];
  /** `true`: never apply, only inspect; `false`: apply even in check mode. */
  readonly check?: boolean;
  /** Let the role continue when the task fails. */
  readonly ignoreErrors?: boolean;
  /** Decides what counts as a change. */
  readonly changedWhen?: boolean | ((result: TaskResult<D>) => boolean);
  /** Decides what counts as a failure. */
  readonly failedWhen?: boolean | ((result: TaskResult<D>) => boolean);
  /** Repeat the task, `retries` times at most, until this holds. Also called with the result of a failed attempt. */
  readonly until?: (result: TaskResult<D>) => boolean;
  /** Number of attempts after the first. Default 3. Without `until`, repeat until the task does not fail. */
  readonly retries?: number;
  /** Seconds between attempts. Default 5. */
  readonly delay?: number;
  /** Time limit of the whole task in seconds, including all attempts and all items of a loop. Default: no limit. */
  readonly timeout?: number;
  /**
   * Do the task only on the first host of the play's batch. The other hosts wait for its result, and fail when the task
   * failed. Handlers are notified on the first host alone.
   */
  readonly runOnce?: boolean;
  /**
   * `"controller"`: perform the action on the machine that runs Volley, as the user who runs Volley, once for each host.
   * Conditions (`when`, `until`, …) are evaluated on the host. The controller performs only actions that it also finds
   * declared in its own copy of the playbook: before any `await`, and without asking for facts. A carried bundle has no
   * controller.
   *
   * In a role with `delegates`: any host of the inventory by its name, or `"controller"`, wherever the task is declared. The
   * action is made on the host, and performed on the other machine with its facts.
   */
  readonly delegateTo?: "controller" | (string & {});
  /** Keep output, diff and data out of events, journal and screen. */
  readonly noLog?: boolean;
  /** The user to run the task as; `true`: root, `false`: the login user. Default: the role's. */
  readonly become?: boolean | string;
  /** Template variables for this task alone. */
  readonly vars?: Vars;
}

/** A task done once per item. */
export interface LoopOptions<T, H extends string = string, D = unknown> extends TaskOptions<H, D, [item: T]> {
  readonly loop: Iterable<T>;
  /** Return the name of an item on screen. Default: the item, or its `name`. */
  readonly label?: (item: T) => string;
}

/** A Result with typed data and predicates for roles. */
export interface TaskResult<D = unknown> extends Result {
  readonly data: D;
  readonly changed: boolean;
  readonly skipped: boolean;
  readonly failed: boolean;
}

/**
 * A declared task. Awaiting it waits for its turn and gives its result, or throws {@link TaskFailed} if the task fails and
 * has no `ignoreErrors`. Its other properties can be read in a later task's `when`.
 */
export interface TaskHandle<D = unknown> extends PromiseLike<TaskResult<D>> {
  readonly name: string;
  readonly state: State;
  readonly changed: boolean;
  readonly skipped: boolean;
  readonly failed: boolean;
  readonly data: D;
}

/**
 * Thrown by awaiting a task that failed, or a task behind it that was therefore not executed. Code that catches it continues,
 * and the failure counts as rescued when the role's code ends without throwing it again.
 */
export class TaskFailed<D = unknown> extends VolleyError {
  override readonly name = "TaskFailed";
  /** The name of the task that failed. */
  readonly task: string;
  readonly result: TaskResult<D>;

  constructor(task: string, result: TaskResult<D>) {
    const { code = "ACTION_FAILED", message = "it failed", hint } = result.error ?? {};
    super(code, `task "${task}" failed: ${message}`, hint === undefined ? {} : { hint });
    this.task = task;
    this.result = result;
  }
}

/** Declares a task. */
interface DeclareTask<H extends string = string> {
  // First, because TypeScript fixes the types of a function's parameters by the first signature that may fit.
  <D, T>(
    name: string,
    call: (item: T) => ActionCall<D>,
    options: LoopOptions<T, H, D>,
  ): TaskHandle<readonly D[]>;
  /** A function is asked for the action when the task's turn comes: it may read what earlier tasks found out. */
  <D>(name: string, call: ActionCall<D> | (() => ActionCall<D>), options?: TaskOptions<H, D>): TaskHandle<D>;
}

/** Declares a handler, behind those declared so far. Tasks declared from now on may notify it. */
export interface DeclareHandler {
  <D, T>(
    name: string,
    call: (item: T) => ActionCall<D>,
    options: HandlerOptions<LoopOptions<T, string, D>>,
  ): void;
  <D>(
    name: string,
    call: ActionCall<D> | (() => ActionCall<D>),
    options?: HandlerOptions<TaskOptions<string, D>>,
  ): void;
}

/** The options of a task but those that make no sense for a task which may run several times, or not on every host. */
export type HandlerOptions<O> = Omit<O, "runOnce" | "delegateTo" | "tags">;

/** The host a role runs for. */
interface HostInfo {
  readonly name: string;
  /** The groups it is in, nearest first, without `all`. */
  readonly groups: readonly string[];
  readonly vars: Vars;
}

/** The values that every part of a role can use. */
export interface RoleContext<V = Vars, F = unknown> {
  readonly vars: V;
  readonly facts: Facts & F;
  readonly host: HostInfo;
  /** Every group of the inventory with the names of its hosts. */
  readonly groups: Readonly<Record<string, readonly string[]>>;
  /** The vars of other hosts that the play's `hostVars` asked for. */
  readonly hostVars: Readonly<Record<string, Vars>>;
  readonly check: boolean;
}

/** Jinja for a role's own code, as templates have it: the same vars, filters, tests and lookups. */
export interface Jinja {
  /** The vars that templates see. Vars that are templates themselves are rendered on lookup. */
  readonly vars: Vars;
  /** The vars that the play gives the role by its call, and those that it gives all of its roles. */
  readonly given: Vars;
  readonly ofPlay: Vars;
  /** Render the texts of a value, at any depth. A text that is one expression gives the expression's value. */
  value(value: unknown): unknown;
  /** Return whether a condition holds: an expression such as `port > 1024`. Fails with `TEMPLATE_FAILED`. */
  condition(condition: unknown): boolean;
  /** Return the items that a lookup finds, such as `dict` or `fileglob`. */
  lookup(name: string, terms: unknown): readonly unknown[];
  /** Render a template of the role. */
  render(src: string, style?: RenderStyle): string;
  /** Return the same with more vars on top. `isTemplate`: their texts may be templates, which see all vars. */
  with(vars: Vars, options?: { readonly isTemplate?: boolean }): Jinja;
  /** Return the Result behind a task's result, to be read in check mode: unknown parts are absent, and asked for nothing. */
  result(result: TaskResult): Result;
}

/** The context of a role's `tasks`. */
export interface TasksContext<V = Vars, H extends string = string, F = unknown> extends RoleContext<V, F> {
  readonly task: DeclareTask<H>;
  /** Declares a handler with the options of a task; `handlers` of the role holds those known before its code runs. */
  readonly handler: DeclareHandler;
  /** The machine, for reading; a read waits for the role's turn. */
  readonly system: ReadSystem;
  /**
   * Carry out a role in Ansible's YAML when its turn comes: `include(ansibleRole("geerlingguy.ntp"))`. Awaiting it gives
   * a Result, changed when a task of the role was; its data are the registers and the `set_fact` vars that tasks in YAML
   * have set on this host by then.
   */
  include(use: RoleUse): TaskHandle<Vars>;
  readonly jinja: Jinja;
  /** Run the handlers notified so far when its turn comes. */
  flushHandlers(): void;
  /**
   * End the role, or the whole play, for this host, by an error that code must not catch. Nothing has failed. A play that is
   * ended runs no handlers, as with Ansible's `meta: end_host`.
   */
  end(part: "role" | "play"): never;
  /** Show a line. */
  log(text: string): void;
}

/** An action, or several in a row. */
export type HandlerSpec = ActionCall | readonly ActionCall[];

/** A role's definition, for {@link defineRole}. */
export interface RoleDefinition<V, H extends string, F> {
  readonly name: string;
  readonly doc?: string;
  /** Any Standard Schema (valibot, zod, arktype …); host vars of the same names fill what the play does not give. */
  readonly vars?: StandardSchemaV1<unknown, V>;
  /** Custom facts, found out before the role's tasks are declared. */
  readonly facts?: (system: ReadSystem, facts: Facts) => Promise<F> | F;
  /** Let tasks be delegated to any host. Plays with the role are then carried out from the controller: `--via direct`. */
  readonly delegates?: boolean;
  /** Run once each at the end of the play, in the order declared here. */
  readonly handlers?:
    | Readonly<Record<H, HandlerSpec>>
    | ((context: RoleContext<V, F>) => Readonly<Record<H, HandlerSpec>>);
  /** Declare the tasks. */
  tasks(context: TasksContext<V, H, F>): void | Promise<void>;
}

/** A role with nothing left of its types: as the executor sees it. */
export interface AnyRole {
  readonly name: string;
  readonly doc?: string;
  readonly vars?: StandardSchemaV1<unknown, unknown>;
  readonly facts?: (system: ReadSystem, facts: Facts) => unknown;
  readonly delegates?: boolean;
  readonly handlers?: unknown;
  tasks(context: TasksContext): void | Promise<void>;
  /** The directory of the role's assets, relative to the project; set by the build for the file that defines the role. */
  readonly directory: string | undefined;
  /** Set for a role in Ansible's YAML. */
  readonly ansible?: AnsibleRole;
}

/** A role in Ansible's YAML, as a play in TypeScript uses it. */
export interface AnsibleRole {
  /** The name or path that it is looked for by. */
  readonly name: string;
  /** Its parameters. */
  readonly vars: Vars;
  /** The files to take instead of `main`. */
  readonly from: Readonly<Partial<Record<"tasks" | "vars" | "defaults" | "handlers", string>>>;
  readonly once?: boolean;
  readonly public?: boolean;
  /** The role that includes it, and what is known there: told by code that was a role in Ansible's YAML. */
  readonly parent?: string;
  readonly around?: AroundRole;
}

/** The vars around a role in Ansible's YAML, by their places in Ansible's order. */
export interface AroundRole {
  /** Of the role that includes: its defaults, its vars, vars of its statements, and its parameters. Texts may be templates. */
  readonly defaults: Vars;
  readonly vars: Vars;
  readonly given: Vars;
  readonly params: Vars;
  /** Vars of `include_vars`, registers and `set_fact`, and facts. */
  readonly included: Vars;
  readonly learned: Vars;
  readonly facts: Vars;
}

/** The options of a role in Ansible's YAML within a play in TypeScript. */
export interface AnsibleRoleOptions extends RoleUseOptions {
  /** The role's parameters, above all vars but extra vars. As in YAML, texts may be templates. */
  readonly vars?: Vars;
  /** The files of the role to take instead of `main`, as `include_role` has them. */
  readonly tasksFrom?: string;
  readonly varsFrom?: string;
  readonly defaultsFrom?: string;
  readonly handlersFrom?: string;
  /** Do nothing where the play has carried the role out with the same parameters, as for a dependency. Default: false. */
  readonly once?: boolean;
  /** Give the role's defaults and vars among the data of `include`, too. Default: false. */
  readonly public?: boolean;
}

/** Options of a role within one play. */
export interface RoleUseOptions {
  readonly tags?: string | readonly string[];
  readonly when?: Condition<[context: RoleContext]>;
  /** The user to run the role's tasks and handlers as; `true`: root, `false`: the login user. Default: the play's. */
  readonly become?: boolean | string;
}

/** A role with the vars and options a play gives it. */
export interface RoleUse {
  readonly role: AnyRole;
  readonly vars: Vars;
  readonly options: RoleUseOptions;
  /** An error that is never thrown, for its stack: the place where the play uses the role. */
  readonly origin?: Error;
}

/** A role as playbooks use it: called with vars, it is a part of a play. */
export interface Role<V> {
  (vars?: Partial<V>, options?: RoleUseOptions): RoleUse;
  readonly role: AnyRole;
}

/** The part of the Standard Schema interface (version 1) that Volley reads; valibot, zod and arktype schemas have it. */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** The verdict of a Standard Schema on a value. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

/** A fault of a value. */
export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * Define a role. Called with vars it becomes a part of a play: `nginx({ gzip: true })`.
 *
 * `directory` holds the role's assets. The build fills it in with the directory of the calling file.
 */
export function defineRole<V = Vars, H extends string = never, F = unknown>(
  definition: RoleDefinition<V, H, F>,
  directory?: string,
): Role<V> {
  if (typeof definition.name !== "string" || !/^[\w.-]+$/.test(definition.name)) {
    throw new VolleyError("PLAYBOOK_INVALID", 'defineRole needs a name of letters, digits, ".", "-" and "_"');
  }
  if (typeof definition.tasks !== "function") {
    throw new VolleyError("PLAYBOOK_INVALID", `role "${definition.name}" has no tasks function`);
  }
  const role = { ...definition, directory } as unknown as AnyRole;
  const use = (vars: Partial<V> = {}, options: RoleUse["options"] = {}): RoleUse => {
    checkVarNames(role, vars as Vars);
    return { role, vars: vars as Vars, options, origin: new Error(`role "${role.name}" is used here`) };
  };
  return Object.assign(use, { role });
}

const ANSIBLE_ROLE_KEYS: Readonly<Record<keyof AnsibleRoleOptions, Kind | null>> = {
  vars: ["an object", isRecord],
  tags: null,
  when: null,
  become: null,
  tasksFrom: TEXT,
  varsFrom: TEXT,
  defaultsFrom: TEXT,
  handlersFrom: TEXT,
  once: SWITCH,
  public: SWITCH,
};

/**
 * Use a role in Ansible's YAML in a play's `roles`, or with `include` within a role. It is looked for as a playbook in
 * YAML beside this one looks for it: in `roles/`, in `roles_path` of ansible.cfg, and in collections. Write the name in
 * the call, because the build looks for it there.
 */
export function ansibleRole(name: string, options: AnsibleRoleOptions = {}): RoleUse {
  if (typeof name !== "string" || name === "")
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      'ansibleRole needs the name of a role: ansibleRole("geerlingguy.ntp")',
    );
  checkOptions(`role "${name}"`, ["role", "option"], options, ANSIBLE_ROLE_KEYS);
  const {
    vars = {},
    tasksFrom,
    varsFrom,
    defaultsFrom,
    handlersFrom,
    once = false,
    public: isPublic = false,
    ...rest
  } = options;
  const from = Object.fromEntries(
    Object.entries({
      tasks: tasksFrom,
      vars: varsFrom,
      defaults: defaultsFrom,
      handlers: handlersFrom,
    }).filter(([, file]) => file !== undefined),
  );
  const use: RoleUse = {
    role: {
      name: name.replace(/^.*\//, ""),
      tasks: ({ include }) => void include(use),
      directory: undefined,
      ansible: { name, vars, from, once, public: isPublic },
    },
    vars: {},
    options: rest,
    origin: new Error(`role "${name}" is used here`),
  };
  return use;
}

/** Return the names an object schema declares (valibot's `entries`, zod's `shape`), undefined for other schemas. */
function varNames(schema: StandardSchemaV1): readonly string[] | undefined {
  const { entries, shape } = schema as { readonly entries?: unknown; readonly shape?: unknown };
  const fields = isRecord(entries) ? entries : isRecord(shape) ? shape : undefined;
  return fields === undefined ? undefined : Object.keys(fields);
}

function checkVarNames(role: AnyRole, vars: Vars): void {
  const known = role.vars === undefined ? undefined : varNames(role.vars);
  if (known === undefined) return;
  for (const name of Object.keys(vars)) {
    if (known.includes(name)) continue;
    throw new VolleyError(
      "VARS_INVALID",
      `role "${role.name}" has no var "${name}"${didYouMean(name, known)}`,
      {
        hint: `its vars are: ${known.join(", ")}`,
      },
    );
  }
}

/**
 * Return a role's vars for one host: the play's over the host's, checked by the role's schema.
 * Without a schema a role gets all vars. Templates give text: where the schema wants a number or a bool,
 * the text of a var that `isRendered` (or that came as text) is read as one. Fails with `VARS_INVALID`.
 */
export async function resolveRoleVars(
  use: RoleUse,
  hostVars: Vars,
  host: string,
  isRendered: (name: string) => boolean = () => false,
): Promise<Vars> {
  const { role, vars } = use;
  const given = Object.fromEntries(Object.entries(vars).filter(([, value]) => value !== undefined));
  if (role.vars === undefined) return mergeVars(hostVars, given);
  const known = varNames(role.vars);
  const fromHost =
    known === undefined
      ? hostVars
      : Object.fromEntries(known.filter((name) => name in hostVars).map((name) => [name, hostVars[name]]));
  const all = { ...fromHost, ...given };
  let checked = await role.vars["~standard"].validate(all);
  if (checked.issues === undefined) return checked.value as Vars;
  const { issues } = checked;
  const retyped = issues.reduce<unknown>((value, issue) => {
    const path = pathOf(issue);
    const name = String(path[0]);
    return isRendered(name) ? retype(value, path) : value;
  }, all);
  if (retyped !== all) {
    checked = await role.vars["~standard"].validate(retyped);
    if (checked.issues === undefined) return checked.value as Vars;
  }
  // A play in YAML has vars of many places.
  const isOfYaml = use.origin === undefined;
  const problems = issues.map((issue) => explainIssue(issue, isOfYaml ? all : given));
  const error = new VolleyError("VARS_INVALID", `role "${role.name}" on ${host}: ${problems.join("; ")}`, {
    hint: isOfYaml
      ? "give it as a parameter of the role, or as a var of the play or the host"
      : `give it in the play, \`${role.name}({ … })\`, or as a var of the host or one of its groups`,
  });
  // The fault is in the play, not in the line that found it.
  if (use.origin?.stack !== undefined) error.stack = use.origin.stack;
  throw error;
}

function pathOf(issue: StandardIssue): readonly PropertyKey[] {
  return (issue.path ?? []).map((part) => (typeof part === "object" ? part.key : part));
}

/** Return the value with the text at a path read as a number or bool. */
function retype(value: unknown, [key, ...rest]: readonly PropertyKey[]): unknown {
  if (key === undefined) {
    if (typeof value !== "string") return value;
    if (/^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(value)) return Number(value);
    return /^(?:true|false)$/i.test(value) ? value.toLowerCase() === "true" : value;
  }
  if (typeof value !== "object" || value === null) return value;
  const inner = (value as Record<PropertyKey, unknown>)[key];
  const changed = retype(inner, rest);
  if (changed === inner) return value;
  return Array.isArray(value)
    ? value.map((item, index) => (index === Number(key) ? changed : item))
    : { ...value, [key]: changed };
}

function explainIssue(issue: StandardIssue, given: Vars): string {
  const path = pathOf(issue).map(String);
  if (path.length === 0) return issue.message;
  const received = (issue as { readonly received?: unknown }).received;
  if (received === "undefined" && path.length === 1) return `var "${path[0]}" is missing`;
  const origin = path[0] !== undefined && path[0] in given ? "" : " (from the inventory)";
  return `var "${path.join(".")}"${origin}: ${issue.message}`;
}
