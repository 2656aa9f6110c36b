import type { Code, Statement } from "./code.ts";
import { all, around, call, list, object, quote } from "./code.ts";
import { type PlainNames, type PlainValue, plainCondition } from "./conditions.ts";
import type { RoleVars } from "./role-vars.ts";
import { refuse } from "./values.ts";

// The names in sight at a place of the code that is written, and expressions of Ansible's YAML there.

/** A task's result that code may read. */
export interface KnownResult {
  readonly code: string;
  readonly isCommand: boolean;
  readonly isStat: boolean;
  /** Called when code reads it, so that it is declared. */
  readonly use: () => void;
}

/** A function or block of the code that is written. */
export interface Scope {
  /** The name of the context here: `role`. */
  readonly context: string;
  /** The parts of the context that code here uses. */
  readonly used: Set<string>;
  /** Results of tasks in sight, by the names of their registers. */
  readonly results: ReadonlyMap<string, KnownResult>;
  /** Vars that are set nearby and hide the role's own. */
  readonly hidden: ReadonlySet<string>;
  /** Names of constants that are taken. */
  readonly taken: Set<string>;
}

/** The names of vars that an expression is given, with their code: the item of a loop, a result. */
export type Extra = readonly (readonly [name: string, code: string])[];

/** Facts that are texts on every host. */
const FACTS = new Set(
  `hostname fqdn domain nodename system kernel architecture machine distribution distribution_version
  distribution_major_version distribution_release os_family pkg_mgr service_mgr virtualization_type
  virtualization_role`.split(/\s+/),
);

/** Note that code uses a part of the context, and return its name. */
export function use(scope: Scope, name: string): string {
  scope.used.add(name);
  return name;
}

/** Make the scope of a block within, whose context has another name. */
export function innerScope(outer: Scope, context: string, hidden: Iterable<string>): Scope {
  return {
    context,
    used: new Set(),
    results: outer.results,
    hidden: new Set([...outer.hidden, ...hidden]),
    taken: outer.taken,
  };
}

/** Return the scope behind a task whose result has a name. */
export function withResult(scope: Scope, name: string, result: KnownResult): Scope {
  return { ...scope, results: new Map([...scope.results, [name, result]]) };
}

/** Return what expressions see. */
function namesOf(scope: Scope, vars: RoleVars, extra: Extra, marks: (() => void)[]): PlainNames {
  const hides = (name: string): boolean => scope.hidden.has(name) || extra.some(([own]) => own === name);
  return {
    fact: (name) => {
      if (!FACTS.has(name)) return undefined;
      marks.push(() => scope.used.add("facts"));
      return `facts.${name}`;
    },
    roleVar: (name) => {
      const found = hides(name) || scope.results.has(name) ? undefined : vars.plain.get(name);
      if (found !== undefined) marks.push(() => scope.used.add("vars"));
      return found;
    },
    result: (name) => {
      const found = hides(name) ? undefined : scope.results.get(name);
      if (found !== undefined) marks.push(found.use);
      return found;
    },
  };
}

/** Write the vars that an expression is given beside those of the context. */
export function extraCode(extra: Extra): readonly Code[] {
  return extra.length === 0 ? [] : [object(extra)];
}

/** Write conditions, all of which must hold; undefined for those that always hold. */
export function conditionsCode(
  conditions: readonly unknown[],
  scope: Scope,
  vars: RoleVars,
  extra: Extra,
  at: string,
): Code | undefined {
  const parts: (string | readonly unknown[])[] = [];
  for (const condition of conditions) {
    if (condition === true || condition === "") continue;
    const marks: (() => void)[] = [];
    const plain = plainCondition(condition, namesOf(scope, vars, extra, marks));
    const last = parts.at(-1);
    if (plain !== undefined) {
      for (const mark of marks) mark();
      if (plain.includes("check")) scope.used.add("check");
      // Conditions that all must hold stand on lines of their own where they are long.
      if (!plain.includes("||")) parts.push(...plain.split(" && "));
      else parts.push(conditions.length > 1 ? `(${plain})` : plain);
    } else if (typeof last === "object") parts[parts.length - 1] = [...last, condition];
    else parts.push([condition]);
  }
  if (parts.length === 0) return undefined;
  return all(parts.map((part) => (typeof part === "string" ? part : holdsCode(part, scope, extra, at))));
}

function holdsCode(conditions: readonly unknown[], scope: Scope, extra: Extra, at: string): Code {
  const texts = conditions.map((condition) => {
    if (typeof condition !== "string" && typeof condition !== "boolean")
      refuse(at, `a condition of this kind is not converted: ${JSON.stringify(condition)}`);
    return typeof condition === "string" ? quote(condition.trim()) : String(condition);
  });
  return call(use(scope, "holds"), texts.length === 1 ? texts[0]! : list(texts), ...extraCode(extra));
}

/** Write the vars of {@link extraCode} as text. */
export function extraText(extra: Extra): string {
  return `{ ${extra.map(([name, code]) => (name === code ? name : `${name}: ${code}`)).join(", ")} }`;
}

/** Return a text of which every expression is a fact or one of the role's own vars, as TypeScript. */
export function plainText(text: string, scope: Scope, vars: RoleVars, extra: Extra): PlainValue | undefined {
  const marks: (() => void)[] = [];
  const { fact, roleVar } = namesOf(scope, vars, extra, marks);
  const look = (name: string): PlainValue | undefined => {
    const bare = /^(?:ansible_facts(?:\.|\[')|ansible_)(\w+)(?:'\])?$/.exec(name)?.[1];
    if (bare === undefined) return roleVar(name);
    const code = fact(bare);
    return code === undefined ? undefined : { code, type: "string" };
  };
  const whole = /^\{\{\s*([\w.[\]']+)\s*\}\}$/.exec(text)?.[1];
  let found: PlainValue | undefined;
  if (whole !== undefined) found = look(whole);
  else {
    const parts = text.split(/\{\{\s*([\w.[\]']+)\s*\}\}/);
    const codes = parts.map((part, index) => {
      if (index % 2 === 0) return /\{[{%#]/.test(part) ? undefined : part.replace(/[\\`]|\$\{/g, "\\$&");
      const value = look(part);
      return value === undefined || value.type === "boolean" ? undefined : `\${${value.code}}`;
    });
    if (!codes.includes(undefined) && !text.includes("\n"))
      found = { code: `\`${codes.join("")}\``, type: "string" };
  }
  return found === undefined ? undefined : { ...found, use: () => marks.forEach((mark) => void mark()) };
}

/** Write a text, rendered when the role runs: `text("…")`, or TypeScript where it is plain. */
export function textCode(text: string, scope: Scope, vars: RoleVars, extra: Extra): Code {
  if (!/\{[{%#]/.test(text)) return quote(text);
  const plain = plainText(text, scope, vars, extra);
  if (plain?.type === "string") {
    plain.use?.();
    return plain.code;
  }
  return { kind: "call", callee: use(scope, "text"), args: [quote(text), ...extraCode(extra)] };
}

/** Write a bool of YAML, which may be a template. */
export function flagCode(value: unknown, scope: Scope, vars: RoleVars, extra: Extra): string {
  if (typeof value === "boolean") return String(value);
  if (typeof value === "string" && /^(?:yes|true|on|no|false|off)$/i.test(value))
    return String(/^(?:yes|true|on)$/i.test(value));
  const text = String(value);
  if (/^\{\{\s*ansible_check_mode\s*\}\}$/.test(text)) return use(scope, "check");
  const plain = plainText(text, scope, vars, extra);
  if (plain?.type === "boolean") {
    plain.use?.();
    return plain.code;
  }
  const more = extra.length === 0 ? "" : `, ${extraText(extra)}`;
  return `${use(scope, "flag")}(${quote(text)}${more})`;
}

/** Write the statement that names the parts of the context which code uses; none where it uses none. */
export function namesStatement(scope: Scope, source = scope.context): readonly Statement[] {
  if (scope.used.size === 0) return [];
  const names = [...scope.used].sort();
  const entries = names.map((name): readonly [string, string] => [name, name]);
  return [{ kind: "line", code: around("const ", object(entries), ` = ${source}`) }];
}
