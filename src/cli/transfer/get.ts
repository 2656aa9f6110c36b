import { getFromHosts } from "../../fanout/transfer/transfer.ts";
import { splitPaths, type TransferFlags } from "./options.ts";
import { runTransfer } from "./run-transfer.ts";

/** Carries `volley get` out and gives its exit code. Fails with what is wrong before any host is touched. */
export async function get(hosts: string, paths: readonly string[], flags: TransferFlags): Promise<number> {
  const { sources, destination } = splitPaths(paths, "volley get web /var/log/syslog logs");
  return runTransfer("get", hosts, flags, {
    bytesPerHost: undefined,
    run: (targets, options) =>
      getFromHosts(targets, { sources, follow: flags.follow === true }, destination, options),
  });
}
