import { createHash } from "node:crypto";
import type { Mysql, Row, ServerVersion } from "./mysql-client.ts";
import { sqlText } from "./mysql-client.ts";

/** An account as its server shows it. */
export interface Account {
  readonly host: string;
  readonly plugin: string;
  readonly authString: string;
  /** The statement of SHOW CREATE USER; empty where the server has none. */
  readonly definition: string;
  readonly limits: Readonly<Record<string, number>>;
  readonly grants: readonly string[];
}

/** Quote the name of an account. */
export function accountName(user: string, host: string): string {
  return `${sqlText(user)}@${sqlText(host)}`;
}

/** Return the hash of a password as `mysql_native_password` keeps it. */
export function nativeHash(password: string): string {
  if (password === "") return "";
  const first = createHash("sha1").update(password, "utf8").digest();
  return `*${createHash("sha1").update(first).digest("hex").toUpperCase()}`;
}

/** Tell whether a text is a hash of {@link nativeHash}'s kind. */
export function isNativeHash(text: string): boolean {
  return /^\*[0-9A-F]{40}$/i.test(text);
}

const LIMITS: Readonly<Record<string, string>> = {
  max_questions: "MAX_QUERIES_PER_HOUR",
  max_updates: "MAX_UPDATES_PER_HOUR",
  max_connections: "MAX_CONNECTIONS_PER_HOUR",
  max_user_connections: "MAX_USER_CONNECTIONS",
};

/** The names of limits that a server keeps for each account. */
export const LIMIT_NAMES: readonly string[] = Object.values(LIMITS);

/** Read the accounts of a user, of one host or of all. */
export async function readAccounts(
  mysql: Mysql,
  version: ServerVersion,
  user: string,
  host: string | undefined,
): Promise<readonly Account[]> {
  const where = host === undefined ? "" : ` AND host = ${sqlText(host)}`;
  const rows = await mysql.rows(
    `SELECT * FROM mysql.user WHERE user = ${sqlText(user)}${where} ORDER BY host`,
  );
  const accounts: Account[] = [];
  for (const row of rows) accounts.push(await readAccount(mysql, version, user, lowerKeys(row)));
  return accounts;
}

function lowerKeys(row: Row): Row {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name.toLowerCase(), value]));
}

async function readAccount(mysql: Mysql, version: ServerVersion, user: string, row: Row): Promise<Account> {
  const host = row.host ?? "";
  const name = accountName(user, host);
  const hasDefinition = version.number >= (version.isMariadb ? 100_200 : 50_700);
  const [grants = [], created = []] = await mysql.query(
    [`SHOW GRANTS FOR ${name}`, ...(hasDefinition ? [`SHOW CREATE USER ${name}`] : [])].join(";\n"),
  );
  const auth = row.authentication_string ?? "";
  return {
    host,
    plugin: row.plugin ?? "",
    // Old servers keep the hash in a column of its own.
    authString: auth === "" ? (row.password ?? "") : auth,
    definition: Object.values(created[0] ?? {})[0] ?? "",
    limits: Object.fromEntries(
      Object.entries(LIMITS).map(([column, limit]) => [limit, Number(row[column] ?? 0)]),
    ),
    grants: grants.flatMap((grant) => Object.values(grant)).map((value) => value ?? ""),
  };
}

/** Read the requirements of TLS in an account's definition: SSL, X509, or CIPHER, ISSUER and SUBJECT with their values. */
export function readTls(definition: string): Readonly<Record<string, string | null>> {
  const text =
    /\bREQUIRE ((?:'(?:[^'\\]|''|\\[\s\S])*'|[^'])*?)(?= WITH | PASSWORD | ACCOUNT |$)/.exec(
      definition,
    )?.[1] ?? "";
  const found: Record<string, string | null> = {};
  for (const [, name, value] of text.matchAll(
    /\b(SSL|X509|CIPHER|ISSUER|SUBJECT)\b(?: '((?:[^'\\]|''|\\[\s\S])*)')?/g,
  ))
    found[name!] = value === undefined ? null : value.replaceAll("''", "'").replace(/\\([\s\S])/g, "$1");
  return found;
}

/** Write requirements of TLS as a clause. */
export function tlsClause(wanted: Readonly<Record<string, string | null>>): string {
  const words = Object.entries(wanted).map(([name, value]) =>
    value === null ? name : `${name} ${sqlText(value)}`,
  );
  return `REQUIRE ${words.length === 0 ? "NONE" : words.join(" AND ")}`;
}

/** The expiry of a password, as ALTER USER takes it after `PASSWORD EXPIRE`; null for the server's default. */
export function readExpiry(definition: string): string | null {
  const found = /\bPASSWORD EXPIRE( NEVER| DEFAULT| INTERVAL \d+ DAY)?/.exec(definition);
  if (found === null || found[1] === " DEFAULT") return null;
  return found[1]?.trim() ?? "";
}

/** Tell whether an account is locked. */
export function isLocked(definition: string): boolean {
  return /\bACCOUNT LOCK\b/.test(definition);
}
