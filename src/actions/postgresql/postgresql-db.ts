import * as v from "valibot";
import {
  type ActionContext,
  ActionFailure,
  type Applied,
  type Change,
  unchanged,
} from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { commandLine, quote } from "../../core/unix/shell.ts";
import { defineAction } from "../define.ts";
import { orUnknown, reader, writer } from "../shared/database-client.ts";
import { describe, flag, oneOf, optionalText, text } from "../shared/params.ts";
import { commandWords, failureText } from "../shared/run-tool.ts";
import {
  connectPostgres,
  conninfo,
  type Postgres,
  pgName,
  pgText,
  postgresAliases,
  postgresLogin,
} from "./postgres-client.ts";

const params = v.pipe(
  v.strictObject({
    name: text("Name of the database."),
    state: oneOf(
      ["absent", "dump", "present", "rename", "restore"],
      "present",
      "`dump` writes the database to `target`, `restore` reads it; `rename` gives it the name `target`.",
    ),
    owner: optionalText("Role that owns the database."),
    template: v.optional(describe(v.string(), "Template of a new database."), ""),
    encoding: v.optional(
      describe(v.string(), "Encoding of a new database; that of an existing one cannot change."),
      "",
    ),
    lc_collate: v.optional(
      describe(v.string(), "Collation order of a new database; of an existing one it cannot change."),
      "",
    ),
    lc_ctype: v.optional(
      describe(v.string(), "Character classes of a new database; of an existing one they cannot change."),
      "",
    ),
    icu_locale: v.optional(describe(v.string(), "ICU locale of a new database."), ""),
    locale_provider: optionalText("Provider of the locale of a new database: `icu` or `libc`."),
    conn_limit: v.optional(
      v.pipe(
        v.union([v.number(), v.string()]),
        v.transform(Number),
        v.integer(),
        v.description("Number of connections at a time; -1 for any."),
      ),
    ),
    tablespace: optionalText("Tablespace of the database."),
    comment: v.optional(describe(v.string(), "Comment on the database.")),
    force: flag("End connections to a database that is removed."),
    maintenance_db: v.optional(text("Database to log in to."), "postgres"),
    target: v.optional(
      describe(
        v.string(),
        "File on the host to dump to or to restore: `.sql`, `.tar`, `.pgc` (custom) or `.dir`; `.gz`, `.bz2` and `.xz` are compressed. For `rename`, the new name.",
      ),
      "",
    ),
    target_opts: v.optional(
      describe(v.string(), "Further options of the program that restores or dumps."),
      "",
    ),
    dump_extra_args: optionalText("Further options of pg_dump."),
    ...postgresLogin,
  }),
  v.check(
    ({ state, target }) => target !== "" || !["dump", "restore", "rename"].includes(state),
    "with state dump, restore or rename target is required",
  ),
);
type Params = v.InferOutput<typeof params>;

/** The data of a postgresql_db task. */
interface PostgresqlDbData {
  readonly db: string;
  readonly executed_commands: readonly string[];
}

interface PostgresqlDbChange extends Change {
  readonly statements: readonly string[];
}

/** Make, change, remove, dump and restore a database of PostgreSQL. */
export const postgresql_db = defineAction<typeof params, PostgresqlDbChange, PostgresqlDbData>({
  name: "postgresql_db",
  doc: `Make, change or remove a database of a PostgreSQL server, or dump and restore one, by psql and pg_dump on the host.

A dump and a restore always count as changes. Log in as the task's own user (\`become\`) where the server wants that
(\`peer\`). Passwords reach psql by its environment, never a command line.`,
  params,
  aliases: { db: "name", ...postgresAliases },
  examples: [
    { name: "shop", owner: "shop", encoding: "UTF-8", template: "template0" },
    { name: "shop", state: "dump", target: "/var/backups/shop.sql.gz" },
  ],
  title: ({ name, state }) => `${name}${state === "present" ? "" : ` (${state})`}`,
  async inspect(given, system, context) {
    const found = await orUnknown(context, () => inspect(given, system, context));
    return "unknown" in found ? { statements: [], ...found } : found;
  },
  apply,
});

function dataOf({ name }: Params, executed_commands: readonly string[]): PostgresqlDbData {
  return { db: name, executed_commands };
}

async function readDatabase(postgres: Postgres, name: string) {
  const [row] = await postgres.rows(
    `SELECT pg_catalog.pg_get_userbyid(d.datdba) AS owner, pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
d.datcollate AS lc_collate, d.datctype AS lc_ctype, d.datconnlimit AS conn_limit, t.spcname AS tablespace,
pg_catalog.shobj_description(d.oid, 'pg_database') AS comment
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = ${pgText(name)}`,
  );
  return row;
}

async function inspect(given: Params, system: ReadSystem, context: ActionContext) {
  const { name, state, target, maintenance_db } = given;
  const postgres = await connectPostgres(system, reader(system), given, maintenance_db, context);
  const found = await readDatabase(postgres, name);
  const database = pgName(name);
  if (state === "dump" || state === "restore") {
    if (found === undefined && !context.check)
      throw new VolleyError("ACTION_FAILED", `database "${name}" does not exist`);
    const message = state === "dump" ? `dump ${name} to ${target}` : `restore ${name} from ${target}`;
    return { statements: [], message, data: dataOf(given, []) } satisfies PostgresqlDbChange;
  }
  const changing = (statements: readonly string[], diff: Diff): PostgresqlDbChange => ({
    statements,
    diff,
    data: dataOf(given, statements),
  });
  const path = `database ${name}`;
  if (state === "rename") {
    const other = await readDatabase(postgres, target);
    if (found === undefined && other !== undefined) return unchanged(dataOf(given, []));
    if (found === undefined)
      throw new VolleyError("ACTION_FAILED", `The source and the target databases do not exist`);
    if (other !== undefined)
      throw new VolleyError("ACTION_FAILED", "Both the source and the target databases exist.");
    return changing([`ALTER DATABASE ${database} RENAME TO ${pgName(target)}`], {
      path,
      before: `${name}\n`,
      after: `${target}\n`,
    });
  }
  if (state === "absent") {
    if (found === undefined) return unchanged(dataOf(given, []));
    const forced = given.force ? " WITH (FORCE)" : "";
    return changing([`DROP DATABASE ${database}${forced}`], { path, before: `${name}\n`, after: null });
  }
  if (found === undefined) {
    const statements = [createStatement(given)];
    if (given.comment !== undefined)
      statements.push(`COMMENT ON DATABASE ${database} IS ${pgText(given.comment)}`);
    return changing(statements, { path, before: null, after: `${name}\n` });
  }
  const encodings = [given.encoding, found.encoding ?? ""].map(plainEncoding);
  if (given.encoding !== "" && encodings[0] !== encodings[1])
    throw new VolleyError(
      "ACTION_FAILED",
      `Changing database encoding is not supported. Current encoding: ${found.encoding}`,
    );
  for (const [parameter, what] of [
    ["lc_collate", "LC_COLLATE"],
    ["lc_ctype", "LC_CTYPE"],
  ] as const) {
    if (given[parameter] !== "" && given[parameter] !== found[parameter])
      throw new VolleyError(
        "ACTION_FAILED",
        `Changing ${what} is not supported. Current ${what}: ${found[parameter]}`,
      );
  }
  const statements: string[] = [];
  const attributes: Record<string, readonly [string, string]> = {};
  const differing = (
    key: string,
    before: string | null,
    after: string | undefined,
    statement: string,
  ): void => {
    if (after === undefined || (before ?? "") === after) return;
    statements.push(statement);
    attributes[key] = [before ?? "", after];
  };
  const { owner, conn_limit, tablespace, comment } = given;
  differing("owner", found.owner ?? "", owner, `ALTER DATABASE ${database} OWNER TO ${pgName(owner ?? "")}`);
  differing(
    "conn_limit",
    found.conn_limit ?? "",
    conn_limit === undefined ? undefined : String(conn_limit),
    `ALTER DATABASE ${database} CONNECTION LIMIT ${conn_limit}`,
  );
  differing(
    "tablespace",
    found.tablespace ?? "",
    tablespace,
    `ALTER DATABASE ${database} SET TABLESPACE ${pgName(tablespace ?? "")}`,
  );
  differing(
    "comment",
    found.comment ?? null,
    comment,
    `COMMENT ON DATABASE ${database} IS ${pgText(comment ?? "")}`,
  );
  return statements.length === 0 ? unchanged(dataOf(given, [])) : changing(statements, { path, attributes });
}

/** Fold the ways to write an encoding: `UTF-8` and `utf8` are one. */
function plainEncoding(name: string): string {
  return name
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, "")
    .replace(/^UNICODE$/, "UTF8");
}

function createStatement(given: Params): string {
  const {
    name,
    owner,
    template,
    encoding,
    lc_collate,
    lc_ctype,
    icu_locale,
    locale_provider,
    tablespace,
    conn_limit,
  } = given;
  const options = [
    owner === undefined ? "" : `OWNER ${pgName(owner)}`,
    template === "" ? "" : `TEMPLATE ${pgName(template)}`,
    encoding === "" ? "" : `ENCODING ${pgText(encoding)}`,
    lc_collate === "" ? "" : `LC_COLLATE ${pgText(lc_collate)}`,
    lc_ctype === "" ? "" : `LC_CTYPE ${pgText(lc_ctype)}`,
    icu_locale === "" ? "" : `ICU_LOCALE ${pgText(icu_locale)}`,
    locale_provider === undefined ? "" : `LOCALE_PROVIDER ${pgName(locale_provider)}`,
    tablespace === undefined ? "" : `TABLESPACE ${pgName(tablespace)}`,
    conn_limit === undefined ? "" : `CONNECTION LIMIT ${conn_limit}`,
  ].filter((option) => option !== "");
  return [`CREATE DATABASE ${pgName(name)}`, ...options].join(" ");
}

async function apply(
  { statements }: PostgresqlDbChange,
  given: Params,
  system: System,
  context: ActionContext,
): Promise<Applied<PostgresqlDbData>> {
  const { state, maintenance_db } = given;
  const postgres = await connectPostgres(system, writer(system), given, maintenance_db, context);
  if (state === "dump" || state === "restore")
    return { data: dataOf(given, [await (state === "dump" ? dump : restore)(postgres, given, system)]) };
  await postgres.run(statements);
  return { data: dataOf(given, statements) };
}

const COMPRESSORS: Readonly<Record<string, string>> = { gz: "gzip", bz2: "bzip2", xz: "xz" };
const FORMATS: Readonly<Record<string, string>> = { tar: "t", pgc: "c", dir: "d" };

/** The format and compression that a file's name asks for. */
function kindOf(target: string): {
  readonly format: string | undefined;
  readonly packer: string | undefined;
} {
  const [, last = ""] = /\.(\w+)$/.exec(target) ?? [];
  const packer = COMPRESSORS[last];
  const [, inner = ""] =
    /\.(\w+)$/.exec(packer === undefined ? target : target.slice(0, -last.length - 1)) ?? [];
  return { format: FORMATS[inner], packer };
}

async function dump(postgres: Postgres, given: Params, system: System): Promise<string> {
  const { name, target, target_opts, dump_extra_args } = given;
  const { format, packer } = kindOf(target);
  const argv = [
    "pg_dump",
    "-w",
    "-d",
    conninfo(given, name),
    ...(format === undefined ? [] : [`--format=${format}`]),
    ...commandWords(target_opts),
    ...commandWords(dump_extra_args ?? ""),
    ...(format === "d" ? ["-f", target] : []),
  ];
  await requireTools(["pg_dump", packer], system);
  const script =
    format === "d"
      ? 'exec "$@"'
      : packer === undefined
        ? `exec "$@" >${quote(target)}`
        : `{ code=$( { { "$@"; echo $? >&5; } | ${packer} >${quote(target)}; } 5>&1 ); } && exit "$code"`;
  await carryOut(postgres, argv, script, `dump ${name} to ${target}`);
  return `${commandLine(argv)}${packer === undefined ? "" : ` | ${packer}`}${format === "d" ? "" : ` > ${quote(target)}`}`;
}

async function restore(postgres: Postgres, given: Params, system: System): Promise<string> {
  const { name, target, target_opts } = given;
  const { format, packer } = kindOf(target);
  if ((await system.stat(target)) === null)
    throw new VolleyError("ACTION_FAILED", `${target} does not exist on the host`);
  const argv = [
    ...(format === undefined
      ? ["psql", "-X", "-v", "ON_ERROR_STOP=1"]
      : ["pg_restore", `--format=${format}`]),
    "-w",
    "-d",
    conninfo(given, name),
    ...commandWords(target_opts),
    ...(format === "d" ? [target] : []),
  ];
  await requireTools([argv[0]!, packer], system);
  const script =
    format === "d"
      ? 'exec "$@"'
      : packer === undefined
        ? `exec "$@" <${quote(target)}`
        : `${packer} -dc <${quote(target)} | "$@"`;
  await carryOut(postgres, argv, script, `restore ${name} from ${target}`);
  return `${commandLine(argv)}${format === "d" ? "" : ` < ${quote(target)}`}`;
}

async function requireTools(names: readonly (string | undefined)[], system: ReadSystem): Promise<void> {
  for (const name of names) {
    if (name !== undefined && (await system.which(name)) === null)
      throw new VolleyError("ACTION_FAILED", `${name} is not installed on this host, and the task needs it`);
  }
}

async function carryOut(
  postgres: Postgres,
  argv: readonly string[],
  script: string,
  deed: string,
): Promise<void> {
  const result = await postgres.program(argv, script);
  if (result.code !== 0)
    throw new ActionFailure("ACTION_FAILED", `cannot ${deed}: ${failureText(result)}`, {
      rc: result.code,
      stderr: result.stderr,
      stderr_lines: result.stderr.split("\n"),
    });
}
