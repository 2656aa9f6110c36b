import * as v from "valibot";
import { type ActionContext, type Applied, type Change, unchanged } from "../../core/action.ts";
import { isVolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { exclusive } from "../shared/combinations.ts";
import { orUnknown, reader, writer } from "../shared/database-client.ts";
import { describe, flag, optionalText, textList } from "../shared/params.ts";
import { fillArguments, statements } from "../shared/query-arguments.ts";
import {
  connectPostgres,
  type Postgres,
  pgName,
  pgText,
  postgresAliases,
  postgresLogin,
  type StatementResult,
} from "./postgres-client.ts";

const params = v.pipe(
  v.strictObject({
    query: statements,
    positional_args: v.optional(describe(v.array(v.any()), "Values for each `%s`, in their order.")),
    named_args: v.optional(describe(v.record(v.string(), v.any()), "Values for each `%(name)s`.")),
    autocommit: flag("Commit after each statement, for those that no transaction may hold (`VACUUM`)."),
    encoding: optionalText("Encoding of the session: ignored, it is UTF-8."),
    search_path: v.optional(textList("Schemas to look names up in.")),
    db: v.optional(describe(v.string(), "Database to log in to."), ""),
    ...postgresLogin,
  }),
  exclusive("positional_args", "named_args"),
);
type Params = v.InferOutput<typeof params>;

type ResultRow = Readonly<Record<string, unknown>>;

/** The data of a postgresql_query task. */
interface PostgresqlQueryData {
  /** The last statement, with its values. */
  readonly query: string;
  readonly query_list: readonly string[];
  readonly statusmessage: string;
  /** The rows of the last statement. */
  readonly query_result: readonly ResultRow[];
  readonly query_all_results: readonly (readonly ResultRow[])[];
  readonly rowcount: number;
  /** Milliseconds of each statement; they are measured together. */
  readonly execution_time_ms: readonly number[];
}

interface QueryChange extends Change {
  readonly queries: readonly string[];
}

/** Run statements on a PostgreSQL server. */
export const postgresql_query = defineAction<typeof params, QueryChange, PostgresqlQueryData>({
  name: "postgresql_query",
  doc: `Run statements on a PostgreSQL server, in one transaction, and return their rows.

Statements that only read run in check mode too. INSERT, UPDATE and DELETE count as changes when they touched rows, and
all others but SELECT in any case. Numbers, booleans, JSON and NULL keep their types, other values are text.`,
  params,
  aliases: { login_db: "db", ...postgresAliases },
  examples: [{ db: "shop", query: "SELECT * FROM orders WHERE id = %s", positional_args: [1] }],
  title: ({ query }) => query.join("; ").slice(0, 60),
  async inspect(given, system, context) {
    const found = await orUnknown(context, () => inspect(given, system, context));
    return "unknown" in found ? { queries: [], ...found } : found;
  },
  apply,
});

function queriesOf({ query, positional_args, named_args }: Params): readonly string[] {
  return query.map((each) =>
    fillArguments(each, positional_args, named_args, pgText).trim().replace(/;\s*$/, ""),
  );
}

const READS = /^\s*(?:select|show|explain|values|table|with)\b/i;

function prelude({ search_path }: Params): readonly string[] {
  return search_path === undefined ? [] : [`SET search_path TO ${search_path.map(pgName).join(", ")}`];
}

async function inspect(given: Params, system: ReadSystem, context: ActionContext) {
  const queries = queriesOf(given);
  const change: QueryChange = { queries, message: queries.join("; ").slice(0, 200) };
  if (queries.every((query) => READS.test(query))) {
    const postgres = await connectPostgres(system, reader(system), given, given.db || "postgres", context);
    try {
      const { data } = await carryOut(postgres, given, queries, "BEGIN READ ONLY");
      return unchanged(data);
    } catch (thrown) {
      // A function that is selected may write.
      if (!isVolleyError(thrown) || !/read-only transaction/.test(thrown.message)) throw thrown;
    }
  }
  return context.check
    ? { ...change, unknown: "only running the statements tells whether they change anything" }
    : change;
}

async function apply(
  { queries }: QueryChange,
  given: Params,
  system: System,
  context: ActionContext,
): Promise<Applied<PostgresqlQueryData>> {
  const postgres = await connectPostgres(system, writer(system), given, given.db || "postgres", context);
  return carryOut(postgres, given, queries, given.autocommit ? undefined : "BEGIN");
}

async function carryOut(
  postgres: Postgres,
  given: Params,
  queries: readonly string[],
  begin: string | undefined,
): Promise<{ readonly changed: boolean; readonly data: PostgresqlQueryData }> {
  const before = [...prelude(given), ...(begin === undefined ? [] : [begin])];
  const start = Date.now();
  const results = (
    await postgres.run([...before, ...queries, ...(begin === undefined ? [] : ["COMMIT"])])
  ).slice(before.length, before.length + queries.length);
  const elapsed = Date.now() - start;
  const all: (readonly ResultRow[])[] = [];
  for (const [index, result] of results.entries())
    all.push(await typed(postgres, given, queries[index]!, result));
  const statuses = results.map((result, index) => statusOf(queries[index]!, result));
  return {
    changed: statuses.some(isChange),
    data: {
      query: queries.at(-1) ?? "",
      query_list: queries,
      statusmessage: statuses.at(-1) ?? "",
      query_result: all.at(-1) ?? [],
      query_all_results: all,
      rowcount: results.reduce((sum, { count }) => sum + count, 0),
      execution_time_ms: queries.map(() => elapsed / queries.length),
    },
  };
}

/** The tag of a statement, as the server names what it did. */
function statusOf(query: string, { columns, count }: StatementResult): string {
  const [, first = "", second = ""] = /^\s*(\w+)(?:\s+(\w+))?/.exec(query) ?? [];
  const verb = first.toUpperCase();
  if (verb === "INSERT") return `INSERT 0 ${count}`;
  if (["UPDATE", "DELETE", "MERGE", "COPY", "MOVE", "FETCH"].includes(verb)) return `${verb} ${count}`;
  if (["SELECT", "VALUES", "TABLE", "WITH"].includes(verb)) return `SELECT ${count}`;
  if (verb === "SHOW" || verb === "EXPLAIN") return verb;
  return columns.length === 0 && ["CREATE", "ALTER", "DROP"].includes(verb)
    ? `${verb} ${second.toUpperCase()}`
    : verb;
}

function isChange(status: string): boolean {
  if (/^(?:SELECT|SHOW|EXPLAIN|SET|RESET)\b/.test(status)) return false;
  return !/ 0$/.test(status);
}

/** Give the values of rows the types of their columns. */
async function typed(
  postgres: Postgres,
  given: Params,
  query: string,
  { columns, rows }: StatementResult,
): Promise<readonly ResultRow[]> {
  if (columns.length === 0) return [];
  const types = await postgres
    .describe(query, prelude(given))
    .catch((thrown: unknown): ReadonlyMap<string, string> => {
      if (isVolleyError(thrown) && thrown.code === "ACTION_FAILED") return new Map();
      throw thrown;
    });
  return rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => [name, valueOfType(value, types.get(name) ?? "")]),
    ),
  );
}

function valueOfType(value: string | null, type: string): unknown {
  if (value === null) return null;
  if (/^(?:smallint|integer|bigint|oid)$/.test(type))
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (/^(?:numeric|real|double precision)/.test(type))
    return Number.isFinite(Number(value)) ? Number(value) : value;
  if (type === "boolean") return value === "t";
  if (type === "json" || type === "jsonb") return JSON.parse(value) as unknown;
  if (type.endsWith("[]")) return readArray(value, type.slice(0, -2));
  return value;
}

/** Read an array of one dimension; one of several stays text. */
function readArray(text: string, type: string): unknown {
  if (!/^\{[^{}]*\}$/.test(text.replace(/"(?:[^"\\]|\\.)*"/g, ""))) return text;
  const items = text.slice(1, -1).match(/"(?:[^"\\]|\\.)*"|[^,]+/g) ?? [];
  return items.map((item) =>
    item.startsWith('"')
      ? item.slice(1, -1).replace(/\\(.)/g, "$1")
      : valueOfType(item === "NULL" ? null : item, type),
  );
}
