import * as v from "valibot";
import { type ActionContext, type Applied, type Change, unchanged } from "../../core/action.ts";
import { isVolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { orUnknown, reader, writer } from "../shared/database-client.ts";
import { describe, flag, oneOf, optionalText, text, textList } from "../shared/params.ts";
import {
  connectPostgres,
  type Postgres,
  type PostgresRow,
  pgName,
  pgQualified,
  pgText,
  postgresAliases,
  postgresLogin,
} from "./postgres-client.ts";
import { isPostgresHash, samePostgresPassword } from "./postgres-password.ts";

/** The attributes of roles, by the column that keeps each. */
const FLAGS: Readonly<Record<string, string>> = {
  SUPERUSER: "rolsuper",
  CREATEROLE: "rolcreaterole",
  CREATEDB: "rolcreatedb",
  INHERIT: "rolinherit",
  LOGIN: "rolcanlogin",
  REPLICATION: "rolreplication",
  BYPASSRLS: "rolbypassrls",
};

const params = v.strictObject({
  name: text("Name of the role."),
  state: oneOf(["absent", "present"], "present", "Make and change, or remove the role."),
  password: v.optional(
    describe(v.string(), "Password, in clear or hashed with MD5 or SCRAM-SHA-256; empty for none."),
  ),
  encrypted: flag("Keep the password hashed: always so.", true),
  no_password_changes: flag("Set the password of a new role alone."),
  role_attr_flags: v.optional(
    v.pipe(
      v.string(),
      v.transform((given) =>
        given
          .split(",")
          .map((word) => word.trim().toUpperCase())
          .filter((word) => word !== ""),
      ),
      v.check(
        (words) =>
          words.every(
            (word) => Object.hasOwn(FLAGS, word.replace(/^NO(?=.)/, "")) || Object.hasOwn(FLAGS, word),
          ),
        `must be of ${Object.keys(FLAGS).join(", ")}, with NO before for the contrary`,
      ),
      v.description("Attributes with commas between: `CREATEDB,NOSUPERUSER`."),
    ),
    "",
  ),
  expires: optionalText("Time after which the password does not work; `infinity` for never."),
  conn_limit: v.optional(
    describe(v.pipe(v.number(), v.integer()), "Number of connections at a time; -1 for any."),
  ),
  comment: v.optional(describe(v.string(), "Comment on the role.")),
  configuration: v.optional(
    describe(v.record(v.string(), v.string()), "Settings that the role's sessions start with."),
    {},
  ),
  reset_unspecified_configuration: flag("Remove settings that `configuration` does not name."),
  quote_configuration_values: flag("Take each value of `configuration` as one text.", true),
  groups: v.optional(textList("Roles that the role becomes a member of.")),
  priv: optionalText("Privileges in `db`: `CONNECT/table1:SELECT,UPDATE`; better with postgresql_privs."),
  db: v.optional(describe(v.string(), "Database to log in to."), ""),
  fail_on_user: flag("Fail when the role cannot be removed, because something belongs to it.", true),
  ...postgresLogin,
});
type Params = v.InferOutput<typeof params>;

/** The data of a postgresql_user task. */
interface PostgresqlUserData {
  readonly user: string;
  readonly queries: readonly string[];
  /** With `state: absent`. */
  readonly user_removed?: boolean;
  readonly msg?: string;
}

interface PostgresqlUserChange extends Change {
  readonly statements: readonly string[];
}

/** Keep a role of PostgreSQL. */
export const postgresql_user = defineAction<typeof params, PostgresqlUserChange, PostgresqlUserData>({
  name: "postgresql_user",
  doc: `Keep a role of a PostgreSQL server, by psql on the host; a new role may log in.

A password is compared with the hash that the server keeps, which only superusers may read: others set it in each run,
unless \`no_password_changes\` is set. Passwords reach psql on its standard input, and are in no diff.`,
  params,
  aliases: { user: "name", login_db: "db", fail_on_role: "fail_on_user", ...postgresAliases },
  examples: [
    { name: "shop", password: "secret" },
    { name: "backup", role_attr_flags: "NOSUPERUSER,REPLICATION" },
  ],
  title: ({ name }) => name,
  async inspect(given, system, context) {
    const found = await orUnknown(context, () => inspect(given, system, context));
    return "unknown" in found ? { statements: [], ...found } : found;
  },
  apply,
});

async function inspect(given: Params, system: ReadSystem, context: ActionContext) {
  const { name, state, db } = given;
  const postgres = await connectPostgres(system, reader(system), given, db || "postgres", context);
  const found = await readRole(postgres, given);
  const path = `role ${name}`;
  if (state === "absent") {
    if (found === undefined) return unchanged(dataOf(given, [], false));
    const statements = [`DROP USER ${pgName(name)}`];
    return {
      statements,
      diff: { path, before: `${name}\n`, after: null },
      data: dataOf(given, statements, true),
    } satisfies PostgresqlUserChange;
  }
  const changes = found === undefined ? creation(given) : await alteration(given, found);
  const further = await membership(given, postgres);
  const statements = [...changes.statements, ...further];
  if (statements.length === 0) return unchanged(dataOf(given, []));
  const diff: Diff =
    found === undefined
      ? { path, before: null, after: `${name}\n` }
      : {
          path,
          attributes: {
            ...changes.attributes,
            ...(further.length === 0 ? {} : { grants: ["", further.join("; ")] as const }),
          },
        };
  return { statements, diff, data: dataOf(given, statements) } satisfies PostgresqlUserChange;
}

/** The data; statements are told without passwords. */
function dataOf({ name }: Params, statements: readonly string[], user_removed?: boolean): PostgresqlUserData {
  const queries = statements.map((statement) =>
    statement.replace(/(PASSWORD )(?: E)?'(?:[^'\\]|''|\\\\)*'/, "$1'********'"),
  );
  return { user: name, queries, ...(user_removed === undefined ? {} : { user_removed }) };
}

async function readRole(postgres: Postgres, { name, expires }: Params): Promise<PostgresRow | undefined> {
  const until =
    expires === undefined
      ? "true"
      : `coalesce(r.rolvaliduntil, 'infinity'::timestamptz) = ${pgText(expires)}::timestamptz`;
  const columns = `r.*, array_to_json(r.rolconfig) AS configuration, ${until} AS same_expiry, pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment`;
  const from = (password: string, join: string): string =>
    `SELECT ${columns}, ${password} AS kept FROM pg_catalog.pg_roles r ${join} WHERE r.rolname = ${pgText(name)}`;
  try {
    const [row] = await postgres.rows(from("a.rolpassword", "JOIN pg_catalog.pg_authid a ON a.oid = r.oid"));
    return row;
  } catch (thrown) {
    // Only superusers may read passwords.
    if (!isVolleyError(thrown) || !/permission denied/.test(thrown.message)) throw thrown;
    const [row] = await postgres.rows(from("NULL", ""));
    return row;
  }
}

/** The clauses of CREATE and ALTER for what is given. */
function passwordClause(password: string): string {
  return password === "" ? "PASSWORD NULL" : `PASSWORD ${pgText(password)}`;
}

interface RoleChanges {
  readonly statements: readonly string[];
  readonly attributes: Readonly<Record<string, readonly [string, string]>>;
}

function creation(given: Params): RoleChanges {
  const { name, password, expires, conn_limit, role_attr_flags, comment, configuration } = given;
  const clauses = [
    ...(password === undefined ? [] : [passwordClause(password)]),
    ...(expires === undefined ? [] : [`VALID UNTIL ${pgText(expires)}`]),
    ...(conn_limit === undefined ? [] : [`CONNECTION LIMIT ${conn_limit}`]),
    ...role_attr_flags,
  ];
  const statements = [
    [`CREATE USER ${pgName(name)}`, ...(clauses.length === 0 ? [] : ["WITH", ...clauses])].join(" "),
    ...(comment === undefined ? [] : [`COMMENT ON ROLE ${pgName(name)} IS ${pgText(comment)}`]),
    ...Object.entries(configuration).map(([key, value]) => setting(given, key, value)),
  ];
  return { statements, attributes: {} };
}

function setting({ name, quote_configuration_values }: Params, key: string, value: string): string {
  return `ALTER USER ${pgName(name)} SET ${pgQualified(key)} TO ${quote_configuration_values ? pgText(value) : value}`;
}

async function alteration(given: Params, found: PostgresRow): Promise<RoleChanges> {
  const { name, password, expires, conn_limit, role_attr_flags, comment, no_password_changes } = given;
  const clauses: string[] = [];
  const attributes: Record<string, readonly [string, string]> = {};
  if (
    password !== undefined &&
    !no_password_changes &&
    !samePostgresPassword(name, password, found.kept ?? null)
  ) {
    clauses.push(passwordClause(password));
    attributes.password = [
      "another",
      password === "" ? "none" : isPostgresHash(password) ? "the given hash" : "the given one",
    ];
  }
  if (expires !== undefined && found.same_expiry !== "t") {
    clauses.push(`VALID UNTIL ${pgText(expires)}`);
    attributes.expires = [found.rolvaliduntil ?? "infinity", expires];
  }
  if (conn_limit !== undefined && Number(found.rolconnlimit) !== conn_limit) {
    clauses.push(`CONNECTION LIMIT ${conn_limit}`);
    attributes.conn_limit = [found.rolconnlimit ?? "", String(conn_limit)];
  }
  for (const word of role_attr_flags) {
    const isOn = Object.hasOwn(FLAGS, word);
    const column = FLAGS[isOn ? word : word.slice(2)]!;
    if ((found[column] === "t") === isOn) continue;
    clauses.push(word);
    attributes[column] = [String(!isOn), String(isOn)];
  }
  const statements = clauses.length === 0 ? [] : [`ALTER USER ${pgName(name)} WITH ${clauses.join(" ")}`];
  if (comment !== undefined && (found.comment ?? "") !== comment) {
    statements.push(`COMMENT ON ROLE ${pgName(name)} IS ${pgText(comment)}`);
    attributes.comment = [found.comment ?? "", comment];
  }
  const configured = configurationChanges(given, found);
  for (const [key, value] of configured) {
    statements.push(
      value === null ? `ALTER USER ${pgName(name)} RESET ${pgQualified(key)}` : setting(given, key, value),
    );
    attributes[key] = ["", value ?? ""];
  }
  return { statements, attributes };
}

function configurationChanges(
  given: Params,
  found: PostgresRow,
): readonly (readonly [string, string | null])[] {
  const { configuration, reset_unspecified_configuration } = given;
  const current = new Map(
    (JSON.parse(found.configuration ?? "[]") as string[]).map((entry) => {
      const at = entry.indexOf("=");
      return [entry.slice(0, at).toLowerCase(), plainValue(entry.slice(at + 1))] as const;
    }),
  );
  const wanted = Object.entries(configuration).filter(
    ([key, value]) => current.get(key.toLowerCase()) !== plainValue(value),
  );
  const named = new Set(Object.keys(configuration).map((key) => key.toLowerCase()));
  const extra = reset_unspecified_configuration ? [...current.keys()].filter((key) => !named.has(key)) : [];
  return [...wanted, ...extra.map((key) => [key, null] as const)];
}

/** Settings that are lists are kept with quotes around their items. */
function plainValue(value: string): string {
  return value.replaceAll('"', "");
}

/** The grants of membership and privileges that are missing. */
async function membership(given: Params, postgres: Postgres): Promise<readonly string[]> {
  const { name, groups = [], priv, db } = given;
  const statements: string[] = [];
  if (groups.length > 0) {
    const rows = await postgres.rows(
      `SELECT g.rolname AS name FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
JOIN pg_catalog.pg_roles u ON u.oid = m.member WHERE u.rolname = ${pgText(name)}`,
    );
    const member = new Set(rows.map((row) => row.name));
    for (const group of groups.filter((each) => !member.has(each)))
      statements.push(`GRANT ${pgName(group)} TO ${pgName(name)}`);
  }
  for (const part of priv?.split("/").filter((word) => word !== "") ?? []) {
    const [, table, list = ""] = /^(?:(.*):)?([^:]*)$/.exec(part) ?? [];
    const object =
      table === undefined ? `DATABASE ${pgName(db || "postgres")}` : `TABLE ${pgQualified(table)}`;
    if (!(await hasPrivileges(postgres, name, db || "postgres", table, list)))
      statements.push(`GRANT ${list} ON ${object} TO ${pgName(name)}`);
  }
  return statements;
}

const DATABASE_PRIVILEGES = ["CREATE", "CONNECT", "TEMPORARY"];
const TABLE_PRIVILEGES = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];

async function hasPrivileges(
  postgres: Postgres,
  role: string,
  db: string,
  table: string | undefined,
  list: string,
): Promise<boolean> {
  const all = table === undefined ? DATABASE_PRIVILEGES : TABLE_PRIVILEGES;
  const words = list
    .split(",")
    .map((word) => word.trim().toUpperCase())
    .map((word) => (word === "TEMP" ? "TEMPORARY" : word));
  const wanted = words.some((word) => /^ALL( PRIVILEGES)?$/.test(word)) ? all : words;
  const [exists] = await postgres.rows(
    `SELECT 1 AS one FROM pg_catalog.pg_roles WHERE rolname = ${pgText(role)}`,
  );
  if (exists === undefined) return false;
  const object = table === undefined ? pgText(db) : pgText(pgQualified(table));
  const test = table === undefined ? "has_database_privilege" : "has_table_privilege";
  const tests = wanted.map((word) => `${test}(${pgText(role)}, ${object}, ${pgText(word)})`);
  const [row] = await postgres.rows(`SELECT ${tests.join(" AND ")} AS has`);
  return row?.has === "t";
}

async function apply(
  { statements }: PostgresqlUserChange,
  given: Params,
  system: System,
  context: ActionContext,
): Promise<Applied<PostgresqlUserData>> {
  const { state, db, fail_on_user } = given;
  const postgres = await connectPostgres(system, writer(system), given, db || "postgres", context);
  try {
    await postgres.run(["BEGIN", ...statements, "COMMIT"]);
  } catch (thrown) {
    if (state === "present" || fail_on_user || !isVolleyError(thrown)) throw thrown;
    return {
      changed: false,
      message: thrown.message,
      data: { ...dataOf(given, [], false), msg: thrown.message },
    };
  }
  return { data: dataOf(given, statements, state === "absent" ? true : undefined) };
}
