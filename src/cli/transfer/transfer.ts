import { statSync } from "node:fs";
import type { Command } from "commander";
import { VolleyError } from "../../core/errors.ts";
import type { FanOutHost } from "../../fanout/exec/fan-out.ts";
import type { TransferResult } from "../../fanout/transfer/result.ts";
import type { TransferOptions } from "../../fanout/transfer/transfer.ts";
import { addWorkOptions, takeHosts, type WorkFlags } from "../options.ts";
import { cannotWrite, onSignals, outputOption } from "../terminal.ts";
import type { TransferPrinter, TransferShown } from "./printer.ts";

interface TransferFlags extends WorkFlags {
  readonly preserve?: boolean;
  readonly checksum?: boolean;
  readonly follow?: boolean;
  readonly check?: boolean;
  readonly dryRun?: boolean;
  readonly verbose?: boolean;
  readonly output: "auto" | "ink" | "plain" | "json";
}

const USAGE = "[options] <hosts> <source...> <destination>";

/** Add `volley put`. */
export function addPutCommand(program: Command): void {
  const command = program
    .command("put [words...]")
    .summary("send files and directories to many hosts at a time")
    .description(
      "Send files and trees to every host over SFTP. Name the hosts first, as with exec: a pattern, names, web[01-17,19], or - for names on stdin. The last path is the destination on the hosts.\n\n" +
        "A file that is the same there is not sent again. Files are sent to a temporary name, verified and then renamed; the next put goes on where a cut transfer stopped.",
    )
    .usage(USAGE);
  addTransferOptions(command)
    .option("--follow", "send the targets of links, not links")
    .addHelpText(
      "after",
      `
Examples:
  volley put web app.conf /etc/app/          into the directory
  volley put 'web[01-17,19]' ./dist /srv/app  the contents of dist become those of /srv/app
  volley put -bp web ./dist /srv/             as root, with modes and times, to /srv/dist

A destination that ends in a slash is a directory, and so is the destination of several sources; a source that ends in a slash stands for its contents. Relative destinations are below the home; ~/ is the home, and ~user/ that user's. A link at the destination is replaced.
Exit codes: 0 all ok, 1 usage or set-up (nothing was sent), 2 some host or file failed, 4 some host unreachable or lost, 130 cancelled.
`,
    )
    .action(async (words: readonly string[], flags: TransferFlags) => {
      const { hosts, sources, destination } = splitWords(words, flags, "volley put web ./dist /srv/app");
      const [{ scanLocalTree }, { putOnHosts }] = await Promise.all([
        import("../../fanout/transfer/local-tree.ts"),
        import("../../fanout/transfer/transfer.ts"),
      ]);
      const tree = await scanLocalTree({ sources, destination, follow: flags.follow === true });
      process.exitCode = await transfer("put", hosts, flags, {
        bytesPerHost: tree.totalBytes,
        run: (targets, options) => putOnHosts(targets, tree, destination, options),
      });
    });
}

/** Add `volley get`. */
export function addGetCommand(program: Command): void {
  const command = program
    .command("get [words...]")
    .summary("fetch files and directories from many hosts at a time")
    .description(
      "Fetch files and trees from every host over SFTP, into a directory for each host below the last path: DEST/HOST/… Name the hosts first, as with exec.\n\n" +
        "A file that is the same here is not fetched again. Files are fetched to a temporary name, verified and then renamed; the next get goes on where a cut transfer stopped.",
    )
    .usage(USAGE);
  addTransferOptions(command)
    .option("--follow", "fetch the targets of links, not links")
    .addHelpText(
      "after",
      `
Examples:
  volley get web /etc/hostname names        names/web01/hostname, names/web02/hostname, …
  volley get web /var/log/nginx/ logs        logs/web01/access.log, …
  volley get -b 'web[01-17,19]' /etc/ssl etc  as root

A source that ends in a slash stands for its contents. Nothing is written outside DEST/HOST, whatever a host says: links that lead out of it are skipped, names with control characters are refused.
Exit codes: 0 all ok, 1 usage or set-up (nothing was fetched), 2 some host or file failed, 4 some host unreachable or lost, 130 cancelled.
`,
    )
    .action(async (words: readonly string[], flags: TransferFlags) => {
      const { hosts, sources, destination } = splitWords(words, flags, "volley get web /var/log/syslog logs");
      requireDirectory(destination);
      const { getFromHosts } = await import("../../fanout/transfer/transfer.ts");
      process.exitCode = await transfer("get", hosts, flags, {
        bytesPerHost: undefined,
        run: (targets, options) =>
          getFromHosts(targets, { sources, follow: flags.follow === true }, destination, options),
      });
    });
}

function addTransferOptions(command: Command): Command {
  return addWorkOptions(command)
    .option("-p, --preserve", "keep modes and times")
    .option("--checksum", "compare files by content even when size and time are the same")
    .option("-C, --check", "send nothing, show what would be sent")
    .option("--dry-run", "the same as --check")
    .option("-v, --verbose", "plain output: also show each file that is sent")
    .addOption(
      outputOption("how to show it: a bar per host, lines, or JSON", ["auto", "ink", "plain", "json"]),
    );
}

/** Tell hosts, sources and destination apart. Fails with `USAGE` where one is missing. */
function splitWords(
  words: readonly string[],
  flags: TransferFlags,
  example: string,
): { readonly hosts: string; readonly sources: readonly string[]; readonly destination: string } {
  const { hosts, rest: paths } = takeHosts(words, flags, example);
  const destination = paths.at(-1);
  const sources = paths.slice(0, -1);
  if (destination === undefined || sources.length === 0)
    throw new VolleyError("USAGE", "hosts, what, and where to: one of them is missing", {
      hint: `write: ${example}`,
    });
  if (paths.some((path) => path === "" || path.includes("\0")))
    throw new VolleyError("USAGE", "a path is empty, or holds a NUL");
  return { hosts, sources, destination };
}

/** Refuse a destination that is there and is no directory. Fails with `FILE_FAILED`. */
function requireDirectory(path: string): void {
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== false) return;
  } catch (thrown) {
    throw cannotWrite(`in ${path}`, thrown);
  }
  throw new VolleyError("FILE_FAILED", `cannot write in ${path}: it is not a directory`);
}

interface TransferCommand {
  /** Undefined where the sizes are known only to the hosts. */
  readonly bytesPerHost: number | undefined;
  run(hosts: readonly FanOutHost[], options: TransferOptions): Promise<readonly TransferResult[]>;
}

/** Select the hosts, transfer, show progress and result; returns the exit code. */
async function transfer(
  kind: "put" | "get",
  pattern: string,
  flags: TransferFlags,
  { bytesPerHost, run }: TransferCommand,
): Promise<number> {
  const [{ planFanOut }, { recordFanOut }, { exitCodeOf }] = await Promise.all([
    import("../fan-out.ts"),
    import("../../controller/records/records.ts"),
    import("../../fanout/exec/fan-out.ts"),
  ]);
  const { hosts, open } = await planFanOut(pattern, flags);
  const check = flags.check === true || flags.dryRun === true;
  const interruption = onInterruption();
  try {
    const { targets, close } = await open(interruption.signal);
    try {
      const shown = { kind, check, hosts: hosts.map(({ name }) => name), bytesPerHost };
      const printer = await createPrinter(flags, shown);
      const [begunAt, startedAt] = [Date.now(), performance.now()];
      let results: readonly TransferResult[];
      try {
        results = await run(targets, {
          forks: flags.forks,
          preserve: flags.preserve === true,
          checksum: flags.checksum === true,
          check,
          listener: printer.listener,
          signal: interruption.signal,
        });
      } finally {
        printer.close();
      }
      if (!check) {
        const ends = results.map(({ files, ...result }) => ({
          ...result,
          changed: files.sent + files.resumed + files.linked + files.made > 0,
        }));
        recordFanOut({ kind, title: kind, startedAt: begunAt, concurrency: flags.forks, ends });
      }
      await printer.end(results, performance.now() - startedAt);
      return interruption.signal.aborted ? 130 : exitCodeOf(results);
    } finally {
      close();
    }
  } finally {
    interruption.release();
  }
}

/** Make the printer that the flags and the terminal ask for. All of them print to stdout. */
async function createPrinter(flags: TransferFlags, shown: TransferShown): Promise<TransferPrinter> {
  const [{ createPacedWriter }, { ASCII_SYMBOLS, UNICODE_SYMBOLS }, support] = await Promise.all([
    import("../exec/printer.ts"),
    import("../../reporter/rows/wording.ts"),
    import("../../reporter/reporter.ts"),
  ]);
  const { stdout, env } = process;
  const options = {
    ...shown,
    writer: createPacedWriter(stdout),
    colors: support.colorsWanted(stdout, env),
    symbols: support.unicodeWanted(env) ? UNICODE_SYMBOLS : ASCII_SYMBOLS,
    verbose: flags.verbose === true,
    size: () =>
      stdout.isTTY === true ? { columns: stdout.columns ?? 80, rows: stdout.rows ?? 24 } : undefined,
  };
  if (flags.output === "json") return (await import("./printer.ts")).createJsonPrinter(options);
  const isLive = flags.output === "ink" || (flags.output === "auto" && support.isWatched(stdout, env));
  if (isLive && stdout.isTTY === true && !shown.check)
    return (await import("./live-printer.ts")).createLivePrinter(options);
  return (await import("./printer.ts")).createPlainPrinter(options);
}

/** Listen for interruptions: the first Ctrl-C drops the connections, and keeps what has arrived; the second exits at once. */
function onInterruption(): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const releaseSignals = onSignals(() => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  });
  const onGone = (): void => controller.abort();
  process.stdout.once("error", onGone);
  return {
    signal: controller.signal,
    release: () => {
      releaseSignals();
      process.stdout.off("error", onGone);
    },
  };
}
