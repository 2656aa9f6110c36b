import { join } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { getTree } from "./get-tree.ts";
import { hostDirectoryName } from "./names.ts";
import type { WalkOptions } from "./remote-tree.ts";
import type { TransferResult } from "./result.ts";
import { type TransferOptions, transfer } from "./transfer.ts";
import type { TransferHost } from "./transfer-host.ts";

/** Gets trees from many hosts into `destination/HOST/`. Fails with `USAGE` when two hosts would share a directory. */
export async function getFromHosts(
  hosts: readonly TransferHost[],
  walk: WalkOptions,
  destination: string,
  options: TransferOptions,
): Promise<readonly TransferResult[]> {
  const owners = new Map<string, string>();
  for (const { name } of hosts) {
    const directory = hostDirectoryName(name);
    const other = owners.get(directory);
    if (other !== undefined)
      throw new VolleyError("USAGE", `${other} and ${name} would both be got into ${directory}`);
    owners.set(directory, name);
  }
  return transfer(hosts, options, (context, host) =>
    getTree(context, walk, join(destination, hostDirectoryName(host.name))),
  );
}
