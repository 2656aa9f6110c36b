import { PHASES } from "../../core/events.ts";
import { formatBytes } from "../rows/amounts.ts";
import { formatDuration } from "../timing/duration.ts";
import { quantile } from "../timing/spread.ts";
import { axis, legend, stackedBar } from "./bars.ts";
import type { ComparedGroup, ComparedMethod, ComparedPhase, ComparedSlope } from "./compare-page-data.ts";
import { type Html, html } from "./html.ts";
import { intervalPlot, stripPlot } from "./strip-plot.ts";
import { elapsedCell } from "./words.ts";

/** The parts of a method's time in order, the build first. */
const COMPARED_PHASES: readonly ComparedPhase[] = ["build", ...PHASES];

/** Everything measured under one condition; `id` tells its tables from those of other groups. */
export function groupSection(group: ComparedGroup, id: string, confidence: number): Html {
  return html`${timesPart(group, id)}
${ratiosPart(group, id, confidence)}
${phasesPart(group)}`;
}

function timesPart({ methods, label }: ComparedGroup, id: string): Html {
  const timed = methods.filter((method) => timesOf(method).length > 0);
  return html`${
    timed.length > 0 &&
    stripPlot(
      timed.map((method) => ({ label: method.label, values: timesOf(method) })),
      `Times of each method, ${label}: every run, quartiles and median`,
      `${id}-times`,
    )
  }
<div class="scroll" role="region" aria-label="Table of methods, ${label}" tabindex="0">
<table id="${id}-times" class="fit" data-sortable>
<caption class="vh">Times, bytes and round trips of each method, ${label}</caption>
<thead><tr><th scope="col">Method</th><th scope="col" class="n">Runs</th><th scope="col" class="n">Median</th><th scope="col" class="n">Lower quartile</th><th scope="col" class="n">Upper quartile</th><th scope="col" class="n">Min</th><th scope="col" class="n">Max</th><th scope="col" class="n">Sent</th><th scope="col" class="n">Received</th><th scope="col" class="n">Round trips</th></tr></thead>
<tbody>
${methods.map(methodRow)}</tbody></table></div>`;
}

function methodRow(method: ComparedMethod): Html {
  const { label, version, missing, samples, bytes, roundTrips } = method;
  const sorted = [...timesOf(method)].sort((one, other) => one - other);
  const failed = samples.length - sorted.length;
  const at = (share: number): number | undefined =>
    sorted.length === 0 ? undefined : quantile(sorted, share);
  const remark = [
    version,
    missing,
    failed > 0 && `${failed} of ${samples.length} runs failed and do not count`,
  ].filter((each) => each !== undefined && each !== false);
  return html`<tr><th scope="row">${label}${remark.length > 0 && html` <span class="dim">${remark.join("; ")}</span>`}</th><td class="n">${sorted.length}</td>${[0.5, 0.25, 0.75, 0, 1].map((share) => elapsedCell(at(share)))}${bytesCell(bytes?.sent)}${bytesCell(bytes?.received)}${
    roundTrips === undefined ? html`<td class="n none">–</td>` : html`<td class="n">${roundTrips}</td>`
  }</tr>
`;
}

function ratiosPart({ methods, label }: ComparedGroup, id: string, confidence: number): Html | undefined {
  const rows = methods.flatMap((method) =>
    (method.ratios ?? []).map((ratio) => ({ ...ratio, method: method.label })),
  );
  if (rows.length === 0) return undefined;
  const percent = percentOf(confidence);
  return html`<h3>Ratios</h3>
${intervalPlot(
  rows.map(({ method, baseline, median, low, high }) => ({
    label: method,
    baseline,
    estimate: median,
    low,
    high,
  })),
  `Ratios of times with their ${percent} confidence intervals, ${label}`,
  `${id}-ratios`,
)}
<div class="scroll" role="region" aria-label="Table of ratios, ${label}" tabindex="0">
<table id="${id}-ratios" class="fit" data-sortable>
<caption class="vh">Ratios of times, ${label}</caption>
<thead><tr><th scope="col">Method</th><th scope="col">Divided by</th><th scope="col">Ratio of</th><th scope="col" class="n">Ratio</th><th scope="col" class="n">${percent} interval, from</th><th scope="col" class="n">to</th><th scope="col" class="phrase">In words</th></tr></thead>
<tbody>
${rows.map(
  ({ method, baseline, median, low, high, means }) =>
    html`<tr><th scope="row">${method}</th><td>${baseline}</td><td>${means ? "means" : "medians"}</td><td class="n" data-v="${median}">${median.toFixed(2)}</td><td class="n" data-v="${low}">${low.toFixed(2)}</td><td class="n" data-v="${high}">${high.toFixed(2)}</td><td>${inWords(median, low, high)}</td></tr>
`,
)}</tbody></table></div>`;
}

function inWords(ratio: number, low: number, high: number): string {
  if (low <= 1 && high >= 1) return "no difference is shown: the interval holds 1";
  return ratio < 1 ? `${(1 / ratio).toFixed(1)} times as fast` : `takes ${ratio.toFixed(1)} times as long`;
}

function phasesPart({ methods, label }: ComparedGroup): Html | undefined {
  const told = methods.flatMap((method) =>
    method.phasesMs === undefined ? [] : [{ label: method.label, phasesMs: method.phasesMs }],
  );
  if (told.length === 0) return undefined;
  const used = COMPARED_PHASES.filter((phase) => told.some(({ phasesMs }) => phasesMs[phase] !== undefined));
  const totals = told.map(({ phasesMs }) => used.reduce((sum, phase) => sum + (phasesMs[phase] ?? 0), 0));
  const fullMs = Math.max(1, ...totals);
  return html`<h3>Where the time went</h3>
${legend(used)}
<div class="scroll" role="region" aria-label="Bars of phases, ${label}" tabindex="0">
<table class="fit bars">
<caption class="vh">Phases of each method as bars, ${label}</caption>
<thead><tr><th scope="col">Method</th><th scope="col" class="wide"><span>Phases</span>${axis(fullMs)}</th></tr></thead>
<tbody>
${told.map(({ label: name, phasesMs }) => {
  const parts = used.map((phase) => ({ name: phase, elapsedMs: phasesMs[phase] ?? 0 }));
  const words = parts.map((part) => `${part.name} ${formatDuration(part.elapsedMs)}`).join(", ");
  return html`<tr><th scope="row">${name}</th><td class="wide">${stackedBar(parts, fullMs, words)}</td></tr>
`;
})}</tbody></table></div>
<div class="scroll" role="region" aria-label="Table of phases, ${label}" tabindex="0">
<table class="fit across" data-sortable>
<caption class="vh">Phases of each method, medians over hosts and runs, ${label}</caption>
<thead><tr><th scope="col">Phase</th>${told.map((method) => html`<th scope="col" class="n">${method.label}</th>`)}</tr></thead>
<tbody>
${used.map(
  (phase) =>
    html`<tr><th scope="row">${phase}</th>${told.map(({ phasesMs }) => elapsedCell(phasesMs[phase]))}</tr>
`,
)}</tbody></table></div>`;
}

/** How many round trips methods wait for. */
export function slopesPart(slopes: readonly ComparedSlope[], confidence: number): Html {
  return html`<p>By how many milliseconds a method's time grows for each millisecond of round trip: the round trips it waits for one after the other.</p>
<div class="scroll" role="region" aria-label="Table of round trips" tabindex="0">
<table class="fit" data-sortable>
<caption class="vh">Round trips that each method waits for</caption>
<thead><tr><th scope="col">Method</th><th scope="col">Condition</th><th scope="col" class="n">Round trips</th><th scope="col" class="n">${percentOf(confidence)} interval, from</th><th scope="col" class="n">to</th></tr></thead>
<tbody>
${slopes.map(
  ({ method, condition, roundTrips, interval }) =>
    html`<tr><th scope="row">${method}</th><td class="s">${condition}</td>${[roundTrips, interval?.low, interval?.high].map(tripsCell)}</tr>
`,
)}</tbody></table></div>`;
}

function tripsCell(trips: number | undefined): Html {
  return trips === undefined
    ? html`<td class="n none">–</td>`
    : html`<td class="n" data-v="${trips}">${trips.toFixed(1)}</td>`;
}

function percentOf(share: number): string {
  return `${Math.round(share * 1000) / 10}%`;
}

function bytesCell(bytes: number | undefined): Html {
  return bytes === undefined
    ? html`<td class="n none" data-v="-1">–</td>`
    : html`<td class="n" data-v="${bytes}">${formatBytes(bytes)}</td>`;
}

/** The wall-clock times that count: those of runs that did not fail. */
function timesOf({ samples }: ComparedMethod): readonly number[] {
  return samples
    .filter(({ exitCode }) => exitCode === undefined || exitCode === 0)
    .map(({ wallMs }) => wallMs);
}
