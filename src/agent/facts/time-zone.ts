/** What a clock in some zone shows at one moment. */
export interface ZoneTime {
  /** Seconds east of Greenwich. */
  readonly offset: number;
  readonly name: string;
  /** The zone's name in summer, or its only one. */
  readonly summerName: string;
}

/** Greenwich. */
export const UTC: ZoneTime = { offset: 0, name: "UTC", summerName: "UTC" };

/** Reads a compiled time zone (TZif, RFC 8536) for one moment; UTC when it is none. */
export function zoneTimeAt(file: Buffer, seconds: number): ZoneTime {
  if (file.length < 44 || file.toString("latin1", 0, 4) !== "TZif") return UTC;
  const header = (at: number): readonly number[] =>
    [20, 24, 28, 32, 36, 40].map((offset) => file.readUInt32BE(at + offset));
  const [isUt = 0, isStd = 0, leaps = 0, times = 0, types = 0, chars = 0] = header(0);
  if ((file[4] ?? 0) < 0x32) return UTC; // Version 1 ends in 2038 and is no longer written.
  const second = 44 + times * 5 + types * 6 + chars + leaps * 8 + isStd + isUt;
  const [isUt2 = 0, isStd2 = 0, leaps2 = 0, times2 = 0, types2 = 0, chars2 = 0] = header(second);
  const data = second + 44;
  const infoAt = data + times2 * 9;
  const namesAt = infoAt + types2 * 6;
  const nameAt = (index: number): string => {
    const start = namesAt + index;
    return file.toString("latin1", start, file.indexOf(0, start));
  };
  const info = (index: number) => {
    const at = infoAt + index * 6;
    return { offset: file.readInt32BE(at), summer: file[at + 4] === 1, name: nameAt(file[at + 5] ?? 0) };
  };
  const footerAt = namesAt + chars2 + leaps2 * 12 + isStd2 + isUt2 + 1;
  const footer = file.toString("latin1", footerAt, Math.max(footerAt, file.length - 1));

  let index = -1;
  while (index + 1 < times2 && Number(file.readBigInt64BE(data + (index + 1) * 8)) <= seconds) index++;
  if (index === times2 - 1 && footer !== "") return zoneTimeByRule(footer, seconds);
  const typeOf = (transition: number) =>
    info(transition < 0 ? 0 : (file[data + times2 * 8 + transition] ?? 0));
  const now = typeOf(index);
  const near = [index, index - 1, index + 1].filter((at) => at >= 0 && at < times2).map(typeOf);
  return {
    offset: now.offset,
    name: now.name,
    summerName: near.find(({ summer }) => summer)?.name ?? now.name,
  };
}

const RULE =
  /^(<[^>]+>|[A-Za-z]+)([-+]?[\d:]+)(?:(<[^>]+>|[A-Za-z]+)([-+]?[\d:]+)?,M(\d+)\.(\d)\.(\d)(?:\/([-+]?[\d:]+))?,M(\d+)\.(\d)\.(\d)(?:\/([-+]?[\d:]+))?)?$/;

/** A POSIX `TZ` rule such as `CET-1CEST,M3.5.0,M10.5.0/3` for one moment; UTC when it is not understood. */
export function zoneTimeByRule(rule: string, seconds: number): ZoneTime {
  const match = RULE.exec(rule);
  if (match === null) return UTC;
  const name = (match[1] ?? "").replace(/[<>]/g, "");
  const offset = 0 - parseHours(match[2]);
  if (match[3] === undefined) return { offset, name, summerName: name };
  const summerName = match[3].replace(/[<>]/g, "");
  const summerOffset = match[4] === undefined ? offset + 3600 : 0 - parseHours(match[4]);
  const year = new Date((seconds + offset) * 1000).getUTCFullYear();
  const start = changeAt(year, match.slice(5, 9)) - offset;
  const end = changeAt(year, match.slice(9, 13)) - summerOffset;
  const summer = start < end ? seconds >= start && seconds < end : seconds >= start || seconds < end;
  return summer ? { offset: summerOffset, name: summerName, summerName } : { offset, name, summerName };
}

/** `[-+]hh[:mm[:ss]]` in seconds. */
function parseHours(text = "2"): number {
  const [hours = 0, minutes = 0, rest = 0] = text.replace(/^[-+]/, "").split(":").map(Number);
  return (text.startsWith("-") ? -1 : 1) * (hours * 3600 + minutes * 60 + rest);
}

/** Seconds since 1970, by the wall clock, of the n-th weekday of a month (5 is the last). */
function changeAt(year: number, fields: readonly (string | undefined)[]): number {
  const [month = 1, week = 1, weekday = 0] = fields.slice(0, 3).map(Number);
  const first = new Date(Date.UTC(year, month - 1, 1)).getUTCDay();
  const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
  let day = 1 + ((weekday - first + 7) % 7) + (week - 1) * 7;
  while (day > days) day -= 7;
  return Date.UTC(year, month - 1, day) / 1000 + parseHours(fields[3]);
}
