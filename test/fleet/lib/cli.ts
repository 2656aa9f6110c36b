import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { bootFleet } from "./fleet.ts";

/** Boot as many hosts as the first argument says (1 by default), say how to use them, and wait for Ctrl-C. */
export async function main(args: readonly string[]): Promise<void> {
  const count = Number(args[0] ?? 1);
  if (!Number.isInteger(count) || count < 1) {
    console.error("Usage: node test/fleet/up.mjs [COUNT] [--without-node N,N]");
    process.exitCode = 1;
    return;
  }
  const flag = args.indexOf("--without-node");
  const withoutNode = flag === -1 ? [] : (args[flag + 1] ?? "").split(",").map(Number);
  const fleet = await bootFleet({ count, withoutNode });
  const inventoryPath = join(fleet.folder, "inventory.yaml");
  writeFileSync(inventoryPath, fleet.inventoryYaml());

  const seconds = (fleet.times.bootMs / 1000).toFixed(1);
  console.log(
    `${count} host${count === 1 ? "" : "s"} up in ${seconds} s. Ctrl-C ends ${count === 1 ? "it" : "them"}.\n`,
  );
  console.log(`inventory  ${inventoryPath}`);
  console.log(`key        ${fleet.privateKeyPath}`);
  for (const { name, address, port, root } of fleet.hosts) {
    console.log(`\n${name}     ${root}`);
    console.log(
      `  ssh -i ${fleet.privateKeyPath} -o UserKnownHostsFile=${fleet.knownHostsPath} -p ${port} deploy@${address}`,
    );
  }
  // The hosts end with this process, so it must last; a signal ends it and cleans up.
  for (;;) await delay(2 ** 30);
}
