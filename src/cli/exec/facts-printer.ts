import { didYouMean, VolleyError } from "../../core/errors.ts";
import { writeJson } from "../../core/values/value.ts";
import { formatNodeSet } from "../../patterns/names.ts";
import { count } from "../../reporter/rows/amounts.ts";
import { padText, textWidth } from "../../reporter/rows/layout.ts";
import { BOLD, DIM, line, type Row, segment } from "../../reporter/rows/row.ts";
import { safeLine } from "../../reporter/rows/sanitize.ts";

/** A host's facts, flat: dicts are told by their leaves, `ansible_default_ipv4.address`. */
export interface HostFacts {
  readonly host: string;
  readonly facts: ReadonlyMap<string, string>;
}

/** Return facts flat: texts as they are, everything else as JSON. */
export function flattenFacts(vars: Readonly<Record<string, unknown>>): ReadonlyMap<string, string> {
  const flat = new Map<string, string>();
  const add = (path: string, value: unknown): void => {
    if (
      typeof value === "object" &&
      value !== null &&
      !Array.isArray(value) &&
      Object.keys(value).length > 0
    ) {
      for (const [name, inner] of Object.entries(value)) add(`${path}.${name}`, inner);
    } else flat.set(path, typeof value === "string" ? value : writeJson(value));
  };
  for (const name of Object.keys(vars).sort()) add(name, vars[name]);
  return flat;
}

/** Return whether a fact is one of those asked for: by its name, with or without `ansible_`, a dict's name, or a glob. */
function isAsked(path: string, wanted: string): boolean {
  const full = wanted.startsWith("ansible_") ? wanted : `ansible_${wanted}`;
  if (path === full || path.startsWith(`${full}.`)) return true;
  if (!/[*?]/.test(full)) return false;
  const glob = full
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${glob}(?:\\..*)?$`).test(path);
}

/** Keep the facts that are asked for; all without names. Fails with `USAGE` for a name that no host has. */
export function selectFacts(hosts: readonly HostFacts[], names: readonly string[]): readonly HostFacts[] {
  if (names.length === 0) return hosts;
  const all = new Set(hosts.flatMap(({ facts }) => [...facts.keys()]));
  for (const name of names) {
    if (hosts.length === 0 || [...all].some((path) => isAsked(path, name))) continue;
    const known = [...new Set([...all].flatMap((path) => [path, path.split(".")[0]!]))];
    const full = name.startsWith("ansible_") ? name : `ansible_${name}`;
    throw new VolleyError("USAGE", `no host has a fact "${name}"${didYouMean(full, known)}`);
  }
  return hosts.map(({ host, facts }) => ({
    host,
    facts: new Map([...facts].filter(([path]) => names.some((name) => isAsked(path, name)))),
  }));
}

/** The values of one fact, with the hosts that have each; the most frequent value first. */
interface FoldedFact {
  readonly path: string;
  readonly values: readonly { readonly value: string | undefined; readonly hosts: readonly string[] }[];
}

function foldFacts(hosts: readonly HostFacts[]): readonly FoldedFact[] {
  const paths = [...new Set(hosts.flatMap(({ facts }) => [...facts.keys()]))].sort();
  return paths.map((path) => {
    const byValue = new Map<string | undefined, string[]>();
    for (const { host, facts } of hosts) {
      const value = facts.get(path);
      byValue.set(value, [...(byValue.get(value) ?? []), host]);
    }
    const values = [...byValue].map(([value, names]) => ({ value, hosts: names }));
    return { path, values: values.sort((one, other) => other.hosts.length - one.hosts.length) };
  });
}

/**
 * Show which hosts differ in what: facts that some hosts share, value by value, then in one line each the names of those
 * that differ everywhere and the number of those that are equal. With `isWhole` all values are shown.
 */
export function foldedRows(hosts: readonly HostFacts[], isWhole: boolean): readonly Row[] {
  const folded = foldFacts(hosts);
  const rows: Row[] = [];
  const equal = folded.filter(({ values }) => values.length === 1);
  const scattered = isWhole
    ? []
    : folded.filter(({ values }) => hosts.length > 2 && values.length === hosts.length);
  for (const fact of folded) {
    if (scattered.includes(fact) || (!isWhole && equal.includes(fact))) continue;
    rows.push(line(safeLine(fact.path), BOLD));
    const shown = fact.values.map(({ value }) => (value === undefined ? "(none)" : safeLine(value)));
    const width = Math.min(MAX_ALIGNED, Math.max(...shown.map(textWidth)));
    for (const [index, { hosts: names, value }] of fact.values.entries()) {
      rows.push([
        segment(`  ${padText(shown[index]!, width)}  `, value === undefined ? DIM : {}),
        segment(hostsText(names, hosts.length), DIM),
      ]);
    }
  }
  if (scattered.length > 0) {
    const names = [...new Set(scattered.map(({ path }) => path.split(".")[0]!))];
    rows.push([segment("different on every host: ", DIM), segment(names.join(", "))]);
  }
  if (!isWhole && equal.length > 0) {
    const every = hosts.length === 2 ? "on both hosts" : `on all ${hosts.length} hosts`;
    rows.push(
      line(`${count(equal.length, "fact")} ${equal.length === 1 ? "is" : "are"} the same ${every}`, DIM),
    );
  }
  return rows;
}

const MAX_ALIGNED = 48;

function hostsText(names: readonly string[], all: number): string {
  if (names.length === all && all > 1) return `all ${all} hosts`;
  const set = formatNodeSet(names);
  return names.length === 1 ? set : `${set} (${names.length})`;
}

/** Show a table: a row for each host and a column for each fact, or for a single host a row for each fact. */
export function tableRows(hosts: readonly HostFacts[]): readonly Row[] {
  const paths = [...new Set(hosts.flatMap(({ facts }) => [...facts.keys()]))].sort();
  const [only] = hosts;
  if (hosts.length === 1 && only !== undefined) {
    const width = Math.max(0, ...paths.map(textWidth));
    return paths.map((path) => [
      segment(`${padText(safeLine(path), width)}  `, BOLD),
      segment(safeLine(only.facts.get(path)!)),
    ]);
  }
  const cells = [
    ["host", ...paths],
    ...hosts.map(({ host, facts }) => [host, ...paths.map((path) => facts.get(path) ?? "-")]),
  ].map((row) => row.map(safeLine));
  const widths = cells[0]!.map((_name, column) => Math.max(...cells.map((row) => textWidth(row[column]!))));
  return cells.map((row, index) =>
    row.map((text, column) => {
      const padded = column === row.length - 1 ? text : `${padText(text, widths[column]!)}  `;
      return segment(padded, index === 0 ? BOLD : {});
    }),
  );
}
