import { TALLY_KEYS, type Tally, tallyTotal } from "../../core/result.ts";
import { count, formatBytes, formatElapsed } from "../rows/amounts.ts";
import { CHECK_MODE } from "../rows/wording.ts";
import { type Html, html } from "./html.ts";
import type { ReportData, ReportOutcome } from "./report-data.ts";
import { outcomeBadge } from "./words.ts";

const OUTCOMES: readonly ReportOutcome[] = ["ok", "failed", "unreachable", "lost", "cancelled", "open"];
const TALLY_WORDS: Readonly<Record<keyof Tally, string>> = {
  unchanged: "unchanged",
  changed: "changed",
  skipped: "skipped",
  failed: "failed",
  notExecuted: "not executed",
};

/** What the run came to, over all hosts. */
export function summarySection(data: ReportData): Html {
  const { summary, hosts, directHosts, elapsedMs, build, plays, concurrency } = data;
  const uploads = hosts.filter(({ uploadedBytes }) => uploadedBytes > 0);
  const uploadedBytes = uploads.reduce((sum, host) => sum + host.uploadedBytes, 0);
  return html`${stateNote(data)}
${summary.check && html`<p class="note"><b>${CHECK_MODE}.</b></p>`}
<div class="tiles">
<div><h3>${count(hosts.length, "host")}</h3><ul>${OUTCOMES.map((outcome) => {
    const amount = hosts.filter((host) => host.outcome === outcome).length;
    return amount > 0 && html`<li>${amount} ${outcomeBadge(outcome)}</li>`;
  })}</ul></div>
<div><h3>${grouped(tallyTotal(summary.tally))} ${tallyTotal(summary.tally) === 1 ? "action" : "actions"}</h3><ul>${TALLY_KEYS.map(
    (key) =>
      summary.tally[key] > 0 &&
      html`<li>${grouped(summary.tally[key])} <span class="s ${key}">${TALLY_WORDS[key]}</span></li>`,
  )}</ul></div>
<div><h3>${formatElapsed(elapsedMs)}</h3><ul><li>${count(plays.length, "play")}</li>${
    concurrency > 0 && html`<li>at most ${count(concurrency, "host")} at a time</li>`
  }${directHosts > 0 && html`<li>${count(directHosts, "host")} directly, without a bundle</li>`}${data.state === "ended" && html`<li>exit code ${summary.exitCode}</li>`}</ul></div>
${
  build !== undefined &&
  html`<div><h3>${formatBytes(build.bytes)} bundle</h3><ul><li>${
    build.reused ? "unchanged since it was last built" : `built in ${formatElapsed(build.elapsedMs)}`
  }</li><li>${
    uploads.length === 0
      ? "sent to no host"
      : `sent to ${count(uploads.length, "host")}: ${formatBytes(uploadedBytes)}`
  }</li></ul></div>`
}
</div>
${
  plays.length > 0 &&
  html`<h3>Plays</h3><ol class="plays">${plays.map((play) => html`<li>${play.name} <span class="dim">on ${count(play.hosts.length, "host")}</span></li>`)}</ol>`
}`;
}

function stateNote({ state, hosts }: ReportData): Html | undefined {
  if (state === "ended") return undefined;
  const open = hosts.filter(({ outcome }) => outcome === "open").length;
  return html`<p class="note"><b>${
    state === "going on" ? "This run is still going on." : "The log of this run was cut off before its end."
  }</b> ${
    open === 0 ? "All hosts had ended." : `Of ${count(open, "host")} no end is known.`
  } What follows is as far as the log goes.</p>`;
}

/** `17,336` */
function grouped(amount: number): string {
  return amount.toLocaleString("en-US");
}
