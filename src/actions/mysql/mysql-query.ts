import * as v from "valibot";
import type { ActionContext, Applied, Change } from "../../core/action.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { exclusive } from "../shared/combinations.ts";
import { writer } from "../shared/database-client.ts";
import { describe, flag, optionalText } from "../shared/params.ts";
import { fillArguments, statements } from "../shared/query-arguments.ts";
import { connectMysql, mysqlAliases, mysqlLogin, type Row, sqlName, sqlText } from "./mysql-client.ts";

const params = v.pipe(
  v.strictObject({
    query: statements,
    positional_args: v.optional(describe(v.array(v.any()), "Values for each `%s`, in their order.")),
    named_args: v.optional(describe(v.record(v.string(), v.any()), "Values for each `%(name)s`.")),
    login_db: optionalText("Database to use."),
    single_transaction: flag("Run all statements in one transaction."),
    ...mysqlLogin,
  }),
  exclusive("positional_args", "named_args"),
);
type Params = v.InferOutput<typeof params>;

type ResultRow = Readonly<Record<string, unknown>>;

/** The data of a mysql_query task. */
interface MysqlQueryData {
  readonly executed_queries: readonly string[];
  /** The rows of each statement. */
  readonly query_result: readonly (readonly ResultRow[])[];
  readonly rowcount: readonly number[];
  /** Milliseconds of each statement; they are measured together. */
  readonly execution_time_ms: readonly number[];
}

/** Run statements on a MySQL or MariaDB server. */
export const mysql_query = defineAction<typeof params, Change, MysqlQueryData>({
  name: "mysql_query",
  doc: `Run statements on a MySQL or MariaDB server, in one session, and return their rows.

INSERT, UPDATE, DELETE and REPLACE count as changes when they touched rows, CREATE, DROP, ALTER and the like in any case.
The client tells no types: whole numbers become numbers, NULL stays, all else is text. Check mode runs nothing.`,
  params,
  aliases: { ...mysqlAliases },
  examples: [{ login_db: "shop", query: "SELECT * FROM orders WHERE id = %s", positional_args: [1] }],
  title: ({ query }) => query.join("; ").slice(0, 60),
  inspect: async ({ query }) => ({
    message: query.join("; ").slice(0, 200),
    unknown: "only running the statements tells whether they change anything",
  }),
  apply: (_change, given, system, context) => carryOut(given, system, context),
});

const COUNT = "volley_row_count";

async function carryOut(
  given: Params,
  system: System & ReadSystem,
  context: ActionContext,
): Promise<Applied<MysqlQueryData>> {
  const { query, positional_args, named_args, login_db, single_transaction } = given;
  const prelude = login_db === undefined ? [] : [`USE ${sqlName(login_db)}`];
  const mysql = await connectMysql(system, writer(system), given, context, prelude);
  const queries = query.map((each) =>
    fillArguments(each, positional_args, named_args, sqlText).trim().replace(/;\s*$/, ""),
  );
  const counted = queries.map((each) => `${each};\nSELECT ROW_COUNT() AS ${COUNT}`);
  const start = Date.now();
  const results = await mysql.query(
    [
      ...(single_transaction ? ["START TRANSACTION"] : []),
      ...counted,
      ...(single_transaction ? ["COMMIT"] : []),
    ].join(";\n"),
  );
  const elapsed = Date.now() - start;
  const rows: ResultRow[][] = [];
  const rowcount: number[] = [];
  let current: ResultRow[] = [];
  for (const result of results) {
    const count = result[0]?.[COUNT];
    if (count === undefined) current = result.map(typed);
    else {
      rows.push(current);
      // A statement that returns rows has the count -1.
      rowcount.push(Math.max(Number(count), current.length));
      current = [];
    }
  }
  return {
    changed: queries.some((each, index) => isChange(each, rowcount[index] ?? 0)),
    data: {
      executed_queries: queries,
      query_result: rows,
      rowcount,
      execution_time_ms: queries.map(() => elapsed / queries.length),
    },
  };
}

function isChange(query: string, count: number): boolean {
  if (/^\s*(?:INSERT|UPDATE|DELETE|REPLACE|LOAD)\b/i.test(query)) return count > 0;
  return /^\s*(?:CREATE|DROP|ALTER|RENAME|TRUNCATE|GRANT|REVOKE)\b/i.test(query);
}

/** Take whole numbers for numbers. */
function typed(row: Row): ResultRow {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      value !== null && /^-?(?:0|[1-9]\d{0,14})$/.test(value) ? Number(value) : value,
    ]),
  );
}
