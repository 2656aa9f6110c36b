import * as v from "valibot";
import {
  type ActionContext,
  type Applied,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { orUnknown, reader, writer } from "../shared/database-client.ts";
import { describe, flag, text } from "../shared/params.ts";
import { connectPostgres, pgQualified, pgText, postgresAliases, postgresLogin } from "./postgres-client.ts";

const params = v.pipe(
  v.strictObject({
    name: text("Name of the setting."),
    value: v.optional(describe(v.string(), "The value; `default` resets the setting.")),
    reset: flag("Reset the setting to its default."),
    db: v.optional(describe(v.string(), "Database to log in to."), ""),
    ...postgresLogin,
  }),
  v.check(({ value, reset }) => value === undefined || !reset, "give either value or reset"),
);
type Params = v.InferOutput<typeof params>;

/** The data of a postgresql_set task. */
interface PostgresqlSetData {
  readonly name: string;
  readonly restart_required: boolean;
  readonly prev_val_pretty: string;
  readonly value_pretty: string;
  readonly value: Readonly<Record<string, string>>;
  readonly context: string;
}

interface SetChange extends Change {
  readonly statement: string;
  readonly result: PostgresqlSetData;
}

/** Keep a setting of a PostgreSQL server. */
export const postgresql_set = defineAction<typeof params, SetChange, PostgresqlSetData>({
  name: "postgresql_set",
  doc: `Keep a setting of a PostgreSQL server in its \`postgresql.auto.conf\`, by ALTER SYSTEM, and load it.

Settings that need a restart say so in \`restart_required\`. Without \`value\` and \`reset\` the setting is only read.`,
  params,
  aliases: { login_db: "db", ...postgresAliases },
  examples: [{ name: "work_mem", value: "16MB" }],
  title: ({ name, value }) => (value === undefined ? name : `${name}=${value}`),
  async inspect(given, system, context) {
    const found = await orUnknown(context, () => inspect(given, system, context));
    if ("statement" in found || "unchanged" in found) return found;
    const value = { value: "", unit: "" };
    const result = {
      name: given.name,
      restart_required: false,
      prev_val_pretty: "",
      value_pretty: "",
      value,
      context: "",
    };
    return { statement: "", result, ...found };
  },
  async apply({ statement, result }, given, system, context): Promise<Applied<PostgresqlSetData>> {
    const postgres = await connectPostgres(system, writer(system), given, given.db || "postgres", context);
    await postgres.run([statement, "SELECT pg_reload_conf()"]);
    return { data: result };
  },
});

async function inspect(
  given: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<SetChange | Unchanged<PostgresqlSetData>> {
  const { name, value, reset, db } = given;
  const postgres = await connectPostgres(system, reader(system), given, db || "postgres", context);
  const [row] = await postgres.rows(
    `SELECT s.setting, s.unit, s.context, s.vartype, s.boot_val, s.pending_restart, current_setting(s.name) AS pretty,
(SELECT f.setting FROM pg_catalog.pg_file_settings f WHERE f.name = s.name AND f.sourcefile LIKE '%postgresql.auto.conf' ORDER BY f.seqno DESC LIMIT 1) AS kept
FROM pg_catalog.pg_settings s WHERE lower(s.name) = lower(${pgText(name)})`,
  );
  if (row === undefined)
    throw new VolleyError(
      "ACTION_FAILED",
      `No such parameter: ${name}. Please check its spelling or presence in your PostgreSQL version`,
    );
  const pretty = row.pretty ?? "";
  const wantsReset = reset || value?.toLowerCase() === "default";
  const isPostmaster = row.context === "postmaster";
  const resultOf = (after: string, isChange: boolean): PostgresqlSetData => ({
    name,
    restart_required: isChange && isPostmaster,
    prev_val_pretty: pretty,
    value_pretty: after,
    value: { value: after, unit: row.unit ?? "" },
    context: row.context ?? "",
  });
  if (value === undefined && !reset) return unchanged(resultOf(pretty, false));
  if (row.context === "internal")
    throw new VolleyError("ACTION_FAILED", `${name} cannot be changed: it is internal`);
  const kept = row.kept ?? null;
  if (wantsReset) {
    if (kept === null) return unchanged(resultOf(pretty, false));
    const result = resultOf(row.boot_val ?? "", true);
    return {
      statement: `ALTER SYSTEM RESET ${pgQualified(name)}`,
      result,
      data: result,
      diff: { path: `setting ${name}`, before: `${kept}\n`, after: null },
    } satisfies SetChange;
  }
  const same =
    sameSetting(value!, pretty, row.vartype ?? "") ||
    (isPostmaster && kept !== null && sameSetting(value!, kept, row.vartype ?? ""));
  if (same) return unchanged(resultOf(pretty, false));
  const result = resultOf(value!, true);
  return {
    statement: `ALTER SYSTEM SET ${pgQualified(name)} = ${listed(value!)}`,
    result,
    data: result,
    diff: { path: `setting ${name}`, before: `${pretty}\n`, after: `${value}\n` },
  } satisfies SetChange;
}

/** Write a value; the items of a list are quoted one by one. */
function listed(value: string): string {
  return value.includes(",")
    ? value
        .split(",")
        .map((item) => pgText(item.trim()))
        .join(", ")
    : pgText(value);
}

const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 2 ** 10,
  mb: 2 ** 20,
  gb: 2 ** 30,
  tb: 2 ** 40,
  us: 0.001,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const BOOLS: Readonly<Record<string, string>> = {
  on: "on",
  true: "on",
  yes: "on",
  "1": "on",
  off: "off",
  false: "off",
  no: "off",
  "0": "off",
};

/** Compare values as the server would: `1024MB` is `1GB`, and `yes` is `on`. */
function sameSetting(a: string, b: string, type: string): boolean {
  const plain = (text: string): string => {
    const trimmed = text.trim();
    if (type === "bool") return BOOLS[trimmed.toLowerCase()] ?? trimmed;
    const [, number, unit = ""] = /^(-?[\d.]+)\s*([a-z]+)$/i.exec(trimmed) ?? [];
    const factor = UNITS[unit.toLowerCase()];
    if (number !== undefined && factor !== undefined) return String(Number(number) * factor);
    return trimmed.replace(/\s*,\s*/g, ", ").replaceAll('"', "");
  };
  return plain(a) === plain(b);
}
