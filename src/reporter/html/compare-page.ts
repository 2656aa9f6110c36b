import { formatBytes, formatDuration } from "../rows/amounts.ts";
import { COMPARED_PHASES, type ComparedPhase, quantile } from "../timing.ts";
import { axis, intervalPlot, legend, stackedBar, stripPlot } from "./charts.ts";
import { elapsedCell, type Html, hostsText, html, renderPage } from "./page.ts";

/** Render the page of a comparison as HTML that loads nothing; `generator` names its maker, `volley 0.1.0`. */
export function renderComparePage(
  data: ComparePageData,
  options: { readonly generator?: string } = {},
): string {
  const { title, startedAtMs, groups, slopes, confidence } = data;
  const started = new Date(startedAtMs).toISOString();
  return renderPage({
    title,
    subtitle: html`begun <time datetime="${started}">${started.slice(0, 19).replace("T", " ")} UTC</time>`,
    sections: [
      { id: "overview", title: "Overview", content: overview(data) },
      ...groups.map((group, index) => ({
        id: `group-${index + 1}`,
        title: group.label,
        content: groupSection(group, `group-${index + 1}`, confidence),
      })),
      ...(slopes.length === 0
        ? []
        : [{ id: "distance", title: "Round trips waited for", content: slopesPart(slopes, confidence) }]),
      { id: "how", title: "How it was measured", content: how(data) },
    ],
    ...options,
  });
}

/** The medians of all methods under all conditions. Conditions are rows, because most comparisons have more of them than methods. */
function overview({ groups, playbook, hosts }: ComparePageData): Html {
  const labels = [...new Set(groups.flatMap(({ methods }) => methods.map(({ label }) => label)))];
  return html`<p>${playbook} on ${hostsText(hosts)}. Medians of wall-clock time:</p>
<div class="scroll" role="region" aria-label="Table of medians" tabindex="0">
<table class="fit across" data-sortable>
<caption class="vh">Median time of each method under each condition</caption>
<thead><tr><th scope="col">Condition</th>${labels.map((label) => html`<th scope="col" class="n">${label}</th>`)}</tr></thead>
<tbody>
${groups.map(
  (group, index) =>
    html`<tr><th scope="row"><a href="#group-${index + 1}">${group.label}</a></th>${labels.map((label) => medianCell(group, label))}</tr>
`,
)}</tbody></table></div>`;
}

function medianCell({ methods }: ComparedGroup, label: string): Html {
  const samples = methods.find((method) => method.label === label)?.samples ?? [];
  const sorted = samples
    .filter(({ exitCode = 0 }) => exitCode === 0)
    .map(({ wallMs }) => wallMs)
    .sort((one, other) => one - other);
  if (sorted.length === 0) return html`<td class="n none" data-v="-1">–</td>`;
  const median = quantile(sorted, 0.5);
  return html`<td class="n" data-v="${median}">${formatDuration(median)}</td>`;
}

function how({ notes, environment, groups }: ComparePageData): Html {
  const commands = new Map(
    groups.flatMap(({ methods }) =>
      methods.flatMap(({ label, command }) => (command === undefined ? [] : [[label, command] as const])),
    ),
  );
  return html`${notes.map((note) => html`<p>${note}</p>`)}
${
  commands.size > 0 &&
  html`<h3>Commands</h3><dl>${[...commands].map(([label, command]) => html`<dt>${label}</dt><dd><code>${command}</code></dd>`)}</dl>`
}
${
  environment.length > 0 &&
  html`<h3>Where</h3><dl>${environment.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`
}`;
}

/** The measurements under one condition; `id` makes the ids of its tables unique. */
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

/** The number of round trips that methods wait for. */
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

/** The wall-clock times of the runs that did not fail. */
function timesOf({ samples }: ComparedMethod): readonly number[] {
  return samples
    .filter(({ exitCode }) => exitCode === undefined || exitCode === 0)
    .map(({ wallMs }) => wallMs);
}

/** A timed run of a method. */
export interface ComparedSample {
  /** From start to end, in milliseconds. */
  readonly wallMs: number;
  /** Exit code of the run. A sample with another code than 0 is mentioned, but left out of distributions. */
  readonly exitCode?: number;
  /** Name of the run, if any. */
  readonly run?: string;
}

/** A ratio of two methods' times, with its confidence interval. */
export interface ComparedRatio {
  /** The method divided by; a `label` of {@link ComparePageData.methods}. */
  readonly baseline: string;
  /** Point estimate: the ratio of medians, or of means where `means` is true. Below 1 is faster than the baseline. */
  readonly median: number;
  /** Lower end of the confidence interval. */
  readonly low: number;
  /** Upper end of the confidence interval. */
  readonly high: number;
  /** True when the ratio is one of means rather than of medians. */
  readonly means: boolean;
}

/** The measurements of one method under one condition. */
export interface ComparedMethod {
  /** Name of the method: `volley bundle`, `volley direct`, `Ansible, pipelining`. */
  readonly label: string;
  /** The command line of a run, for repeating it. */
  readonly command?: string;
  readonly version?: string;
  /** Runs that were counted, in the order they were made. */
  readonly samples: readonly ComparedSample[];
  /** Median over samples of each phase's median over hosts, in milliseconds; absent for a method without phases. */
  readonly phasesMs?: Readonly<Partial<Record<ComparedPhase, number>>>;
  /** Bytes between controller and hosts, both ways together, per run and over all hosts; median over samples. */
  readonly bytes?: { readonly sent: number; readonly received: number };
  /** Waits for an answer from one host, one after the other; median over samples and hosts. */
  readonly roundTrips?: number;
  /** Ratios of this method's times to those of others; the baseline has none. */
  readonly ratios?: readonly ComparedRatio[];
  /** The reason for missing samples: `not installed`. */
  readonly missing?: string;
}

/** Methods measured under one condition, such as a round-trip time added to the network. */
export interface ComparedGroup {
  /** `no delay added`, `20 ms round trip`, `first run`, `second run (nothing to change)`. */
  readonly label: string;
  /** Added round-trip time in milliseconds; absent where groups differ in something else. */
  readonly roundTripMs?: number;
  /** In the order they are shown; the same labels in the same order in each group. */
  readonly methods: readonly ComparedMethod[];
}

/** The number of round trips that a method waits for one after the other, computed from the growth of its time with distance. */
export interface ComparedSlope {
  /** A `label` of {@link ComparedMethod}. */
  readonly method: string;
  /** The condition common to all distances: `cold caches`. */
  readonly condition: string;
  /** Growth of wall time for each millisecond of round trip: median over the rounds. */
  readonly roundTrips: number;
  /** Confidence interval of the growth; absent after too few rounds. */
  readonly interval?: { readonly low: number; readonly high: number };
}

/** The data of the page of `volley compare`. */
export interface ComparePageData {
  /** Title of the page: `site.ts on 3 hosts`. */
  readonly title: string;
  readonly playbook: string;
  readonly hosts: readonly string[];
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** Paragraphs about the method: commands, number and order of runs, how intervals were computed. */
  readonly notes: readonly string[];
  /** The machine and the versions of the measurement: `["Processor", "2 cores"]`. */
  readonly environment: readonly (readonly [name: string, value: string])[];
  /** Confidence of the intervals, such as 0.95. */
  readonly confidence: number;
  readonly groups: readonly ComparedGroup[];
  /** Empty unless there was more than one distance. */
  readonly slopes: readonly ComparedSlope[];
}
