import { availableParallelism, cpus, release, totalmem, type } from "node:os";
import { commandLine } from "../core/unix/shell.ts";
import type {
  ComparedGroup,
  ComparedMethod,
  ComparedSlope,
  ComparePageData,
} from "../reporter/html/compare-page.ts";
import { count, formatBytes, formatElapsed } from "../reporter/rows/amounts.ts";
import { cell, textWidth, wrapRanges } from "../reporter/rows/layout.ts";
import { BOLD, DIM, line, type Row, type Style } from "../reporter/rows/row.ts";
import { safeLine } from "../reporter/rows/sanitize.ts";
import type { Symbols } from "../reporter/rows/wording.ts";
import { COMPARED_PHASES } from "../reporter/timing.ts";
import { type Comparison, conditionLabel, type Method, type Sample, samplesOf } from "./comparison.ts";
import {
  type ConditionResult,
  cacheSentence,
  formatRatio,
  type Measure,
  type MethodResult,
  meaningOf,
  methodNotes,
  type Results,
  type SlopeResult,
  type Spread,
  slopeSentence,
  verdictSentence,
} from "./results.ts";

// The results of a comparison as a table, as CSV and as the data of a page.

/** Layout of the table. */
export interface TableLayout {
  readonly columns: number;
  readonly symbols: Symbols;
}

const TITLE_COLUMNS = 20;
const LEAST_COLUMNS = 13;
const NOTHING = "-";

const MEASURE_TITLES: readonly (readonly [Measure, string, (value: number) => string])[] = [
  ["wallMs", "wall", formatTime],
  ["controllerCpuMs", "controller CPU", formatTime],
  ["remoteCpuMs", "remote CPU", formatTime],
  ["sentBytes", "sent", (value) => formatBytes(Math.round(value))],
  ["receivedBytes", "received", (value) => formatBytes(Math.round(value))],
  ["flights", "flights per host", (value) => value.toFixed(value < 10 ? 1 : 0)],
];

/**
 * Lay out the results for a terminal: a table for each condition, the meaning of the ratios, and the method of
 * measuring.
 */
export function resultRows(comparison: Comparison, results: Results, layout: TableLayout): readonly Row[] {
  const { playbook, hosts } = comparison;
  return [
    line(`${safeLine(playbook)} on ${count(hosts.length, "host")}`, BOLD),
    ...results.conditions.flatMap((each) => [[], ...conditionRows(each, layout)]),
    ...cacheRows(results, layout),
    ...slopeRows(results, layout),
    [],
    ...methodNotes(comparison).flatMap((note) => wrapped(note, layout, DIM)),
  ];
}

function conditionRows({ condition, methods }: ConditionResult, layout: TableLayout): readonly Row[] {
  const widths = methods.map(({ method }) => Math.max(LEAST_COLUMNS, textWidth(method) + 2));
  const room = layout.columns - TITLE_COLUMNS;
  return [
    line(conditionLabel(condition), BOLD),
    ...blocksOf(widths, room).flatMap((places) =>
      blockRows(
        places.map((place) => methods[place]!),
        places.map((place) => widths[place]!),
        layout,
      ),
    ),
    ...methods.flatMap(({ method, ratio }) =>
      ratio === undefined
        ? []
        : wrapped(verdictSentence(method, ratio, ratio.baseline), layout, styleOf(meaningOf(ratio))),
    ),
  ];
}

/** Split columns into blocks that fit side by side. */
function blocksOf(widths: readonly number[], room: number): readonly (readonly number[])[] {
  const blocks: number[][] = [];
  let left = 0;
  for (const [place, width] of widths.entries()) {
    const last = blocks.at(-1);
    if (last === undefined || width > left) {
      blocks.push([place]);
      left = room - width;
    } else {
      last.push(place);
      left -= width;
    }
  }
  return blocks;
}

function blockRows(
  methods: readonly MethodResult[],
  widths: readonly number[],
  layout: TableLayout,
): readonly Row[] {
  const { ellipsis } = layout.symbols;
  const row = (title: string, texts: readonly (string | undefined)[], style?: Style): readonly Row[] => {
    if (texts.every((text) => text === undefined)) return [];
    return [
      [
        cell(title, TITLE_COLUMNS, { ellipsis, ...(style === undefined ? {} : { style }) }),
        ...texts.map((text = NOTHING, index) =>
          cell(text, widths[index]!, { ellipsis, right: true, ...(style === undefined ? {} : { style }) }),
        ),
      ],
    ];
  };
  const spread = ({ interquartileRange }: Spread): string => formatTime(interquartileRange);
  return [
    ...row(
      "  median of",
      methods.map(({ method }) => safeLine(method)),
      BOLD,
    ),
    ...row(
      "  runs",
      methods.map(({ runs }) => String(runs)),
    ),
    ...MEASURE_TITLES.flatMap(([measure, title, format]) => [
      ...row(
        `  ${title}`,
        methods.map(({ measures: { [measure]: value } }) =>
          value === undefined ? undefined : format(value.median),
        ),
      ),
      ...(measure === "wallMs"
        ? row(
            "    quartile range",
            methods.map(({ runs, measures: { wallMs } }) =>
              wallMs === undefined || runs < 2 ? undefined : spread(wallMs),
            ),
            DIM,
          )
        : []),
    ]),
    ...row(
      "  wall, ratio",
      methods.map(({ ratio }) => (ratio === undefined ? undefined : formatRatio(ratio.median))),
    ),
    ...COMPARED_PHASES.flatMap((phase) =>
      row(
        `  ${phase}`,
        methods.map(({ phasesMs: { [phase]: value } }) =>
          value === undefined ? undefined : formatTime(value),
        ),
        DIM,
      ),
    ),
  ];
}

function cacheRows({ caches }: Results, layout: TableLayout): readonly Row[] {
  if (caches.length === 0) return [];
  return [
    [],
    line("Warm and cold", BOLD),
    ...caches.flatMap((each) => wrapped(cacheSentence(each), layout, styleOf(meaningOf(each.ratio)))),
  ];
}

function slopeRows({ slopes }: Results, layout: TableLayout): readonly Row[] {
  if (slopes.length === 0) return [];
  return [
    [],
    line("Round trips waited for one after the other", BOLD),
    ...slopes.flatMap((each) => wrapped(slopeSentence(each), layout)),
  ];
}

function wrapped(text: string, { columns }: TableLayout, style?: Style): readonly Row[] {
  const room = Math.max(20, columns - 2);
  return wrapRanges(safeLine(text), room, room).map(([start, end], index) =>
    line(`${index === 0 ? "" : "  "}${safeLine(text).slice(start, end)}`, style),
  );
}

function styleOf(meaning: string): Style | undefined {
  if (meaning === "faster") return { color: "green" };
  return meaning === "slower" ? { color: "yellow" } : undefined;
}

/** Format a time: `312 ms` up to ten seconds, then as everywhere. */
function formatTime(ms: number): string {
  if (ms >= 9_995) return formatElapsed(ms);
  return `${ms < 9.95 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

type Column = readonly [title: string, value: (sample: Sample) => string | number | undefined];

const COLUMNS: readonly Column[] = [
  ["method", ({ method }) => method],
  ["cache", ({ cache }) => cache],
  ["round_trip_added_ms", ({ roundTripMs }) => roundTripMs],
  ["round", ({ round }) => round],
  ["wall_ms", ({ wallMs }) => rounded(wallMs)],
  ["controller_cpu_ms", ({ controllerCpuMs }) => rounded(controllerCpuMs)],
  ["remote_cpu_ms", ({ remoteCpuMs }) => rounded(remoteCpuMs)],
  ["sent_bytes", ({ sentBytes }) => sentBytes],
  ["received_bytes", ({ receivedBytes }) => receivedBytes],
  ["flights_per_host", ({ flights }) => rounded(flights)],
  ...COMPARED_PHASES.map((phase): Column => [`${phase}_ms`, ({ phasesMs }) => rounded(phasesMs[phase])]),
  ["run", ({ run }) => run],
];

/** Write samples as CSV (RFC 4180), a line each in the order they were taken. Missing measurements are empty. */
export function toCsv(samples: readonly Sample[]): string {
  const lines = [
    COLUMNS.map(([title]) => title),
    ...samples.map((sample) => COLUMNS.map(([, value]) => csvField(value(sample)))),
  ];
  return lines.map((fields) => `${fields.join(",")}\r\n`).join("");
}

/** Write a field, in quotes where necessary (RFC 4180, section 2). */
export function csvField(value: string | number | undefined): string {
  const text = String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function rounded(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Math.round(value * 1_000) / 1_000;
}

/** The data of the page beside the measurements. */
export interface PageContext {
  /** Volley's version. */
  readonly version: string;
}

/** Make the data of the HTML page. */
export function toPageData(
  comparison: Comparison,
  results: Results,
  { version }: PageContext,
): ComparePageData {
  const { playbook, hosts, startedAtMs } = comparison;
  return {
    title: `${playbook} on ${hosts.length === 1 ? "1 host" : `${hosts.length} hosts`}`,
    playbook,
    hosts,
    startedAtMs,
    notes: [...results.caches.map(cacheSentence), ...methodNotes(comparison)],
    environment: [
      ["Volley", version],
      ["Node", process.version],
      ["System", `${type()} ${release()}`],
      ["Processor", `${cpus()[0]?.model ?? "unknown"}, ${availableParallelism()} cores`],
      ["Memory", `${(totalmem() / 2 ** 30).toFixed(1)} GB`],
    ],
    confidence: results.confidence,
    groups: results.conditions.map((each) => groupOf(comparison, each)),
    slopes: results.slopes.map(slopeOf),
  };
}

function slopeOf({ method, cache, roundTrips, interval }: SlopeResult): ComparedSlope {
  return {
    method,
    condition: `${cache} caches`,
    roundTrips,
    ...(interval === undefined ? {} : { interval: { low: interval.low, high: interval.high } }),
  };
}

function groupOf(comparison: Comparison, { condition, methods }: ConditionResult): ComparedGroup {
  return {
    label: conditionLabel(condition),
    roundTripMs: condition.roundTripMs,
    methods: methods.map((result, index): ComparedMethod => {
      const { measures, phasesMs, ratio, method } = result;
      const samples = samplesOf(comparison.samples, method, condition);
      const bytes = bytesOf(result);
      const { flights } = measures;
      return {
        label: method,
        command: commandOf(comparison.methods[index]!, comparison.playbook),
        samples: samples.map(({ wallMs, run }) => ({ wallMs, ...(run === undefined ? {} : { run }) })),
        ...(Object.keys(phasesMs).length === 0 ? {} : { phasesMs }),
        ...(bytes === undefined ? {} : { bytes }),
        ...(flights === undefined ? {} : { roundTrips: Math.round(flights.median) }),
        ...(ratio?.interval === undefined
          ? {}
          : {
              ratios: [
                {
                  baseline: ratio.baseline,
                  median: ratio.median,
                  low: ratio.interval.low,
                  high: ratio.interval.high,
                  means: false,
                },
              ],
            }),
        ...(samples.length === 0 ? { missing: "ended before its first run" } : {}),
      };
    }),
  };
}

function bytesOf({ measures }: MethodResult): ComparedMethod["bytes"] {
  const { sentBytes, receivedBytes } = measures;
  if (sentBytes === undefined || receivedBytes === undefined) return undefined;
  return { sent: sentBytes.median, received: receivedBytes.median };
}

function commandOf(method: Method, playbook: string): string {
  return method.kind === "command"
    ? method.line
    : commandLine(["volley", "run", playbook, "--via", method.via]);
}
