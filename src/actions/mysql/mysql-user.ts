import * as v from "valibot";
import { type ActionContext, type Applied, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { exclusive } from "../shared/combinations.ts";
import { orUnknown, reader, writer } from "../shared/database-client.ts";
import { describe, flag, oneOf, optionalText } from "../shared/params.ts";
import {
  type Account,
  accountName,
  isLocked,
  isNativeHash,
  LIMIT_NAMES,
  nativeHash,
  readAccounts,
  readExpiry,
  readTls,
  tlsClause,
} from "./mysql-account.ts";
import {
  connectMysql,
  type Mysql,
  mysqlAliases,
  mysqlLogin,
  type ServerVersion,
  serverVersion,
  sqlText,
} from "./mysql-client.ts";
import {
  afterChange,
  comparePrivileges,
  type PrivilegeChange,
  privilegeStatements,
  privilegeText,
  readGrants,
  readPrivileges,
} from "./mysql-privileges.ts";

const params = v.pipe(
  v.strictObject({
    name: describe(v.string(), "Name of the user; empty for the anonymous user."),
    host: v.optional(describe(v.string(), "Host part of the user's name."), "localhost"),
    host_all: flag("Change or remove the user of every host; a new one is made for `host` alone."),
    state: oneOf(["absent", "present"], "present", "Make and change, or remove the user."),
    password: v.optional(
      describe(v.string(), "Password of the user; a hash of `mysql_native_password` with `encrypted`."),
    ),
    encrypted: flag("`password` is a hash of `mysql_native_password`."),
    update_password: oneOf(
      ["always", "on_create", "on_new_username"],
      "always",
      "`on_create` sets the password of new users alone; `on_new_username` takes that of the same user at another host, if there is one.",
    ),
    priv: v.optional(
      describe(
        v.union([v.string(), v.record(v.string(), v.union([v.string(), v.array(v.string())]))]),
        "Privileges: `db.table:PRIV1,PRIV2/db2.*:ALL,GRANT`, or a dict of the same.",
      ),
    ),
    append_privs: flag("Keep privileges that `priv` does not name."),
    subtract_privs: flag("Revoke the privileges that `priv` names."),
    column_case_sensitive: flag("Tell columns apart by case in privileges."),
    tls_requires: v.optional(
      describe(
        v.record(v.string(), v.any()),
        "What connections need: `SSL`, `X509`, or `CIPHER`, `ISSUER` and `SUBJECT` with values; empty for nothing.",
      ),
    ),
    plugin: optionalText("Plugin that authenticates the user."),
    plugin_hash_string: optionalText("Hash for `plugin` (`AS`)."),
    plugin_auth_string: v.optional(describe(v.string(), "Text for `plugin` (`BY`), such as a password.")),
    salt: optionalText("Salt for the hash of `caching_sha2_password`: ignored, the server makes its own."),
    resource_limits: v.optional(
      describe(
        v.record(v.string(), v.pipe(v.number(), v.integer())),
        "Limits, such as `MAX_USER_CONNECTIONS`.",
      ),
    ),
    password_expire: v.optional(
      describe(v.picklist(["now", "never", "default", "interval"]), "Expiry of the password."),
    ),
    password_expire_interval: v.optional(
      describe(v.pipe(v.number(), v.integer(), v.minValue(1)), "Days until the password expires."),
    ),
    locked: v.optional(describe(v.boolean(), "Lock the account, or unlock it.")),
    attributes: v.optional(
      describe(v.record(v.string(), v.any()), "Attributes of the user, of MySQL 8 alone; null removes one."),
    ),
    session_vars: v.optional(
      describe(v.record(v.string(), v.any()), "Variables of the session to set first."),
      {},
    ),
    sql_log_bin: flag("Write to the binary log.", true),
    force_context: flag("Ignored: no database is chosen."),
    check_implicit_admin: flag("Try to log in as root without a password first."),
    ...mysqlLogin,
  }),
  v.check(
    ({ append_privs, subtract_privs }) => !append_privs || !subtract_privs,
    "parameters are mutually exclusive: append_privs|subtract_privs",
  ),
  exclusive("password", "plugin"),
  v.check(
    ({ password, encrypted }) =>
      !encrypted || password === undefined || password === "" || isNativeHash(password),
    "with encrypted the password must be a hash of mysql_native_password: * and 40 hexadecimal digits",
  ),
  v.check(
    ({ password_expire, password_expire_interval }) =>
      password_expire !== "interval" || password_expire_interval !== undefined,
    "password_expire interval needs password_expire_interval",
  ),
  v.check(
    ({ resource_limits = {} }) =>
      Object.keys(resource_limits).every((name) => LIMIT_NAMES.includes(name.toUpperCase())),
    `resource_limits takes ${LIMIT_NAMES.join(", ")}`,
  ),
);
type Params = v.InferOutput<typeof params>;

/** The data of a mysql_user task. */
interface MysqlUserData {
  readonly user: string;
  readonly msg: string;
  readonly password_changed: boolean;
  readonly attributes: Readonly<Record<string, unknown>> | null;
}

interface MysqlUserChange extends Change {
  readonly statements: readonly string[];
  readonly result: MysqlUserData;
}

/** Keep a user of MySQL or MariaDB. */
export const mysql_user = defineAction<typeof params, MysqlUserChange, MysqlUserData>({
  name: "mysql_user",
  doc: `Keep a user of a MySQL or MariaDB server, with its password and privileges, by the server's own client on the host.

Passwords are compared as hashes of \`mysql_native_password\`; one of another plugin is set anew by every run, unless
\`update_password\` says otherwise. They reach the client on its standard input, and are in no diff.`,
  params,
  aliases: { user: "name", ...mysqlAliases },
  examples: [
    { name: "shop", password: "secret", priv: "shop.*:ALL" },
    { name: "", host_all: true, state: "absent" },
  ],
  title: ({ name, host, host_all }) => `${name}@${host_all ? "*" : host}`,
  async inspect(given, system, context) {
    const found = await orUnknown(context, () => inspect(given, system, context));
    return "unknown" in found && !("statements" in found)
      ? { statements: [], result: dataOf(given, "", false), ...found }
      : found;
  },
  async apply({ statements, result }, given, system, context): Promise<Applied<MysqlUserData>> {
    const mysql = await connectMysql(system, writer(system), given, context, prelude(given));
    await mysql.query(statements.join(";\n"));
    return { data: result, message: result.msg };
  },
});

function dataOf({ name, attributes }: Params, msg: string, password_changed: boolean): MysqlUserData {
  return { user: name, msg, password_changed, attributes: attributes ?? null };
}

function prelude({ sql_log_bin, session_vars }: Params): readonly string[] {
  const variables = Object.entries(session_vars).map(
    ([name, value]) => `SET SESSION ${name} = ${typeof value === "number" ? value : sqlText(String(value))}`,
  );
  return [...variables, ...(sql_log_bin ? [] : ["SET SESSION sql_log_bin = 0"])];
}

async function inspect(given: Params, system: ReadSystem, context: ActionContext) {
  const { name, host, host_all, state } = given;
  const mysql = await connectMysql(system, reader(system), given, context);
  const version = await serverVersion(mysql);
  const accounts = await readAccounts(mysql, version, name, host_all ? undefined : host);
  if (state === "absent") {
    if (accounts.length === 0) return unchanged(dataOf(given, "User doesn't exist", false));
    return {
      statements: accounts.map((account) => `DROP USER ${accountName(name, account.host)}`),
      result: dataOf(given, "User deleted", false),
      data: dataOf(given, "User deleted", false),
      diff: accounts.map((account) => ({
        path: pathOf(given, account.host),
        before: grantsText(account, given),
        after: null,
      })),
    } satisfies MysqlUserChange;
  }
  if (accounts.length === 0) {
    if (given.subtract_privs) return unchanged(dataOf(given, "User unchanged", false));
    return create(given, mysql, version);
  }
  const changes: AccountChange[] = [];
  for (const account of accounts) changes.push(await compare(given, account, mysql, version));
  const statements = changes.flatMap((change) => change.statements);
  if (statements.length === 0) return unchanged(dataOf(given, "User unchanged", false));
  const result = dataOf(
    given,
    [...new Set(changes.flatMap((change) => change.messages))].join(", "),
    changes.some((change) => change.setsPassword),
  );
  return {
    statements,
    result,
    data: result,
    diff: changes.flatMap((change) => change.diff),
  } satisfies MysqlUserChange;
}

function pathOf({ name }: Params, host: string): string {
  return `user ${name}@${host}`;
}

function grantsText(account: Account, { column_case_sensitive }: Params): string {
  return privilegeText(readGrants(account.grants, column_case_sensitive)) || "no privileges\n";
}

/** The clause that identifies a user; `using` is the other plugin and hash to take. */
function identified(given: Params, { isMariadb, number }: ServerVersion, using?: Account): string {
  const { password, encrypted, plugin, plugin_hash_string, plugin_auth_string } = given;
  if (using !== undefined && using.authString !== "")
    return isMariadb && using.plugin === "mysql_native_password"
      ? ` IDENTIFIED BY PASSWORD ${sqlText(using.authString)}`
      : ` IDENTIFIED WITH ${using.plugin || "mysql_native_password"} AS ${sqlText(using.authString)}`;
  if (plugin !== undefined) {
    const by = isMariadb ? "USING PASSWORD" : "BY";
    if (plugin_hash_string !== undefined)
      return ` IDENTIFIED WITH ${plugin} AS ${sqlText(plugin_hash_string)}`;
    if (plugin_auth_string === undefined) return ` IDENTIFIED WITH ${plugin}`;
    const text =
      isMariadb && /pam|unix_socket|gssapi/.test(plugin)
        ? `AS ${sqlText(plugin_auth_string)}`
        : `${by} ${secretText(plugin_auth_string, isMariadb)}`;
    return ` IDENTIFIED WITH ${plugin} ${text}`;
  }
  if (password === undefined) return "";
  if (!encrypted) return ` IDENTIFIED BY ${sqlText(password)}`;
  return isMariadb || number < 50_706
    ? ` IDENTIFIED BY PASSWORD ${sqlText(password)}`
    : ` IDENTIFIED WITH mysql_native_password AS ${sqlText(password)}`;
}

/** MariaDB hashes a text for a plugin with PASSWORD(), MySQL after BY. */
function secretText(text: string, isMariadb: boolean): string {
  return isMariadb ? `(${sqlText(text)})` : sqlText(text);
}

async function create(given: Params, mysql: Mysql, version: ServerVersion): Promise<MysqlUserChange> {
  const { name, host, update_password, priv, column_case_sensitive, tls_requires } = given;
  const account = accountName(name, host);
  const others =
    update_password === "on_new_username" ? await readAccounts(mysql, version, name, undefined) : [];
  const wanted = priv === undefined ? undefined : readPrivileges(priv, column_case_sensitive);
  const tls = wantedTls(tls_requires) ?? (wanted?.requiresTls ? { SSL: null } : undefined);
  const settings = [
    ...(tls === undefined || Object.keys(tls).length === 0 ? [] : [tlsClause(tls)]),
    ...limitClauses(given, undefined),
    ...expiryClauses(given, undefined),
    ...(given.locked === true ? ["ACCOUNT LOCK"] : []),
    ...(given.attributes === undefined ? [] : [attributeClause(given.attributes, version)]),
  ];
  const privileges = { grant: wanted?.privileges ?? new Map(), revoke: new Map() };
  const result = dataOf(
    given,
    "User added",
    given.password !== undefined || given.plugin_auth_string !== undefined,
  );
  return {
    statements: [
      [`CREATE USER ${account}${identified(given, version, others[0])}`, ...settings].join(" "),
      ...privilegeStatements(privileges, account),
    ],
    result,
    data: result,
    diff: {
      path: pathOf(given, host),
      before: null,
      after: privilegeText(privileges.grant) || "no privileges\n",
    },
  };
}

interface AccountChange {
  readonly statements: readonly string[];
  readonly messages: readonly string[];
  readonly setsPassword: boolean;
  readonly diff: readonly Diff[];
}

async function compare(
  given: Params,
  account: Account,
  mysql: Mysql,
  version: ServerVersion,
): Promise<AccountChange> {
  const { priv, append_privs, subtract_privs, column_case_sensitive, tls_requires, locked } = given;
  const user = accountName(given.name, account.host);
  const statements: string[] = [];
  const messages: string[] = [];
  const attributes: Record<string, readonly [string, string]> = {};
  const setsPassword = given.update_password === "always" && differsInPassword(given, account);
  if (setsPassword) {
    statements.push(`ALTER USER ${user}${identified(given, version)}`);
    messages.push("Password updated (new style)");
    attributes.password = ["another", "the given one"];
  }
  const wanted = priv === undefined ? undefined : readPrivileges(priv, column_case_sensitive);
  const current = readGrants(account.grants, column_case_sensitive);
  let change: PrivilegeChange | undefined;
  if (wanted !== undefined) {
    const mode = append_privs ? "append" : subtract_privs ? "subtract" : "set";
    change = comparePrivileges(current, wanted.privileges, mode, await allPrivileges(mysql, version));
    const changing = privilegeStatements(change, user);
    statements.push(...changing);
    if (changing.length > 0) messages.push("Privileges updated");
  }
  const tls = wantedTls(tls_requires) ?? (wanted?.requiresTls ? { SSL: null } : undefined);
  const settings: string[] = [];
  if (tls !== undefined && !sameEntries(tls, readTls(account.definition))) {
    settings.push(tlsClause(tls));
    messages.push("TLS requires updated");
    attributes.require = [tlsClause(readTls(account.definition)), tlsClause(tls)];
  }
  const limits = limitClauses(given, account);
  if (limits.length > 0) {
    settings.push(...limits);
    messages.push("Resource limits updated");
  }
  const expiry = expiryClauses(given, account);
  if (expiry.length > 0) {
    settings.push(...expiry);
    messages.push("Password expiration updated");
  }
  if (locked !== undefined && locked !== isLocked(account.definition)) {
    settings.push(locked ? "ACCOUNT LOCK" : "ACCOUNT UNLOCK");
    messages.push(locked ? "User locked" : "User unlocked");
    attributes.locked = [String(!locked), String(locked)];
  }
  if (given.attributes !== undefined && (await differsInAttributes(given, account, mysql, version))) {
    settings.push(attributeClause(given.attributes, version));
    messages.push("Attributes updated");
  }
  if (settings.length > 0) statements.push(`ALTER USER ${user} ${settings.join(" ")}`);
  const path = pathOf(given, account.host);
  const [before, after] = [
    privilegeText(current),
    privilegeText(change === undefined ? current : afterChange(current, change)),
  ];
  const diff: Diff = {
    path,
    ...(before === after ? {} : { before, after }),
    ...(Object.keys(attributes).length === 0 ? {} : { attributes }),
  };
  return { statements, messages, setsPassword, diff: statements.length === 0 ? [] : [diff] };
}

function differsInPassword(given: Params, { plugin: currentPlugin, authString }: Account): boolean {
  const { password, encrypted, plugin, plugin_hash_string, plugin_auth_string } = given;
  if (plugin !== undefined) {
    if (plugin !== currentPlugin) return true;
    if (plugin_hash_string !== undefined) return plugin_hash_string !== authString;
    if (plugin_auth_string === undefined) return false;
    const hash = plugin === "mysql_native_password" ? nativeHash(plugin_auth_string) : plugin_auth_string;
    return hash.toUpperCase() !== authString.toUpperCase();
  }
  if (password === undefined) return false;
  const hash = encrypted ? password : nativeHash(password);
  const isNative = currentPlugin === "mysql_native_password" || currentPlugin === "";
  return !isNative || hash.toUpperCase() !== authString.toUpperCase();
}

/** Take requirements of TLS as a dict without values for flags. */
function wantedTls(given: Params["tls_requires"]): Readonly<Record<string, string | null>> | undefined {
  if (given === undefined) return undefined;
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [
      name.toUpperCase(),
      /^(ssl|x509|none)$/i.test(name) || value === null ? null : String(value),
    ]),
  );
}

function sameEntries(
  a: Readonly<Record<string, string | null>>,
  b: Readonly<Record<string, string | null>>,
): boolean {
  const keys = Object.keys(a).filter((name) => name !== "NONE");
  return keys.length === Object.keys(b).length && keys.every((name) => a[name] === b[name]);
}

function limitClauses({ resource_limits = {} }: Params, account: Account | undefined): readonly string[] {
  const differing = Object.entries(resource_limits)
    .map(([name, value]) => [name.toUpperCase(), value] as const)
    .filter(([name, value]) => (account?.limits[name] ?? 0) !== value);
  return differing.length === 0
    ? []
    : [`WITH ${differing.map(([name, value]) => `${name} ${value}`).join(" ")}`];
}

function expiryClauses(
  { password_expire, password_expire_interval }: Params,
  account: Account | undefined,
): readonly string[] {
  if (password_expire === undefined) return [];
  const wanted = {
    now: "",
    never: "NEVER",
    default: null,
    interval: `INTERVAL ${password_expire_interval} DAY`,
  }[password_expire];
  if (wanted === (account === undefined ? null : readExpiry(account.definition))) return [];
  return [wanted === "" ? "PASSWORD EXPIRE" : `PASSWORD EXPIRE ${wanted ?? "DEFAULT"}`];
}

function attributeClause(
  attributes: NonNullable<Params["attributes"]>,
  { isMariadb }: ServerVersion,
): string {
  if (isMariadb)
    throw new VolleyError(
      "ACTION_FAILED",
      "attributes of users are not supported by this server: it needs MySQL 8",
    );
  return `ATTRIBUTE ${sqlText(JSON.stringify(attributes))}`;
}

async function differsInAttributes(
  { name, attributes = {} }: Params,
  { host }: Account,
  mysql: Mysql,
  version: ServerVersion,
): Promise<boolean> {
  attributeClause(attributes, version);
  const [row] = await mysql.rows(
    `SELECT attribute FROM information_schema.user_attributes WHERE user = ${sqlText(name)} AND host = ${sqlText(host)}`,
  );
  const current = JSON.parse(Object.values(row ?? {})[0] ?? "{}") as Record<string, unknown>;
  return Object.entries(attributes).some(
    ([key, value]) => JSON.stringify(current[key] ?? null) !== JSON.stringify(value),
  );
}

/** List the privileges that ALL stands for, where the server shows each of them (MySQL 8). */
async function allPrivileges(
  mysql: Mysql,
  { isMariadb, number }: ServerVersion,
): Promise<ReadonlySet<string>> {
  if (isMariadb || number < 80_000) return new Set();
  const rows = await mysql.rows("SHOW PRIVILEGES");
  const names = rows.map((row) => (row.Privilege ?? "").toUpperCase());
  return new Set(names.filter((name) => !["GRANT OPTION", "PROXY", "USAGE", ""].includes(name)));
}
