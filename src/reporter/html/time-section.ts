import { formatDuration } from "../timing/duration.ts";
import { PHASE_MEANINGS, phaseTimes } from "../timing/phase-times.ts";
import { axis, spreadBar } from "./bars.ts";
import { type Html, html } from "./html.ts";
import type { ReportData } from "./report-data.ts";
import { elapsedCell } from "./words.ts";

/** Where the time went: each phase over all hosts. */
export function timeSection({ hosts, build }: ReportData): Html {
  const phases = phaseTimes(hosts);
  const fullMs = Math.max(1, ...phases.map(({ elapsed }) => elapsed.max));
  return html`<p>Each phase over all hosts that came to it. Hosts are worked on at the same time, so sums over hosts are more than the run took.</p>
<div class="scroll" role="region" aria-label="Table of phases" tabindex="0">
<table data-sortable>
<caption class="vh">Phases, with minimum, median and maximum over hosts</caption>
<thead><tr><th scope="col">Phase</th><th scope="col" class="n">Median</th><th scope="col" class="n">Min</th><th scope="col" class="n">Max</th><th scope="col" class="wide" data-sort="none"><span>Min, median, max</span>${axis(fullMs)}</th><th scope="col">Slowest host</th></tr></thead>
<tbody>
${
  build !== undefined &&
  html`<tr><th scope="row">build <span class="dim">${build.reused ? "reused: nothing had changed" : "once, on the controller"}</span></th>${elapsedCell(build.elapsedMs)}${elapsedCell(undefined)}${elapsedCell(undefined)}<td class="wide"></td><td class="none">–</td></tr>
`
}${phases.map(
  ({ phase, elapsed, slowest }) =>
    html`<tr><th scope="row">${phase} <span class="dim">${PHASE_MEANINGS[phase]}</span></th>${elapsedCell(elapsed.median)}${elapsedCell(elapsed.min)}${elapsedCell(elapsed.max)}<td class="wide">${spreadBar(elapsed, fullMs)}</td><td>${slowest} <span class="dim">${formatDuration(elapsed.max)}</span></td></tr>
`,
)}</tbody></table></div>`;
}
