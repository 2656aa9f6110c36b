import { type Command, Option } from "commander";
import { VolleyError } from "../../core/errors.ts";
import { addBecomeOptions, type BecomeFlags } from "../become-options.ts";
import {
  addConnectionOptions,
  addInventoryOptions,
  type ConnectionFlags,
  type InventoryFlags,
} from "../options.ts";
import { addSecretOptions, type SecretFlags } from "../secret-options.ts";

/** What `volley put` and `volley get` can be told to show. */
export type TransferOutput = "auto" | "ink" | "plain" | "json";

/** The flags of `volley put` and `volley get`. */
export interface TransferFlags extends InventoryFlags, ConnectionFlags, BecomeFlags, SecretFlags {
  readonly preserve?: boolean;
  readonly checksum?: boolean;
  readonly follow?: boolean;
  readonly check?: boolean;
  readonly dryRun?: boolean;
  readonly verbose?: boolean;
  readonly output: TransferOutput;
}

/** Adds what both commands take. */
export function addTransferOptions(command: Command): Command {
  return addSecretOptions(addBecomeOptions(addConnectionOptions(addInventoryOptions(command))))
    .option("-p, --preserve", "keep modes and times")
    .option("--checksum", "compare files by content even when size and time are the same")
    .option("-C, --check", "send nothing, say what would be sent")
    .option("--dry-run", "the same as --check")
    .option("-v, --verbose", "plain output: also each file that is sent")
    .addOption(
      new Option("-o, --output <kind>", "how to show it: a bar per host, lines, or JSON")
        .choices(["auto", "ink", "plain", "json"])
        .default("auto"),
    );
}

/** Sources and destination of a command. Fails with `USAGE` where one is missing. */
export function splitPaths(
  paths: readonly string[],
  example: string,
): { readonly sources: readonly string[]; readonly destination: string } {
  const destination = paths.at(-1);
  const sources = paths.slice(0, -1);
  if (destination === undefined || sources.length === 0)
    throw new VolleyError("USAGE", "hosts, what, and where to: one of them is missing", {
      hint: `write: ${example}`,
    });
  if (paths.some((path) => path === "" || path.includes("\0")))
    throw new VolleyError("USAGE", "a path is empty, or holds a NUL");
  return { sources, destination };
}
