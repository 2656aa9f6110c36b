import type { DateTimeFacts } from "../../core/facts.ts";
import type { ReadSystem } from "../../core/system.ts";
import type { FactReader } from "./reader.ts";
import { UTC, type ZoneTime, zoneTimeAt, zoneTimeByRule } from "./time-zone.ts";

const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/** The clock in the host's own time zone: that of `TZ`, else of /etc/localtime. */
export async function gatherDateTime(
  system: ReadSystem,
  nowMs: number,
  env: NodeJS.ProcessEnv,
): Promise<DateTimeFacts> {
  return describeTime(nowMs, await readZone(system, nowMs / 1000, env.TZ));
}

async function readZone(system: ReadSystem, seconds: number, tz: string | undefined): Promise<ZoneTime> {
  const name = tz?.replace(/^:/, "");
  const path = !name ? "/etc/localtime" : name.startsWith("/") ? name : `/usr/share/zoneinfo/${name}`;
  try {
    const file = await system.readIfExists(path);
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
export function describeTime(nowMs: number, zone: ZoneTime): DateTimeFacts {
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
