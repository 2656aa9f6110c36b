import { randomBytes } from "node:crypto";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { Command } from "commander";
import { cannotWrite } from "./cannot-write.ts";
import { addInventoryOptions, type InventoryFlags } from "./options.ts";
import { expandLimit } from "./past-runs.ts";
import { addSecretOptions, type SecretFlags, secretOptions } from "./secret-options.ts";

interface BundleFlags extends InventoryFlags, SecretFlags {
  readonly output: string;
  readonly withSecrets?: boolean;
}

/** Adds `volley bundle`. */
export function addBundleCommand(program: Command): void {
  addSecretOptions(
    addInventoryOptions(
      program
        .command("bundle <playbook>")
        .summary("make a self-contained executable of a playbook")
        .description(
          "Writes one file that carries out the playbook on any machine with Node 18 or newer: sh site.run --local HOST. With -i it holds the vars of the inventory's hosts (of those in -l), in clear.",
        ),
      "none",
    ),
  )
    .option("--with-secrets", "let the bundle hold the secrets of its hosts, in clear")
    .requiredOption("-o, --output <file>", "the file to write")
    .action(async (playbook: string, flags: BundleFlags) => {
      const { askPassphrase } = await import("./ask.ts");
      const { carryBundle } = await import("../controller/carry.ts");
      const limit = await expandLimit(flags.limit);
      const { id, bytes, hosts } = await carryBundle({
        playbook,
        cwd: process.cwd(),
        secrets: secretOptions(flags),
        ask: askPassphrase,
        ...(flags.withSecrets === undefined ? {} : { withSecrets: flags.withSecrets }),
        ...(flags.inventory === undefined ? {} : { inventory: flags.inventory }),
        ...(limit === undefined ? {} : { limit }),
      });
      writeWhole(flags.output, bytes);
      const whom =
        hosts.length === 0 ? "any host" : hosts.length > 5 ? `${hosts.length} hosts` : hosts.join(", ");
      process.stdout.write(
        `${flags.output}: ${(bytes.length / 1024).toFixed(1)} KiB, SHA-256 ${id}\nRun it there: sh ${basename(flags.output)} --local ${hosts[0] ?? "NAME"}   (made for ${whom})\n`,
      );
    });
}

function writeWhole(path: string, bytes: Buffer): void {
  const full = resolve(path);
  const temporary = `${full}.${randomBytes(4).toString("hex")}`;
  try {
    // It may hold vars: nobody else's to read.
    writeFileSync(temporary, bytes, { mode: 0o700 });
    renameSync(temporary, full);
  } catch (thrown) {
    // Below what is no directory there is nothing to remove, and removing it fails.
    if ((thrown as NodeJS.ErrnoException).code !== "ENOTDIR") rmSync(temporary, { force: true });
    throw cannotWrite(path, thrown);
  }
}
