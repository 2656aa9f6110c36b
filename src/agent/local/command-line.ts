import { createHash } from "node:crypto";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Manifest } from "../../core/bundle.ts";
import { serializeError, VolleyError } from "../../core/errors.ts";
import type { TargetEvent } from "../../core/events.ts";
import { type JobOptions, PROTOCOL_VERSION } from "../../core/protocol.ts";
import { EMPTY_TALLY } from "../../core/result.ts";
import { maskOfJob } from "../../engine/results.ts";
import { type Mask, maskError, maskEvent } from "../../vars/mask.ts";
import type { CarryOut } from "../carry-out.ts";
import type { HostLock, takeLock } from "../lock.ts";
import type { BundleReader } from "../parts.ts";
import { makeJob, readVars } from "./job.ts";
import { createJsonPrinter, createTextPrinter, type Printer } from "./print.ts";

const OPTIONS = {
  local: { type: "string" },
  check: { type: "boolean", short: "C" },
  diff: { type: "boolean", short: "D" },
  tags: { type: "string", short: "t", multiple: true },
  "skip-tags": { type: "string", multiple: true },
  verbose: { type: "boolean", short: "v" },
  debug: { type: "boolean" },
  vars: { type: "string" },
  output: { type: "string" },
  events: { type: "string" },
  wait: { type: "string" },
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
      --vars FILE    vars of the host, an object in JSON; - is standard input
      --output json  every event as a line of JSON, the last with the tally
      --events FILE  write these lines to a file of mode 0600, too
      --wait SECONDS the time for another run on this machine to end; default 10
      --debug        every event as a line of JSON on standard error, too
      --list         the plays, roles, hosts and files inside
  -h, --help         this text

Of a bundle that is signed (volley bundle --sign), by OpenSSH's ssh-keygen before any other part of it is started:

      --verify FILE             say who signed it; FILE names the allowed signers, see ssh-keygen(1)
      --require-signature FILE  verify it, then go on
      --signer IDENTITY         with either: the one allowed signer who must have signed

Exit codes: 0 all well, 1 wrong usage or a damaged bundle, 2 something failed, 70 never ended, 130 interrupted.
`;
}

/** A bundle that was carried to the machine, and what its runner lends. */
export interface Carried {
  readonly bundle: BundleReader;
  readonly manifest: Manifest;
  readonly argv: readonly string[];
  readonly carryOut: CarryOut;
  readonly takeLock: typeof takeLock;
  /** Go to the directory where the playbook's commands run: the files that the command line names are opened before. */
  settle(): void;
}

/** The command line of a bundle that was carried to the machine. Returns the exit code. */
export async function runLocally(carried: Carried): Promise<number> {
  const { bundle, manifest, argv, carryOut } = carried;
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
  const given = values.vars === undefined ? undefined : await readVars(values.vars);
  const job = makeJob(manifest, values.local, jobOptions(values), given);
  const mask = maskOfJob(job);
  const isJson = values.output === "json";
  // Bound here, because `write` is replaced for the output of roles.
  const records = [
    ...(isJson ? [createJsonPrinter(process.stdout.write.bind(process.stdout))] : []),
    ...(values.events === undefined ? [] : [createJsonPrinter(openEvents(values.events))]),
  ];
  carried.settle();
  const text = createTextPrinter({
    host: job.host,
    verbose: values.verbose === true,
    debug: values.debug === true,
    color: process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "",
  });
  const emitTo =
    (...printers: readonly Printer[]): Printer =>
    (event) => {
      const told = mask === null ? event : maskEvent(mask, event);
      for (const print of printers) print(told);
    };
  /** Tells programs; a person is told otherwise. */
  const record = emitTo(...records);
  const emit = isJson ? record : emitTo(text, ...records);
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
  const restore = takeStreams(mask, isJson ? emit : undefined);
  const startedAt = performance.now();
  const elapsedMs = (): number => Math.round((performance.now() - startedAt) * 100) / 100;
  let lock: HostLock | undefined;
  try {
    if (records.length > 0) record(hello(bundle));
    if (job.plays.length === 0)
      emit({ type: "log", level: "warn", text: `no play of ${manifest.playbook} is for ${job.host}` });
    // Check mode takes no lock.
    if (!job.options.check) lock = await lockMachine(carried, job.host, waitMs(values), emit, cancel.signal);
    const { tally, cancelled, error } = await carryOut({
      job,
      emit,
      waitForOthers: async () => true,
      cancel: cancel.signal,
      kill: kill.signal,
    });
    emit({
      type: "bye",
      tally,
      elapsedMs: elapsedMs(),
      ...(cancelled ? { cancelled } : {}),
      ...(error === undefined ? {} : { error }),
    });
    return cancelled ? 130 : tally.failed > 0 || error !== undefined ? 2 : 0;
  } catch (thrown) {
    record({ type: "bye", tally: EMPTY_TALLY, elapsedMs: elapsedMs(), error: serializeError(thrown) });
    throw mask === null ? thrown : maskError(mask, thrown);
  } finally {
    await lock?.release();
    restore();
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onInterrupt);
    // The process exits at once, and a pipe may be slow.
    await new Promise<void>((resolve) => void process.stdout.write("", () => resolve()));
  }
}

/** Open a file for events, for its owner alone. Returns the function that writes a line; a full disk does not end the run. */
function openEvents(file: string): (line: string) => void {
  let descriptor: number;
  try {
    descriptor = openSync(file, "w", 0o600);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    throw new VolleyError("USAGE", `--events: cannot write ${file} (${code})`, { cause: thrown });
  }
  return (line) => {
    try {
      writeFileSync(descriptor, line);
    } catch {
      // The lines for people go on.
    }
  };
}

function hello({ file }: BundleReader): TargetEvent {
  const bundle = createHash("sha256").update(readFileSync(file)).digest("hex");
  return { type: "hello", protocol: PROTOCOL_VERSION, bundle, pid: process.pid, node: process.version };
}

/** Keep other runs of this user away. Where no lock can be written, a read-only home say, none is needed for long: warn. */
async function lockMachine(
  { manifest, takeLock }: Carried,
  host: string,
  waitMs: number,
  emit: Printer,
  cancel: AbortSignal,
): Promise<HostLock | undefined> {
  const warn = (text: string): void => emit({ type: "log", level: "warn", text });
  try {
    return await takeLock({
      run: `local-${process.pid}`,
      host,
      controller: `${manifest.playbook} --local ${host}`,
      waitMs,
      isOver: () => cancel.aborted,
      onWait: warn,
    });
  } catch (thrown) {
    if (!(thrown instanceof VolleyError) || thrown.cause === undefined) throw thrown;
    warn(`${thrown.message}; another run may work here at the same time`);
    return undefined;
  }
}

/**
 * Mask the output of roles' own code, and tell it as events where standard output is for these alone. Returns a function
 * that undoes it.
 */
function takeStreams(mask: Mask | null, emit: Printer | undefined): () => void {
  if (mask === null && emit === undefined) return () => {};
  const { stdout, stderr } = process;
  const undo = [stdout, stderr].map((stream) => {
    const { write } = stream;
    stream.write = ((chunk: string | Uint8Array, ...rest: readonly never[]): boolean => {
      const given = Buffer.from(chunk as Uint8Array).toString("utf8");
      const text = mask === null ? given : mask.text(given);
      if (emit === undefined || stream === stderr) return write.call(stream, text, ...rest);
      emit({ type: "log", level: "info", text: text.replace(/\n$/, "") });
      const done = rest.at(-1) as unknown;
      if (typeof done === "function") queueMicrotask(done as () => void);
      return true;
    }) as typeof write;
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
  let values: Values;
  try {
    values = parseArgs({ args: [...argv], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (thrown) {
    // The prelude of a signed bundle takes these options away.
    if (argv.some((word) => /^--(verify|require-signature|signer)\b/.test(word)))
      throw new VolleyError("SIGNATURE_REFUSED", "this bundle is not signed");
    throw new VolleyError("USAGE", `${(thrown as Error).message.split(". ")[0]}; --help shows the options`, {
      cause: thrown,
    });
  }
  const { output = "text", wait = "10" } = values;
  if (output !== "text" && output !== "json") throw new VolleyError("USAGE", "--output is text or json");
  if (!/^\d+$/.test(wait)) throw new VolleyError("USAGE", "--wait is a number of seconds");
  return values;
}

function waitMs({ wait = "10" }: Values): number {
  return Number(wait) * 1_000;
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

function jobOptions({ check, diff, tags, "skip-tags": skipTags }: Values): JobOptions {
  const list = (names: readonly string[] | undefined): readonly string[] =>
    (names ?? []).flatMap((name) => name.split(",")).filter((name) => name !== "");
  return {
    check: check === true,
    diff: diff === true,
    tags: list(tags),
    skipTags: list(skipTags),
    barriers: false,
  };
}
