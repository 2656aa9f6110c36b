import * as v from "valibot";
import { type Applied, type Change, unchanged } from "../../core/action.ts";
import { defineAction } from "../define.ts";
import { orUnknown, reader, writer } from "../shared/database-client.ts";
import { describe, flag, oneOf, optionalText, text } from "../shared/params.ts";
import { connectPostgres, pgName, pgText, postgresAliases, postgresLogin } from "./postgres-client.ts";

const params = v.strictObject({
  name: text("Name of the schema."),
  database: v.optional(text("Database of the schema."), "postgres"),
  state: oneOf(["absent", "present"], "present", "Make and change, or remove the schema."),
  owner: v.optional(describe(v.string(), "Role that owns the schema."), ""),
  cascade_drop: flag("Remove all that is in the schema, too."),
  comment: optionalText("Comment on the schema."),
  ...postgresLogin,
});

/** The data of a postgresql_schema task. */
interface PostgresqlSchemaData {
  readonly schema: string;
  readonly queries: readonly string[];
}

interface SchemaChange extends Change {
  readonly statements: readonly string[];
}

/** Keep a schema of a PostgreSQL database. */
export const postgresql_schema = defineAction<typeof params, SchemaChange, PostgresqlSchemaData>({
  name: "postgresql_schema",
  doc: "Make a schema of a PostgreSQL database, change its owner, or remove it.",
  params,
  aliases: { schema: "name", db: "database", login_db: "database", ...postgresAliases },
  examples: [{ name: "sales", database: "shop", owner: "ann" }],
  title: ({ name, database }) => `${database}.${name}`,
  async inspect(given, system, context) {
    const { name, database, state, owner, cascade_drop, comment } = given;
    const found = await orUnknown(context, async () => {
      const postgres = await connectPostgres(system, reader(system), given, database, context);
      const [row] = await postgres.rows(
        `SELECT pg_catalog.pg_get_userbyid(nspowner) AS owner, pg_catalog.obj_description(oid, 'pg_namespace') AS comment
FROM pg_catalog.pg_namespace WHERE nspname = ${pgText(name)}`,
      );
      const schema = pgName(name);
      const statements: string[] = [];
      if (state === "absent") {
        if (row !== undefined) statements.push(`DROP SCHEMA ${schema}${cascade_drop ? " CASCADE" : ""}`);
      } else {
        if (row === undefined)
          statements.push(`CREATE SCHEMA ${schema}${owner === "" ? "" : ` AUTHORIZATION ${pgName(owner)}`}`);
        else if (owner !== "" && owner !== row.owner)
          statements.push(`ALTER SCHEMA ${schema} OWNER TO ${pgName(owner)}`);
        if (comment !== undefined && comment !== (row?.comment ?? ""))
          statements.push(`COMMENT ON SCHEMA ${schema} IS ${pgText(comment)}`);
      }
      const data = { schema: name, queries: statements };
      if (statements.length === 0) return unchanged(data);
      const path = `schema ${database}.${name}`;
      const diff =
        row === undefined
          ? { path, before: null, after: `${name}\n` }
          : state === "absent"
            ? { path, before: `${name}\n`, after: null }
            : { path, attributes: { change: ["", statements.join("; ")] as const } };
      return { statements, data, diff } satisfies SchemaChange;
    });
    return "unknown" in found ? { statements: [], ...found } : found;
  },
  async apply({ statements }, given, system, context): Promise<Applied<PostgresqlSchemaData>> {
    const postgres = await connectPostgres(system, writer(system), given, given.database, context);
    await postgres.run(statements);
    return { data: { schema: given.name, queries: statements } };
  },
});
