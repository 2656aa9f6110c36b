import { VolleyError } from "../core/errors.ts";
import { within } from "../system/endable.ts";

/** How long a template may take, in milliseconds: nothing else is done meanwhile, not even ending it. */
export const RENDER_MS = 10_000;
/** The same where other hosts wait for it. */
export const RENDER_BESIDE_OTHERS_MS = 3_000;
/** How long a condition may take before it waits for anything, in milliseconds. */
const CONDITION_MS = 10_000;

/** Renders within a time. Fails with `TIMEOUT`. */
export function renderWithin<T>(limitMs: number, what: string, render: () => T): T {
  const began = performance.now();
  // A task's deadline may have ended it before its own limit.
  const late = (): VolleyError =>
    new VolleyError(
      "TIMEOUT",
      `${what} was still being rendered after ${inSeconds(performance.now() - began)}`,
      {
        hint: "a loop, a macro that calls itself or a regular expression in it does not come to an end",
      },
    );
  return within(limitMs, late, render);
}

/** Asks a condition of the playbook's, while the signal's deadline is not over. Fails with `TIMEOUT`. */
export function askWithin<T>(what: string, signal: AbortSignal, condition: () => T): T {
  const limitMs = Math.min(CONDITION_MS, leftUntil(signal));
  const late = (): VolleyError =>
    new VolleyError("TIMEOUT", `${what} did not answer within ${inSeconds(limitMs)}`);
  return within(limitMs, late, condition);
}

function inSeconds(milliseconds: number): string {
  return `${Math.round(milliseconds / 100) / 10} s`;
}

/** Whether a text may take its time: it loops, calls or filters. */
export function mayTakeLong(text: string): boolean {
  return /\{%|[|(]/.test(text);
}

const deadlines = new WeakMap<AbortSignal, number>();

/** Notes that a signal is going to be aborted so many milliseconds from now. */
export function noteDeadline(signal: AbortSignal, milliseconds: number): void {
  deadlines.set(signal, performance.now() + milliseconds);
}

/** How many milliseconds are left until a signal is aborted; infinite where none is known. */
export function leftUntil(signal: AbortSignal): number {
  const at = deadlines.get(signal);
  return at === undefined ? Number.POSITIVE_INFINITY : Math.max(1, at - performance.now());
}
