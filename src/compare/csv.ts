import { COMPARED_PHASES, type Sample } from "./comparison.ts";

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

/** Samples as CSV (RFC 4180), a line each in the order they were taken; what was not measured is empty. */
export function toCsv(samples: readonly Sample[]): string {
  const lines = [
    COLUMNS.map(([title]) => title),
    ...samples.map((sample) => COLUMNS.map(([, value]) => csvField(value(sample)))),
  ];
  return lines.map((fields) => `${fields.join(",")}\r\n`).join("");
}

/** A field, in quotes where it must be (RFC 4180, section 2). */
export function csvField(value: string | number | undefined): string {
  const text = String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function rounded(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Math.round(value * 1_000) / 1_000;
}
