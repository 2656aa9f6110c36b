import { parseArgs } from "node:util";
import { BUNDLE_FORMAT, type CarriedHost, type Manifest } from "../core/bundle.ts";
import { didYouMean, formatLocation, type SerializedError, VolleyError } from "../core/errors.ts";
import type { TargetEvent } from "../core/events.ts";
import { type Job, PROTOCOL_VERSION } from "../core/protocol.ts";
import { type Diff, formatTally, type Result, type Tally } from "../core/result.ts";
import { isRecord } from "../core/values/value.ts";
import { maskOfJob } from "../engine/results.ts";
import { type Mask, maskError, maskEvent } from "../vars/mask.ts";
import { decodeVars } from "../vars/whole-value.ts";
import type { CarryOut } from "./carry-out.ts";
import type { BundleReader } from "./parts.ts";

const OPTIONS = {
  local: { type: "string" },
  check: { type: "boolean", short: "C" },
  diff: { type: "boolean", short: "D" },
  tags: { type: "string", short: "t", multiple: true },
  "skip-tags": { type: "string", multiple: true },
  verbose: { type: "boolean", short: "v" },
  debug: { type: "boolean" },
  list: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

function helpText(manifest: Manifest): string {
  return `${manifest.playbook}, bundled by Volley ${manifest.volley}: provisions the machine it is run on.

Usage: sh FILE --local HOST [options]

  --local HOST       carry out the plays of this host of the inventory, here
  -C, --check        change nothing, say what would change
  -D, --diff         show what changes inside files
  -t, --tags TAGS    only tasks with one of these tags (comma separated)
      --skip-tags T  not the tasks with one of these tags
  -v, --verbose      also what commands print, and why tasks are skipped
      --debug        every event as a line of JSON on standard error
      --list         the plays, roles, hosts and files inside
  -h, --help         this text

Exit codes: 0 all well, 1 wrong usage or a damaged bundle, 2 something failed, 70 never ended, 130 interrupted.
`;
}

/** The command line of a bundle that was carried to the machine. */
export async function runLocally(
  bundle: BundleReader,
  argv: readonly string[],
  carryOut: CarryOut,
): Promise<number> {
  const manifest = readManifest(bundle);
  const values = readOptions(argv);
  if (values.help === true || argv.length === 0) {
    process.stdout.write(helpText(manifest));
    return argv.length === 0 ? 1 : 0;
  }
  if (values.list === true) {
    process.stdout.write(listText(bundle, manifest));
    return 0;
  }
  if (values.local === undefined)
    throw new VolleyError("USAGE", "say which host this is with --local HOST; --list names them");
  const job = makeJob(manifest, values.local, values);
  const mask = maskOfJob(job);
  const print = createLocalPrinter({
    host: job.host,
    verbose: values.verbose === true,
    debug: values.debug === true,
    color: process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "",
  });
  const cancel = new AbortController();
  const kill = new AbortController();
  const onInterrupt = (): void => {
    if (cancel.signal.aborted) kill.abort();
    else
      process.stderr.write("volley: stopping after the action now running; interrupt again to end it too\n");
    cancel.abort();
  };
  process.on("SIGINT", onInterrupt);
  process.on("SIGTERM", onInterrupt);
  const restore = mask === null ? () => {} : maskStandardStreams(mask);
  const startedAt = performance.now();
  try {
    const { tally, cancelled, error } = await carryOut({
      job,
      emit: mask === null ? print.event : (event) => print.event(maskEvent(mask, event)),
      waitForOthers: async () => true,
      cancel: cancel.signal,
      kill: kill.signal,
    });
    print.end(
      tally,
      performance.now() - startedAt,
      mask === null || error === undefined ? error : maskEvent(mask, error),
    );
    return cancelled ? 130 : tally.failed > 0 || error !== undefined ? 2 : 0;
  } catch (thrown) {
    throw mask === null ? thrown : maskError(mask, thrown);
  } finally {
    restore();
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onInterrupt);
  }
}

/** Mask the output of roles' own code, too. Returns a function that undoes it. */
function maskStandardStreams(mask: Mask): () => void {
  const { stdout, stderr } = process;
  const undo = [stdout, stderr].map((stream) => {
    const { write } = stream;
    stream.write = ((chunk: string | Uint8Array, ...rest: readonly never[]): boolean =>
      write.call(
        stream,
        mask.text(Buffer.from(chunk as Uint8Array).toString("utf8")),
        ...rest,
      )) as typeof write;
    return () => {
      stream.write = write;
    };
  });
  return () => {
    for (const one of undo) one();
  };
}

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

function readOptions(argv: readonly string[]): Values {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (thrown) {
    throw new VolleyError("USAGE", `${(thrown as Error).message.split(". ")[0]}; --help shows the options`, {
      cause: thrown,
    });
  }
}

/** Read the manifest of a bundle. Fails with `BUNDLE_INVALID`. */
export function readManifest(bundle: BundleReader): Manifest {
  const text = bundle.read("manifest.json")?.toString("utf8");
  const manifest: unknown = text === undefined ? undefined : JSON.parse(text);
  if (!isRecord(manifest) || manifest.format !== BUNDLE_FORMAT) {
    throw new VolleyError("BUNDLE_INVALID", `${bundle.file} is not a bundle this runner understands`);
  }
  return manifest as unknown as Manifest;
}

function makeJob(manifest: Manifest, host: string, values: Values): Job {
  const { hosts } = manifest;
  const carried =
    hosts === undefined ? anyHost(manifest) : Object.hasOwn(hosts, host) ? hosts[host] : undefined;
  if (carried === undefined) {
    const known = Object.keys(hosts ?? {});
    throw new VolleyError(
      "PATTERN_UNKNOWN",
      `this bundle was not made for "${host}"${didYouMean(host, known)}`,
      { hint: `it was made for: ${known.slice(0, 20).join(", ")}${known.length > 20 ? ", …" : ""}` },
    );
  }
  const list = (names: readonly string[] | undefined): readonly string[] =>
    (names ?? []).flatMap((name) => name.split(",")).filter((name) => name !== "");
  return {
    protocol: PROTOCOL_VERSION,
    host,
    ...decodeVars(carried),
    options: {
      check: values.check === true,
      diff: values.diff === true,
      tags: list(values.tags),
      skipTags: list(values["skip-tags"]),
      barriers: false,
    },
  };
}

/** A bundle made without an inventory knows no hosts: every play is for whoever runs it. */
function anyHost(manifest: Manifest): CarriedHost {
  return {
    groups: [],
    vars: {},
    plays: manifest.plays.map((_, index) => index),
    inventoryGroups: {},
    hostVars: {},
  };
}

function listText(bundle: BundleReader, { playbook, plays, hosts }: Manifest): string {
  const assets = bundle.names.filter((name) => name.startsWith("assets/"));
  const lines = [
    `${playbook}`,
    ...plays.map(({ name, hosts: pattern, roles }) => `  play  ${name} (${pattern}): ${roles.join(", ")}`),
    ...Object.entries(hosts ?? {}).map(
      ([name, { plays: indexes }]) => `  host  ${name}: ${indexes.length} of ${plays.length} plays`,
    ),
    ...assets.map((name) => `  file  ${name.slice("assets/".length)} (${bundle.size(name)} bytes)`),
  ];
  return `${lines.join("\n")}\n`;
}

/** How a carried bundle prints. */
interface LocalPrinterOptions {
  readonly host: string;
  readonly verbose: boolean;
  readonly debug: boolean;
  readonly color: boolean;
}

/** Prints what happens on this machine, a line an action. */
interface LocalPrinter {
  readonly event: (event: TargetEvent) => void;
  end(tally: Tally, elapsedMs: number, error: SerializedError | undefined): void;
}

const COLORS: Readonly<Record<string, string>> = {
  changed: "33",
  unchanged: "32",
  skipped: "36",
  unknown: "35",
  failed: "31",
};

/** Make the printer of `--local`. */
function createLocalPrinter({ host, verbose, debug, color }: LocalPrinterOptions): LocalPrinter {
  const write = (text: string): void => void process.stdout.write(`${text}\n`);
  const paint = (text: string, code: string | undefined): string =>
    color && code !== undefined ? `\u001b[${code}m${text}\u001b[0m` : text;
  const detail = (text: string, code?: string): void => {
    for (const line of text.replace(/\n$/, "").split("\n")) write(paint(`    ${line}`, code));
  };

  const taskEnd = (event: Extract<TargetEvent, { type: "task:end" }>): void => {
    const { result, role, name, elapsedMs, handler } = event;
    const word = result.unknown === true ? "unknown" : result.state;
    const head = paint(`[${word} ${(elapsedMs / 1000).toFixed(3)}s]`, COLORS[word]);
    write(
      `${head} ${role} ${name}${handler === true ? " (handler)" : ""}${result.ignored === true ? " (ignored)" : ""}`,
    );
    for (const diff of result.diff ?? []) printDiff(diff, detail);
    if (result.error !== undefined) detail(errorText(result.error), COLORS.failed);
    if (result.message !== undefined && (verbose || result.unknown === true || event.action === "debug"))
      detail(result.message);
    if (verbose) printItems(result, detail);
  };

  return {
    event: (event) => {
      if (debug) process.stderr.write(`${JSON.stringify(event)}\n`);
      switch (event.type) {
        case "play:start":
          if (verbose) write(`play ${event.play}: ${event.total} actions`);
          return;
        case "task:output":
          if (verbose) detail(event.text);
          return;
        case "task:end":
          return taskEnd(event);
        case "log":
          return detail(event.text);
        default:
          return;
      }
    },
    end: (tally, elapsedMs, error) => {
      if (error !== undefined) write(paint(errorText(error), COLORS.failed));
      write(`${host}: ${formatTally(tally, elapsedMs)}`);
    },
  };
}

function errorText({ message, hint, location }: SerializedError): string {
  const where = location === undefined ? "" : `${formatLocation(location)}: `;
  return `${where}${message}${hint === undefined ? "" : `\n${hint}`}`;
}

function printItems(result: Result, detail: (text: string, code?: string) => void): void {
  for (const { label, state, message } of result.items ?? []) {
    detail(`${label}: ${state}${message === undefined ? "" : `, ${message}`}`, COLORS[state]);
  }
}

/** The lines that differ, without the common ones at either end: the bundle carries no diff library. */
function printDiff(
  { path, before, after, attributes, binary }: Diff,
  detail: (text: string, code?: string) => void,
): void {
  detail(`--- ${path}`);
  if (binary === true) detail("(content differs)");
  for (const [name, [from, to]] of Object.entries(attributes ?? {})) detail(`${name}: ${from} -> ${to}`);
  if (before === undefined && after === undefined) return;
  const left = (before ?? "").split("\n");
  const right = (after ?? "").split("\n");
  let start = 0;
  while (start < Math.min(left.length, right.length) && left[start] === right[start]) start++;
  let same = 0;
  while (same < Math.min(left.length, right.length) - start && left.at(-1 - same) === right.at(-1 - same))
    same++;
  for (const line of left.slice(start, left.length - same)) if (before !== null) detail(`-${line}`, "31");
  for (const line of right.slice(start, right.length - same)) if (after !== null) detail(`+${line}`, "32");
}
