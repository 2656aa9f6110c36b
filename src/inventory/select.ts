import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { printable, VolleyError } from "../core/errors.ts";
import type { Host, Inventory } from "../core/inventory.ts";
import { type SelectOptions, selectNames } from "../patterns/select.ts";
import { bareHost } from "./connection.ts";

// The hosts of an inventory that patterns and `--limit` select.

/**
 * Return the hosts that a pattern stands for, as {@link selectNames} does. `localhost` is this machine, even if the
 * inventory does not know it.
 */
export function selectHosts(
  inventory: Inventory,
  pattern: string,
  options: SelectOptions = {},
): readonly Host[] {
  return selectNames(inventory, pattern, options).map(
    (name) => inventory.hosts.get(name) ?? inventory.implicit?.get(name) ?? bareHost(name, "local"),
  );
}

function readNames(file: string, cwd: string): string {
  try {
    const lines = readFileSync(resolve(cwd, file), "utf8").split("\n");
    return lines
      .map((line) => line.replace(/(^|\s)#.*/, "").trim())
      .filter((line) => line !== "")
      .join(",");
  } catch (cause) {
    const isDirectory = (cause as NodeJS.ErrnoException).code === "EISDIR";
    const problem = isDirectory ? "must be a file" : "cannot be read: there is no such file";
    throw new VolleyError("USAGE", `the limit @${file} ${problem}`, { cause });
  }
}

/** Make the error for patterns, or a limit, that leave no host. */
export function nobodyLeft(
  patterns: readonly string[],
  limit: string | undefined,
  inventory: Inventory,
): VolleyError {
  const asked = patterns.map((pattern) => `"${printable(pattern, 300)}"`).join(", ");
  const hint = "see what the inventory holds with volley inventory list";
  if (limit === undefined)
    return new VolleyError("PATTERN_UNKNOWN", `no host is left to run on: ${asked} is nobody`, { hint });
  if (/^[\s,:]*$/.test(limit)) {
    return new VolleyError("PATTERN_UNKNOWN", "no host is left to run on: the limit (-l) is empty", {
      hint: "leave it out for all hosts",
    });
  }
  const named = `the limit (-l) "${printable(limit, 300)}"`;
  const isNobody = !limit.includes("@") && selectHosts(inventory, limit).length === 0;
  const why = isNobody ? `${named} is nobody` : `${named} leaves none of ${asked}`;
  return new VolleyError("PATTERN_UNKNOWN", `no host is left to run on: ${why}`, { hint });
}

/**
 * Return those of the hosts that a limit names too. A limit is a pattern in which `@FILE`, relative to `cwd`, stands for
 * the names in a file, one per line. Fail with `PATTERN_UNKNOWN`, and with `USAGE` for a file that cannot be read.
 */
export function limitHosts(
  hosts: readonly Host[],
  inventory: Inventory,
  limit: string,
  options: SelectOptions & { readonly cwd: string },
): readonly Host[] {
  const pattern = limit
    .split(",")
    .map((part) => (part.startsWith("@") ? readNames(part.slice(1), options.cwd) : part))
    .join(",");
  if (/^[\s,:]*$/.test(pattern)) return [];
  const names = new Set(selectHosts(inventory, pattern, options).map(({ name }) => name));
  return hosts.filter(({ name }) => names.has(name));
}
