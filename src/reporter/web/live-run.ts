import type { Event } from "../../core/events.ts";
import { foldHost, type HostState, newHost } from "../host-state.ts";
import { hostCells, packHostDetails, shownCounts } from "../html/hosts-section.ts";
import {
  contentsMarkup,
  type Html,
  html,
  markup,
  type Page,
  type PageSection,
  renderHtml,
  sectionMarkup,
} from "../html/page.ts";
import { createReportFold, type ReportData, type ReportHost } from "../html/report-data.ts";
import { runPage, runSections, runTitle, SEARCHES, subtitleOf, summarySection } from "../html/run-page.ts";
import { formatClock } from "../rows/amounts.ts";
import { safeLine } from "../rows/sanitize.ts";
import { CHECK_MODE } from "../rows/wording.ts";
import { liveHosts, progressNote, progressOf, progressWords, stateMarkup } from "./live-markup.ts";

/**
 * The page of a run that goes on, in parts that carry the number of the version that changed them last. So the changes
 * since any version are known without a history of them: viewers that come late, come back or are slow get what they lack.
 */
export interface LiveRun {
  add(event: Event): void;
  /** Bring the parts up to date at a time in milliseconds since the epoch. */
  refresh(nowMs: number): void;
  /** The number of the latest version. */
  readonly version: number;
  /** True once the run is over, and the page is its report. */
  readonly ended: boolean;
  /** Return the whole page of the latest version. */
  page(): Page;
  /** Return the changes after a version as JSON; undefined where there are none. */
  changesSince(version: number): string | undefined;
  /**
   * Return the tasks of a host by its name on the page, as the report's page has them of all; undefined for a host that
   * is not in the run.
   */
  tasksOf(name: string): unknown;
}

/** Changes of a page, for its script. */
interface Frame {
  readonly title: string;
  /** The state of the run, for screen readers. */
  readonly spoken: string;
  /** The sections of the page, in order. */
  readonly sections: readonly string[];
  /** By the id of an element: its new content. */
  readonly parts: Readonly<Record<string, string>>;
  /** New cells of the table of hosts. */
  readonly cells: readonly (readonly [row: number, cell: number, markup: string])[];
  /** Set at the end of the run: the tasks of all hosts. */
  readonly ended?: { readonly data: unknown };
}

/** More hosts than these have no row while the run goes on. */
const MAX_ROWS = 2_000;
/** The time after which lists are made anew, in milliseconds: they tell what was, and making them takes longest. */
const LISTS_MS = 5_000;
/** The same when a host has failed. */
const URGENT_LISTS_MS = 1_000;
/** The time after which the bar of a host that works is drawn anew, in milliseconds. */
const BAR_MS = 5_000;

interface Part {
  readonly content: string;
  readonly version: number;
}

interface Row {
  readonly cells: string[];
  /** The version of each cell. */
  readonly versions: number[];
  drawnAtMs: number;
}

/** Start a run's page without events; `generator` is its maker. */
export function createLiveRun(generator: string): LiveRun {
  const fold = createReportFold();
  const states = new Map<string, HostState>();
  const changed = new Set<string>();
  const parts = new Map<string, Part>();
  let rows: readonly Row[] = [];
  let columns: { readonly counts: ReturnType<typeof shownCounts>; readonly fullMs: number } | undefined;
  let version = 0;
  let listsAtMs = Number.NEGATIVE_INFINITY;
  let isUrgent = false;
  let report: Page | undefined;
  let isOver = false;
  let sections: readonly PageSection[] = [];
  let summary = html``;
  let data: ReportData = fold.data(true);
  const frames = new Map<number, string | undefined>();

  const set = (id: string, content: string): void => {
    if (parts.get(id)?.content !== content) parts.set(id, { content, version });
  };
  const drawRow = (index: number, nowMs: number): void => {
    const host = data.hosts[index] as ReportHost;
    const row = rows[index] as Row;
    const state = states.get(host.host) ?? newHost(host.host);
    const { counts, fullMs } = columns!;
    for (const [cell, each] of hostCells(host, fullMs, counts, stateMarkup(state)).entries()) {
      const text = renderHtml(each);
      if (row.cells[cell] === text) continue;
      row.cells[cell] = text;
      row.versions[cell] = version;
    }
    row.drawnAtMs = nowMs;
  };
  const drawRows = (nowMs: number): void => {
    const counts = shownCounts(data.summary.tally);
    const fullMs = roundedUp(data.elapsedMs);
    const amount = Math.min(data.hosts.length, MAX_ROWS);
    const isNew = columns?.fullMs !== fullMs || `${counts}` !== `${columns.counts}` || rows.length !== amount;
    if (isNew) {
      columns = { counts, fullMs };
      rows = Array.from({ length: amount }, () => ({ cells: [], versions: [], drawnAtMs: 0 }));
      // Its content is put together when a viewer lacks it.
      parts.set("hosts", { content: "", version });
    }
    for (const [index, { drawnAtMs }] of rows.entries()) {
      const { host, outcome } = data.hosts[index] as ReportHost;
      const isOld = outcome === "open" && nowMs - drawnAtMs >= BAR_MS && states.has(host);
      if (isNew || changed.has(host) || isOld) drawRow(index, nowMs);
    }
    changed.clear();
  };
  const hostsPart = (): Html =>
    liveHosts(
      columns!,
      rows.map(({ cells }, index) => ({
        host: (data.hosts[index] as ReportHost).host,
        cells: cells.map(markup),
      })),
      data.hosts.length - rows.length,
    );
  const drawLists = (nowMs: number): void => {
    if (nowMs - listsAtMs < (isUrgent ? URGENT_LISTS_MS : LISTS_MS)) return;
    listsAtMs = nowMs;
    isUrgent = false;
    sections = [...runSections(data, { summary: html``, hosts: html`` })].sort(byInterest);
    for (const section of sections)
      if (section.id !== "summary" && section.id !== "hosts")
        set(section.id, renderHtml(sectionMarkup(section)));
    set("contents", renderHtml(contentsMarkup(sections)));
  };
  const drawSummary = (nowMs: number): void => {
    const note = progressNote([...states.values()], data.summary.check ? CHECK_MODE : undefined);
    summary = summarySection(data, note, formatClock(nowMs - data.startedAtMs));
    set("summary", renderHtml(sectionMarkup(sectionOf("summary", summary))));
  };
  const sectionOf = (id: string, content: Html): PageSection => ({
    ...(sections.find((section) => section.id === id) as PageSection),
    content,
  });
  const finish = (): void => {
    report = runPage(data, generator);
    sections = report.sections;
    for (const section of sections) set(section.id, renderHtml(sectionMarkup(section)));
    set("contents", renderHtml(contentsMarkup(sections)));
    rows = [];
  };
  return {
    add(event) {
      fold.add(event);
      if (event.type === "run:start") for (const host of event.hosts) states.set(host, newHost(host));
      if (event.type === "run:end") isOver = true;
      isUrgent ||= hasBroken(event);
      if (!("host" in event)) return;
      states.set(event.host, foldHost(states.get(event.host) ?? newHost(event.host), event));
      changed.add(event.host);
    },
    refresh(nowMs) {
      if (report !== undefined) return;
      version++;
      frames.clear();
      data = fold.data(true);
      if (isOver) return finish();
      drawRows(nowMs);
      drawLists(nowMs);
      drawSummary(nowMs);
    },
    get version() {
      return version;
    },
    get ended() {
      return report !== undefined;
    },
    page() {
      if (report !== undefined) return report;
      return {
        title: runTitle(data),
        subtitle: subtitleOf(data),
        sections: sections.map((section) =>
          section.id === "summary" || section.id === "hosts"
            ? { ...section, content: section.id === "hosts" ? hostsPart() : summary }
            : section,
        ),
        searches: SEARCHES,
        generator,
      };
    },
    changesSince(since) {
      if (!frames.has(since)) frames.set(since, frameSince(since));
      return frames.get(since);
    },
    tasksOf(name) {
      const { hosts, tasks } = fold.data(true);
      const found = hosts.find(({ host }) => safeLine(host) === name);
      return found === undefined ? undefined : packHostDetails(tasks, [found]);
    },
  };

  function frameSince(since: number): string | undefined {
    const progress = progressOf([...states.values()]);
    const isTableNew = (parts.get("hosts")?.version ?? 0) > since;
    const frame: Frame = {
      title: report === undefined ? `${progress.done}/${progress.total} · ${runTitle(data)}` : runTitle(data),
      spoken: report === undefined ? progressWords(progress) : `The run is over: ${progressWords(progress)}`,
      sections: sections.map(({ id }) => id),
      parts: Object.fromEntries(
        [...parts]
          .filter(([, part]) => part.version > since)
          .map(([id, { content }]) => [
            id,
            id === "hosts" && report === undefined
              ? renderHtml(sectionMarkup(sectionOf("hosts", hostsPart())))
              : content,
          ]),
      ),
      cells: isTableNew
        ? []
        : rows.flatMap(({ cells, versions }, row) =>
            cells.flatMap((text, cell) =>
              (versions[cell] ?? 0) > since ? [[row, cell + 1, text] as const] : [],
            ),
          ),
      ...(report === undefined ? {} : { ended: { data: report.data ?? null } }),
    };
    const isEmpty = Object.keys(frame.parts).length === 0 && frame.cells.length === 0;
    return isEmpty && report === undefined ? undefined : JSON.stringify(frame);
  }
}

/** Hosts stand in front of the failures while the run goes on: their place stays, however many failures there are. */
function byInterest(one: PageSection, other: PageSection): number {
  const rank = ({ id }: PageSection): number => (id === "summary" ? 0 : id === "hosts" ? 1 : 2);
  return rank(one) - rank(other);
}

function hasBroken(event: Event): boolean {
  if (event.type === "task:end") return event.result.state === "failed" && event.result.ignored !== true;
  return event.type === "host:end" && event.outcome !== "ok";
}

/** The shortest time that waterfalls are drawn on, in milliseconds. */
const MIN_FULL_MS = 10_000;

/**
 * Return a round time that a run has not reached: 10 s, 30 s, and then the double each time. Waterfalls are drawn on it,
 * because on the time itself each bar would change with every event of any host.
 */
function roundedUp(elapsedMs: number): number {
  let fullMs = MIN_FULL_MS;
  while (fullMs <= elapsedMs) fullMs *= fullMs === MIN_FULL_MS ? 3 : 2;
  return fullMs;
}
