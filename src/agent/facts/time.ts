import type { DateTimeFacts } from "../../core/facts.ts";
import type { ReadSystem } from "../../core/system.ts";
import type { FactReader, Machine } from "./sources.ts";

const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/** The clock in the host's own time zone: that of `TZ`, else of /etc/localtime. */
export async function gatherDateTime(
  system: ReadSystem,
  nowMs: number,
  env: NodeJS.ProcessEnv,
  machine?: Machine,
): Promise<DateTimeFacts> {
  return describeTime(nowMs, await readZone(system, nowMs / 1000, env.TZ, machine));
}

async function readZone(
  system: ReadSystem,
  seconds: number,
  tz: string | undefined,
  machine: Machine | undefined,
): Promise<ZoneTime> {
  const name = tz?.replace(/^:/, "");
  const path = !name ? "/etc/localtime" : name.startsWith("/") ? name : `/usr/share/zoneinfo/${name}`;
  try {
    // TZ may name any file.
    const text = name ? undefined : machine?.text?.(path, "latin1");
    const file = text === undefined ? await system.readIfExists(path) : Buffer.from(text, "latin1");
    if (file !== null) return zoneTimeAt(file, seconds);
  } catch {
    // A zone that cannot be read is none.
  }
  return name ? zoneTimeByRule(name, seconds) : UTC;
}

/** Milliseconds since 1970 from the kernel's own counters, for a system whose clock cannot be asked. */
export async function clockFromFiles(reader: FactReader): Promise<number> {
  const [stat, uptime] = await Promise.all([reader.text("/proc/stat"), reader.text("/proc/uptime")]);
  const boot = Number(/^btime (\d+)/m.exec(stat ?? "")?.[1]);
  const up = Number(uptime?.split(" ")[0]);
  return Number.isFinite(boot + up) ? (boot + up) * 1000 : Date.now();
}

/** A moment in the fields Ansible gives it. */
function describeTime(nowMs: number, zone: ZoneTime): DateTimeFacts {
  const local = new Date(nowMs + zone.offset * 1000);
  const iso = local.toISOString();
  const utc = new Date(nowMs).toISOString();
  const [year = "", month = "", day = ""] = iso.slice(0, 10).split("-");
  const [hour = "", minute = "", second = ""] = iso.slice(11, 19).split(":");
  const epoch = String(Math.floor(nowMs / 1000));
  const weekday = local.getUTCDay();
  const yearDay = Math.floor((local.getTime() - Date.UTC(local.getUTCFullYear(), 0, 1)) / 86_400_000);
  // strftime's %W: days before the year's first Monday are in week 0.
  const week = Math.floor((yearDay + 7 - ((weekday + 6) % 7)) / 7);
  const basic = `${year}${month}${day}T${hour}${minute}${second}`;
  const minutesEast = Math.abs(Math.trunc(zone.offset / 60));
  return {
    year,
    month,
    day,
    hour,
    minute,
    second,
    weekday: WEEKDAYS[weekday] ?? "",
    weekday_number: String(weekday),
    weeknumber: String(week).padStart(2, "0"),
    date: `${year}-${month}-${day}`,
    time: `${hour}:${minute}:${second}`,
    epoch,
    epoch_int: epoch,
    iso8601: `${utc.slice(0, 19)}Z`,
    iso8601_micro: `${utc.slice(0, 23)}000Z`,
    iso8601_basic: `${basic}${iso.slice(20, 23)}000`,
    iso8601_basic_short: basic,
    tz: zone.name,
    tz_dst: zone.summerName,
    tz_offset: `${zone.offset < 0 ? "-" : "+"}${String(Math.floor(minutesEast / 60)).padStart(2, "0")}${String(minutesEast % 60).padStart(2, "0")}`,
  };
}

/** The time in a zone at one moment. */
interface ZoneTime {
  /** Seconds east of Greenwich. */
  readonly offset: number;
  readonly name: string;
  /** The zone's name in summer, or its only one. */
  readonly summerName: string;
}

/** Greenwich. */
const UTC: ZoneTime = { offset: 0, name: "UTC", summerName: "UTC" };

/** Read a compiled time zone (TZif, RFC 8536) for one moment; UTC when it is none. */
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
function zoneTimeByRule(rule: string, seconds: number): ZoneTime {
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
