import { homedir } from "node:os";
import { didYouMean, VolleyError } from "../core/errors.ts";
import type { Host, Inventory, VarSource } from "../core/inventory.ts";
import { describeSecret, isSecret } from "../core/secret.ts";
import { Data, type Dict, dictEntries, Float, isDict, writeJson } from "../core/values/value.ts";
import { resolveScalar } from "../yaml/scalar.ts";

const HEADINGS = ["HOST", "ADDRESS", "USER", "BECOME", "GROUPS"];
const GAP = 2;
const MIN_GROUPS_WIDTH = 16;

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? "" : "s"}`;
}

function describeAddress({ name, connection }: Host): string {
  if (connection.connection === "local") return "(local)";
  const { address, port, container } = connection;
  if (container !== undefined)
    return container.name === name ? `(${container.kind})` : `(${container.kind}) ${container.name}`;
  if (port === undefined) return address === name ? "" : address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Break words into lines of at most `width` characters; a longer word has a line of its own. */
function wrapWords(words: readonly string[], width: number): readonly string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.length === 0 ? [""] : lines;
}

/** Format hosts as a table: address, user, user to become, and groups, nearest first. */
export function formatInventoryList(
  inventory: Inventory,
  hosts: readonly Host[],
  options: FormatOptions,
): string {
  const { dim, bold } = paint(options.color);
  if (hosts.length === 0) return `${dim("No hosts.")}\n`;
  const rows = hosts.map((host) => [
    host.name,
    describeAddress(host),
    host.connection.user ?? "",
    host.connection.become ?? "",
  ]);
  const used = [0, 1, 2, 3].filter((column) => rows.some((row) => row[column] !== ""));
  const widths = new Map(
    used.map((column) => [
      column,
      Math.max(HEADINGS[column]!.length, ...rows.map((row) => row[column]!.length)) + GAP,
    ]),
  );
  const indent = [...widths.values()].reduce((total, width) => total + width, 0);
  const groupsWidth = Math.max(MIN_GROUPS_WIDTH, options.columns - indent);
  const pad = (cells: readonly string[]): string[] =>
    used.map((column) => cells[column]!.padEnd(widths.get(column)!));
  const lines = [dim([...pad(HEADINGS), HEADINGS[4]!].join(""))];
  for (const [index, host] of hosts.entries()) {
    const [name, ...rest] = pad(rows[index]!);
    const names = host.groups.map((group, place) => (place < host.groups.length - 1 ? `${group},` : group));
    const [first, ...more] = wrapWords(names, groupsWidth);
    lines.push(`${bold(name!)}${rest.join("")}${dim(first!)}`.trimEnd());
    for (const line of more) lines.push(`${" ".repeat(indent)}${dim(line)}`);
  }
  const groups = new Set(hosts.flatMap((host) => host.groups.filter((group) => group !== "ungrouped"))).size;
  const shown =
    hosts.length === inventory.hosts.size
      ? count(hosts.length, "host")
      : `${hosts.length} of ${count(inventory.hosts.size, "host")}`;
  return `${lines.join("\n")}\n\n${dim(`${shown} in ${count(groups, "group")}`)}\n`;
}

/** Return the value that `ansible-inventory --list` prints, so that the output can serve Ansible as an inventory too. */
export function inventoryToJson(
  inventory: Inventory,
  hosts: readonly Host[],
): Readonly<Record<string, unknown>> {
  const names = new Set(hosts.map(({ name }) => name));
  const groups = [...inventory.groups.values()].map((group) => {
    const own = group.directHosts.filter((host) => names.has(host));
    return [
      group.name,
      {
        ...(group.children.length > 0 ? { children: group.children } : {}),
        ...(own.length > 0 ? { hosts: own } : {}),
      },
    ] as const;
  });
  return {
    _meta: {
      hostvars: Object.fromEntries(
        hosts.filter(({ vars }) => Object.keys(vars).length > 0).map(({ name, vars }) => [name, vars]),
      ),
    },
    ...Object.fromEntries(groups.filter(([name, body]) => name === "all" || Object.keys(body).length > 0)),
  };
}

/** Format groups and their hosts as a tree, as `ansible-inventory --graph` does. Fail with `PATTERN_UNKNOWN` for an unknown root. */
export function formatInventoryGraph(
  inventory: Inventory,
  options: { readonly color: boolean; readonly root?: string; readonly hosts?: ReadonlySet<string> },
): string {
  const { dim, bold } = paint(options.color);
  const { root = "all", hosts = new Set(inventory.hosts.keys()) } = options;
  if (!inventory.groups.has(root)) {
    const suggestion = didYouMean(root, inventory.groups.keys());
    throw new VolleyError("PATTERN_UNKNOWN", `no group is called "${root}"${suggestion}`);
  }
  const lines: string[] = [];
  const visit = (name: string, depth: number): void => {
    const stem = (level: number): string => (level === 0 ? "" : dim(`${"  |".repeat(level)}--`));
    const { children, directHosts } = inventory.groups.get(name)!;
    lines.push(`${stem(depth)}${bold(`@${name}:`)}`);
    for (const child of children) visit(child, depth + 1);
    for (const host of directHosts) if (hosts.has(host)) lines.push(`${stem(depth + 1)}${host}`);
  };
  visit(root, 0);
  return `${lines.join("\n")}\n`;
}

const MAX_NAME_WIDTH = 28;
const MIN_VALUE_WIDTH = 20;

interface Row {
  readonly name: string;
  readonly value: unknown;
  readonly source: VarSource;
  /** The place of the value that won over this one. */
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
  const asWhom = user === undefined ? (["user", "root", "default"] as const) : (["user", user] as const);
  const { container } = connection;
  const reach: readonly (readonly [string, string, string?])[] =
    connection.connection === "local"
      ? [["connection", "local", "this machine, without SSH"]]
      : container !== undefined
        ? [
            ["connection", container.kind, "by that program on this machine"],
            ["container", container.name],
            asWhom,
          ]
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
    ...(connection.refused === undefined ? [] : [["not reached", connection.refused.message] as const]),
    ...(asUser === undefined
      ? []
      : [["become", asUser, becomeMethod ? `with ${becomeMethod}` : ""] as const]),
    ...locked.map(({ location, message }) => ["not shown", `${location?.file}: ${message}`] as const),
  ];
}

function rowsOf(host: Host): readonly Row[] {
  return Object.entries(host.vars).flatMap(([name, value]) => {
    const winner = host.sources[name]!;
    // A Map, because a var may be called constructor.
    const others = new Map(Object.entries(host.overridden ?? {})).get(name) ?? [];
    const lost = others.map((other) => ({ name, ...other, winner }));
    return [{ name, value, source: winner }, ...lost];
  });
}

/** Group rows by the place that sets them, nearest place first. */
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

/** Format one host: its connection, then every var by the place that sets it, nearest first, with the values that lost. Passwords are hidden. */
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

function formatScalar(value: unknown): string {
  if (isSecret(value)) return describeSecret(value);
  if (value instanceof Data) return `!unsafe ${JSON.stringify(value.text)}`;
  if (typeof value === "number" && !Number.isFinite(value))
    return String(value).replace(/Infinity|NaN/, (word) => (word === "NaN" ? ".nan" : ".inf"));
  // YAML 1.1 wants a fraction before an exponent.
  if (value instanceof Float) return String(value).replace(/^(-?\d+)e/, "$1.0e");
  if (typeof value !== "string") return writeJson(value);
  const ambiguous = resolveScalar(value) !== value || value !== value.trim() || /\p{Cc}/u.test(value);
  return ambiguous ? JSON.stringify(value) : value;
}

function isNested(value: unknown): value is Dict | readonly unknown[] {
  return (Array.isArray(value) && value.length > 0) || (isDict(value) && dictEntries(value).length > 0);
}

/** Format a value as lines of YAML for reading; a text is quoted only where it could be taken for another value. */
function formatValue(value: unknown, width: number): readonly string[] {
  if (typeof value === "string" && /\S\n/.test(value) && !/(?!\n)\p{Cc}/u.test(value)) {
    return [
      "|",
      ...value
        .replace(/\n$/, "")
        .split("\n")
        .map((line) => `  ${line}`),
    ];
  }
  if (!isNested(value)) return [formatScalar(value)];
  const flat = writeJson(value, { separators: [",", ":"] });
  if (Array.isArray(value) && value.every((item) => !isNested(item)) && flat.length <= width) {
    return [`[${value.map(formatScalar).join(", ")}]`];
  }
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      const [first, ...rest] = formatValue(item, width - 2);
      return [`- ${first}`, ...rest.map((line) => `  ${line}`)];
    });
  }
  return dictEntries(value as Dict).flatMap(([name, item]) => {
    const key = formatScalar(name);
    if (isSecretName(key) && !isNested(item) && !isSecret(item)) return [`${key}: ${HIDDEN}`];
    const lines = formatValue(item, width - key.length - 2);
    if (lines.length === 1 && !(isNested(item) && isDict(item))) return [`${key}: ${lines[0]}`];
    return [`${key}:`, ...lines.map((line) => `  ${line}`)];
  });
}

/** Break a line that is wider than `width`, at spaces if possible. */
function wrapLine(line: string, width: number): readonly string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > width) {
    const space = rest.lastIndexOf(" ", width);
    const at = space > width / 2 ? space : width;
    lines.push(rest.slice(0, at));
    rest = rest.slice(at).trimStart();
  }
  return [...lines, rest];
}

const SECRET_NAME =
  /(?:^|[_-])(?:pass|password|passwd|passphrase|secret|token|credentials?|(?:api|secret|private|access)_?key)$/i;
const CAMEL_CASE =
  /[a-z0-9](?:Pass|Password|Passwd|Passphrase|Secret|Token|Credentials?|(?:Api|Secret|Private|Access)Key)$/;

/** The text in place of a value whose name says that it is secret. */
const HIDDEN = "••••••••";

/** Tell whether a var has the name of a password or a key. */
function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name) || CAMEL_CASE.test(name);
}

/** The layout of text. */
export interface FormatOptions {
  readonly color: boolean;
  /** The terminal's width in characters. */
  readonly columns: number;
}

/** Marks text for a terminal. */
interface Paint {
  readonly dim: (text: string) => string;
  readonly bold: (text: string) => string;
  readonly cyan: (text: string) => string;
}

/** Make functions that mark text; without colour they change nothing. */
export function paint(color: boolean): Paint {
  const mark = (on: number, off: number) => (text: string) =>
    color && text !== "" ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  return { dim: mark(2, 22), bold: mark(1, 22), cyan: mark(36, 39) };
}
