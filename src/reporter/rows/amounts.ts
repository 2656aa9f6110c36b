const KIB = 1024;

/** A duration for a table: `0.31s`, `42.1s`, `2m 05s`, `1h 02m 03s`. */
export function formatElapsed(elapsedMs: number): string {
  const ms = Math.max(0, elapsedMs);
  if (ms < 9_995) return `${(ms / 1000).toFixed(2)}s`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)}s`;
  const { hours, minutes, seconds } = partsOf(Math.round(ms / 1000));
  if (hours > 0) return `${hours}h ${two(minutes)}m ${two(seconds)}s`;
  return `${minutes}m ${two(seconds)}s`;
}

/** A running clock in whole seconds: `0:07`, `12:34`, `1:02:03`. */
export function formatClock(elapsedMs: number): string {
  const { hours, minutes, seconds } = partsOf(Math.floor(Math.max(0, elapsedMs) / 1000));
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** A number of bytes in the largest unit that leaves at least 1: `870 B`, `1.2 MB`. A unit is 1024 of the one before. */
export function formatBytes(bytes: number): string {
  if (bytes < KIB) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = bytes / KIB;
  let unit = 0;
  // 999.5 would be rounded to 1000.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= KIB;
    unit++;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Bytes per second: `3.9 MB/s`; empty while no time has passed. */
export function formatRate(bytes: number, elapsedMs: number): string {
  return elapsedMs <= 0 ? "" : `${formatBytes(Math.round((bytes * 1000) / elapsedMs))}/s`;
}

/** Size, time and rate of an upload: `1.2 MB in 0.31s (3.9 MB/s)`. */
export function uploadedText({
  bytes,
  elapsedMs,
}: {
  readonly bytes: number;
  readonly elapsedMs: number;
}): string {
  const rate = formatRate(bytes, elapsedMs);
  return `${formatBytes(bytes)} in ${formatElapsed(elapsedMs)}${rate === "" ? "" : ` (${rate})`}`;
}

/** `1 host`, `2 hosts`. */
export function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? "" : "s"}`;
}

function partsOf(totalSeconds: number): { hours: number; minutes: number; seconds: number } {
  return {
    hours: Math.floor(totalSeconds / 3600),
    minutes: Math.floor((totalSeconds % 3600) / 60),
    seconds: totalSeconds % 60,
  };
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** A duration with milliseconds: `2.4ms`, `120ms`, `3.21s`, `2m 05s`. */
export function formatDuration(elapsedMs: number): string {
  const ms = Math.max(0, elapsedMs);
  if (ms === 0) return "0";
  if (ms < 9.95) return `${ms.toFixed(1)}ms`;
  return ms < 999.5 ? `${Math.round(ms)}ms` : formatElapsed(ms);
}
