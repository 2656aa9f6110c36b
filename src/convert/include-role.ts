import type { RoleStatementNode, RoleUseNode, TaskNode } from "../ansible/ir.ts";
import { isDict } from "../core/values/value.ts";
import { arrow, type Code, call, object, quote, type Statement, around as wrap } from "./code.ts";
import type { RoleConversion } from "./conversion.ts";
import { type Around, enter, optionsOf } from "./keywords.ts";
import { loopCode, namesItem } from "./loops.ts";
import { camelCase } from "./names.ts";
import { conditionsCode, type Scope, use } from "./scope.ts";
import { refuse, valueCode } from "./values.ts";

// Other roles that a role brings in: they stay in YAML, and see the vars of the place.

/** The parts of `ansibleRole` that `include_role` and `import_role` name otherwise. */
const FROM = ["tasks", "vars", "defaults", "handlers"] as const;

/** Return whether a task brings in a role. */
export function isRoleInclude({ module }: TaskNode): boolean {
  return /^(?:include|import)_role$/.test(module);
}

/** Carry out the role that a statement brings in. */
export function includeRole(
  node: TaskNode | RoleStatementNode,
  conversion: RoleConversion,
  around: Around,
  scope: Scope,
): readonly Statement[] {
  const { vars } = conversion;
  const { at } = node;
  const { keys, ...wanted } = node.kind === "role" ? fromStatement(node) : fromTask(node);
  if (keys.register !== undefined) refuse(at, "a register of an include is not converted");
  const inside = enter(enter(around, keys, at), wanted.apply, at);
  for (const [key, value] of Object.entries(inside.keys))
    if (!HEEDED.has(key) && value !== false)
      refuse(at, `${key} around a role that is included is not converted`);
  if (inside.environment.length > 0)
    refuse(at, "environment around a role that is included is not converted");
  const loop = loopCode(keys, scope, vars, at);
  const pass = loop === undefined ? undefined : camelCase("pass", scope.taken);
  if (pass !== undefined) scope.taken.add(pass);
  const callee = pass === undefined ? use(scope, "includeRole") : `${pass}.includeRole`;
  const code = roleCode(wanted, conversion, [
    ...(keys.vars === undefined || Object.keys(keys.vars as object).length === 0
      ? []
      : [["vars", valueCode(keys.vars, at)] as const]),
    ...optionsOf({ ...inside, keys: pick(inside.keys, ["become", "become_user"]) }, "", scope, vars, []),
  ]);
  const lines: readonly Statement[] = [
    ...(pass === undefined
      ? []
      : [
          {
            kind: "line" as const,
            code: wrap(`const ${pass} = `, call(`${scope.context}.withItem`, object(loop!.extra))),
          },
        ]),
    { kind: "line", code: wrap("await ", call(callee, code)) },
  ];
  const conditions = (keys.when ?? []) as readonly unknown[];
  const isInside = loop !== undefined && namesItem(conditions, loop);
  const under = (body: readonly Statement[]): readonly Statement[] => {
    const condition = conditionsCode(conditions, scope, vars, isInside ? loop.extra : [], at);
    return condition === undefined
      ? body
      : [{ kind: "block", parts: [{ head: wrap("if (", condition, ")"), body }] }];
  };
  if (loop === undefined) return under(lines);
  const binding = loop.parameters.replace(/^\(|(?:: readonly .*)?\)$/g, "");
  const each = (body: readonly Statement[]): readonly Statement[] => [
    { kind: "block", parts: [{ head: wrap(`for (const ${binding} of `, loop.items, ")"), body }] },
  ];
  return isInside ? each(under(lines)) : under(each(lines));
}

/** Keywords that an included role takes over, or that change nothing of it. */
const HEEDED = new Set(["become", "become_user"]);

/** A role as a statement asks for it. */
interface Wanted {
  readonly name: string;
  readonly from: Readonly<Record<string, unknown>>;
  readonly params: RoleUseNode["params"];
  readonly at: string;
  readonly apply: Readonly<Record<string, unknown>>;
  readonly isPublic: boolean;
  readonly isOnce: boolean;
}

function fromStatement({ use: { keys, name, from, params, at } }: RoleStatementNode): Wanted & {
  readonly keys: TaskNode["keys"];
} {
  // Vars of an imported role stay in sight.
  return { keys, name, from: from as Wanted["from"], params, at, apply: {}, isPublic: true, isOnce: false };
}

function fromTask({ keys, args, at, module }: TaskNode): Wanted & { readonly keys: TaskNode["keys"] } {
  const name = args.name ?? args.role;
  if (typeof name !== "string" || name.includes("{{"))
    return refuse(
      at,
      `the role is known only in a run: ${String(name)}`,
      "include each of them under its condition",
    );
  const from = Object.fromEntries(
    FROM.flatMap((kind) => (args[`${kind}_from`] === undefined ? [] : [[kind, args[`${kind}_from`]]])),
  );
  const { apply } = args;
  const { tags, ...others } = keys;
  // As with all dynamic includes, tags choose the include alone. Tasks that are done only when asked for keep theirs.
  const isNever = [tags ?? []].flat().includes("never");
  return {
    keys: isNever ? keys : others,
    name,
    from,
    params: {},
    at,
    apply: isDict(apply) && !(apply instanceof Map) ? apply : {},
    isPublic: module === "import_role" || args.public === true || args.public === "yes",
    isOnce: false,
  };
}

/** Write the use of a role that stays in YAML. */
function roleCode(
  { name, from, params, at, isPublic, isOnce }: Wanted,
  conversion: RoleConversion,
  more: readonly (readonly [string, Code])[],
): Code {
  const files = FROM.flatMap((kind): (readonly [string, Code])[] => {
    const file = from[kind];
    if (file === undefined || file === null) return [];
    if (typeof file !== "string" || file.includes("{{"))
      refuse(at, `the file of ${kind} is known only in a run: ${String(file)}`);
    return [[`${kind}From`, quote(file)]];
  });
  const options = [
    ...files,
    ...(Object.keys(params).length === 0 ? [] : [["vars", valueCode(params, at)] as const]),
    ...(isOnce ? [["once", "true"] as const] : []),
    ...(isPublic ? [["public", "true"] as const] : []),
    ...more,
  ];
  conversion.noteRole(name, at);
  return call(
    conversion.importAction("ansibleRole"),
    quote(name),
    ...(options.length === 0 ? [] : [object(options)]),
  );
}

/** Carry out the roles that a role depends on, before its own tasks. */
export function includeDependencies(
  dependencies: readonly RoleUseNode[],
  conversion: RoleConversion,
  scope: Scope,
): readonly Statement[] {
  return dependencies.map(({ name, from, params, keys, at }): Statement => {
    const given = { ...(keys.vars as object | undefined), ...params };
    const inside = enter({ keys: {}, tags: [], environment: [], moduleDefaults: [] }, keys, at);
    const condition = conditionsCode((keys.when ?? []) as readonly unknown[], scope, conversion.vars, [], at);
    const wanted = {
      name,
      from: from as Wanted["from"],
      params: given,
      at,
      apply: {},
      isPublic: true,
      isOnce: true,
    };
    const code = roleCode(wanted, conversion, [
      ...(condition === undefined ? [] : [["when", arrow("()", condition)] as const]),
      ...optionsOf(
        { ...inside, keys: pick(inside.keys, ["become", "become_user"]) },
        "",
        scope,
        conversion.vars,
        [],
      ),
    ]);
    return { kind: "line", code: wrap("await ", call(use(scope, "includeRole"), code)) };
  });
}

function pick(keys: TaskNode["keys"], names: readonly string[]): TaskNode["keys"] {
  return Object.fromEntries(Object.entries(keys).filter(([key]) => names.includes(key)));
}
