import type { ActionCall, ActionContext } from "../../core/action.ts";
import { isVolleyError, messageOf, VolleyError } from "../../core/errors.ts";
import { type Register, registerOf } from "../../core/register.ts";
import type {
  AroundRole,
  Jinja,
  RoleUse,
  TaskFailed,
  TaskOptions,
  TaskResult,
  TasksContext,
} from "../../core/role.ts";
import type { System } from "../../core/system.ts";
import { asData, isDict, numberText, numeric, writeJson } from "../../core/values/value.ts";
import { OMIT, plain, plainVars, type Vars } from "../../core/values/vars.ts";
import { coerceArguments, readBool } from "../coerce.ts";
import type { Action } from "../define.ts";

// The vars of Ansible for a role in TypeScript, which `volley role to-ts` writes: layers in Ansible's order, templates
// rendered on lookup, registers, and arguments in the types that Ansible takes.

/** The vars that a role brings, as its Ansible role has them. */
export interface AnsibleVars {
  /** Defaults that are templates: under all other vars. */
  readonly defaults?: Vars;
  /** The role's `vars/main.yml`: over the inventory's and the play's vars. */
  readonly vars?: Vars;
}

/** A value of an argument, or a template of it. Ansible also takes numbers, and yes and no, in texts, and lists for texts. */
export type Templated<T> =
  | T
  | string
  | readonly string[]
  | (T extends readonly (infer E)[]
      ? readonly Templated<E>[]
      : T extends object
        ? { readonly [K in keyof T]: Templated<T[K]> }
        : never);

/** The parameters of an action, each of which may be a template. */
export type TemplatedArguments<I> = I extends string | readonly unknown[]
  ? never
  : { readonly [K in keyof I]: Templated<I[K]> };

/** The items of a loop, as registers show them. */
export interface RegisteredItems {
  readonly items: readonly unknown[];
  /** Default: `item`. */
  readonly loopVar?: string;
}

/** Options of tasks that statements around them give. */
export type InheritedOptions = Pick<
  TaskOptions,
  "tags" | "become" | "check" | "ignoreErrors" | "noLog" | "runOnce" | "timeout" | "delegateTo"
>;

/** The context of a role's `tasks` with Ansible's vars. `vars` of a function are added for this call alone: a loop's item. */
export interface AnsibleTasks<V = Vars> extends TasksContext<V> {
  /** Make an action of arguments that may be templates; an argument whose value is `omit` is left out. */
  call<I, D>(action: Action<I, D>, args: TemplatedArguments<I>, vars?: Vars): ActionCall<D>;
  /** Run an action's processes with more variables in their environment. */
  inEnvironment<D>(call: ActionCall<D>, environment: Vars | string, vars?: Vars): ActionCall<D>;
  /** Return whether a condition of `when`, or each of a list, holds. */
  holds(condition: unknown, vars?: Vars): boolean;
  /** Render a value of any depth. A text that is one expression gives the expression's value. */
  value(template: unknown, vars?: Vars): unknown;
  /** Render, and write as text. */
  text(template: unknown, vars?: Vars): string;
  /** Render the name of the machine that a task is delegated to: this host where the value is `omit`, or empty. */
  place(template: string, vars?: Vars): string;
  /** Render, and read as a bool, as Ansible reads yes, on and 1. */
  flag(template: unknown, vars?: Vars): boolean;
  /** Render, and read as a number. */
  number(template: unknown, vars?: Vars): number;
  /** Render the list of a `loop`. */
  items(template: unknown, vars?: Vars): readonly unknown[];
  /** Return the items of `with_NAME`. */
  lookup(name: string, terms: unknown, vars?: Vars): readonly unknown[];
  /** `set_fact` */
  set(facts: Vars, vars?: Vars): void;
  /** `include_role`: carry out a role in Ansible's YAML, which sees all vars here, and take what it learns. */
  includeRole(use: RoleUse): Promise<void>;
  /** `include_vars`: texts of these vars are templates. Nothing is included for a file that is not there. */
  includeVars(vars: Vars | undefined): void;
  /** Return the first of files by name that is there, for `first_found`. Fails with `ASSET_MISSING`. */
  first<T>(files: Readonly<Record<string, T>>, names: unknown, vars?: Vars): T;
  firstIfAny<T>(files: Readonly<Record<string, T>>, names: unknown, vars?: Vars): T | undefined;
  /** Take the facts that an action found, such as those of `service_facts`. */
  learn<D>(result: TaskResult<D>): TaskResult<D>;
  /** Make a task's result a var in Ansible's shape: `rc`, `stdout_lines`, `results` of a loop. */
  register<D>(name: string, result: TaskResult<D>, items?: RegisteredItems): TaskResult<D>;
  /**
   * Make a rule for `failedWhen` that registers each result first: for a handler, whose result other handlers read. Default
   * of `rule`: the result has failed.
   */
  registers<D>(name: string, rule?: (result: TaskResult<D>) => boolean): (result: TaskResult<D>) => boolean;
  /** Register that a task was skipped. */
  skip(name: string): void;
  /** Return a result in Ansible's shape. */
  registered(result: TaskResult): Register;
  /** Return the conditions of `assert`, each with its text. */
  assertions(conditions: unknown, vars?: Vars): [() => boolean, string][];
  /** Render the name of a task as far as that is possible. */
  title(template: string): string;
  /** Begin a `rescue`: `ansible_failed_task` and `ansible_failed_result` are vars. A cancel goes on. */
  rescue(error: unknown): void;
  /** Give all tasks these options, where they have none of their own; tags are added. */
  withOptions(options: InheritedOptions): AnsibleTasks<V>;
  /** `vars` of a block or a task: under registers and `set_fact`. */
  withVars(vars: Vars): AnsibleTasks<V>;
  /** `vars` of an `include_tasks`: over registers and `set_fact`. */
  withParameters(vars: Vars): AnsibleTasks<V>;
  /** The item of a loop around an `include_tasks`: over all others. */
  withItem(vars: Vars): AnsibleTasks<V>;
}

/**
 * Give a role Ansible's vars. As in YAML, texts that the play gives the role may be templates. Call it once, before the role's
 * first task.
 */
export function ansibleTasks<V>(
  given: TasksContext<V, never>,
  { defaults = {}, vars = {} }: AnsibleVars = {},
): AnsibleTasks<V> {
  // Handlers that are declared in the role's code have names that its type does not know.
  const context = given as TasksContext<V>;
  const { jinja } = context;
  const own = Object.fromEntries(Object.entries(defaults).filter(([name]) => jinja.vars[name] === undefined));
  const base = jinja
    .with({
      omit: OMIT,
      ...(jinja.vars.ansible_managed === "Volley managed" ? { ansible_managed: "Ansible managed" } : {}),
      ansible_role_name: jinja.vars.role_name,
    })
    .with(own, { isTemplate: true })
    .with(jinja.ofPlay, { isTemplate: true });
  const rendered = renderedVars(context.vars as Vars, base.with(jinja.given, { isTemplate: true }));
  return tasksOf(
    { ...context, vars: rendered as V },
    {
      base,
      own: ownVars(context.vars as Vars, jinja),
      defaults: own,
      vars,
      given: jinja.given,
      learned: {},
      templates: {},
      facts: {},
    },
    [],
  );
}

/** Return a role's vars, of which those that the play gave as templates are rendered when they are asked for. */
function renderedVars(vars: Vars, jinja: Jinja): Vars {
  const isGiven = (name: string): boolean =>
    Object.hasOwn(jinja.given, name) || Object.hasOwn(jinja.ofPlay, name);
  const rendered = { ...vars };
  for (const [name, value] of Object.entries(vars))
    if (isGiven(name) && typeof value === "string" && /\{[{%#]/.test(value))
      Object.defineProperty(rendered, name, {
        get: () => plain(jinja.vars[name]),
        enumerable: true,
        configurable: true,
      });
  return rendered;
}

/** Return a role's vars that neither the play nor the inventory gives as templates. */
function ownVars(vars: Vars, { given, ofPlay }: Jinja): Vars {
  const own = Object.entries(vars).filter(
    ([name]) => !Object.hasOwn(given, name) && !Object.hasOwn(ofPlay, name),
  );
  return asData(Object.fromEntries(own));
}

/** The vars of a role, which its tasks add to. */
interface State {
  readonly base: Jinja;
  /** The role's vars as it declares them, and defaults that are templates. */
  readonly own: unknown;
  readonly defaults: Vars;
  readonly vars: Vars;
  readonly given: Vars;
  /** Registers, and vars of `set_fact`. */
  learned: Vars;
  /** Vars of `include_vars`. */
  templates: Vars;
  facts: Vars;
}

/** The vars of a statement around a task. */
interface Layer {
  readonly kind: "vars" | "parameters" | "item";
  readonly vars: Vars;
}

function tasksOf<V>(context: TasksContext<V>, state: State, layers: readonly Layer[]): AnsibleTasks<V> {
  const of = (kind: Layer["kind"]): readonly Vars[] =>
    layers.filter((layer) => layer.kind === kind).map((layer) => layer.vars);
  // Ansible's order of precedence, the lowest first.
  const scope = (more: Vars = {}): Jinja => {
    const templates = { isTemplate: true };
    let made = state.base.with(state.facts).with(state.vars, templates);
    for (const vars of of("vars")) made = made.with(vars, templates);
    made = made.with(state.templates, templates).with(state.learned).with(state.given, templates);
    for (const vars of of("parameters")) made = made.with(vars, templates);
    for (const vars of of("item")) made = made.with(vars);
    return made.with(more);
  };
  const learn = (vars: Vars): void => {
    state.learned = { ...state.learned, ...vars };
    state.templates = without(state.templates, vars);
  };
  const value = (template: unknown, vars?: Vars): unknown => scope(vars).value(template);
  const firstIfAny = <T>(files: Readonly<Record<string, T>>, names: unknown, vars?: Vars): T | undefined =>
    namesOf(value(names, vars))
      .map((name) => fileOf(files, name))
      .find((file) => file !== undefined);
  const inside = (kind: Layer["kind"], vars: Vars): AnsibleTasks<V> =>
    tasksOf(context, state, [...layers, { kind, vars }]);
  return {
    ...context,
    call: (action, args, vars) => {
      const jinja = scope(vars);
      const rendered = Object.entries(args)
        .map(([name, given]): [string, unknown] => [name, jinja.value(given)])
        .filter(([, given]) => given !== OMIT);
      const made = action(coerceArguments(action, Object.fromEntries(rendered)) as never);
      return seeing(made, jinja);
    },
    inEnvironment: (call, environment, vars) => {
      const rendered = value(environment, vars);
      const entries = isDict(rendered)
        ? rendered instanceof Map
          ? [...rendered]
          : Object.entries(rendered)
        : [];
      return within(call, Object.fromEntries(entries.map(([name, each]) => [String(name), textOf(each)])));
    },
    holds: (condition, vars) => {
      const jinja = scope(vars);
      return [condition].flat().every((each) => jinja.condition(each));
    },
    value,
    text: (template, vars) => textOf(value(template, vars)),
    place: (template, vars) => {
      const name = value(template, vars);
      return name === OMIT ? context.host.name : textOf(name) || context.host.name;
    },
    flag: (template, vars) => {
      const rendered = value(template, vars);
      return readBool(rendered) ?? Boolean(rendered);
    },
    number: (template, vars) => Number(value(template, vars)),
    items: (template, vars) => {
      const items = value(template, vars);
      if (Array.isArray(items)) return items as readonly unknown[];
      throw new VolleyError("TEMPLATE_FAILED", `a loop needs a list, and this is none: ${textOf(items)}`);
    },
    lookup: (name, terms, vars) => {
      const jinja = scope(vars);
      return jinja.lookup(name, jinja.value(terms));
    },
    set: (facts, vars) => {
      const jinja = scope(vars);
      const rendered = Object.entries(facts).map(([name, fact]): [string, unknown] => {
        const made = jinja.value(fact);
        const isWord = typeof made === "string" && /^(?:true|false|yes|no)$/i.test(made);
        return [name, isWord ? readBool(made) : made];
      });
      learn(Object.fromEntries(rendered));
    },
    includeRole: async (use) => {
      const { role } = use;
      const around: AroundRole = {
        defaults: { ...(state.own as Vars), ...state.defaults },
        vars: state.vars,
        given: Object.assign({}, ...of("vars")),
        params: Object.assign({ ...state.given }, ...of("parameters"), ...of("item").map(asData)),
        included: state.templates,
        learned: state.learned,
        facts: state.facts,
      };
      const parent = String(state.base.vars.role_name);
      const ansible = { ...role.ansible!, parent, around };
      learn((await context.include({ ...use, role: { ...role, ansible } })).data);
    },
    includeVars: (vars = {}) => {
      state.templates = { ...state.templates, ...vars };
      state.learned = without(state.learned, vars);
    },
    first: (files, names, vars) => {
      const found = firstIfAny(files, names, vars);
      if (found !== undefined) return found;
      const wanted = namesOf(value(names, vars)).join(", ");
      throw new VolleyError("ASSET_MISSING", `none of these files is there: ${wanted}`);
    },
    firstIfAny,
    learn: (result) => {
      const { data } = context.jinja.result(result);
      const { ansible_facts: facts } = (isDict(data) ? data : {}) as { readonly ansible_facts?: unknown };
      if (!isDict(facts) || facts instanceof Map) return result;
      const known = state.facts.ansible_facts ?? state.base.vars.ansible_facts;
      const bare = Object.entries(facts).map(([name, fact]) => [name.replace(/^ansible_/, ""), fact]);
      state.facts = {
        ...state.facts,
        ...facts,
        ansible_facts: { ...(isDict(known) ? known : {}), ...Object.fromEntries(bare) },
      };
      return result;
    },
    register: (name, result, items) => {
      learn({ [name]: registerOfTask(context.jinja, result, items) });
      return result;
    },
    registers:
      (name, rule = ({ failed }) => failed) =>
      (result) => {
        learn({ [name]: registerOfTask(context.jinja, result) });
        return rule(result);
      },
    skip: (name) => learn({ [name]: { changed: false, skipped: true, results: [] } }),
    assertions: (conditions, vars) => {
      const jinja = scope(vars);
      const rendered =
        typeof conditions === "string" && /^\s*\{\{.*\}\}\s*$/s.test(conditions)
          ? jinja.value(conditions)
          : conditions;
      return [rendered].flat().map((condition) => [() => jinja.condition(condition), textOf(condition)]);
    },
    title: (template) => {
      try {
        return textOf(value(template));
      } catch {
        return template;
      }
    },
    rescue: (error) => {
      if (isVolleyError(error) && error.code === "CANCELLED") throw error;
      const { task, result } = error as Partial<TaskFailed>;
      const failed =
        result === undefined
          ? { failed: true, changed: false, msg: messageOf(error) }
          : registerOfTask(context.jinja, result);
      learn({ ansible_failed_task: { name: task ?? "" }, ansible_failed_result: failed });
    },
    withOptions: (options) => tasksOf(inheriting(context, options), state, layers),
    registered: (result) => registerOfTask(context.jinja, result),
    withVars: (vars) => inside("vars", vars),
    withParameters: (vars) => inside("parameters", vars),
    withItem: (vars) => inside("item", vars),
  };
}

/** Give all tasks that a context declares these options, where they have none of their own. */
function inheriting<V>(context: TasksContext<V>, { tags, ...options }: InheritedOptions): TasksContext<V> {
  const declare = context.task as (name: string, call: never, options: TaskOptions) => unknown;
  const task = (name: string, call: never, own: TaskOptions = {}): unknown => {
    const all = [...new Set([tags ?? [], own.tags ?? []].flat())];
    return declare(name, call, { ...options, ...own, ...(all.length === 0 ? {} : { tags: all }) });
  };
  const include: TasksContext<V>["include"] = (use) => {
    const { become } = options;
    const all = [tags ?? [], use.options.tags ?? []].flat();
    return context.include({
      ...use,
      options: { ...(become === undefined ? {} : { become }), ...use.options, tags: all },
    });
  };
  return { ...context, task: task as TasksContext<V>["task"], include };
}

function without(vars: Vars, others: Vars): Vars {
  return Object.fromEntries(Object.entries(vars).filter(([name]) => !Object.hasOwn(others, name)));
}

/** The register of a task; of a loop it has a result for each item. */
function registerOfTask(jinja: Jinja, told: TaskResult, loop?: RegisteredItems): Register {
  const result = jinja.result(told);
  const { attempts } = result;
  if (loop === undefined) return { ...registerOf(result), ...(attempts === undefined ? {} : { attempts }) };
  const { items, loopVar = "item" } = loop;
  const results = (result.items ?? []).map((each, index) => ({
    ...registerOf(each),
    [loopVar]: items[index],
    ansible_loop_var: loopVar,
  }));
  return {
    results,
    changed: result.state === "changed" || results.some(({ changed }) => changed === true),
    failed: result.state === "failed",
    ...(result.state === "skipped" ? { skipped: true } : {}),
  };
}

/** Let an action render templates with these vars. */
function seeing<D>(call: ActionCall<D>, jinja: Jinja): ActionCall<D> {
  const see = (context: ActionContext): ActionContext =>
    Object.create(context, {
      vars: { get: () => plainVars(jinja.vars), enumerable: true },
      render: {
        value: async (...[src, vars = {}, style]: Parameters<ActionContext["render"]>) =>
          jinja.with({ template_host: "", template_uid: "root", ...vars }).render(src, style),
        enumerable: true,
      },
    }) as ActionContext;
  const { afterRestart } = call;
  return {
    ...call,
    inspect: (system, context) => call.inspect(system, see(context)),
    apply: (change, system, context) => call.apply(change, system, see(context)),
    ...(afterRestart === undefined
      ? {}
      : { afterRestart: (system, context, elapsedMs) => afterRestart(system, see(context), elapsedMs) }),
  };
}

function within<D>(call: ActionCall<D>, env: Readonly<Record<string, string>>): ActionCall<D> {
  const having = <S extends Pick<System, "query">>(system: S): S =>
    Object.assign(Object.create(system) as S, {
      query: (argv: readonly string[], options: Parameters<System["query"]>[1] = {}) =>
        system.query(argv, { ...options, env: { ...env, ...options.env } }),
      run: (argv: readonly string[], options: Parameters<System["run"]>[1] = {}) =>
        (system as unknown as System).run(argv, { ...options, env: { ...env, ...options.env } }),
    });
  return {
    ...call,
    inspect: (system, context) => call.inspect(having(system), context),
    apply: (change, system, context) => call.apply(change, having(system), context),
  };
}

/** The names of files that `first_found` is given: a list of them, or dicts with `files` and `paths`. */
function namesOf(terms: unknown): readonly string[] {
  return [terms].flat().flatMap((term): readonly string[] => {
    if (!isDict(term))
      return textOf(term)
        .split(/[,;:]/)
        .filter((name) => name !== "");
    const { files = [], paths = [] } = (term instanceof Map ? Object.fromEntries(term) : term) as Vars;
    const places = [paths].flat().map(textOf);
    const names = [files].flat().map(textOf);
    return places.length === 0
      ? names
      : places.flatMap((place) => names.map((name) => `${place.replace(/\/$/, "")}/${name}`));
  });
}

/** The file of a name, which may have directories such as `vars/` and `{{ role_path }}/vars/` before it. */
function fileOf<T>(files: Readonly<Record<string, T>>, name: string): T | undefined {
  const found = Object.keys(files)
    .filter((path) => name === path || name.endsWith(`/${path}`))
    .sort((a, b) => b.length - a.length)[0];
  return found === undefined ? undefined : files[found];
}

/** The text Python makes of a scalar; of a list or a dict, its JSON. */
function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "";
  if (typeof value === "boolean") return value ? "True" : "False";
  return numeric(value) === undefined ? writeJson(value) : numberText(value as number);
}
