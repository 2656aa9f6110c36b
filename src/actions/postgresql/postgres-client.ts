import * as v from "valibot";
import { type ActionContext, ActionFailure } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ProcessResult, ReadSystem } from "../../core/system.ts";
import { READ_SECRET, type RunProgram, secretInput } from "../shared/database-client.ts";
import { describe, flag, optionalText } from "../shared/params.ts";
import { failureText } from "../shared/run-tool.ts";

/** The parameters of all actions that ask a PostgreSQL server. */
export const postgresLogin = {
  login_user: v.optional(describe(v.string(), "User to log in as."), "postgres"),
  login_password: v.optional(describe(v.string(), "Password to log in with."), ""),
  login_host: v.optional(describe(v.string(), "Host of the server. Default: its socket."), ""),
  login_port: v.optional(describe(v.pipe(v.number(), v.integer()), "Port of the server."), 5432),
  login_unix_socket: v.optional(describe(v.string(), "Directory of the server's socket."), ""),
  session_role: optionalText("Role to take on after logging in."),
  ssl_mode: v.optional(
    describe(
      v.picklist(["allow", "disable", "prefer", "require", "verify-ca", "verify-full"]),
      "Use of TLS, as libpq knows it.",
    ),
    "prefer",
  ),
  ca_cert: optionalText("Path of the certificates (PEM) of authorities to trust."),
  ssl_cert: optionalText("Path of the client's certificate (PEM)."),
  ssl_key: optionalText("Path of the client's key (PEM)."),
  connect_params: v.optional(describe(v.record(v.string(), v.string()), "Further parameters of libpq."), {}),
  trust_input: flag("Ignored: all names and values are quoted.", true),
};

/** Ansible's other names of {@link postgresLogin}. */
export const postgresAliases = {
  ssl_rootcert: "ca_cert",
  port: "login_port",
  login: "login_user",
  host: "login_host",
  unix_socket: "login_unix_socket",
};

function loginSchema() {
  return v.strictObject(postgresLogin);
}

/** The values of {@link postgresLogin}. */
export type PostgresLogin = v.InferOutput<ReturnType<typeof loginSchema>>;

/** A row; a value is null for NULL, else text. */
export type PostgresRow = Readonly<Record<string, string | null>>;

/** The outcome of one statement. */
export interface StatementResult {
  readonly columns: readonly string[];
  readonly rows: readonly PostgresRow[];
  /** The number of rows returned or changed. */
  readonly count: number;
}

/** A server that takes statements. */
export interface Postgres {
  /** Run statements, in one session, in their order. Fails with `ACTION_FAILED`. */
  run(statements: readonly string[]): Promise<readonly StatementResult[]>;
  /** Return the rows of one statement. */
  rows(statement: string): Promise<readonly PostgresRow[]>;
  /** Return the types of a statement's columns by name, without running it; `before` is run first. */
  describe(statement: string, before: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** Run another program of PostgreSQL with the same login: in `script` it is `"$@"`. */
  program(argv: readonly string[], script?: string): Promise<ProcessResult>;
}

const MAX_OUTPUT = 64 << 20;
const NULL = "\u0001null\u0001";
const MARK = "\u0001mark\u0001";

/** Get ready to ask a server by psql. Fails with `ACTION_FAILED` where there is none. */
export async function connectPostgres(
  system: ReadSystem,
  run: RunProgram,
  login: PostgresLogin,
  database: string,
  { signal }: Pick<ActionContext, "signal">,
): Promise<Postgres> {
  if ((await system.which("psql")) === null)
    throw new VolleyError(
      "ACTION_FAILED",
      'there is no psql on this host; install it first with apt({ name: "postgresql-client" })',
    );
  const target = conninfo(login, database);
  const env = {
    LC_ALL: "C.UTF-8",
    PGSSLMODE: login.ssl_mode,
    PGCLIENTENCODING: "UTF8",
    ...(login.ca_cert === undefined ? {} : { PGSSLROOTCERT: login.ca_cert }),
    ...(login.ssl_cert === undefined ? {} : { PGSSLCERT: login.ssl_cert }),
    ...(login.ssl_key === undefined ? {} : { PGSSLKEY: login.ssl_key }),
  };
  const start = (argv: readonly string[], script: string, input = ""): Promise<ProcessResult> =>
    run(["sh", "-c", `${READ_SECRET}${WITH_PASSWORD}${script}\n`, "sh", ...argv], {
      input: secretInput(login.login_password, input),
      env,
      signal,
      maxOutput: MAX_OUTPUT,
      keepsBytes: true,
    });
  const role = login.session_role === undefined ? [] : [`SET ROLE ${pgName(login.session_role)}`];
  const send = async (statements: readonly string[], last = ""): Promise<readonly string[]> => {
    const lines = [...role, ...statements].map((statement) => `${statement}\n;\n${MARKING}`).join("");
    const result = await start(["psql", ...PSQL_OPTIONS, "-d", target], 'exec "$@"', lines + last);
    if (result.code !== 0) throw postgresFailure(result, database);
    return result.stdout.split(MARK).slice(role.length);
  };
  const runAll = async (statements: readonly string[]): Promise<readonly StatementResult[]> => {
    // The count of a statement's rows stands behind the mark that ends its output.
    const parts = (await send(statements)).map((part) => /^(?: (-?\d+)\n)?([\s\S]*)$/.exec(part)!);
    const first =
      role.length === 0 ? parts : [["", undefined, parts[0]?.[2] ?? ""] as const, ...parts.slice(1)];
    return statements.map((_, index) =>
      readResult(first[index]?.[2] ?? "", Number(first[index + 1]?.[1] ?? 0)),
    );
  };
  return {
    run: runAll,
    describe: async (statement, before) => {
      const output = (await send(before, `${statement}\n\\gdesc\n`)).at(-1) ?? "";
      const [, ...rows] = readCsv(output.replace(/^ -?\d+\n/, ""));
      return new Map(rows.map(([name = "", type = ""]) => [name, type]));
    },
    rows: async (statement) => (await runAll([statement]))[0]?.rows ?? [],
    program: (argv, script = 'exec "$@"') => start(argv, script),
  };
}

const MARKING = `\\echo ${MARK} :ROW_COUNT\n`;

const PSQL_OPTIONS = [
  "-X",
  "-q",
  "-w",
  "--csv",
  "-v",
  "ON_ERROR_STOP=1",
  "-v",
  "VERBOSITY=default",
  "-P",
  `null=${NULL}`,
];

/** The last newline is {@link READ_SECRET}'s own. */
const WITH_PASSWORD = `secret=\${secret%?}
[ -z "$secret" ] || { PGPASSWORD=$secret; export PGPASSWORD; }
`;

/** Write the connection string of a login, without its password. */
export function conninfo(login: PostgresLogin, database: string): string {
  const { login_host, login_unix_socket, login_port, login_user, connect_params } = login;
  const host =
    login_unix_socket !== "" && (login_host === "" || login_host === "localhost")
      ? login_unix_socket
      : login_host;
  const entries = {
    ...(host === "" ? {} : { host }),
    port: String(login_port),
    user: login_user,
    dbname: database,
    ...connect_params,
  };
  return Object.entries(entries)
    .map(([name, value]) => `${name}='${value.replace(/[\\']/g, "\\$&")}'`)
    .join(" ");
}

function postgresFailure(result: ProcessResult, database: string): VolleyError {
  const said = result.stderr
    .split("\n")
    .map((line) => line.replace(/^psql:(?:<stdin>:\d+:)?\s*(?:error:\s*)?/, "").trim())
    .filter((line) => line !== "" && !/^could not change directory/.test(line));
  // Exit code 2 stands for a connection that could not be made, or was lost.
  if (result.code === 2)
    return new ActionFailure(
      "ACTION_FAILED",
      `unable to connect to database "${database}": ${said.join("; ")}`,
      {},
    );
  return new ActionFailure("ACTION_FAILED", said.slice(0, 4).join("; ") || failureText(result), {});
}

/** Read the rows that psql prints for a statement, below the names of their columns. */
function readResult(output: string, count: number): StatementResult {
  const [columns = [], ...rows] = readCsv(output);
  return {
    columns,
    rows: rows.map((row) =>
      Object.fromEntries(
        columns.map((name, index) => [name, row[index] === NULL ? null : (row[index] ?? "")]),
      ),
    ),
    count,
  };
}

const CELL = /(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n|$)/y;

/** Read CSV (RFC 4180, with lines that end in a newline). */
export function readCsv(text: string): readonly (readonly string[])[] {
  const rows: string[][] = [];
  let row: string[] = [];
  CELL.lastIndex = 0;
  while (CELL.lastIndex < text.length) {
    const match = CELL.exec(text);
    if (match === null) break;
    row.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "");
    if (match[3] === ",") continue;
    rows.push(row);
    row = [];
  }
  return rows;
}

/** Quote text for a statement. */
export function pgText(text: string): string {
  const quoted = text.replaceAll("'", "''");
  return text.includes("\\") ? ` E'${quoted.replaceAll("\\", "\\\\")}'` : `'${quoted}'`;
}

/** Quote an identifier for a statement. */
export function pgName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quote a name that may have a schema before a dot. */
export function pgQualified(name: string): string {
  const parts = name.match(/"(?:[^"]|"")*"|[^.]+/g) ?? [name];
  return parts.map((part) => (part.startsWith('"') ? part : pgName(part))).join(".");
}
