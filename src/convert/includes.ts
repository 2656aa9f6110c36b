import { posix } from "node:path";
import type { BlockNode, TaskNode } from "../ansible/ir.ts";
import { isDict } from "../core/values/value.ts";
import { type Code, call, keyText, object, quote, type Statement, around as wrap } from "./code.ts";
import type { RoleConversion } from "./conversion.ts";
import { type Around, enter, inheritedOptions, isElsewhere } from "./keywords.ts";
import { type LoopCode, loopCode, namesItem, passCode } from "./loops.ts";
import type { RoleVars } from "./role-vars.ts";
import { conditionsCode, type Extra, type Scope, use } from "./scope.ts";
import { refuse, valueCode } from "./values.ts";

// Files of tasks as functions that are called, and files of vars as vars that are included.

/** An include of tasks: of files that are known, or of those that a task names. */
type Inclusion =
  | { readonly paths: readonly string[]; readonly node: BlockNode }
  | { readonly node: TaskNode; readonly file: string };

/** Call the functions of the files of tasks that a statement brings in. */
export function includeTasks(
  inclusion: Inclusion,
  conversion: RoleConversion,
  around: Around,
  scope: Scope,
): readonly Statement[] {
  const { vars } = conversion;
  if ("paths" in inclusion) {
    const { paths, node } = inclusion;
    if (isElsewhere(around, "")) conversion.delegates(node.at);
    const callee = conversion.importTasks(paths[0]!);
    const context = contextCode(around, scope, vars, node.at, undefined);
    // The block's own condition is around it.
    return [{ kind: "line", code: wrap("await ", call(callee, context)) }];
  }
  const { node, file } = inclusion;
  const { keys, args, at } = node;
  if (keys.register !== undefined) refuse(at, "a register of an include is not converted");
  const name = args._raw_params ?? args.file;
  if (typeof name !== "string") return refuse(at, "the file of tasks has no plain name");
  const apply = isDict(args.apply) && !(args.apply instanceof Map) ? args.apply : {};
  if (apply.when !== undefined || apply.vars !== undefined)
    refuse(at, "apply with when or vars is not converted", "put them on the include itself");
  const tags = [keys.tags ?? []].flat().map(String);
  // Tasks that are done only when asked for keep their tags.
  const never = tags.includes("never") ? { tags } : {};
  const inside = enter(enter(around, never, at), apply, at);
  const first = firstFound(node);
  const loop = first === undefined ? loopCode(keys, scope, vars, at) : undefined;
  const context = contextCode(inside, scope, vars, at, loop);
  const callee = calleeOf(name, first, file, conversion, scope, loop, at);
  const line: Statement = { kind: "line", code: wrap("await ", callee(context)) };
  const conditions = (keys.when ?? []) as readonly unknown[];
  if (loop === undefined) return conditioned(conditions, [line], scope, vars, [], at);
  const isInside = namesItem(conditions, loop);
  const body = isInside ? conditioned(conditions, [line], scope, vars, loop.extra, at) : [line];
  const binding = loop.parameters.replace(/^\(|(?:: readonly .*)?\)$/g, "");
  const all: readonly Statement[] = [
    { kind: "block", parts: [{ head: wrap(`for (const ${binding} of `, loop.items, ")"), body }] },
  ];
  return isInside ? all : conditioned(conditions, all, scope, vars, [], at);
}

function conditioned(
  conditions: readonly unknown[],
  body: readonly Statement[],
  scope: Scope,
  vars: RoleVars,
  extra: Extra,
  at: string,
): readonly Statement[] {
  const condition = conditionsCode(conditions, scope, vars, extra, at);
  return condition === undefined
    ? body
    : [{ kind: "block", parts: [{ head: wrap("if (", condition, ")"), body }] }];
}

/** Write the context that a function of tasks gets. */
function contextCode(
  around: Around,
  scope: Scope,
  vars: RoleVars,
  at: string,
  loop: LoopCode | undefined,
): Code {
  const options = inheritedOptions(around, scope, vars, at);
  const item = loop === undefined ? undefined : object(loop.extra);
  if (options.length === 0 && item === undefined) return scope.context;
  if (options.length === 0) return call(`${use(scope, "withItem")}`, item!);
  if (item === undefined) return call(use(scope, "withOptions"), object(options));
  return wrap(
    "",
    call(use(scope, "withOptions"), object(options)),
    `.withItem({ ${loop!.extra.map(([name, code]) => (name === code ? name : `${name}: ${code}`)).join(", ")} })`,
  );
}

/** The names of `first_found` that the statement's only item comes from. */
function firstFound({ keys }: TaskNode): { readonly terms: unknown } | undefined {
  return keys.with_first_found === undefined ? undefined : { terms: keys.with_first_found };
}

function calleeOf(
  name: string,
  first: { readonly terms: unknown } | undefined,
  file: string,
  conversion: RoleConversion,
  scope: Scope,
  loop: LoopCode | undefined,
  at: string,
): (context: Code) => Code {
  const { taskFiles, importTasks } = conversion;
  if (!name.includes("{{")) {
    const path = [
      posix.join(posix.dirname(file), name),
      posix.join("tasks", name),
      posix.normalize(name.replace(/^(?:\.\.\/)+/, "")),
    ].find((each) => taskFiles.includes(each));
    if (path === undefined) return refuse(at, `there is no file of tasks ${name}`);
    const callee = importTasks(path);
    return (context) => call(callee, context);
  }
  const lookup = lookupTerms(name);
  const isItem = /^\{\{\s*item\s*\}\}$/.test(name) && first !== undefined;
  const pattern = isItem || lookup !== undefined ? /./ : patternOf(name);
  const fitting = taskFiles.filter(
    (path) => pattern.test(path) && path !== file && !/\/main\.\w+$/.test(path),
  );
  if (fitting.length === 0) refuse(at, `no file of tasks fits ${name}`);
  const files = object(fitting.map((path) => [keyText(path.replace(/^tasks\//, "")), importTasks(path)]));
  const names =
    lookup !== undefined ? quote(`{{ ${lookup.terms} }}`) : isItem ? valueCode(first.terms, at) : quote(name);
  const found = call(use(scope, "first"), files, names, ...passCode(loop));
  return (context) => wrap("", found, `(${flatContext(context)})`);
}

function flatContext(context: Code): string {
  if (typeof context === "string") return context;
  if (context.kind === "call" && context.args.length === 1) {
    const [only] = context.args;
    if (typeof only === "object" && only.kind === "object")
      return `${context.callee}({ ${only.entries.map(([key, value]) => (key === value ? key : `${key}: ${typeof value === "string" ? value : "undefined"}`)).join(", ")} })`;
  }
  return "role";
}

/** The pattern of names that a template of a file's name may give. */
function patternOf(name: string): RegExp {
  const parts = name
    .replace(/^.*\/(?=[^/]*$)/, "")
    .split(/\{\{.*?\}\}/s)
    .map((part) => part.replace(/[.*+?^$()|[\]\\]/g, "\\$&"));
  return new RegExp(`(?:^|/)${parts.join(".*")}$`);
}

/** The terms of `lookup('first_found', TERMS)`, as an expression. */
function lookupTerms(text: string): { readonly terms: string; readonly isOptional: boolean } | undefined {
  const found =
    /^\{\{\s*(?:lookup|query|q)\(\s*['"](?:[\w.]+\.)?first_found['"]\s*,\s*(.*?)(?:,\s*(errors|skip|wantlist)\s*=\s*['"]?(\w+)['"]?)*\s*\)\s*(?:\|\s*first\s*)?\}\}$/s.exec(
      text,
    );
  if (found === null) return undefined;
  return { terms: found[1]!.trim(), isOptional: /errors\s*=\s*['"]ignore|skip\s*=\s*True/.test(text) };
}

type When = (
  node: TaskNode,
  body: readonly Statement[],
  scope: Scope,
  vars: RoleVars,
  extra: Extra,
) => readonly Statement[];

/** Include the vars of files that are known by now, the one whose name a run knows being looked up among them. */
export function includeVars(
  node: TaskNode,
  conversion: RoleConversion,
  scope: Scope,
  when: When,
): readonly Statement[] {
  const { args, keys, at } = node;
  const { vars } = conversion;
  const isOptional = keys.ignore_errors === true || [keys.failed_when ?? []].flat().includes(false);
  const { dir, name: under } = args;
  if (typeof dir === "string") {
    const below = conversion.vars.files.filter((each) =>
      each.startsWith(`${dir.replace(/^(?:.*\/)?vars\/?/, "")}`),
    );
    if (dir.includes("{{") || below.length === 0) refuse(at, `the files of ${dir} are not known`);
    const lines = below.map(
      (each): Statement => ({ kind: "line", code: includeCode(fileCode(each, conversion), under, scope) }),
    );
    return when(node, lines, scope, vars, []);
  }
  const wanted = args._raw_params ?? args.file;
  if (typeof wanted !== "string") return refuse(at, "include_vars needs a file or a dir");
  const first = firstFound(node);
  const lookup = lookupTerms(wanted);
  const find = (names: Code, optional: boolean, loop?: LoopCode): Code => {
    const found = call(
      use(scope, optional ? "firstIfAny" : "first"),
      conversion.importVarsFiles(),
      names,
      ...passCode(loop),
    );
    return found;
  };
  if (first !== undefined) {
    const isItem = /^(?:\{\{\s*item\s*\}\}|\{\{\s*role_path\s*\}\}\/vars\/\{\{\s*item\s*\}\})$/.test(wanted);
    if (!isItem)
      refuse(at, `include_vars of ${wanted} with first_found is not converted`, 'include "{{ item }}"');
    const terms = [first.terms].flat();
    const skips = terms.some((term) => isDict(term) && !(term instanceof Map) && term.skip === true);
    const line: Statement = {
      kind: "line",
      code: includeCode(find(valueCode(first.terms, at), skips || isOptional), under, scope),
    };
    return when(node, [line], scope, vars, []);
  }
  const loop = loopCode(keys, scope, vars, at);
  if (loop !== undefined) {
    const isInside = namesItem(keys.when ?? [], loop);
    const line: Statement = {
      kind: "line",
      code: includeCode(find(quote(wanted), isOptional, loop), under, scope),
    };
    const body = isInside ? when(node, [line], scope, vars, loop.extra) : [line];
    const binding = loop.parameters.replace(/^\(|(?:: readonly .*)?\)$/g, "");
    const all: readonly Statement[] = [
      { kind: "block", parts: [{ head: wrap(`for (const ${binding} of `, loop.items, ")"), body }] },
    ];
    return isInside ? all : when(node, all, scope, vars, []);
  }
  let found: Code;
  if (lookup !== undefined) found = find(quote(`{{ ${lookup.terms} }}`), lookup.isOptional || isOptional);
  else if (wanted.includes("{{")) found = find(quote(wanted), isOptional);
  else {
    const file = conversion.vars.files.find((each) => wanted === each || wanted.endsWith(`/${each}`));
    if (file === undefined && isOptional) return [{ kind: "comment", text: `There is no ${wanted}.` }];
    if (file === undefined) return refuse(at, `there is no file of vars ${wanted}`);
    found = fileCode(file, conversion);
  }
  return when(node, [{ kind: "line", code: includeCode(found, under, scope) }], scope, vars, []);
}

function fileCode(file: string, conversion: RoleConversion): string {
  const files = conversion.importVarsFiles();
  return /^[A-Za-z_$][\w$]*$/.test(file) ? `${files}.${file}` : `${files}[${quote(file)}]`;
}

function includeCode(found: Code, under: unknown, scope: Scope): Code {
  return call(
    use(scope, "includeVars"),
    typeof under === "string" ? object([[keyText(under), found]]) : found,
  );
}
