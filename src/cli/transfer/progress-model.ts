import type { TransferOutcome } from "../../fanout/transfer/result.ts";

/** One host's progress. */
export interface HostProgress {
  readonly host: string;
  /** Undefined while it is not known how much there is. */
  totalBytes: number | undefined;
  /** Sent or there already. */
  bytes: number;
  sentBytes: number;
  outcome: TransferOutcome | undefined;
  readonly rate: RateMeter;
}

/** Bytes a second over the last few seconds. */
export interface RateMeter {
  add(bytes: number, nowMs: number): void;
  bytesPerSecond(nowMs: number): number;
}

const SPAN_MS = 3_000;
const SLOT_MS = 250;

/** Counts in slots, so that it holds little however often bytes come. */
export function createRateMeter(startedMs: number): RateMeter {
  const slots: { readonly at: number; bytes: number }[] = [];
  return {
    add: (bytes, nowMs) => {
      const at = Math.floor(nowMs / SLOT_MS);
      const last = slots.at(-1);
      if (last?.at === at) last.bytes += bytes;
      else slots.push({ at, bytes });
      if (slots.length > (2 * SPAN_MS) / SLOT_MS) slots.shift();
    },
    bytesPerSecond: (nowMs) => {
      const since = Math.max(startedMs, nowMs - SPAN_MS);
      const bytes = slots
        .filter(({ at }) => (at + 1) * SLOT_MS > since)
        .reduce((sum, slot) => sum + slot.bytes, 0);
      return (bytes * 1_000) / Math.max(SLOT_MS, nowMs - since);
    },
  };
}

/** Time until all is there, in milliseconds; undefined while nothing moves or nothing is known. */
export function remainingMs(
  { totalBytes, bytes }: Pick<HostProgress, "totalBytes" | "bytes">,
  bytesPerSecond: number,
): number | undefined {
  if (totalBytes === undefined || bytesPerSecond < 1 || bytes >= totalBytes) return undefined;
  return ((totalBytes - bytes) * 1_000) / bytesPerSecond;
}
