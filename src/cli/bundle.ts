import { randomBytes } from "node:crypto";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { Command } from "commander";
import {
  addInventoryOptions,
  addSecretOptions,
  type InventoryFlags,
  type SecretFlags,
  secretOptions,
} from "./options.ts";
import { expandLimit } from "./runs.ts";
import { cannotWrite } from "./terminal.ts";

interface BundleFlags extends InventoryFlags, SecretFlags {
  readonly output: string;
  readonly withSecrets?: boolean;
}

/** Add `volley bundle`. */
export function addBundleCommand(program: Command): void {
  addSecretOptions(
    addInventoryOptions(
      program
        .command("bundle <playbook>")
        .summary("make a self-contained executable of a playbook")
        .description(
          "Write one file that carries out the playbook on any machine with Node 18 or newer: sh site.run --local HOST. With -i the file holds the vars of the inventory's hosts (of those in -l), in clear.",
        ),
      "none",
    ),
  )
    .option("--with-secrets", "let the bundle hold the secrets of its hosts, in clear")
    .requiredOption("-o, --output <file>", "file to write")
    .action(async (playbook: string, flags: BundleFlags) => {
      await makeBundle(playbook, flags);
    });
}

async function makeBundle(playbook: string, flags: BundleFlags): Promise<void> {
  const { askPassphrase } = await import("./ask.ts");
  const { carryBundle } = await import("../controller/prepare/carry.ts");
  const { inventory, withSecrets, output } = flags;
  const limit = await expandLimit(flags.limit);
  const { id, bytes, hosts } = await carryBundle({
    playbook,
    cwd: process.cwd(),
    secrets: secretOptions(flags),
    ask: askPassphrase,
    ...(withSecrets === undefined ? {} : { withSecrets }),
    ...(inventory === undefined ? {} : { inventory }),
    ...(limit === undefined ? {} : { limit }),
  });
  writeWhole(output, bytes);
  const size = `${(bytes.length / 1024).toFixed(1)} KiB, SHA-256 ${id}`;
  const whom =
    hosts.length === 0 ? "any host" : hosts.length > 5 ? `${hosts.length} hosts` : hosts.join(", ");
  process.stdout.write(
    `${output}: ${size}\nRun it there: sh ${basename(output)} --local ${hosts[0] ?? "NAME"}   (made for ${whom})\n`,
  );
}

/** Write a file under a temporary name and rename it. */
function writeWhole(path: string, bytes: Buffer): void {
  const full = resolve(path);
  const temporary = `${full}.${randomBytes(4).toString("hex")}`;
  try {
    // For the owner alone: the bundle may hold vars.
    writeFileSync(temporary, bytes, { mode: 0o700 });
    renameSync(temporary, full);
  } catch (thrown) {
    // Below a path that is no directory there is nothing to remove, and rmSync would fail.
    if ((thrown as NodeJS.ErrnoException).code !== "ENOTDIR") rmSync(temporary, { force: true });
    throw cannotWrite(path, thrown);
  }
}
