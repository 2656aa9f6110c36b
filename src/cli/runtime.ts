import { type Command, InvalidArgumentError } from "commander";
import { RUNTIME_ARCHS, runtimeArch } from "../bundle/runtimes/builds.ts";
import type { FetchStep, WithLibraries } from "../bundle/runtimes/fetch.ts";
import type { Runtime } from "../bundle/runtimes/store.ts";
import { OLDEST_GLIBC, type RuntimeArch } from "../core/runtimes.ts";
import { onSignals } from "./terminal.ts";

// The commands on runtimes, the builds of Node that hosts without Node get: `volley runtime fetch`, `list`, `remove`.

interface FetchFlags {
  readonly arch?: readonly RuntimeArch[];
  readonly libc?: WithLibraries;
  readonly from?: string;
  readonly libraries?: string;
}

/** Hosts that a runtime without libraries is no use for. */
const LEFT_OUT = `hosts with musl, with glibc before ${OLDEST_GLIBC}, or without libstdc++ cannot run it`;
const NONE = "There is no runtime here; volley runtime fetch brings one.\n";
/** To the first column, and erase the line. */
const ERASE = "\r\u001b[K";
/** Time between two states of a line of progress. */
const REDRAW_MS = 200;

/** Add `volley runtime`, with its subcommands. */
export function addRuntimeCommand(program: Command): void {
  const runtime = program
    .command("runtime")
    .summary("keep builds of Node here, for hosts without Node")
    .description(
      "Keep builds of Node on this machine (in ~/.cache/volley/runtimes), which runs then send to hosts that have none.",
    );
  runtime
    .command("fetch")
    .summary("download Node for hosts, and pack it")
    .description(
      "Download Node from the npm registry by the npm program of this machine, verify it against the SHA-512 that this version of Volley knows, strip it, and pack it together with glibc's loader and the libraries that Node needs, as this machine has them.",
    )
    .option(
      "--arch <names>",
      "architectures of hosts, x64 or arm64, with commas between (default: x64 and that of this machine)",
      parseArchs,
    )
    .option(
      "--libc <names>",
      "glibc: Node alone, for hosts with glibc 2.28 and libstdc++; musl: with loader and libraries, for all hosts (default: with libraries, where this machine has them)",
      parseLibcs,
    )
    .option(
      "--from <folder>",
      "take the packages, as `npm pack` writes them, from a folder instead of the registry",
    )
    .option("--libraries <root>", "take loader and libraries from the system below this directory")
    .action(async (flags: FetchFlags) => {
      await fetch(flags);
    });
  runtime
    .command("list")
    .summary("list the builds of Node that are here")
    .action(async () => {
      const { listRuntimes } = await import("../bundle/runtimes/store.ts");
      process.stdout.write(await formatRuntimes(listRuntimes()));
    });
  runtime
    .command("remove")
    .summary("remove builds of Node from this machine")
    .description("Remove the runtimes of some architectures from this machine, or all of them.")
    .argument(
      "[arch...]",
      "x64 or arm64; default: all",
      (name: string, before: readonly RuntimeArch[] = []) => [...before, parseArch(name)],
    )
    .action(async (archs: readonly RuntimeArch[]) => {
      await remove(archs);
    });
}

async function fetch({ arch: given, libc = "where found", from, libraries }: FetchFlags): Promise<void> {
  const [{ fetchRuntime, librariesHint }, { formatElapsed }] = await Promise.all([
    import("../bundle/runtimes/fetch.ts"),
    import("../reporter/rows/amounts.ts"),
  ]);
  const cancelled = new AbortController();
  const stopListening = onSignals(() => cancelled.abort());
  try {
    for (const arch of given ?? new Set(["x64", runtimeArch(process.arch) ?? "x64"] as const)) {
      const startedAt = performance.now();
      const progress = await openProgress();
      const { runtime, wasThere, glibc, missing } = await fetchRuntime({
        ...{ arch, withLibraries: libc, from, libraries, onStep: progress.show, signal: cancelled.signal },
      }).finally(progress.close);
      const how = wasThere ? "there already" : `fetched in ${formatElapsed(performance.now() - startedAt)}`;
      process.stdout.write(`${arch}: ${how}: ${(await columnsOf(runtime, glibc)).slice(1).join(", ")}\n`);
      if (runtime.hasLibraries || libc === "never") continue;
      const why = missing === undefined ? "" : `${missing}: `;
      const again = missing === undefined ? "fetch it anew with --libc musl" : librariesHint(arch);
      process.stderr.write(`volley: ${arch}: ${why}${LEFT_OUT} (${again})\n`);
    }
  } finally {
    stopListening();
  }
}

async function remove(archs: readonly RuntimeArch[]): Promise<void> {
  const [{ removeRuntimes }, { formatBytes }] = await Promise.all([
    import("../bundle/runtimes/store.ts"),
    import("../reporter/rows/amounts.ts"),
  ]);
  const removed = removeRuntimes(archs.length === 0 ? RUNTIME_ARCHS : archs);
  for (const [arch, bytes] of removed) process.stdout.write(`${arch}: removed, ${formatBytes(bytes)}\n`);
  for (const arch of archs) if (!removed.has(arch)) process.stdout.write(`${arch}: there is none here\n`);
  if (archs.length === 0 && removed.size === 0) process.stdout.write(NONE);
}

/** Format the runtimes, a line each. */
async function formatRuntimes(runtimes: readonly Runtime[]): Promise<string> {
  if (runtimes.length === 0) return NONE;
  const rows = await Promise.all(runtimes.map((runtime) => columnsOf(runtime)));
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  "))
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}

/** Return what there is to say of a runtime: architecture, version, libraries, sizes. */
async function columnsOf(
  { arch, version, hasLibraries, bytes, unpackedBytes }: Runtime,
  glibc?: string,
): Promise<readonly string[]> {
  const { formatBytes } = await import("../reporter/rows/amounts.ts");
  const libraries = `${hasLibraries ? "with" : "without"} libraries${glibc === undefined ? "" : ` (glibc ${glibc})`}`;
  return [
    ...[arch, `Node ${version}`, libraries],
    ...[`${formatBytes(bytes)} to send`, `${formatBytes(unpackedBytes)} on a host`],
  ];
}

interface Progress {
  readonly show: (step: FetchStep) => void;
  readonly close: () => void;
}

/** Open a line on the terminal that says what goes on, and for how long; without a terminal nothing is shown. */
async function openProgress(): Promise<Progress> {
  if (process.stderr.isTTY !== true) return { show: () => {}, close: () => {} };
  const { formatBytes, formatClock } = await import("../reporter/rows/amounts.ts");
  const startedAt = performance.now();
  let text = "";
  const draw = (): void =>
    void process.stderr.write(`${ERASE}${text}  ${formatClock(performance.now() - startedAt)}`);
  const timer = setInterval(draw, REDRAW_MS);
  return {
    show: (step) => {
      const { arch, bytes, package: name, version } = step.build;
      text =
        step.step === "pack"
          ? `${arch}: packing, ${Math.floor(step.share * 100)}%`
          : `${arch}: reading ${name} ${version} (${formatBytes(bytes)})`;
    },
    close: () => {
      clearInterval(timer);
      process.stderr.write(ERASE);
    },
  };
}

/** Parse `x64,arm64`. */
export function parseArchs(value: string): readonly RuntimeArch[] {
  return [...new Set(value.split(",").map((name) => parseArch(name.trim())))];
}

function parseArch(name: string): RuntimeArch {
  const arch = runtimeArch(name);
  if (arch !== undefined) return arch;
  throw new InvalidArgumentError(
    `There is a runtime for ${RUNTIME_ARCHS.join(" and ")}, none for "${name}".`,
  );
}

/** Parse `glibc`, `musl` or both. A runtime with libraries is for all hosts. */
function parseLibcs(value: string): WithLibraries {
  const names = value.split(",").map((name) => name.trim());
  const unknown = names.find((name) => name !== "glibc" && name !== "musl");
  if (unknown !== undefined) throw new InvalidArgumentError(`It is glibc or musl, not "${unknown}".`);
  return names.includes("musl") ? "always" : "never";
}
