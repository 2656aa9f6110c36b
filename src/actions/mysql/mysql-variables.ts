import * as v from "valibot";
import { type Applied, type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { defineAction } from "../define.ts";
import { orUnknown, reader, writer } from "../shared/database-client.ts";
import { describe, oneOf } from "../shared/params.ts";
import { connectMysql, mysqlAliases, mysqlLogin, sqlText } from "./mysql-client.ts";

const params = v.strictObject({
  variable: v.pipe(
    v.string(),
    v.regex(/^[0-9A-Za-z_.]+$/, "must be the name of a variable"),
    v.description("Name of the variable."),
  ),
  value: v.optional(describe(v.string(), "The value. Without it the variable is only read.")),
  mode: oneOf(
    ["global", "persist", "persist_only"],
    "global",
    "`global` until the server stops; MySQL 8 keeps the others in its own file.",
  ),
  ...mysqlLogin,
});

/** The data of a mysql_variables task. */
interface MysqlVariablesData {
  /** The value, when it was only read. */
  readonly msg: string;
  readonly queries?: readonly string[];
}

interface VariableChange extends Change {
  readonly statement: string;
}

const BOOLS: Readonly<Record<string, string>> = { on: "1", true: "1", off: "0", false: "0" };

/** Compare values as the server would: `ON` is 1. */
function sameValue(a: string, b: string): boolean {
  const plain = (text: string): string => BOOLS[text.trim().toLowerCase()] ?? text.trim();
  return plain(a) === plain(b);
}

/** Read or set a variable of a MySQL or MariaDB server. */
export const mysql_variables = defineAction<typeof params, VariableChange, MysqlVariablesData>({
  name: "mysql_variables",
  doc: "Read a global variable of a MySQL or MariaDB server, or set it in the running server.",
  params,
  aliases: { ...mysqlAliases },
  examples: [{ variable: "max_connections", value: "200" }],
  title: ({ variable, value }) => (value === undefined ? variable : `${variable}=${value}`),
  async inspect(given, system, context) {
    const { variable, value, mode } = given;
    const found = await orUnknown(
      context,
      async (): Promise<VariableChange | Unchanged<MysqlVariablesData>> => {
        const mysql = await connectMysql(system, reader(system), given, context);
        const [row] = await mysql.rows(`SHOW GLOBAL VARIABLES WHERE variable_name = ${sqlText(variable)}`);
        const current = row?.Value;
        if (current === undefined || current === null)
          throw new VolleyError("ACTION_FAILED", `Variable not available "${variable}"`);
        if (value === undefined) return unchanged({ msg: current }, current);
        if (sameValue(current, value))
          return unchanged({ msg: "Variable is already set to requested value.", queries: [] });
        const quoted =
          /^-?\d+(\.\d+)?$/.test(value) || BOOLS[value.toLowerCase()] !== undefined ? value : sqlText(value);
        const name = variable
          .split(".")
          .map((part) => `\`${part}\``)
          .join(".");
        const statement = `SET ${mode.toUpperCase()} ${name} = ${quoted}`;
        return {
          statement,
          data: { msg: `Variable change succeeded prev_value=${current}`, queries: [statement] },
          diff: { path: `variable ${variable}`, before: `${current}\n`, after: `${value}\n` },
        };
      },
    );
    return "statement" in found || "unchanged" in found ? found : { statement: "", ...found };
  },
  async apply({ statement, data }, given, system, context): Promise<Applied<MysqlVariablesData>> {
    const mysql = await connectMysql(system, writer(system), given, context);
    await mysql.query(statement);
    return { data: data as MysqlVariablesData };
  },
});
