import { homedir } from "node:os";
import type { Host, VarSource } from "../core/inventory.ts";
import { formatValue, wrapLine } from "./format-value.ts";
import { type FormatOptions, type Paint, paint } from "./paint.ts";
import { HIDDEN, isSecretName } from "./secret-name.ts";

const MAX_NAME_WIDTH = 28;
const MIN_VALUE_WIDTH = 20;

interface Row {
  readonly name: string;
  readonly value: unknown;
  readonly source: VarSource;
  /** Where the value that won over this one was set. */
  readonly winner?: VarSource;
}

function connectionRows({
  name,
  connection,
  groups,
  locked = [],
}: Host): readonly (readonly [string, string, string?])[] {
  const { address, port, user, privateKeyFile, become, becomeMethod } = connection;
  const home = homedir();
  const key = privateKeyFile?.startsWith(`${home}/`)
    ? `~${privateKeyFile.slice(home.length)}`
    : privateKeyFile;
  const asUser = become === null ? "nobody else" : become;
  const reach: readonly (readonly [string, string, string?])[] =
    connection.connection === "local"
      ? [["connection", "local", "this machine, without SSH"]]
      : [
          ["address", address, address === name ? "its own name" : ""],
          port === undefined
            ? ["port", "22", "default, unless ssh_config says otherwise"]
            : ["port", String(port)],
          user === undefined ? ["user", "", "you, unless ssh_config says otherwise"] : ["user", user],
          ...(key === undefined ? [] : [["private key", key] as const]),
        ];
  return [
    ["groups", groups.join(", ") || "none"],
    ...reach,
    ...(asUser === undefined
      ? []
      : [["become", asUser, becomeMethod ? `with ${becomeMethod}` : ""] as const]),
    ...locked.map(({ location, message }) => ["not shown", `${location?.file}: ${message}`] as const),
  ];
}

function rowsOf(host: Host): readonly Row[] {
  return Object.entries(host.vars).flatMap(([name, value]) => {
    const winner = host.sources[name]!;
    // A var may be called constructor.
    const others = new Map(Object.entries(host.overridden ?? {})).get(name) ?? [];
    const lost = others.map((other) => ({ name, ...other, winner }));
    return [{ name, value, source: winner }, ...lost];
  });
}

/** Rows by the place they were set in, nearest place first. */
function sections(host: Host): readonly (readonly Row[])[] {
  const places = new Map<string, Row[]>();
  for (const row of rowsOf(host)) {
    const key = `${row.source.scope}\n${row.source.file}`;
    places.set(key, [...(places.get(key) ?? []), row]);
  }
  const scopes = [`host ${host.name}`, ...host.groups.map((group) => `group ${group}`), "all"];
  const rank = (rows: readonly Row[]): number => scopes.indexOf(rows[0]!.source.scope);
  return [...places.values()]
    .map((rows) => rows.toSorted((a, b) => (a.source.line ?? 0) - (b.source.line ?? 0)))
    .sort((a, b) => rank(a) - rank(b));
}

function formatRow(row: Row, nameWidth: number, { columns, color }: FormatOptions): readonly string[] {
  const { dim, cyan }: Paint = paint(color);
  const gutter = row.source.line === undefined ? "" : String(row.source.line);
  const indent = 6 + nameWidth + 2;
  const width = Math.max(MIN_VALUE_WIDTH, columns - indent);
  const hidden = isSecretName(row.name) && typeof row.value !== "object";
  const lines = (hidden ? [HIDDEN] : formatValue(row.value, width)).flatMap((line) => wrapLine(line, width));
  const tooLong = row.name.length > nameWidth;
  const name = tooLong ? row.name : row.name.padEnd(nameWidth);
  const mark = row.winner === undefined ? (text: string) => text : dim;
  const head = `${dim(gutter.padStart(4))}  ${row.winner === undefined ? cyan(name) : dim(name)}`;
  const body = lines.map((line) => `${" ".repeat(indent)}${mark(line)}`);
  const out = tooLong ? [head, ...body] : [`${head}  ${mark(lines[0]!)}`, ...body.slice(1)];
  if (row.winner === undefined) return out;
  const note = `← ${row.winner.scope === row.source.scope ? row.winner.file : row.winner.scope} wins`;
  const last = lines.at(-1)!;
  if (last.length + 2 + note.length <= width)
    return [...out.slice(0, -1), `${out.at(-1)}${dim(`  ${note}`)}`];
  return [...out, `${" ".repeat(indent)}${dim(note)}`];
}

/** One host: how it is reached, then every var by the place it was set in, nearest first, with the values that lost. Passwords are hidden. */
export function formatInventoryHost(host: Host, options: FormatOptions): string {
  const { dim, bold } = paint(options.color);
  const lines = [bold(host.name)];
  for (const [label, value, note = ""] of connectionRows(host)) {
    const [first, ...rest] = wrapLine(value, options.columns - 15);
    const remark = note === "" ? "" : dim(value === "" ? `(${note})` : ` (${note})`);
    lines.push(
      `  ${dim(label.padEnd(13))}${first}${remark}`,
      ...rest.map((line) => `${" ".repeat(15)}${line}`),
    );
  }
  const nameWidth = Math.min(
    MAX_NAME_WIDTH,
    Math.max(
      0,
      ...Object.keys(host.vars)
        .map((name) => name.length)
        .filter((length) => length <= MAX_NAME_WIDTH),
    ),
  );
  for (const rows of sections(host)) {
    const { scope, file } = rows[0]!.source;
    lines.push(
      "",
      `${bold(scope)}  ${dim(file)}`,
      ...rows.flatMap((row) => formatRow(row, nameWidth, options)),
    );
  }
  return `${lines.join("\n")}\n`;
}
