import { formatDuration } from "../timing/duration.ts";
import { quantile } from "../timing/spread.ts";
import type { ComparedGroup, ComparePageData } from "./compare-page-data.ts";
import { groupSection, slopesPart } from "./compare-sections.ts";
import { type Html, html } from "./html.ts";
import { renderPage } from "./page.ts";
import { hostsText } from "./words.ts";

/** The page of a comparison: HTML that is complete in itself; `generator` is what made it, `volley 0.1.0`. */
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

/** Medians of all methods under all conditions. Conditions go down: there are often more of them, with longer names. */
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
