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
import { requiredIf } from "../shared/combinations.ts";
import { orUnknown, reader, secretInput, writer } from "../shared/database-client.ts";
import { describe, flag, oneOf, optionalText, textList } from "../shared/params.ts";
import { withFullPaths } from "../shared/paths.ts";
import { failureText } from "../shared/run-tool.ts";
import {
  connectMysql,
  type Mysql,
  mysqlAliases,
  mysqlLogin,
  sqlName,
  sqlText,
  withOptionFile,
} from "./mysql-client.ts";

const params = v.pipe(
  v.strictObject({
    name: textList("The databases; `all` stands for every one, to dump or to import."),
    state: oneOf(
      ["absent", "dump", "import", "present"],
      "present",
      "`dump` writes the databases to `target`, `import` reads it, and makes a missing database first.",
    ),
    collation: v.optional(describe(v.string(), "Collation of a new database."), ""),
    encoding: v.optional(
      describe(v.string(), "Character set of a new database; of dumps, the client's."),
      "",
    ),
    target: optionalText(
      "File on the host to dump to or to import; `.gz`, `.bz2`, `.xz` and `.zst` are compressed.",
    ),
    single_transaction: flag("Dump in one transaction."),
    quick: flag("Dump row by row instead of holding tables in memory.", true),
    ignore_tables: v.optional(textList("Tables, as `database.table`, that a dump leaves out."), []),
    hex_blob: flag("Dump binary columns in hexadecimal."),
    force: flag("Go on after errors of statements of a dump or an import."),
    master_data: v.optional(
      describe(
        v.pipe(v.number(), v.integer(), v.picklist([0, 1, 2])),
        "The option `--master-data` of a dump.",
      ),
      0,
    ),
    skip_lock_tables: flag("Dump without locking tables."),
    dump_extra_args: optionalText("Further options of the dump program, on one line."),
    use_shell: flag("Run the dump through a shell: always so."),
    pipefail: flag("Fail when the dump fails, whatever its compression says: always so."),
    unsafe_login_password: flag("Ignored: passwords never stand on a command line."),
    restrict_config_file: flag("Ignored: of option files, only `config_file` is read."),
    config_overrides_defaults: flag(
      "Let host, port and socket of `config_file` stand, where the parameters have their defaults: always so.",
    ),
    check_implicit_admin: flag("Try to log in as root without a password first."),
    chdir: optionalText("Working directory of a dump or an import."),
    sql_log_bin: flag("Write to the binary log.", true),
    ...mysqlLogin,
  }),
  requiredIf("state", ["dump", "import"], "target"),
  v.check(
    ({ name, state }) => !name.includes("all") || state === "dump" || state === "import",
    "name is not allowed to be 'all' unless state equals import, or dump",
  ),
);
type Params = v.InferOutput<typeof params>;

/** The data of a mysql_db task. */
interface MysqlDbData {
  /** The names, with spaces between. */
  readonly db: string;
  readonly db_list: readonly string[];
  readonly executed_commands: readonly string[];
}

interface MysqlDbChange extends Change {
  /** The databases to make or to remove. */
  readonly names: readonly string[];
}

/** Make, remove, dump and import databases of MySQL and MariaDB. */
export const mysql_db = defineAction<typeof params, MysqlDbChange, MysqlDbData>({
  name: "mysql_db",
  doc: `Make, remove, dump or import databases of a MySQL or MariaDB server, with the server's own client on the host.

An existing database keeps its character set and collation. A dump and an import always count as changes. Passwords reach
the client on its standard input.`,
  params,
  aliases: { db: "name", ...mysqlAliases },
  examples: [
    { name: "shop", encoding: "utf8mb4", collation: "utf8mb4_unicode_ci" },
    { name: "shop", state: "dump", target: "/var/backups/shop.sql.gz", single_transaction: true },
  ],
  title: ({ name, state }) => `${name.join(" ")}${state === "present" ? "" : ` (${state})`}`,
  inspect: (given, system, context) => orUnknown(context, () => inspect(given, system, context)).then(named),
  apply,
});

/** An outcome that check mode cannot know has no names. */
function named<T extends object>(found: T | (Change & { readonly unknown: string })) {
  return "unknown" in found ? { names: [], ...found } : found;
}

function dataOf({ name }: Params, executed: readonly string[] = []): MysqlDbData {
  return { db: name.join(" "), db_list: name, executed_commands: executed };
}

function prelude({ sql_log_bin }: Params): readonly string[] {
  return sql_log_bin ? [] : ["SET SESSION sql_log_bin = 0"];
}

async function existing(mysql: Mysql, names: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await mysql.rows(
    `SELECT schema_name AS name FROM information_schema.schemata WHERE schema_name IN (${names.map(sqlText).join(", ")})`,
  );
  return new Set(rows.map(({ name }) => name ?? ""));
}

async function inspect(params: Params, system: ReadSystem, context: ActionContext) {
  const given = await withFullPaths(params, ["target"], system, context.facts.env);
  const { state, name, target } = given;
  const mysql = await connectMysql(system, reader(system), given, context);
  const isAll = name.includes("all");
  const found = isAll ? new Set(name) : await existing(mysql, name);
  const missing = name.filter((each) => !found.has(each));
  const data = dataOf(given);
  if (state === "dump") {
    if (missing.length > 0 && !context.check)
      throw new VolleyError("ACTION_FAILED", `Cannot dump database(s) '${missing.join(", ")}' - not found`);
    return { names: [], message: `dump ${data.db} to ${target}`, data } satisfies MysqlDbChange;
  }
  if (state === "import") {
    if ((await system.stat(target!))?.type !== "file" && !context.check)
      throw new VolleyError("ACTION_FAILED", `target ${target} does not exist on the host`);
    return { names: missing, message: `import ${target} into ${data.db}`, data } satisfies MysqlDbChange;
  }
  const names = state === "present" ? missing : name.filter((each) => found.has(each));
  if (names.length === 0) return unchanged(data);
  const diff = names.map((each): Diff => {
    const path = `database ${each}`;
    return state === "present"
      ? { path, before: null, after: `${each}\n` }
      : { path, before: `${each}\n`, after: null };
  });
  return { names, diff, data } satisfies MysqlDbChange;
}

async function apply(
  { names }: MysqlDbChange,
  params: Params,
  system: System,
  context: ActionContext,
): Promise<Applied<MysqlDbData>> {
  const given = await withFullPaths(params, ["target"], system, context.facts.env);
  const { state, encoding, collation } = given;
  const mysql = await connectMysql(system, writer(system), given, context, prelude(given));
  const statements = names.map((name) =>
    state === "absent"
      ? `DROP DATABASE ${sqlName(name)}`
      : [
          `CREATE DATABASE ${sqlName(name)}`,
          ...(encoding === "" ? [] : [`CHARACTER SET ${sqlText(encoding)}`]),
          ...(collation === "" ? [] : [`COLLATE ${sqlText(collation)}`]),
        ].join(" "),
  );
  for (const statement of statements) await mysql.query(statement);
  const commands =
    state === "dump"
      ? [await dump(mysql, given, system)]
      : state === "import"
        ? [await load(mysql, given, system)]
        : [];
  return { data: dataOf(given, [...statements, ...commands]) };
}

const COMPRESSORS: Readonly<Record<string, string>> = { gz: "gzip", bz2: "bzip2", xz: "xz", zst: "zstd" };

async function compressor(target: string, system: ReadSystem): Promise<string | null> {
  const name = COMPRESSORS[/\.(\w+)$/.exec(target)?.[1] ?? ""];
  if (name === undefined) return null;
  if ((await system.which(name)) === null)
    throw new VolleyError("ACTION_FAILED", `${name} is not installed on this host, and ${target} needs it`);
  return name;
}

/** Dump databases; a dump that fails fails, whatever its compressor says. Returns the command. */
async function dump(mysql: Mysql, given: Params, system: System): Promise<string> {
  const { name, target = "", encoding, dump_extra_args } = given;
  const program = (await system.which("mariadb-dump")) ?? (await system.which("mysqldump"));
  if (program === null)
    throw new VolleyError(
      "ACTION_FAILED",
      "mysqldump is not installed on this host; the package mariadb-client has it",
    );
  const options = [
    ...(given.force ? ["--force"] : []),
    ...(given.quick ? ["--quick"] : []),
    ...(given.single_transaction ? ["--single-transaction=true"] : []),
    ...(given.hex_blob ? ["--hex-blob"] : []),
    ...(given.skip_lock_tables ? ["--skip-lock-tables"] : []),
    ...(given.master_data === 0 ? [] : [`--master-data=${given.master_data}`]),
    ...(encoding === "" ? [] : [`--default-character-set=${encoding}`]),
    ...given.ignore_tables.map((table) => `--ignore-table=${table}`),
    ...(dump_extra_args?.trim().split(/\s+/) ?? []),
    ...(name.includes("all") ? ["--all-databases"] : name.length > 1 ? ["--databases", ...name] : [...name]),
  ];
  const packer = await compressor(target, system);
  const script =
    packer === null
      ? 'exec "$@" >"$target"'
      : `{ code=$( { { "$@"; echo $? >&5; } | ${packer} >"$target"; } 5>&1 ); } && exit "$code"`;
  await runProgram(mysql, given, [program, ...options], script, "dump");
  return `${commandLine([program, ...options])}${packer === null ? "" : ` | ${packer}`} > ${quote(target)}`;
}

async function load(mysql: Mysql, given: Params, system: System): Promise<string> {
  const { name, target = "", encoding } = given;
  const program = (await system.which("mariadb")) ?? (await system.which("mysql"))!;
  const options = [
    ...(given.force ? ["--force"] : []),
    ...(given.sql_log_bin ? [] : ["--init-command=SET SESSION sql_log_bin = 0"]),
    ...(encoding === "" ? [] : [`--default-character-set=${encoding}`]),
    ...(name.includes("all") ? [] : name.length > 1 ? ["--one-database", ...name.slice(0, 1)] : [...name]),
  ];
  const packer = await compressor(target, system);
  const script = packer === null ? 'exec "$@" <"$target"' : `${packer} -dc <"$target" | "$@"`;
  await runProgram(mysql, given, [program, ...options], script, "import");
  return `${commandLine([program, ...options])} < ${quote(target)}`;
}

async function runProgram(
  mysql: Mysql,
  { target = "", chdir }: Params,
  [program = "", ...options]: readonly string[],
  script: string,
  deed: string,
): Promise<void> {
  const result = await mysql.run(
    [
      "sh",
      "-c",
      withOptionFile(`target=$1; shift\n${script}`),
      "sh",
      target,
      program,
      "--defaults-file=/dev/fd/3",
      ...options,
    ],
    {
      input: secretInput(mysql.optionFile),
      signal: mysql.signal,
      env: { LC_ALL: "C.UTF-8" },
      ...(chdir === undefined ? {} : { cwd: chdir }),
    },
  );
  if (result.code !== 0)
    throw new ActionFailure("ACTION_FAILED", `cannot ${deed} ${target}: ${failureText(result)}`, {
      rc: result.code,
      stderr: result.stderr,
    });
}
