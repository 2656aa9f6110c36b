import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { Stat } from "../../core/system.ts";
import type { Step } from "./steps.ts";

/** `preserve`, `now`, or a moment as `YYYYMMDDHHMM.SS` in local time. */
export type FileTime = string;

const MOMENT = /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(?:\.(\d{2}))?$/;

function parseTime(time: FileTime): number {
  const parts = MOMENT.exec(time)
    ?.slice(1)
    .map((digits) => Number(digits ?? 0));
  if (parts === undefined) {
    throw new VolleyError(
      "ACTION_FAILED",
      `"${time}" is not a time; write preserve, now, or YYYYMMDDHHMM.SS`,
    );
  }
  const [year, month, day, hour, minute, second] = parts as [number, number, number, number, number, number];
  return new Date(year, month - 1, day, hour, minute, second).getTime();
}

/** The time a file should get; undefined when it has it already, to the second. */
function wantedTime(time: FileTime, currentMs: number): number | "now" | undefined {
  if (time === "preserve") return undefined;
  if (time === "now") return "now";
  const wantedMs = parseTime(time);
  return Math.floor(wantedMs / 1000) === Math.floor(currentMs / 1000) ? undefined : wantedMs;
}

function formatTime(time: number | "now"): string {
  return time === "now" ? time : new Date(time).toISOString();
}

/** The step that gives something about to be made the moments asked for; null when it is to have the time of being made. */
export function timesOfNew(path: string, modification: FileTime, access: FileTime): Step | null {
  const [mtimeMs, atimeMs] = [modification, access].map((time) =>
    time === "preserve" || time === "now" ? undefined : parseTime(time),
  );
  if (mtimeMs === undefined && atimeMs === undefined) return null;
  return { do: "times", path, atimeMs: atimeMs ?? "now", mtimeMs: mtimeMs ?? "now" };
}

/** The step that sets a file's times, or null when both are as they should be. */
export function inspectTimes(
  path: string,
  stat: Stat,
  modification: FileTime,
  access: FileTime,
): { readonly step: Step; readonly attributes: NonNullable<Diff["attributes"]> } | null {
  const mtimeMs = wantedTime(modification, stat.mtimeMs);
  const atimeMs = wantedTime(access, stat.atimeMs);
  if (mtimeMs === undefined && atimeMs === undefined) return null;
  return {
    step: { do: "times", path, atimeMs: atimeMs ?? stat.atimeMs, mtimeMs: mtimeMs ?? stat.mtimeMs },
    attributes: {
      ...(mtimeMs === undefined ? {} : { mtime: [formatTime(stat.mtimeMs), formatTime(mtimeMs)] as const }),
      ...(atimeMs === undefined ? {} : { atime: [formatTime(stat.atimeMs), formatTime(atimeMs)] as const }),
    },
  };
}
