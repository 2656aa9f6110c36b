import * as v from "valibot";
import { type ActionContext, ActionFailure } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ProcessResult, ReadSystem } from "../../core/system.ts";
import { READ_SECRET, type RunProgram, secretInput } from "../shared/database-client.ts";
import { describe, optionalText } from "../shared/params.ts";
import { failureText } from "../shared/run-tool.ts";

/** The parameters of all actions that ask a MySQL or MariaDB server. */
export const mysqlLogin = {
  login_user: optionalText("User to log in as. Default: of `config_file`, else the running user."),
  login_password: v.optional(describe(v.string(), "Password to log in with.")),
  login_host: v.optional(
    describe(v.string(), "Host of the server; `localhost` is reached by its socket."),
    "localhost",
  ),
  login_port: v.optional(
    describe(
      v.pipe(v.number(), v.integer()),
      "Port of the server; another one than 3306 is used for `localhost` too.",
    ),
    3306,
  ),
  login_unix_socket: optionalText("Path of the server's socket."),
  config_file: v.optional(
    describe(v.string(), "Option file with user and password, read on the host if it exists."),
    "~/.my.cnf",
  ),
  connect_timeout: v.optional(
    describe(v.pipe(v.number(), v.integer()), "Seconds to wait for a connection."),
    30,
  ),
  ca_cert: optionalText("Path of the certificates (PEM) of authorities to trust."),
  client_cert: optionalText("Path of the client's certificate (PEM)."),
  client_key: optionalText("Path of the client's key (PEM)."),
  check_hostname: v.optional(describe(v.boolean(), "Verify the server's name in its certificate.")),
};

/** Ansible's other names of {@link mysqlLogin}. */
export const mysqlAliases = { ssl_ca: "ca_cert", ssl_cert: "client_cert", ssl_key: "client_key" };

function loginSchema() {
  return v.strictObject(mysqlLogin);
}

/** The values of {@link mysqlLogin}. */
export interface MysqlLogin extends v.InferOutput<ReturnType<typeof loginSchema>> {
  /** Try root without a password first. */
  readonly check_implicit_admin?: boolean | undefined;
}

/** A row; a value is null for NULL, else text. */
export type Row = Readonly<Record<string, string | null>>;

/** A server that takes statements. */
export interface Mysql {
  /** The text of an option file that logs in. */
  readonly optionFile: string;
  readonly run: RunProgram;
  readonly signal: AbortSignal;
  /** Run statements, in one session, and return the rows of each that has any. Fails with `ACTION_FAILED`. */
  query(sql: string): Promise<readonly (readonly Row[])[]>;
  /** Return the rows of one statement. */
  rows(sql: string): Promise<readonly Row[]>;
}

const MAX_OUTPUT = 64 << 20;

/** Get ready to ask a server by its own client. Fails with `ACTION_FAILED` where there is none. */
export async function connectMysql(
  system: ReadSystem,
  run: RunProgram,
  login: MysqlLogin,
  { signal }: Pick<ActionContext, "signal">,
  prelude: readonly string[] = [],
): Promise<Mysql> {
  const client = (await system.which("mariadb")) ?? (await system.which("mysql"));
  if (client === null)
    throw new VolleyError(
      "ACTION_FAILED",
      'there is no mysql client on this host; install it first with apt({ name: "mariadb-client" })',
    );
  const fromFile = (await system.readIfExists(login.config_file))?.toString("utf8") ?? "";
  const ask = async (optionFile: string, sql: string): Promise<ProcessResult> =>
    run(
      [
        "sh",
        "-c",
        withOptionFile(`exec "$@"`),
        "sh",
        client,
        "--defaults-file=/dev/fd/3",
        `--connect-timeout=${login.connect_timeout}`,
        ...CLIENT_OPTIONS,
      ],
      {
        input: secretInput(optionFile, sql),
        env: { LC_ALL: "C.UTF-8" },
        signal,
        maxOutput: MAX_OUTPUT,
        keepsBytes: true,
      },
    );
  let optionFile = fromFile === "" ? writeOptions(login) : `${fromFile.trimEnd()}\n${writeOptions(login)}`;
  if (login.check_implicit_admin === true) {
    const asRoot = writeOptions({ ...login, login_user: "root", login_password: "" });
    if ((await ask(asRoot, "SELECT 1")).code === 0) optionFile = asRoot;
  }
  const query = async (sql: string): Promise<readonly (readonly Row[])[]> => {
    const result = await ask(optionFile, [...prelude, sql].map((statement) => `${statement};\n`).join(""));
    if (result.code !== 0) throw mysqlFailure(result, login);
    return readResults(result.stdout);
  };
  return { optionFile, run, signal, query, rows: async (sql) => (await query(sql))[0] ?? [] };
}

const CLIENT_OPTIONS = ["--xml", "--batch", "--binary-mode", "--default-character-set=utf8mb4"];

/** Run a script whose file descriptor 3 is the option file that stands at the head of standard input. */
export function withOptionFile(script: string): string {
  return `${READ_SECRET}exec 3<<EOF
$secret
EOF
${script}
`;
}

/** Write the group of an option file that logs in. Values are quoted, so that `#` and spaces are part of them. */
function writeOptions(login: MysqlLogin): string {
  const quote = (text: string): string =>
    `"${text.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n").replaceAll("\t", "\\t").replaceAll("\r", "\\r")}"`;
  const { login_host, login_port, login_unix_socket } = login;
  const isLocal = login_host === "localhost" || login_host === "";
  const entries: [string, string | undefined][] = [
    ["user", login.login_user],
    ["password", login.login_password],
    [
      "host",
      isLocal && login_port !== 3306 && login_unix_socket === undefined
        ? "127.0.0.1"
        : isLocal
          ? undefined
          : login_host,
    ],
    ["port", isLocal && login_port === 3306 ? undefined : String(login_port)],
    ["socket", login_unix_socket],
    ["ssl-ca", login.ca_cert],
    ["ssl-cert", login.client_cert],
    ["ssl-key", login.client_key],
  ];
  const lines = entries.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${quote(value)}`]));
  if (login.check_hostname === true)
    lines.push("loose-ssl-verify-server-cert", "loose-ssl-mode=VERIFY_IDENTITY");
  return `[client]\n${lines.join("\n")}\n`;
}

const CONNECTION_ERRORS = new Set(["1044", "1045", "1698", "1130", "2002", "2003", "2005", "2026"]);

function mysqlFailure(result: ProcessResult, { config_file }: MysqlLogin): VolleyError {
  const [, number = "", text = ""] =
    /^ERROR (\d+)(?: \(\w+\))?(?: at line \d+)?: (.*)$/m.exec(result.stderr) ?? [];
  const said = number === "" ? failureText(result) : `(${number}, "${text}")`;
  if (!CONNECTION_ERRORS.has(number)) return new ActionFailure("ACTION_FAILED", said, {});
  return new ActionFailure(
    "ACTION_FAILED",
    `unable to connect to database, check login_user and login_password are correct or ${config_file} has the credentials. Exception message: ${said}`,
    { mysql_error: Number(number) },
  );
}

const ITEM = /<(resultset)\b|<(row)>|<field name="([^"]*)"(?: xsi:nil="true" \/>|>([^<]*)<\/field>)/g;

/** Read the client's XML: the rows of each result. */
export function readResults(xml: string): readonly (readonly Row[])[] {
  const results: Record<string, string | null>[][] = [];
  for (const [, isResult, isRow, name, value] of xml.matchAll(ITEM)) {
    if (isResult !== undefined) results.push([]);
    else if (isRow !== undefined) results.at(-1)?.push({});
    else {
      const row = results.at(-1)?.at(-1);
      if (row !== undefined) row[decodeXml(name ?? "")] = value === undefined ? null : decodeXml(value);
    }
  }
  return results;
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function decodeXml(text: string): string {
  return text.replace(
    /&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi,
    (whole, decimal?: string, hex?: string, name?: string) => {
      if (name !== undefined) return ENTITIES[name] ?? whole;
      return String.fromCodePoint(decimal === undefined ? Number.parseInt(hex!, 16) : Number(decimal));
    },
  );
}

/** Quote text for a statement. */
export function sqlText(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "''").replaceAll("\0", "\\0")}'`;
}

/** Quote an identifier for a statement. */
export function sqlName(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}

/** The kind and version of a server. */
export interface ServerVersion {
  readonly isMariadb: boolean;
  readonly text: string;
  /** Major times 10,000, plus minor times 100, plus release: 101106. */
  readonly number: number;
}

/** Ask a server for its version. */
export async function serverVersion(mysql: Mysql): Promise<ServerVersion> {
  const [row] = await mysql.rows("SELECT VERSION() AS version");
  const text = row?.version ?? "";
  const [, major, minor, release] = /(\d+)\.(\d+)\.(\d+)/.exec(text) ?? [];
  return {
    isMariadb: /mariadb/i.test(text),
    text,
    number: Number(major) * 10_000 + Number(minor) * 100 + Number(release),
  };
}
