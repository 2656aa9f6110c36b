import { formatBytes } from "../rows/amounts.ts";
import { formatDuration } from "../timing/duration.ts";
import { PHASES } from "../timing/phase-times.ts";
import { quantile } from "../timing/spread.ts";
import { axis, legend, stackedBar } from "./bars.ts";
import type { ComparedGroup, ComparedMethod, ComparedPhase } from "./compare-page-data.ts";
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
<table id="${id}-times" data-sortable>
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
  const percent = `${Math.round(confidence * 1000) / 10}%`;
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
<table id="${id}-ratios" data-sortable>
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
<div class="scroll" role="region" aria-label="Table of phases, ${label}" tabindex="0">
<table data-sortable>
<caption class="vh">Phases of each method, medians over hosts and runs, ${label}</caption>
<thead><tr><th scope="col">Method</th><th scope="col" class="wide" data-sort="none"><span>Phases</span>${axis(fullMs)}</th>${used.map((phase) => html`<th scope="col" class="n">${phase}</th>`)}</tr></thead>
<tbody>
${told.map(({ label: name, phasesMs }) => {
  const parts = used.map((phase) => ({ name: phase, elapsedMs: phasesMs[phase] ?? 0 }));
  const words = parts.map((part) => `${part.name} ${formatDuration(part.elapsedMs)}`).join(", ");
  return html`<tr><th scope="row">${name}</th><td class="wide">${stackedBar(parts, fullMs, words)}</td>${used.map((phase) => elapsedCell(phasesMs[phase]))}</tr>
`;
})}</tbody></table></div>`;
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
