import type { Event } from "../../core/events.ts";
import { actionsSection } from "./actions-section.ts";
import { changesSection } from "./changes-section.ts";
import { failuresSection } from "./failures-section.ts";
import { packHostDetails } from "./host-details.ts";
import { hostsSection, shownHosts } from "./hosts-section.ts";
import { type Html, html } from "./html.ts";
import { notesSection } from "./notes-section.ts";
import { type PageSection, renderPage } from "./page.ts";
import { foldReport, type ReportData } from "./report-data.ts";
import { summarySection } from "./summary-section.ts";
import { timeSection } from "./time-section.ts";

/** What a run's page is told beside the events. */
export interface RunPageOptions {
  /** Of a run whose log has no end: whether its controller works on it. Default false. */
  readonly goingOn?: boolean;
  /** What made the page: `volley 0.1.0`. */
  readonly generator?: string;
}

/** The page of one run, made from the events of its log: HTML that is complete in itself. */
export function renderRunPage(events: readonly Event[], options: RunPageOptions = {}): string {
  const data = foldReport(events, options.goingOn ?? false);
  const { hosts, tasks, failures, changes, notes, summary } = data;
  const details = packHostDetails(tasks, shownHosts(hosts));
  const sections: readonly (PageSection | false)[] = [
    { id: "summary", title: "Summary", content: summarySection(data) },
    failures.length > 0 && {
      id: "failures",
      title: "Failures",
      amount: failures.length,
      content: failuresSection(failures),
    },
    { id: "hosts", title: "Hosts", amount: hosts.length, content: hostsSection(data) },
    { id: "phases", title: "Where the time went", content: timeSection(data) },
    tasks.length > 0 && {
      id: "actions",
      title: "Actions by time",
      amount: tasks.length,
      content: actionsSection(tasks),
    },
    changes.length > 0 && {
      id: "changes",
      title: "Differences",
      amount: changes.length,
      content: changesSection(changes),
    },
    notes.length > 0 && { id: "notes", title: "Notes", amount: notes.length, content: notesSection(notes) },
  ];
  const { generator } = options;
  return renderPage({
    title: `${summary.playbook} on ${hosts.length} ${hosts.length === 1 ? "host" : "hosts"}`,
    subtitle: subtitleOf(data),
    sections: sections.filter((section) => section !== false),
    searches: "hosts, actions, failures",
    ...(details === undefined ? {} : { data: details }),
    ...(generator === undefined ? {} : { generator }),
  });
}

function subtitleOf({ summary, startedAtMs }: ReportData): Html {
  const started = new Date(startedAtMs).toISOString();
  return html`run <code>${summary.run}</code>, begun <time datetime="${started}">${started.slice(0, 19).replace("T", " ")} UTC</time>`;
}
