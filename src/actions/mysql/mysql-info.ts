import * as v from "valibot";
import { unchanged } from "../../core/action.ts";
import { defineAction } from "../define.ts";
import { reader } from "../shared/database-client.ts";
import { flag, optionalText, textList } from "../shared/params.ts";
import { readAccounts } from "./mysql-account.ts";
import {
  connectMysql,
  type Mysql,
  mysqlAliases,
  mysqlLogin,
  type Row,
  type ServerVersion,
  serverVersion,
} from "./mysql-client.ts";
import { readGrants } from "./mysql-privileges.ts";

const SUBSETS = [
  "version",
  "databases",
  "settings",
  "global_status",
  "users",
  "users_info",
  "engines",
  "master_status",
  "slave_status",
  "slave_hosts",
] as const;
type Subset = (typeof SUBSETS)[number];

const params = v.strictObject({
  filter: v.optional(
    v.pipe(
      textList(
        `Parts to gather, of ${SUBSETS.join(", ")}; with \`!\` before them, all others. Default: all.`,
      ),
      v.check(
        (names) => names.every((name) => (SUBSETS as readonly string[]).includes(name.replace(/^!/, ""))),
        `must be of ${SUBSETS.join(", ")}`,
      ),
    ),
    [],
  ),
  exclude_fields: v.optional(textList("Fields to leave out: `db_size`, `db_table_count`."), []),
  return_empty_dbs: flag("Tell of databases without tables, too."),
  login_db: optionalText("Ignored: no database is needed."),
  ...mysqlLogin,
});
type Params = v.InferOutput<typeof params>;

/** The data of a mysql_info task: the parts that are wanted, by their names. */
type MysqlInfoData = Readonly<Record<string, unknown>>;

/** Gather facts of a MySQL or MariaDB server. */
export const mysql_info = defineAction<typeof params, never, MysqlInfoData>({
  name: "mysql_info",
  doc: "Gather facts of a MySQL or MariaDB server: version, databases, settings, status, users, engines and replication.",
  params,
  aliases: { ...mysqlAliases },
  examples: [{ filter: ["version", "databases"] }],
  title: ({ filter }) => filter.join(" "),
  async inspect(given, system, context) {
    const mysql = await connectMysql(system, reader(system), given, context);
    const version = await serverVersion(mysql);
    const data: Record<string, unknown> = {
      server_engine: version.isMariadb ? "MariaDB" : "MySQL",
      connector_name: "the server's own client",
      connector_version: "",
    };
    for (const subset of wantedSubsets(given.filter))
      data[subset] = await GATHER[subset](mysql, version, given);
    return unchanged(data);
  },
});

function wantedSubsets(filter: readonly string[]): readonly Subset[] {
  const named = filter.filter((name) => !name.startsWith("!"));
  return SUBSETS.filter(
    (subset) => (named.length === 0 || named.includes(subset)) && !filter.includes(`!${subset}`),
  );
}

/** Take whole numbers for numbers. */
function typed(value: string | null): unknown {
  return value !== null && /^-?(?:0|[1-9]\d{0,14})$/.test(value) ? Number(value) : (value ?? "");
}

function typedRow(row: Row): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, typed(value)]));
}

async function pairs(mysql: Mysql, statement: string): Promise<Readonly<Record<string, unknown>>> {
  const rows = await mysql.rows(statement);
  return Object.fromEntries(rows.map((row) => [row.Variable_name ?? "", typed(row.Value ?? null)]));
}

const GATHER: Readonly<
  Record<Subset, (mysql: Mysql, version: ServerVersion, given: Params) => Promise<unknown>>
> = {
  version: async (_mysql, { text }) => {
    const [, major, minor, release, suffix = ""] = /^(\d+)\.(\d+)\.(\d+)-?(.*)$/.exec(text) ?? [];
    return { major: Number(major), minor: Number(minor), release: Number(release), suffix, full: text };
  },
  databases: async (mysql, _version, { exclude_fields, return_empty_dbs }) => {
    const rows = await mysql.rows(
      `SELECT s.schema_name AS name, COALESCE(SUM(t.data_length + t.index_length), 0) AS size, COUNT(t.table_name) AS tables
FROM information_schema.schemata s LEFT JOIN information_schema.tables t ON t.table_schema = s.schema_name GROUP BY s.schema_name`,
    );
    return Object.fromEntries(
      rows
        .filter((row) => return_empty_dbs || row.tables !== "0")
        .map((row) => [
          row.name ?? "",
          {
            ...(exclude_fields.includes("db_size") ? {} : { size: Number(row.size) }),
            ...(exclude_fields.includes("db_table_count") ? {} : { tables: Number(row.tables) }),
          },
        ]),
    );
  },
  settings: (mysql) => pairs(mysql, "SHOW GLOBAL VARIABLES"),
  global_status: (mysql) => pairs(mysql, "SHOW GLOBAL STATUS"),
  users: async (mysql) => {
    const users: Record<string, Record<string, unknown>> = {};
    for (const row of await mysql.rows("SELECT * FROM mysql.user")) {
      const { Host: host, User: user, Password: _password, authentication_string: _hash, ...rest } = row;
      users[host ?? ""] = { ...users[host ?? ""], [user ?? ""]: typedRow(rest) };
    }
    return users;
  },
  users_info: async (mysql, version) => {
    const names = [
      ...new Set((await mysql.rows("SELECT user AS name FROM mysql.user")).map((row) => row.name ?? "")),
    ];
    const found: unknown[] = [];
    for (const name of names) {
      for (const { host, plugin, authString, grants, limits } of await readAccounts(
        mysql,
        version,
        name,
        undefined,
      )) {
        const priv = Object.fromEntries(
          [...readGrants(grants, true)].map(([object, list]) => [
            object.replaceAll("`", ""),
            [...list].join(",") || "USAGE",
          ]),
        );
        const resource_limits = Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== 0));
        found.push({ name, host, priv, plugin, plugin_hash_string: authString, resource_limits });
      }
    }
    return found;
  },
  engines: async (mysql) => {
    const rows = await mysql.rows("SHOW ENGINES");
    return Object.fromEntries(rows.map(({ Engine: engine, ...rest }) => [engine ?? "", rest]));
  },
  master_status: async (mysql, { isMariadb, number }) => {
    const [row] = await mysql.rows(
      !isMariadb && number >= 80_200 ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS",
    );
    return row === undefined ? {} : typedRow(row);
  },
  slave_status: async (mysql, { isMariadb, number }) => {
    const statement = isMariadb
      ? "SHOW ALL SLAVES STATUS"
      : number >= 80_022
        ? "SHOW REPLICA STATUS"
        : "SHOW SLAVE STATUS";
    const found: Record<string, Record<string, Record<string, unknown>>> = {};
    for (const row of await mysql.rows(statement)) {
      const host = row.Master_Host ?? row.Source_Host ?? "";
      const port = row.Master_Port ?? row.Source_Port ?? "";
      const user = row.Master_User ?? row.Source_User ?? "";
      found[host] = { ...found[host], [port]: { ...found[host]?.[port], [user]: typedRow(row) } };
    }
    return found;
  },
  slave_hosts: async (mysql, { isMariadb, number }) => {
    const rows = await mysql.rows(!isMariadb && number >= 80_022 ? "SHOW REPLICAS" : "SHOW SLAVE HOSTS");
    return Object.fromEntries(rows.map((row) => [row.Server_id ?? row.Server_Id ?? "", typedRow(row)]));
  },
};
