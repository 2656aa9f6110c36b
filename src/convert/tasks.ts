import type { BlockNode, Node, TaskNode } from "../ansible/ir.ts";
import { isDict } from "../core/values/value.ts";
import { arrow, type Code, call, keyText, object, quote, type Statement, around as wrap } from "./code.ts";
import type { RoleConversion } from "./conversion.ts";
import { includeRole, isRoleInclude } from "./include-role.ts";
import { includeTasks, includeVars } from "./includes.ts";
import { type Around, enter, isElsewhere } from "./keywords.ts";
import { type LoopCode, loopCode, namesItem, passCode } from "./loops.ts";
import { camelCase } from "./names.ts";
import type { RoleVars } from "./role-vars.ts";
import {
  conditionsCode,
  type Extra,
  extraText,
  innerScope,
  type KnownResult,
  namesStatement,
  type Scope,
  textCode,
  use,
  withResult,
} from "./scope.ts";
import { oneLine, taskParts } from "./task-parts.ts";
import { refuse, valueCode } from "./values.ts";

// Tasks and blocks as statements.

/** Modules that change nothing a role could see. */
const NOTHING_TO_DO = new Set(["gather_facts", "ping", "set_stats", "setup", "validate_argument_spec"]);

/** Modules that work on the play, or on the controller. */
const NO_ACTIONS = new Set(["add_host", "async_status", "fetch", "group_by", "script"]);

/** Modules that bring in tasks. */
const INCLUDES = new Set(["import_role", "import_tasks", "include", "include_role", "include_tasks"]);

/** Modules that find facts. */
const FINDS_FACTS = new Set(["getent", "hostname", "package_facts", "service_facts"]);

/** Convert statements in order. `file` is the path of the file that they stand in. */
export function convertNodes(
  nodes: readonly Node[],
  conversion: RoleConversion,
  around: Around,
  outer: Scope,
  file: string,
): readonly Statement[] {
  const statements: Statement[] = [];
  let scope = outer;
  for (const node of nodes) {
    const converted = convertNode(node, conversion, around, scope, file);
    statements.push(...conversion.commentsAt(node.at), ...converted.statements);
    scope = converted.scope;
  }
  return statements;
}

/** Statements, and the scope behind them. */
interface Converted {
  readonly statements: readonly Statement[];
  readonly scope: Scope;
}

function convertNode(
  node: Node,
  conversion: RoleConversion,
  around: Around,
  scope: Scope,
  file: string,
): Converted {
  if (node.kind === "role" || (node.kind === "task" && isRoleInclude(node))) {
    const title = node.kind === "role" ? [] : titled(node);
    return { statements: [...title, ...includeRole(node, conversion, around, scope)], scope };
  }
  const vars = varsOf(node);
  if (vars === undefined) return convertPlain(node, conversion, around, scope, file);
  const isInclude = node.kind === "task" && /^include(?:_tasks)?$/.test(node.module);
  const context = camelCase("scoped", scope.taken);
  scope.taken.add(context);
  const inner = innerScope(scope, context, Object.keys(vars));
  const { statements } = convertPlain(node, conversion, around, inner, file);
  const method = `${scope.context}.${isInclude ? "withParameters" : "withVars"}`;
  const body: Statement[] = [
    {
      kind: "line",
      code: wrap(
        `const ${context} = `,
        call(
          method,
          object(Object.entries(vars).map(([name, value]) => [keyText(name), valueCode(value, node.at)])),
        ),
      ),
    },
    ...namesStatement(inner),
    ...statements,
  ];
  return { statements: [{ kind: "block", parts: [{ head: "", body }] }], scope };
}

function varsOf(node: TaskNode | BlockNode): Readonly<Record<string, unknown>> | undefined {
  const { vars = {} } = node.keys;
  if (!isDict(vars) || vars instanceof Map) return undefined;
  const all = { ...vars, ...(node.kind === "task" && node.module === "include" ? givenOf(node) : {}) };
  return Object.keys(all).length === 0 ? undefined : all;
}

/** Return the arguments of an `include` that are vars of its tasks. */
function givenOf({ args }: TaskNode): Readonly<Record<string, unknown>> {
  const { _raw_params: _raw, file: _file, apply: _apply, ...given } = args;
  return given;
}

function convertPlain(
  node: TaskNode | BlockNode,
  conversion: RoleConversion,
  around: Around,
  scope: Scope,
  file: string,
): Converted {
  const inside = enter(around, node.keys, node.at);
  if (node.kind === "block")
    return { statements: convertBlock(node, conversion, inside, scope, file), scope };
  return convertTask(node, conversion, around, inside, scope, file);
}

function convertBlock(
  node: BlockNode,
  conversion: RoleConversion,
  around: Around,
  scope: Scope,
  file: string,
): readonly Statement[] {
  const { vars } = conversion;
  const inner = (nodes: readonly Node[]): readonly Statement[] =>
    convertNodes(nodes, conversion, around, scope, file);
  const comments: Statement[] =
    node.name === undefined || node.imported !== undefined
      ? []
      : [{ kind: "comment", text: oneLine(node.name) }];
  let body: readonly Statement[];
  if (node.imported !== undefined)
    body = includeTasks({ paths: [node.imported], node }, conversion, around, scope);
  else if (node.rescue.length === 0 && node.always.length === 0) body = inner(node.block);
  else
    body = [
      {
        kind: "block",
        parts: [
          { head: "try", body: inner(node.block) },
          ...(node.rescue.length === 0
            ? []
            : [
                {
                  head: "catch (error)",
                  body: [
                    { kind: "line" as const, code: `${use(scope, "rescue")}(error)` },
                    ...inner(node.rescue),
                  ],
                },
              ]),
          ...(node.always.length === 0 ? [] : [{ head: "finally", body: inner(node.always) }]),
        ],
      },
    ];
  return [...comments, ...when(node, body, scope, vars, [])];
}

/** Put statements under the conditions of a task or a block. */
function when(
  { keys, at }: TaskNode | BlockNode,
  body: readonly Statement[],
  scope: Scope,
  vars: RoleVars,
  extra: Extra,
): readonly Statement[] {
  const condition = conditionsCode((keys.when ?? []) as readonly unknown[], scope, vars, extra, at);
  if (condition === undefined) return body;
  return [{ kind: "block", parts: [{ head: wrap("if (", condition, ")"), body }] }];
}

function convertTask(
  node: TaskNode,
  conversion: RoleConversion,
  outside: Around,
  around: Around,
  scope: Scope,
  file: string,
): Converted {
  const { module, at } = node;
  const { vars } = conversion;
  if (module.includes("{{")) refuse(at, `the module is known only in a run: ${module}`);
  if (node.argsFrom !== undefined)
    refuse(at, `the arguments of ${module} come from ${node.argsFrom}`, "write them out: name: value");
  if (isElsewhere(around, module) && !INCLUDES.has(module)) conversion.delegates(at);
  if (NO_ACTIONS.has(module)) refuse(at, `a role in TypeScript has no word for ${module}`);
  const note = (text: string): Converted => ({ statements: [{ kind: "comment", text }], scope });
  const named = node.name === undefined ? "" : ` (${oneLine(node.name)})`;
  if (NOTHING_TO_DO.has(module)) return note(`${module}${named}: there is nothing to do.`);
  switch (module) {
    case "meta":
      return convertMeta(node, conversion, scope);
    case "set_fact":
      return { statements: setFact(node, scope, vars), scope };
    case "include_vars":
      return { statements: [...titled(node), ...includeVars(node, conversion, scope, when)], scope };
    case "include":
    case "include_tasks":
    case "import_tasks": {
      const statements = includeTasks({ node, file }, conversion, outside, scope);
      return { statements: [...titled(node), ...statements], scope };
    }
    default:
      return convertAction(node, conversion, around, scope);
  }
}

/** The name of a statement that is no task here. */
function titled({ name }: TaskNode): readonly Statement[] {
  return name === undefined ? [] : [{ kind: "comment", text: oneLine(name) }];
}

function convertMeta(node: TaskNode, conversion: RoleConversion, scope: Scope): Converted {
  const { vars } = conversion;
  const word = String(node.args._raw_params ?? "").trim();
  switch (word) {
    case "flush_handlers": {
      const line: Statement = { kind: "line", code: `${use(scope, "flushHandlers")}()` };
      return { statements: when(node, [line], scope, vars, []), scope };
    }
    case "noop":
    case "clear_facts":
    case "refresh_inventory":
    case "reset_connection":
      return { statements: [{ kind: "comment", text: `meta: ${word}: there is nothing to do.` }], scope };
    case "clear_host_errors":
      return { statements: [], scope };
    case "end_host":
    case "end_play":
    case "end_batch":
    case "end_role": {
      if (word === "end_play" || word === "end_batch")
        conversion.note(node.at, `meta: ${word} ends the play for the host alone that reaches it`);
      const part = word === "end_role" ? "role" : "play";
      const line: Statement = { kind: "line", code: call(use(scope, "end"), quote(part)) };
      return { statements: [...titled(node), ...when(node, [line], scope, vars, [])], scope };
    }
    default:
      return refuse(node.at, `a role in TypeScript has no word for "meta: ${word}"`);
  }
}

function setFact(node: TaskNode, scope: Scope, vars: RoleVars): readonly Statement[] {
  const { args, keys, at } = node;
  if (keys.register !== undefined) refuse(at, "a register of set_fact is not converted");
  const { cacheable: _cacheable, ...facts } = args;
  const loop = loopCode(keys, scope, vars, at);
  const entries = Object.entries(facts).map(([name, value]): readonly [string, Code] => [
    name.includes("{{") ? `[${flatText(name, scope, vars, loop)}]` : keyText(name),
    valueCode(value, at),
  ]);
  const line: Statement = { kind: "line", code: call(use(scope, "set"), object(entries), ...passCode(loop)) };
  return [...titled(node), ...looped(node, loop, [line], scope, vars)];
}

function flatText(text: string, scope: Scope, vars: RoleVars, loop: LoopCode | undefined): string {
  const code = textCode(text, scope, vars, loop?.extra ?? []);
  if (typeof code === "string") return code;
  const more = loop === undefined ? "" : `, ${extraText(loop.extra)}`;
  return `${use(scope, "text")}(${quote(text)}${more})`;
}

/** Put statements into a loop, and under their conditions: outside, where they do not name the item. */
function looped(
  node: TaskNode,
  loop: LoopCode | undefined,
  body: readonly Statement[],
  scope: Scope,
  vars: RoleVars,
): readonly Statement[] {
  if (loop === undefined) return when(node, body, scope, vars, []);
  const conditions = (node.keys.when ?? []) as readonly unknown[];
  const isInside = namesItem(conditions, loop);
  const inner = isInside ? when(node, body, scope, vars, loop.extra) : body;
  const name = loop.parameters.replace(/^\(|(?:: readonly .*)?\)$/g, "");
  const head = wrap(`for (const ${name} of `, loop.items, ")");
  const all: readonly Statement[] = [{ kind: "block", parts: [{ head, body: inner }] }];
  return isInside ? all : when(node, all, scope, vars, []);
}

function convertAction(node: TaskNode, conversion: RoleConversion, around: Around, scope: Scope): Converted {
  const { keys, at, module } = node;
  const { vars } = conversion;
  const loop = loopCode(keys, scope, vars, at);
  const parts = taskParts(node, conversion, around, scope, loop);
  const { register } = keys;
  const conditions = (keys.when ?? []) as readonly unknown[];
  // A loop over what is not there is skipped by a condition that does not hold.
  const isOutside =
    loop !== undefined && conditions.length > 0 && !loop.isLiteral && !namesItem(conditions, loop);
  const extra = loop !== undefined && namesItem(conditions, loop) ? loop.extra : [];
  const condition = conditionsCode(conditions, scope, vars, extra, at);
  const before: Statement[] = parts.comments.map((text) => ({ kind: "comment", text }));
  let items: Code | undefined = loop?.items;
  if (loop !== undefined && typeof register === "string") {
    const name = camelCase(`${register}_items`, scope.taken);
    scope.taken.add(name);
    before.push({ kind: "line", code: wrap(`const ${name} = `, loop.items) });
    items = name;
  }
  const options: (readonly [string, Code])[] = [
    ...(items === undefined ? [] : [["loop", items] as const]),
    ...(condition === undefined || isOutside
      ? []
      : [
          [
            "when",
            arrow(loop !== undefined && namesItem(conditions, loop) ? loop.parameters : "()", condition),
          ] as const,
        ]),
    ...parts.options,
  ];
  const awaited = wrap(
    "await ",
    call(use(scope, "task"), parts.name, parts.action, ...(options.length === 0 ? [] : [object(options)])),
  );
  const learned = FINDS_FACTS.has(module) ? call(use(scope, "learn"), awaited) : awaited;
  if (typeof register !== "string") {
    const line: Statement = { kind: "line", code: learned };
    return { statements: isOutside ? under(condition, [...before, line]) : [...before, line], scope };
  }
  const registered = call(
    use(scope, "register"),
    quote(register),
    learned,
    ...(loop === undefined
      ? []
      : [
          object([
            ["items", items as string],
            ...(loop.loopVar === "item" ? [] : [["loopVar", quote(loop.loopVar)] as const]),
          ]),
        ]),
  );
  if (isOutside) {
    const skip: Statement = { kind: "line", code: `${use(scope, "skip")}(${quote(register)})` };
    const body: readonly Statement[] = [...before, { kind: "line", code: registered }];
    const head = wrap("if (", condition!, ")");
    const statements: readonly Statement[] = [
      {
        kind: "block",
        parts: [
          { head, body },
          { head: "else", body: [skip] },
        ],
      },
    ];
    return { statements, scope: withoutResult(scope, register) };
  }
  // The constant is declared only where code reads it.
  const constant = camelCase(register, scope.taken, "Result");
  scope.taken.add(constant);
  let isUsed = false;
  const result: KnownResult = {
    code: constant,
    isCommand: loop === undefined && /^(?:command|shell|raw)$/.test(module),
    isStat: loop === undefined && module === "stat",
    use: () => {
      isUsed = true;
    },
  };
  const line: Statement = {
    kind: "line",
    get code() {
      return isUsed ? wrap(`const ${constant} = `, registered) : registered;
    },
  };
  return { statements: [...before, line], scope: withResult(scope, register, result) };
}

function under(condition: Code | undefined, body: readonly Statement[]): readonly Statement[] {
  return condition === undefined
    ? body
    : [{ kind: "block", parts: [{ head: wrap("if (", condition, ")"), body }] }];
}

function withoutResult(scope: Scope, name: string): Scope {
  return { ...scope, results: new Map([...scope.results].filter(([own]) => own !== name)) };
}
