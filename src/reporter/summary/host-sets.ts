interface NumberedName {
  readonly name: string;
  readonly prefix: string;
  readonly digits: string;
  readonly suffix: string;
}

/** Fold names into sets, written like patterns: `web[01-17], db1`; each set stands where its first name stood. */
export function foldHostNames(names: readonly string[]): string {
  return hostSets(names).join(", ");
}

/** The sets of {@link foldHostNames}, one by one. */
function hostSets(names: readonly string[]): readonly string[] {
  const readings = names.map(readingsOf);
  const uses = new Map<string, number>();
  for (const reading of readings.flat()) uses.set(keyOf(reading), (uses.get(keyOf(reading)) ?? 0) + 1);
  const sets = new Map<string, NumberedName[]>();
  for (const [index, name] of names.entries()) {
    const best = readings[index]?.reduce<NumberedName | undefined>(
      (chosen, each) =>
        chosen === undefined || (uses.get(keyOf(each)) ?? 0) > (uses.get(keyOf(chosen)) ?? 0) ? each : chosen,
      undefined,
    );
    const chosen = best ?? { name, prefix: name, digits: "", suffix: "" };
    const members = sets.get(keyOf(chosen)) ?? [];
    members.push(chosen);
    sets.set(keyOf(chosen), members);
  }
  return [...sets.values()].flatMap(byPadding).map(formatSet);
}

/** Return the readings of a name, each with another of its numbers as the counting one. */
function readingsOf(name: string): readonly NumberedName[] {
  return [...name.matchAll(/\d{1,9}/g)].map((match) => ({
    name,
    prefix: name.slice(0, match.index),
    digits: match[0],
    suffix: name.slice(match.index + match[0].length),
  }));
}

function keyOf({ prefix, digits, suffix }: NumberedName): string {
  return JSON.stringify([prefix, digits === "" ? 0 : 1, suffix]);
}

/** Padded numbers of different lengths cannot share a range. */
function byPadding(members: readonly NumberedName[]): readonly (readonly NumberedName[])[] {
  if (!members.some(({ digits }) => digits.length > 1 && digits.startsWith("0"))) return [members];
  const lengths = new Map<number, NumberedName[]>();
  for (const member of members) {
    lengths.set(member.digits.length, [...(lengths.get(member.digits.length) ?? []), member]);
  }
  return [...lengths.values()];
}

function formatSet(members: readonly NumberedName[]): string {
  const [first] = members;
  if (first === undefined) return "";
  if (members.length === 1) return first.name;
  const sorted = [...members].sort((one, other) => Number(one.digits) - Number(other.digits));
  const ranges: { from: string; to: string }[] = [];
  for (const { digits } of sorted) {
    const last = ranges.at(-1);
    if (last !== undefined && Number(digits) - Number(last.to) <= 1) last.to = digits;
    else ranges.push({ from: digits, to: digits });
  }
  const inside = ranges.map(({ from, to }) => (from === to ? from : `${from}-${to}`)).join(",");
  return `${first.prefix}[${inside}]${first.suffix}`;
}
