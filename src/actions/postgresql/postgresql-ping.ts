import * as v from "valibot";
import { unchanged } from "../../core/action.ts";
import { isVolleyError } from "../../core/errors.ts";
import { defineAction } from "../define.ts";
import { reader } from "../shared/database-client.ts";
import { describe } from "../shared/params.ts";
import { connectPostgres, postgresAliases, postgresLogin } from "./postgres-client.ts";

const params = v.strictObject({
  db: v.optional(describe(v.string(), "Database to log in to."), ""),
  ...postgresLogin,
});

/** The data of a postgresql_ping task. */
interface PostgresqlPingData {
  readonly is_available: boolean;
  /** Empty without an answer. */
  readonly server_version: Readonly<Record<string, number | string>>;
  readonly conn_err_msg: string;
}

/** Tell whether a PostgreSQL server answers. */
export const postgresql_ping = defineAction<typeof params, never, PostgresqlPingData>({
  name: "postgresql_ping",
  doc: "Tell whether a PostgreSQL server answers, and its version. A server that does not is no failure: see `is_available`.",
  params,
  aliases: { login_db: "db", ...postgresAliases },
  examples: [{ db: "shop" }],
  title: ({ login_host, db }) => [login_host, db].filter((word) => word !== "").join(" "),
  async inspect(given, system, context) {
    const postgres = await connectPostgres(system, reader(system), given, given.db || "postgres", context);
    try {
      const [row] = await postgres.rows(
        "SELECT version() AS raw, current_setting('server_version_num') AS number",
      );
      const number = Number(row?.number);
      const [major, minor] = [Math.floor(number / 10_000), number % 10_000];
      const raw = row?.raw ?? "";
      const full =
        number >= 100_000 ? `${major}.${minor}` : `${major}.${Math.floor(minor / 100)}.${minor % 100}`;
      return unchanged<PostgresqlPingData>({
        is_available: true,
        server_version: { major, minor, full, raw },
        conn_err_msg: "",
      });
    } catch (thrown) {
      if (!isVolleyError(thrown) || thrown.code !== "ACTION_FAILED") throw thrown;
      return unchanged<PostgresqlPingData>({
        is_available: false,
        server_version: {},
        conn_err_msg: thrown.message,
      });
    }
  },
});
