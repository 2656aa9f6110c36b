import { openTransports } from "../../controller/prepare/transports.ts";
import { recordFanOut } from "../../controller/records/fan-out-record.ts";
import { exitCodeOf } from "../../fanout/exec/exec-host.ts";
import type { TransferResult } from "../../fanout/transfer/result.ts";
import type { TransferHost, TransferOptions } from "../../fanout/transfer/transfer.ts";

import { createSecretStore } from "../../vars/secrets/store.ts";
import { hostsToWorkOn } from "../exec/select.ts";
import { readBecome } from "../fan-out-become.ts";
import { withPasswords } from "../passwords.ts";
import { reachOptions } from "../reach-options.ts";
import { secretOptions } from "../secret-options.ts";
import type { TransferFlags } from "./options.ts";
import { createTransferPrinter } from "./printer.ts";

/** What one of the commands does. */
export interface TransferCommand {
  /** Where it is known beforehand. */
  readonly bytesPerHost: number | undefined;
  run(hosts: readonly TransferHost[], options: TransferOptions): Promise<readonly TransferResult[]>;
}

/** Finds the hosts, connects, shows what happens and gives the exit code. */
export async function runTransfer(
  kind: "put" | "get",
  pattern: string,
  flags: TransferFlags,
  { bytesPerHost, run }: TransferCommand,
): Promise<number> {
  const { askPassphrase } = await import("../ask.ts");
  const secrets = createSecretStore({ ...secretOptions(flags), cwd: process.cwd(), ask: askPassphrase });
  const selected = await hostsToWorkOn({ hosts: pattern }, flags, secrets);
  const hosts = await Promise.all(selected.map((host) => withPasswords(host, secrets)));
  const becomeOf = await readBecome(flags);
  const check = flags.check === true || flags.dryRun === true;
  const interruption = onInterruption();
  try {
    const transports = await openTransports(hosts, await reachOptions(flags), interruption.signal);
    try {
      for (const { host, text } of transports.notes) process.stderr.write(`${host}: ${text}\n`);
      const printer = await createTransferPrinter(flags, {
        kind,
        check,
        hosts: hosts.map(({ name }) => name),
        bytesPerHost,
      });
      const [begunAt, startedAt] = [Date.now(), performance.now()];
      let results: readonly TransferResult[];
      try {
        results = await run(
          hosts.map((host) => ({ name: host.name, become: becomeOf(host), ...transports.of(host) })),
          {
            forks: flags.forks,
            preserve: flags.preserve === true,
            checksum: flags.checksum === true,
            check,
            listener: printer.listener,
            signal: interruption.signal,
          },
        );
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
      transports.close();
    }
  } finally {
    interruption.release();
  }
}

/** Ctrl-C drops the connections; what has arrived stays for the next time. Twice leaves at once. */
function onInterruption(): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  const onGone = (): void => controller.abort();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  process.stdout.once("error", onGone);
  return {
    signal: controller.signal,
    release: () => {
      for (const signal of signals) process.off(signal, onSignal);
      process.stdout.off("error", onGone);
    },
  };
}
