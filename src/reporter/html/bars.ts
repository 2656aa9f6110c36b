import { PHASES } from "../../core/events.ts";
import { formatDuration } from "../timing/duration.ts";
import type { Spread } from "../timing/spread.ts";
import { type Html, html } from "./html.ts";
import type { Segment, TimelinePhase } from "./timeline.ts";

/** Bars are drawn this wide and stretched to the room there is. */
const WIDTH = 1_000;
const HEIGHT = 12;

/** How far a phase's bar stays from the edges: what it is shows by its form, not by its colour alone. */
const INSETS: Readonly<Record<TimelinePhase, number>> = {
  connect: 4,
  authenticate: 3,
  upload: 1,
  start: 3,
  facts: 2,
  tasks: 0,
  wait: 5,
  collect: 3,
  away: 5,
};

/** All that a waterfall can show, in order. */
export const TIMELINE_PHASES: readonly TimelinePhase[] = [...PHASES, "away"];

/** One host's time as a bar over the whole run's; `label` says the same in words. */
export function timelineBar(segments: readonly Segment[], elapsedMs: number, label: string): Html {
  return html`<svg class="bar" role="img" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none"><title>${label}</title>${segments.map(
    ({ phase, fromMs, toMs }) => rectangle(`p-${phase}`, [fromMs, toMs], elapsedMs, INSETS[phase]),
  )}</svg>`;
}

/** Minimum, median and maximum as a bar, with `fullMs` as its whole width; decoration beside the numbers. */
export function spreadBar({ min, median, max }: Spread, fullMs: number): Html {
  const place = placeOf(median, fullMs);
  return html`<svg class="bar spread" aria-hidden="true" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none">${rectangle("reach", [0, median], fullMs, 2)}${rectangle("range", [min, max], fullMs, 4)}<rect class="median" x="${Math.min(place, WIDTH - 6)}" y="0" width="6" height="${HEIGHT}"/></svg>`;
}

/** Parts one behind the other, each as long as its time. */
export function stackedBar(
  parts: readonly { readonly name: string; readonly elapsedMs: number }[],
  fullMs: number,
  label: string,
): Html {
  let fromMs = 0;
  return html`<svg class="bar" role="img" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none"><title>${label}</title>${parts.map(
    ({ name, elapsedMs }) => {
      const toMs = fromMs + elapsedMs;
      const drawn = rectangle(`p-${name}`, [fromMs, toMs], fullMs, insetOf(name));
      fromMs = toMs;
      return drawn;
    },
  )}</svg>`;
}

/** What each colour and form stands for. */
export function legend(names: readonly string[]): Html {
  return html`<ul class="legend" aria-label="Phases, in order">${names.map(
    (name) =>
      html`<li><svg class="key" aria-hidden="true" viewBox="0 0 16 ${HEIGHT}"><rect class="p-${name}" x="0" y="${insetOf(name)}" width="16" height="${HEIGHT - 2 * insetOf(name)}"/></svg>${name}</li>`,
  )}</ul>`;
}

/** Five times from 0 to the end, above bars. */
export function axis(fullMs: number): Html {
  return html`<span class="axis" aria-hidden="true">${[0, 0.25, 0.5, 0.75, 1].map(
    (share) => html`<span>${formatDuration(fullMs * share)}</span>`,
  )}</span>`;
}

function rectangle(
  className: string,
  [fromMs, toMs]: readonly [number, number],
  fullMs: number,
  inset: number,
): Html {
  const x = placeOf(fromMs, fullMs);
  // What took no time to speak of is still seen to have been.
  const width = Math.max(2, placeOf(toMs, fullMs) - x);
  return html`<rect class="${className}" x="${Math.min(x, WIDTH - width)}" y="${inset}" width="${width}" height="${HEIGHT - 2 * inset}"/>`;
}

function insetOf(name: string): number {
  return Object.hasOwn(INSETS, name) ? INSETS[name as TimelinePhase] : 2;
}

function placeOf(ms: number, fullMs: number): number {
  return fullMs <= 0 ? 0 : Math.round((Math.max(0, Math.min(ms, fullMs)) / fullMs) * WIDTH);
}
