import { existsSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { VolleyError } from "../core/errors.ts";
import { addReachOptions, type ReachFlags } from "./reach-options.ts";

/** Flags of every command that reads an inventory. */
export interface InventoryFlags {
  readonly inventory?: readonly string[];
  readonly limit?: string;
}

/** Flags of every command that works on hosts. */
export interface ConnectionFlags extends ReachFlags {
  readonly forks: number;
  readonly become?: boolean;
  readonly becomeUser?: string;
}

/** A whole number of at least 1. */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError("It must be a whole number of 1 or more.");
  return value;
}

/** For options that may be given several times. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/** `a,b` given once or several times. */
export function splitList(values: readonly string[] | undefined): readonly string[] {
  return (values ?? [])
    .flatMap((value) => value.split(","))
    .map((value) => value.trim())
    .filter((value) => value !== "");
}

/** Adds `-i` and `-l`; `without` says what is used when no inventory is given. */
export function addInventoryOptions(command: Command, without = "./inventory"): Command {
  return command
    .option(
      "-i, --inventory <path>",
      `inventory: a file, a directory, or 'host1,host2,' (default: ${without}); repeatable`,
      collect,
    )
    .option(
      "-l, --limit <pattern>",
      "only these hosts: web:&prod:!db, web[01:20], a glob, ~regex, @failed, @changed, a run, or - for names on stdin",
    );
}

/** Adds what every command that works on hosts takes. */
export function addConnectionOptions(command: Command): Command {
  return addReachOptions(command)
    .option("-b, --become", "become root, with sudo where nothing else is said")
    .option("--become-user <name>", "become this user instead")
    .option("-f, --forks <number>", "hosts worked on at a time", positiveInteger, 50);
}

/** The inventories to read: those given, `$VOLLEY_INVENTORY`, or `./inventory`. Fails with `INVENTORY_MISSING`. */
export function inventoryPaths({ inventory }: InventoryFlags): readonly string[] {
  if (inventory !== undefined) return inventory;
  const fromEnvironment = process.env.VOLLEY_INVENTORY;
  if (fromEnvironment !== undefined && fromEnvironment !== "") return [fromEnvironment];
  const candidates = ["inventory", "inventory.ts", "inventory.yaml", "inventory.yml", "inventory.ini"];
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found !== undefined) return [found];
  throw new VolleyError("INVENTORY_MISSING", "there is no inventory here", {
    hint: "name one with -i: a file, a directory, or host names with a comma: -i 'web1,web2,'",
  });
}

/** The way of showing that was asked for, or plain lines, said on stderr, where a screen was and there is no terminal. */
export function shownAs<Kind extends string>(output: Kind): Kind | "plain" {
  if (output !== "ink" || process.stdout.isTTY === true) return output;
  process.stderr.write("volley: --output ink needs a terminal; plain lines follow\n");
  return "plain";
}
