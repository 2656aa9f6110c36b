import { parseArgs } from "node:util";
import { BUNDLE_FORMAT, type CarriedHost, type Manifest } from "../core/bundle.ts";
import { didYouMean, VolleyError } from "../core/errors.ts";
import { isRecord } from "../core/json.ts";
import { type Job, PROTOCOL_VERSION } from "../core/protocol.ts";
import { maskOfJob } from "../engine/results.ts";
import { type Mask, maskError, maskEvent } from "../vars/mask.ts";
import type { BundleReader } from "./bundle-reader.ts";
import type { CarryOut } from "./carry-out.ts";
import { decodeVars } from "./job-vars.ts";
import { createLocalPrinter } from "./local-printer.ts";

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
  const stop = new AbortController();
  const kill = new AbortController();
  const onInterrupt = (): void => {
    if (stop.signal.aborted) kill.abort();
    else
      process.stderr.write("volley: stopping after the action now running; interrupt again to end it too\n");
    stop.abort();
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
      stop: stop.signal,
      kill: kill.signal,
    });
    print.end(
      tally,
      performance.now() - startedAt,
      mask === null || error === undefined ? error : maskEvent(mask, error),
    );
    return cancelled ? 130 : tally.failed > print.ignored() || error !== undefined ? 2 : 0;
  } catch (thrown) {
    throw mask === null ? thrown : maskError(mask, thrown);
  } finally {
    restore();
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onInterrupt);
  }
}

/** What roles themselves print is masked too; gives what undoes it. */
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

/** What a bundle says of itself. */
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
