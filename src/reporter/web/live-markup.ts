import type { Tally } from "../../core/result.ts";
import type { HostState } from "../host-state.ts";
import { hasFailed, hostWording, progressText, statusText } from "../host-status.ts";
import { legend, TIMELINE_PHASES } from "../html/charts.ts";
import { type HostColumns, hostTable } from "../html/hosts-section.ts";
import { type Html, html, outcomeBadge } from "../html/page.ts";
import { count } from "../rows/amounts.ts";
import { UNICODE_SYMBOLS } from "../rows/wording.ts";

// The parts of a page that only a run that goes on has: its progress, and what each host is doing.

/** The number of hosts by how far they are; a host that has failed counts as such from then on. */
interface Progress {
  readonly total: number;
  readonly done: number;
  readonly failed: number;
  readonly working: number;
  readonly waiting: number;
}

/** Count hosts. */
export function progressOf(hosts: readonly HostState[]): Progress {
  const done = hosts.filter(({ phase }) => phase === "done").length;
  const waiting = hosts.filter(({ phase }) => phase === "waiting").length;
  return {
    total: hosts.length,
    done,
    failed: hosts.filter(hasFailed).length,
    working: hosts.length - done - waiting,
    waiting,
  };
}

/** `120 of 200 hosts done, 3 failed, 48 at work, 29 waiting` */
export function progressWords({ total, done, failed, working, waiting }: Progress): string {
  const parts: readonly (readonly [number, string])[] = [
    [failed, "failed"],
    [working, "at work"],
    [waiting, "waiting"],
  ];
  return [
    `${done} of ${count(total, "host")} done`,
    ...parts.filter(([amount]) => amount > 0).map(([amount, word]) => `${amount} ${word}`),
  ].join(", ");
}

/** Words and a bar; the bar has a part for each way that hosts have ended. */
export function progressNote(hosts: readonly HostState[], check: string | undefined): Html {
  const progress = progressOf(hosts);
  const parts: readonly (readonly [string, number])[] = [
    ["done", hosts.filter((host) => host.phase === "done" && !hasFailed(host)).length],
    ["failed", progress.failed],
    ["working", hosts.filter((host) => isWorking(host) && !hasFailed(host)).length],
  ];
  let from = 0;
  return html`<div class="progress"><p><b>${check ?? "Going on"}</b> ${progressWords(progress)}</p>
<svg class="bar" aria-hidden="true" viewBox="0 0 ${Math.max(1, progress.total)} 1" preserveAspectRatio="none">${parts.map(
    ([name, amount]) => {
      const x = from;
      from += amount;
      return amount > 0 && html`<rect class="of-${name}" x="${x}" y="0" width="${amount}" height="1"/>`;
    },
  )}</svg></div>`;
}

function isWorking({ phase }: HostState): boolean {
  return phase !== "done" && phase !== "waiting";
}

/** The present task of a host, or its end. */
export function stateMarkup(host: HostState): Html {
  if (host.outcome === "ok") return outcomeBadge("ok");
  const { word, symbol } = hostWording(host, UNICODE_SYMBOLS);
  const status = statusText(host);
  // `lost: the connection …` stands behind the word `lost`.
  const rest = status.startsWith(word) ? status.slice(word.length).replace(/^[: ]+/, "") : status;
  const words = [progressText(host), rest].filter((text) => text !== "").join(" ");
  return html`<span class="s ${word}"><span aria-hidden="true">${symbol}</span> ${word}</span>${
    host.phase !== "waiting" && words !== "" && html` <span class="now">${words}</span>`
  }`;
}

/** The table of hosts at work. */
export function liveHosts(
  { counts, fullMs }: { readonly counts: readonly (keyof Tally)[]; readonly fullMs: number },
  rows: Parameters<typeof hostTable>[1],
  hidden: number,
): Html {
  const columns: HostColumns = { counts, fullMs, stateTitle: "Now", caption: "what each is doing" };
  return html`${legend(TIMELINE_PHASES)}
${hidden > 0 && html`<p class="note">${count(hidden, "more host")} not shown here: the totals and the failures count them.</p>`}
${hostTable(columns, rows)}`;
}
