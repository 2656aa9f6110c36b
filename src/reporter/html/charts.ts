import { PHASES } from "../../core/events.ts";
import { formatDuration } from "../rows/amounts.ts";
import { quantile, type Spread } from "../timing.ts";
import { type Html, html } from "./page.ts";
import type { Segment, TimelinePhase } from "./report-data.ts";

/** Bars are drawn this wide and stretched to the room there is. */
const BAR_WIDTH = 1_000;
const BAR_HEIGHT = 12;

/** The distance of a phase's bar from the edges, so that its height tells the phase beside its colour. */
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

/** The phases of a waterfall, in order. */
export const TIMELINE_PHASES: readonly TimelinePhase[] = [...PHASES, "away"];

/** Draw one host's time as a bar over the time of the whole run; `label` says the same in words. */
export function timelineBar(segments: readonly Segment[], elapsedMs: number, label: string): Html {
  return html`<svg class="bar" role="img" viewBox="0 0 ${BAR_WIDTH} ${BAR_HEIGHT}" preserveAspectRatio="none"><title>${label}</title>${segments.map(
    ({ phase, fromMs, toMs }) => rectangle(`p-${phase}`, [fromMs, toMs], elapsedMs, INSETS[phase]),
  )}</svg>`;
}

/** Draw minimum, median and maximum as a bar `fullMs` long; screen readers read the numbers beside it instead. */
export function spreadBar({ min, median, max }: Spread, fullMs: number): Html {
  const place = placeOf(median, fullMs);
  return html`<svg class="bar spread" aria-hidden="true" viewBox="0 0 ${BAR_WIDTH} ${BAR_HEIGHT}" preserveAspectRatio="none">${rectangle("reach", [0, median], fullMs, 2)}${rectangle("range", [min, max], fullMs, 4)}<rect class="median" x="${Math.min(place, BAR_WIDTH - 6)}" y="0" width="6" height="${BAR_HEIGHT}"/></svg>`;
}

/** Draw parts one behind the other, each as long as its time. */
export function stackedBar(
  parts: readonly { readonly name: string; readonly elapsedMs: number }[],
  fullMs: number,
  label: string,
): Html {
  let fromMs = 0;
  return html`<svg class="bar" role="img" viewBox="0 0 ${BAR_WIDTH} ${BAR_HEIGHT}" preserveAspectRatio="none"><title>${label}</title>${parts.map(
    ({ name, elapsedMs }) => {
      const toMs = fromMs + elapsedMs;
      const drawn = rectangle(`p-${name}`, [fromMs, toMs], fullMs, insetOf(name));
      fromMs = toMs;
      return drawn;
    },
  )}</svg>`;
}

/** Name each colour and height. */
export function legend(names: readonly string[]): Html {
  return html`<ul class="legend" aria-label="Phases, in order">${names.map(
    (name) =>
      html`<li><svg class="key" aria-hidden="true" viewBox="0 0 16 ${BAR_HEIGHT}"><rect class="p-${name}" x="0" y="${insetOf(name)}" width="16" height="${BAR_HEIGHT - 2 * insetOf(name)}"/></svg>${name}</li>`,
  )}</ul>`;
}

/** Write five times from 0 to the end, above bars. */
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
  // A very short phase stays visible.
  const width = Math.max(2, placeOf(toMs, fullMs) - x);
  return html`<rect class="${className}" x="${Math.min(x, BAR_WIDTH - width)}" y="${inset}" width="${width}" height="${BAR_HEIGHT - 2 * inset}"/>`;
}

function insetOf(name: string): number {
  return Object.hasOwn(INSETS, name) ? INSETS[name as TimelinePhase] : 2;
}

function placeOf(ms: number, fullMs: number): number {
  return fullMs <= 0 ? 0 : Math.round((Math.max(0, Math.min(ms, fullMs)) / fullMs) * BAR_WIDTH);
}

/** A row of a strip plot. */
interface StripRow {
  readonly label: string;
  /** Milliseconds, in any order. */
  readonly values: readonly number[];
}

const PLOT_WIDTH = 760;
const LEFT = 200;
const RIGHT = 16;
const ROW = 44;
const TOP = 8;
const AXIS = 26;
const TICKS = 5;
/** The number of characters that fit beside a plot. */
const MAX_LABEL = 28;

/**
 * Draw distributions below each other on one scale from 0: every sample as a dot, a box from the lower to the upper
 * quartile, and the median as a thick line. `describedBy` is the id of the table with the same numbers.
 */
export function stripPlot(rows: readonly StripRow[], title: string, describedBy: string): Html {
  const height = TOP + rows.length * ROW + AXIS;
  const { step, end } = scaleOf(Math.max(1, ...rows.flatMap(({ values }) => values)));
  const place = (ms: number): number => round(LEFT + (ms / end) * (PLOT_WIDTH - LEFT - RIGHT));
  const ticks = Array.from({ length: Math.round(end / step) + 1 }, (_, index) => index * step);
  return html`<div class="scroll bare" role="region" aria-label="Plot: ${title}" tabindex="0"><svg class="plot" role="img" viewBox="0 0 ${PLOT_WIDTH} ${height}" aria-label="${title}" aria-describedby="${describedBy}">
${ticks.map((ms) => html`<path class="grid" d="M${place(ms)} ${TOP}V${height - AXIS}"/><text class="small" x="${place(ms)}" y="${height - 8}" text-anchor="${ms === 0 ? "start" : ms === end ? "end" : "middle"}">${formatDuration(ms)}</text>`)}
${rows.map((row, index) => stripRow(row, TOP + index * ROW + ROW / 2, place))}</svg></div>`;
}

function stripRow({ label, values }: StripRow, middle: number, place: (ms: number) => number): Html {
  const sorted = [...values].sort((one, other) => one - other);
  const [lower, median, upper] = [0.25, 0.5, 0.75].map((share) => place(quantile(sorted, share))) as [
    number,
    number,
    number,
  ];
  return html`<text x="0" y="${middle + 4}">${labelText(label)}</text>${
    sorted.length > 0 &&
    html`${sorted.length > 2 && html`<rect class="box" x="${lower}" y="${middle - 11}" width="${round(Math.max(1, upper - lower))}" height="22"/>`}${values.map(
      // Three lines in turn, because equal samples would hide each other on one.
      (ms, index) =>
        html`<circle class="dot" cx="${place(ms)}" cy="${middle + ((index % 3) - 1) * 5}" r="3.5"/>`,
    )}<path class="middle" d="M${median} ${middle - 13}V${middle + 13}"/>`
  }
`;
}

/** A row of a plot of ratios. */
interface IntervalRow {
  readonly label: string;
  /** The label of the divisor. */
  readonly baseline: string;
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

/** Draw ratios with their confidence intervals, around the line at 1 that means no difference. */
export function intervalPlot(rows: readonly IntervalRow[], title: string, describedBy: string): Html {
  const height = TOP + rows.length * ROW + AXIS;
  const most = Math.max(1.25, ...rows.map(({ high }) => high).filter(Number.isFinite)) * 1.05;
  const { step } = scaleOf(most);
  const place = (ratio: number): number =>
    round(LEFT + (Math.min(Math.max(ratio, 0), most) / most) * (PLOT_WIDTH - LEFT - RIGHT));
  const ticks = Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step);
  return html`<div class="scroll bare" role="region" aria-label="Plot: ${title}" tabindex="0"><svg class="plot" role="img" viewBox="0 0 ${PLOT_WIDTH} ${height}" aria-label="${title}" aria-describedby="${describedBy}">
${ticks.map((ratio) => html`<path class="grid" d="M${place(ratio)} ${TOP}V${height - AXIS}"/><text class="small" x="${place(ratio)}" y="${height - 8}" text-anchor="${ratio === 0 ? "start" : "middle"}">${Number(ratio.toFixed(2))}×</text>`)}
<path class="even" d="M${place(1)} ${TOP}V${height - AXIS}"/>
${rows.map(({ label, baseline, estimate, low, high }, index) => {
  const middle = TOP + index * ROW + ROW / 2;
  return html`<text x="0" y="${middle - 2}">${labelText(label)}</text><text class="small" x="0" y="${middle + 14}">${labelText(`divided by ${baseline}`)}</text><path class="interval" d="M${place(low)} ${middle}H${place(high)}M${place(low)} ${middle - 6}v12M${place(high)} ${middle - 6}v12"/><circle class="estimate" cx="${place(estimate)}" cy="${middle}" r="5"/>
`;
})}</svg></div>`;
}

function labelText(label: string): string {
  return label.length > MAX_LABEL ? `${label.slice(0, MAX_LABEL - 1)}…` : label;
}

/** Return a round step between about {@link TICKS} ticks, and the place of the last tick. */
function scaleOf(most: number): { readonly step: number; readonly end: number } {
  const rough = most / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((each) => each * power >= rough) ?? 10) * power;
  return { step, end: Math.ceil(most / step) * step };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
