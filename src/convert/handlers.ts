import type { Node, TaskNode } from "../ansible/ir.ts";
import { arrow, type Code, call, object, quote, type Statement, around as wrap } from "./code.ts";
import type { RoleConversion } from "./conversion.ts";
import { type Around, enter, NOTHING_AROUND } from "./keywords.ts";
import { loopCode, namesItem } from "./loops.ts";
import { camelCase } from "./names.ts";
import type { RoleSource } from "./role-source.ts";
import { conditionsCode, innerScope, namesStatement, type Scope, use } from "./scope.ts";
import { taskParts } from "./task-parts.ts";
import { refuse, textsIn, valueCode } from "./values.ts";

// Handlers, in the order they are defined; topics of `listen` become the names of the handlers that listen.

/** A handler with the name that tasks notify it by. */
export interface FoundHandler {
  readonly node: TaskNode;
  readonly name: string;
  readonly around: Around;
}

/** Modules that a handler in TypeScript cannot be. */
const NO_ACTIONS =
  /^(?:include|include_tasks|import_tasks|include_role|import_role|include_vars|set_fact|meta)$/;

/** List a role's handlers. Of those with one name the last counts, as in Ansible. */
export function handlersOf({ handlers }: RoleSource): readonly FoundHandler[] {
  const found: FoundHandler[] = [];
  const taken = new Set<string>();
  const add = (nodes: readonly Node[], around: Around): void => {
    for (const node of nodes) {
      if (node.kind === "role") refuse(node.at, "a role among the handlers is not converted");
      const inside = enter(around, node.keys, node.at);
      if (node.kind === "block") {
        if (node.rescue.length + node.always.length > 0)
          refuse(node.at, "rescue among handlers is not converted");
        add(node.block, inside);
        continue;
      }
      const isNoop = node.module === "meta" && String(node.args._raw_params).trim() === "noop";
      if (NO_ACTIONS.test(node.module) && !isNoop)
        refuse(node.at, `a handler in TypeScript is an action, and cannot be ${node.module}`);
      const name = node.name ?? topicsOf(node)[0];
      // Nothing can notify it.
      if (name === undefined) continue;
      found.push({ node: isNoop ? { ...node, module: "noop", args: {} } : node, name, around: inside });
    }
  };
  for (const [path, file] of Object.entries(handlers)) {
    if (!/^handlers\/main(?:\.(?:ya?ml|json)|\/.+)?$/.test(path)) continue;
    if ("error" in file) refuse(path, file.error);
    add(file.content, NOTHING_AROUND);
  }
  const last = found.filter(
    ({ node, name }, index) =>
      node.name === undefined ||
      !found.slice(index + 1).some((other) => other.node.name === name) ||
      topicsOf(node).length > 0,
  );
  return last.map((handler) => {
    let { name } = handler;
    for (let count = 2; taken.has(name); count++) name = `${handler.name} (${count})`;
    taken.add(name);
    return { ...handler, name };
  });
}

function topicsOf({ keys }: TaskNode): readonly string[] {
  return [keys.listen ?? []].flat(2).map(String);
}

/** Return the names of the handlers that a name notifies: the handler of that name, and all that listen to it. */
export function notifiedBy(handlers: readonly FoundHandler[], name: string): readonly string[] {
  const own = handlers.findLast(({ node }) => node.name === name);
  return handlers
    .filter((handler) => handler === own || topicsOf(handler.node).includes(name))
    .map((handler) => handler.name);
}

/** Convert a role's handlers to statements that declare them. */
export function convertHandlers(
  handlers: readonly FoundHandler[],
  conversion: RoleConversion,
  scope: Scope,
): readonly Statement[] {
  return handlers.flatMap((handler) => convertHandler(handler, handlers, conversion, scope));
}

function convertHandler(
  { node, name, around }: FoundHandler,
  handlers: readonly FoundHandler[],
  conversion: RoleConversion,
  outer: Scope,
): readonly Statement[] {
  const { keys, at } = node;
  const own = (keys.vars ?? {}) as Readonly<Record<string, unknown>>;
  const hasVars = Object.keys(own).length > 0;
  const context = hasVars ? camelCase("scoped", outer.taken) : outer.context;
  const scope = hasVars ? innerScope(outer, context, Object.keys(own)) : outer;
  outer.taken.add(context);
  const loop = loopCode(keys, scope, conversion.vars, at);
  // Handlers have no tags, and are done on every host.
  const parts = taskParts(node, conversion, { ...around, tags: [] }, scope, loop);
  const conditions = (keys.when ?? []) as readonly unknown[];
  const isOfItem = loop !== undefined && namesItem(conditions, loop);
  const condition = conditionsCode(conditions, scope, conversion.vars, isOfItem ? loop.extra : [], at);
  const options: (readonly [string, Code])[] = [
    ...(loop === undefined ? [] : [["loop", loop.items] as const]),
    ...(condition === undefined
      ? []
      : [["when", arrow(isOfItem ? loop.parameters : "()", condition)] as const]),
    ...registering(
      parts.options.filter(([key]) => key !== "runOnce"),
      node,
      handlers,
      scope,
    ),
  ];
  const title = /\{[{%#]/.test(name) ? `${use(scope, "title")}(${quote(name)})` : quote(name);
  const line: Statement = {
    kind: "line",
    code: call(
      use(scope, "handler"),
      title,
      parts.action,
      ...(options.length === 0 ? [] : [object(options)]),
    ),
  };
  const comments = [
    ...conversion.commentsAt(at),
    ...parts.comments.map((text): Statement => ({ kind: "comment", text })),
  ];
  if (!hasVars) return [...comments, line];
  const vars = call(`${outer.context}.withVars`, valueCode(own, at));
  const body: Statement[] = [
    { kind: "line", code: wrap(`const ${context} = `, vars) },
    ...namesStatement(scope),
    ...comments,
    line,
  ];
  return [{ kind: "block", parts: [{ head: "", body }] }];
}

/** Register the result of a handler that other handlers read; its own rules see it anyway. */
function registering(
  options: readonly (readonly [string, Code])[],
  { keys, at }: TaskNode,
  handlers: readonly FoundHandler[],
  scope: Scope,
): readonly (readonly [string, Code])[] {
  const { register } = keys;
  if (typeof register !== "string") return options;
  const pattern = new RegExp(`\\b${register}\\b`);
  const isRead = handlers.some(
    ({ node }) => node.at !== at && textsIn([node.args, node.keys]).some((text) => pattern.test(text)),
  );
  if (!isRead) return options;
  const [, own] = options.find(([key]) => key === "failedWhen") ?? [];
  // A rule that is no function is a bool.
  const rule = own === undefined ? [] : [typeof own === "string" ? arrow("()", own) : own];
  return [
    ...options.filter(([key]) => key !== "failedWhen"),
    ["failedWhen", call(use(scope, "registers"), quote(register), ...rule)],
  ];
}
