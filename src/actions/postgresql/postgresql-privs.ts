import * as v from "valibot";
import {
  type ActionContext,
  type Applied,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { orUnknown, reader, writer } from "../shared/database-client.ts";
import { describe, flag, oneOf, optionalText, text, textList } from "../shared/params.ts";
import {
  connectPostgres,
  type Postgres,
  pgName,
  pgQualified,
  pgText,
  postgresAliases,
  postgresLogin,
} from "./postgres-client.ts";

const TYPES = [
  "database",
  "default_privs",
  "foreign_data_wrapper",
  "foreign_server",
  "function",
  "group",
  "language",
  "parameter",
  "procedure",
  "schema",
  "sequence",
  "table",
  "tablespace",
  "type",
] as const;

const params = v.pipe(
  v.strictObject({
    database: text("Database to log in to, and that `type: database` is about by default."),
    roles: textList("Roles to give privileges to, or to take them from; `PUBLIC` stands for all."),
    state: oneOf(["absent", "present"], "present", "Grant or revoke."),
    type: oneOf(TYPES, "table", "Kind of the objects."),
    privs: v.optional(textList("Privileges; `ALL` for all. For `type: group` they stay out.")),
    objs: v.optional(
      textList(
        "The objects; `ALL_IN_SCHEMA` for all of `schema`. For `type: group` the groups, for `default_privs` kinds such as `TABLES`; for functions with their arguments, `:` instead of `,`.",
      ),
    ),
    schema: optionalText("Schema of the objects. Default: public."),
    target_roles: v.optional(textList("Roles whose new objects `default_privs` are for.")),
    grant_option: v.optional(
      describe(v.boolean(), "Let the roles grant the privileges, or only take that from them."),
    ),
    fail_on_role: flag("Fail for a role that does not exist, instead of leaving it out.", true),
    ...postgresLogin,
  }),
  v.check(
    ({ type, privs }) => (type === "group") === (privs === undefined),
    "privs is required, but for type group",
  ),
  v.check(
    ({ type, objs }) => objs !== undefined || type === "database" || type === "default_privs",
    "objs is required",
  ),
);
type Params = v.InferOutput<typeof params>;

/** The data of a postgresql_privs task. */
interface PostgresqlPrivsData {
  readonly queries: readonly string[];
}

interface PrivsChange extends Change {
  readonly statements: readonly string[];
}

/** Grant and revoke privileges on objects of a PostgreSQL database. */
export const postgresql_privs = defineAction<typeof params, PrivsChange, PostgresqlPrivsData>({
  name: "postgresql_privs",
  doc: `Grant privileges on objects of a PostgreSQL database to roles, or revoke them; also membership in groups.

The statements run in a transaction that is rolled back, to see whether they would change any access list. Check mode
does that alone.`,
  params,
  aliases: {
    db: "database",
    login_db: "database",
    password: "login_password",
    role: "roles",
    priv: "privs",
    obj: "objs",
    admin_option: "grant_option",
    ...postgresAliases,
  },
  examples: [{ database: "shop", roles: "ann", privs: ["SELECT", "INSERT"], objs: ["orders"] }],
  title: ({ roles, database, state }) =>
    `${state === "present" ? "" : "revoke "}${roles.join(", ")} in ${database}`,
  async inspect(given, system, context) {
    const found = await orUnknown(context, () => inspect(given, system, context));
    return "statements" in found || "unchanged" in found ? found : { statements: [], ...found };
  },
  async apply({ statements }, given, system, context): Promise<Applied<PostgresqlPrivsData>> {
    const postgres = await connectPostgres(system, writer(system), given, given.database, context);
    await postgres.run(["BEGIN", ...statements, "COMMIT"]);
    return { data: { queries: statements } };
  },
});

async function inspect(
  given: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<PrivsChange | Unchanged<PostgresqlPrivsData>> {
  const postgres = await connectPostgres(system, reader(system), given, given.database, context);
  const roles = await existingRoles(postgres, given);
  if (roles.length === 0) return unchanged({ queries: [] }, "none of the roles exists");
  const statements = await statementsOf(given, roles, postgres);
  const data = { queries: statements };
  let results: Awaited<ReturnType<Postgres["run"]>>;
  try {
    results = await postgres.run(["BEGIN", ACCESS, ...statements, ACCESS, "ROLLBACK"]);
  } catch (thrown) {
    if (!context.check || !isVolleyError(thrown) || !/does not exist/.test(thrown.message)) throw thrown;
    return { statements, data, unknown: `${thrown.message}; an earlier task may make it` };
  }
  const [before, after] = [results[1]?.rows[0]?.digest, results.at(-2)?.rows[0]?.digest];
  if (before === after) return unchanged(data);
  return {
    statements,
    data,
    diff: {
      path: `privileges in ${given.database}`,
      before: "",
      after: statements.map((each) => `${each}\n`).join(""),
    },
  };
}

/** All access lists of a database and its cluster, as one digest. */
const ACCESS = `SELECT md5(string_agg(line, E'\\n' ORDER BY line)) AS digest FROM (
SELECT 'c' || oid || relacl::text FROM pg_catalog.pg_class WHERE relacl IS NOT NULL
UNION ALL SELECT 'a' || attrelid || '.' || attnum || attacl::text FROM pg_catalog.pg_attribute WHERE attacl IS NOT NULL
UNION ALL SELECT 'p' || oid || proacl::text FROM pg_catalog.pg_proc WHERE proacl IS NOT NULL
UNION ALL SELECT 'n' || oid || nspacl::text FROM pg_catalog.pg_namespace WHERE nspacl IS NOT NULL
UNION ALL SELECT 'd' || oid || datacl::text FROM pg_catalog.pg_database WHERE datacl IS NOT NULL
UNION ALL SELECT 's' || oid || spcacl::text FROM pg_catalog.pg_tablespace WHERE spcacl IS NOT NULL
UNION ALL SELECT 'l' || oid || lanacl::text FROM pg_catalog.pg_language WHERE lanacl IS NOT NULL
UNION ALL SELECT 't' || oid || typacl::text FROM pg_catalog.pg_type WHERE typacl IS NOT NULL
UNION ALL SELECT 'w' || oid || fdwacl::text FROM pg_catalog.pg_foreign_data_wrapper WHERE fdwacl IS NOT NULL
UNION ALL SELECT 'f' || oid || srvacl::text FROM pg_catalog.pg_foreign_server WHERE srvacl IS NOT NULL
UNION ALL SELECT 'e' || defaclrole || '.' || defaclnamespace || '.' || defaclobjtype::text || array_to_string(ARRAY(SELECT u::text FROM unnest(defaclacl) u ORDER BY 1), ',') FROM pg_catalog.pg_default_acl
UNION ALL SELECT 'm' || roleid || '.' || member || '.' || admin_option::text FROM pg_catalog.pg_auth_members
) AS lists(line)`;

async function existingRoles(
  postgres: Postgres,
  { roles, fail_on_role }: Params,
): Promise<readonly string[]> {
  const named = roles.filter((role) => !isSpecial(role));
  if (named.length === 0) return roles;
  const rows = await postgres.rows(
    `SELECT rolname AS name FROM pg_catalog.pg_roles WHERE rolname IN (${named.map(pgText).join(", ")})`,
  );
  const known = new Set(rows.map((row) => row.name));
  const missing = named.filter((role) => !known.has(role));
  if (missing.length > 0 && fail_on_role)
    throw new VolleyError("ACTION_FAILED", `role "${missing[0]}" does not exist`);
  return roles.filter((role) => !missing.includes(role));
}

function isSpecial(role: string): boolean {
  return /^(public|current_user|session_user|current_role)$/i.test(role);
}

function roleList(roles: readonly string[]): string {
  return roles.map((role) => (isSpecial(role) ? role.toUpperCase() : pgName(role))).join(", ");
}

async function statementsOf(
  given: Params,
  roles: readonly string[],
  postgres: Postgres,
): Promise<readonly string[]> {
  const { type, state, objs = [], grant_option } = given;
  const list = roleList(roles);
  if (type === "group") {
    const groups = objs.map(pgName).join(", ");
    if (state === "present")
      return [`GRANT ${groups} TO ${list}${grant_option === true ? " WITH ADMIN OPTION" : ""}`];
    return [
      `REVOKE ${grant_option === false ? "" : grant_option === true ? "ADMIN OPTION FOR " : ""}${groups} FROM ${list}`,
    ];
  }
  const privileges = privilegeList(given);
  if (type === "default_privs") return defaultPrivileges(given, privileges, list);
  const on = await objectsOf(given, postgres);
  if (on === undefined) return [];
  return change(given, privileges, `ON ${on}`, list);
}

/** Write a grant or a revocation, with regard to the option to grant. */
function change(
  { state, grant_option }: Params,
  privileges: string,
  on: string,
  list: string,
): readonly string[] {
  if (state === "absent")
    return [`REVOKE ${grant_option === true ? "GRANT OPTION FOR " : ""}${privileges} ${on} FROM ${list}`];
  return [
    `GRANT ${privileges} ${on} TO ${list}${grant_option === true ? " WITH GRANT OPTION" : ""}`,
    ...(grant_option === false ? [`REVOKE GRANT OPTION FOR ${privileges} ${on} FROM ${list}`] : []),
  ];
}

function privilegeList({ privs = [] }: Params): string {
  const words = privs.map((privilege) => privilege.trim().replace(/\s+/g, " "));
  const bad = words.find((word) => !/^[A-Za-z][A-Za-z ]*(?:\([\w$", ]+\))?$/.test(word));
  if (bad !== undefined) throw new VolleyError("ACTION_FAILED", `"${bad}" is no privilege`);
  return words
    .map((word) =>
      /^all$/i.test(word) ? "ALL PRIVILEGES" : word.replace(/^[^(]+/, (name) => name.toUpperCase()),
    )
    .join(", ");
}

const KINDS: Readonly<Record<string, string>> = {
  FUNCTIONS: "FUNCTIONS",
  ROUTINES: "ROUTINES",
  SCHEMAS: "SCHEMAS",
  SEQUENCES: "SEQUENCES",
  TABLES: "TABLES",
  TYPES: "TYPES",
};

function defaultPrivileges(given: Params, privileges: string, list: string): readonly string[] {
  const { objs = ["ALL_DEFAULT"], schema, target_roles, state } = given;
  const kinds = objs.some((kind) => /^all_default$/i.test(kind))
    ? ["TABLES", "SEQUENCES", "FUNCTIONS", "TYPES"]
    : objs.map((kind) => kind.toUpperCase());
  const owner = target_roles === undefined ? "" : ` FOR ROLE ${roleList(target_roles)}`;
  const within = schema === undefined ? "" : ` IN SCHEMA ${pgName(schema)}`;
  return kinds.flatMap((kind) => {
    if (KINDS[kind] === undefined)
      throw new VolleyError(
        "ACTION_FAILED",
        `"${kind}" has no default privileges; use ${Object.keys(KINDS).join(", ")}`,
      );
    // A role's earlier privileges are replaced.
    const begin = `ALTER DEFAULT PRIVILEGES${owner}${within}`;
    const revoked = state === "present" ? [`${begin} REVOKE ALL ON ${kind} FROM ${list}`] : [];
    return [...revoked, ...change(given, privileges, `ON ${kind}`, list).map((each) => `${begin} ${each}`)];
  });
}

/** The kind and the names of the objects, as GRANT takes them; undefined when there are none. */
async function objectsOf(given: Params, postgres: Postgres): Promise<string | undefined> {
  const { type, database, objs = [database] } = given;
  const schema = given.schema ?? "public";
  const word = type.replaceAll("_", " ").toUpperCase();
  const inSchema = (name: string): string =>
    /[."]/.test(name) ? pgQualified(name) : `${pgName(schema)}.${pgName(name)}`;
  if (
    objs.length === 1 &&
    objs[0] === "ALL_IN_SCHEMA" &&
    ["table", "sequence", "function", "procedure"].includes(type)
  )
    return `ALL ${word}S IN SCHEMA ${pgName(schema)}`;
  switch (type) {
    case "table":
    case "sequence":
      return `${word} ${objs.map(inSchema).join(", ")}`;
    case "function":
    case "procedure":
      return `${word} ${(await Promise.all(objs.map((each) => routine(each, schema, postgres)))).join(", ")}`;
    case "type":
      return `TYPE ${objs.map(inSchema).join(", ")}`;
    case "foreign_data_wrapper":
      return `FOREIGN DATA WRAPPER ${objs.map(pgName).join(", ")}`;
    case "foreign_server":
      return `FOREIGN SERVER ${objs.map(pgName).join(", ")}`;
    case "parameter":
      return `PARAMETER ${objs.map(pgQualified).join(", ")}`;
    default:
      return `${word} ${objs.map(pgName).join(", ")}`;
  }
}

/** Write a routine, `name(int:text)`, as GRANT takes it; the server normalizes its arguments. */
async function routine(given: string, schema: string, postgres: Postgres): Promise<string> {
  const [, name = given, list = ""] = /^([^(]+)\((.*)\)$/s.exec(given) ?? [];
  const written = /[."]/.test(name) ? pgQualified(name) : `${pgName(schema)}.${pgName(name)}`;
  const types = list
    .split(/[:,]/)
    .map((type) => type.trim())
    .filter((type) => type !== "");
  const shown = await Promise.all(
    types.map(async (type) => {
      const [row] = await postgres.rows(`SELECT to_regtype(${pgText(type)})::text AS name`);
      if (row?.name == null) throw new VolleyError("ACTION_FAILED", `"${type}" is no type of this database`);
      return row.name;
    }),
  );
  return given.includes("(") ? `${written}(${shown.join(", ")})` : written;
}
