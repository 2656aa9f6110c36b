import * as v from "valibot";
import { type Applied, type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { defineAction } from "../define.ts";
import { orUnknown, reader, writer } from "../shared/database-client.ts";
import { flag, oneOf, optionalText, text } from "../shared/params.ts";
import { connectPostgres, pgName, pgText, postgresAliases, postgresLogin } from "./postgres-client.ts";

const params = v.strictObject({
  name: text("Name of the extension."),
  db: text("Database to add the extension to."),
  state: oneOf(["absent", "present"], "present", "Add and update, or remove the extension."),
  schema: optionalText("Schema for the extension's objects."),
  version: optionalText(
    "Version, or `latest`. Default: the server's default for a new extension, any for one there.",
  ),
  cascade: flag("Add the extensions that this one needs; or remove what needs it."),
  comment: optionalText("Comment on the extension."),
  ...postgresLogin,
});

/** The data of a postgresql_ext task. */
interface PostgresqlExtData {
  readonly queries: readonly string[];
  readonly prev_version: string;
  readonly version: string;
}

interface ExtChange extends Change {
  readonly statements: readonly string[];
  readonly result: PostgresqlExtData;
}

/** Keep an extension of a PostgreSQL database. */
export const postgresql_ext = defineAction<typeof params, ExtChange, PostgresqlExtData>({
  name: "postgresql_ext",
  doc: "Add an extension to a PostgreSQL database, update it, or remove it. Its files must be on the server.",
  params,
  aliases: { ext: "name", login_db: "db", ...postgresAliases },
  examples: [{ name: "pg_trgm", db: "shop" }],
  title: ({ name, db }) => `${name} in ${db}`,
  async inspect(given, system, context) {
    const { name, db, state, schema, version, cascade, comment } = given;
    const found = await orUnknown(context, async (): Promise<ExtChange | Unchanged<PostgresqlExtData>> => {
      const postgres = await connectPostgres(system, reader(system), given, db, context);
      const [row] = await postgres.rows(
        `SELECT a.default_version, e.extversion AS version, n.nspname AS schema, pg_catalog.obj_description(e.oid, 'pg_extension') AS comment
FROM (SELECT ${pgText(name)}::name AS name) w LEFT JOIN pg_catalog.pg_available_extensions a ON a.name = w.name
LEFT JOIN pg_catalog.pg_extension e ON e.extname = w.name LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace`,
      );
      const current = row?.version ?? "";
      const extension = pgName(name);
      const cascading = cascade ? " CASCADE" : "";
      const statements: string[] = [];
      let after = current;
      if (state === "absent") {
        if (current !== "") statements.push(`DROP EXTENSION ${extension}${cascading}`);
        after = "";
      } else {
        if ((row?.default_version ?? null) === null && current === "")
          throw new VolleyError(
            "ACTION_FAILED",
            `Extension ${name} is not available: install its package on the server first`,
          );
        const wanted = version === "latest" ? (row?.default_version ?? undefined) : version;
        if (current === "") {
          const options = [
            ...(schema === undefined ? [] : [`SCHEMA ${pgName(schema)}`]),
            ...(wanted === undefined ? [] : [`VERSION ${pgText(wanted)}`]),
          ];
          statements.push([`CREATE EXTENSION ${extension}`, ...options].join(" ") + cascading);
          after = wanted ?? row?.default_version ?? "";
        } else {
          if (wanted !== undefined && wanted !== current) {
            statements.push(`ALTER EXTENSION ${extension} UPDATE TO ${pgText(wanted)}`);
            after = wanted;
          }
          if (schema !== undefined && schema !== row?.schema)
            statements.push(`ALTER EXTENSION ${extension} SET SCHEMA ${pgName(schema)}`);
        }
        if (comment !== undefined && comment !== (row?.comment ?? ""))
          statements.push(`COMMENT ON EXTENSION ${extension} IS ${pgText(comment)}`);
      }
      const result = { queries: statements, prev_version: current, version: after };
      if (statements.length === 0) return unchanged(result);
      const diff = {
        path: `extension ${name}`,
        before: current === "" ? null : `${current}\n`,
        after: after === "" ? null : `${after}\n`,
      };
      return { statements, result, data: result, diff } satisfies ExtChange;
    });
    return "statements" in found || "unchanged" in found
      ? found
      : { statements: [], result: { queries: [], prev_version: "", version: "" }, ...found };
  },
  async apply({ statements, result }, given, system, context): Promise<Applied<PostgresqlExtData>> {
    const postgres = await connectPostgres(system, writer(system), given, given.db, context);
    await postgres.run(statements);
    return { data: result };
  },
});
