import { formatElapsed } from "../rows/amounts.ts";

/** A duration where milliseconds matter: `2.4ms`, `120ms`, `3.21s`, `2m 05s`. */
export function formatDuration(elapsedMs: number): string {
  const ms = Math.max(0, elapsedMs);
  if (ms === 0) return "0";
  if (ms < 9.95) return `${ms.toFixed(1)}ms`;
  return ms < 999.5 ? `${Math.round(ms)}ms` : formatElapsed(ms);
}
