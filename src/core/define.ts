import { didYouMean, VolleyError } from "./errors.ts";
import { checkSchedule, type Play, type Playbook, type PlayDefinition } from "./playbook.ts";
import type { AnyRole, Role, RoleDefinition, RoleUse, StandardIssue, StandardSchemaV1 } from "./role.ts";
import { isRecord, mergeVars, type Vars } from "./values/json.ts";

/**
 * Define a role. Called with vars it becomes a part of a play: `nginx({ gzip: true })`.
 *
 * `directory` holds the role's assets. The build fills it in with the directory of the calling file.
 */
export function defineRole<V = Vars, H extends string = never, F = unknown>(
  definition: RoleDefinition<V, H, F>,
  directory?: string,
): Role<V> {
  requireName("defineRole", definition.name);
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

const PLAY_KEYS = [
  "name",
  "hosts",
  "roles",
  "tasks",
  "handlers",
  "vars",
  "hostVars",
  "become",
  "strategy",
  "serial",
  "maxFailPercentage",
  "anyErrorsFatal",
  "order",
  "throttle",
  "timeout",
  "tags",
] as const satisfies readonly (keyof Play)[];

/** Plays that {@link definePlay} made: their own tasks are among their roles already. */
const defined = new WeakSet<Play>();

/** Define a play: hosts and roles. */
export function definePlay(play: Play, directory?: string): PlayDefinition {
  if (!isRecord(play))
    throw new VolleyError("PLAYBOOK_INVALID", "a play must be an object with `hosts` and `roles`");
  const name = play.name ?? (typeof play.hosts === "string" ? play.hosts : "without a name");
  for (const key of Object.keys(play)) {
    if (!(PLAY_KEYS as readonly string[]).includes(key)) {
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `play "${name}": unknown key "${key}"${didYouMean(key, PLAY_KEYS)}`,
        {
          hint: `a play takes: ${PLAY_KEYS.join(", ")}`,
        },
      );
    }
  }
  if (typeof play.hosts !== "string" || play.hosts.trim() === "") {
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      `play "${name}": \`hosts\` must be a pattern such as "web" or "all"`,
    );
  }
  checkSchedule(name, play);
  const roles = (play.roles ?? []).map((use, index) => checkRoleUse(name, use, index));
  if (play.tasks !== undefined) {
    const own: AnyRole = {
      name,
      tasks: play.tasks,
      directory,
      ...(play.handlers === undefined ? {} : { handlers: play.handlers }),
    };
    roles.push({ role: own, vars: {}, options: {} });
  }
  const definition = { ...play, name, roles };
  defined.add(definition);
  return definition;
}

function checkRoleUse(play: string, use: unknown, index: number): RoleUse {
  if (typeof use === "function" && isRecord((use as Partial<Role<unknown>>).role)) {
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      `play "${play}": call the role: write \`${(use as Role<unknown>).role.name}()\``,
    );
  }
  if (!isRecord(use) || !isRecord(use.role)) {
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      `play "${play}": roles[${index}] is not a role; import one made with defineRole and call it`,
    );
  }
  return use as unknown as RoleUse;
}

/** Define a playbook: plays, in order. A play may be written in place, without `definePlay`. */
export function definePlaybook(plays: readonly Play[], directory?: string): Playbook {
  if (!Array.isArray(plays))
    throw new VolleyError("PLAYBOOK_INVALID", "definePlaybook takes a list of plays");
  if (plays.length === 0)
    throw new VolleyError("PLAYBOOK_INVALID", "the playbook has no plays", {
      hint: 'write at least one: `definePlaybook([{ hosts: "all", roles: [ … ] }])`',
    });
  return {
    plays: plays.map((play: Play) =>
      defined.has(play) ? (play as PlayDefinition) : definePlay(play, directory),
    ),
  };
}

/** True for a value with the shape of a playbook. */
export function isPlaybook(value: unknown): value is Playbook {
  return isRecord(value) && Array.isArray(value.plays);
}

function requireName(what: string, name: unknown): void {
  if (typeof name !== "string" || !/^[\w.-]+$/.test(name)) {
    throw new VolleyError("PLAYBOOK_INVALID", `${what} needs a name of letters, digits, ".", "-" and "_"`);
  }
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
 * the text of a var that `isRendered` is read as one. Fails with `VARS_INVALID`.
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
    return name in given || !isRendered(name) ? value : retype(value, path);
  }, all);
  if (retyped !== all) {
    checked = await role.vars["~standard"].validate(retyped);
    if (checked.issues === undefined) return checked.value as Vars;
  }
  const problems = issues.map((issue) => explainIssue(issue, given));
  const error = new VolleyError("VARS_INVALID", `role "${role.name}" on ${host}: ${problems.join("; ")}`, {
    hint: `give it in the play, \`${role.name}({ … })\`, or as a var of the host or one of its groups`,
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
