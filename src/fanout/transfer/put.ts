import type { LocalTree } from "./local-tree.ts";
import { putTree } from "./put-tree.ts";
import type { TransferResult } from "./result.ts";
import { type TransferOptions, transfer } from "./transfer.ts";
import type { TransferHost } from "./transfer-host.ts";

/** Puts a tree on many hosts; see {@link scanLocalTree} for what goes where. */
export function putOnHosts(
  hosts: readonly TransferHost[],
  tree: LocalTree,
  destination: string,
  options: TransferOptions,
): Promise<readonly TransferResult[]> {
  return transfer(hosts, options, (context) => putTree(context, tree, destination));
}
