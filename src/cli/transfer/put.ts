import { scanLocalTree } from "../../fanout/transfer/local-tree.ts";
import { putOnHosts } from "../../fanout/transfer/transfer.ts";
import { splitPaths, type TransferFlags } from "./options.ts";
import { runTransfer } from "./run-transfer.ts";

/** Carries `volley put` out and gives its exit code. Fails with what is wrong before any host is touched. */
export async function put(hosts: string, paths: readonly string[], flags: TransferFlags): Promise<number> {
  const { sources, destination } = splitPaths(paths, "volley put web ./dist /srv/app");
  const tree = await scanLocalTree({ sources, destination, follow: flags.follow === true });
  return runTransfer("put", hosts, flags, {
    bytesPerHost: tree.totalBytes,
    run: (targets, options) => putOnHosts(targets, tree, destination, options),
  });
}
