import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { isVolleyError, VolleyError } from "../core/errors.ts";
import type { Host, Inventory } from "../core/inventory.ts";
import { printable } from "../core/text.ts";
import { bareHost } from "./bare-host.ts";
import { matchPart } from "./match.ts";
import { type PatternPart, parsePattern } from "./pattern.ts";

const LOCAL_NAMES = ["localhost", "127.0.0.1", "::1"];

/** This machine, for patterns that name it where the inventory does not. */
const implicitLocalhost = (name: string): Host => bareHost(name, "local");

function matchParts(
  inventory: Inventory,
  pattern: string,
  parts: readonly PatternPart[],
): ReadonlyMap<string, ReadonlySet<string>> {
  const matches = new Map<string, ReadonlySet<string>>();
  for (const { text } of parts) {
    try {
      const implicit =
        LOCAL_NAMES.includes(text) && !inventory.hosts.has(text) && !inventory.groups.has(text);
      matches.set(text, new Set(implicit ? [text] : matchPart(inventory, text)));
    } catch (thrown) {
      if (!isVolleyError(thrown) || parts.length === 1) throw thrown;
      const { code, message, cause, hint } = thrown;
      throw new VolleyError(code, `in the pattern "${printable(pattern, 300)}": ${message}`, {
        cause,
        ...(hint === undefined ? {} : { hint }),
      });
    }
  }
  return matches;
}

/**
 * The hosts a pattern stands for: names, groups, `all`, globs, `~regex`, ranges, `a:b` and `a,b` for both, `:&c` for
 * those also in c, `:!d` for those not in d. As in Ansible they come in the order the pattern names them, and those of
 * a group in the group's. `localhost` is this machine, also where the inventory does not know it. A group without hosts
 * gives none. Fails with `PATTERN_UNKNOWN` when a part names nothing.
 */
export function selectHosts(inventory: Inventory, pattern: string): readonly Host[] {
  const parts = parsePattern(pattern);
  if (parts.length === 0)
    throw new VolleyError("PATTERN_UNKNOWN", "the pattern is empty", { hint: "Every host is `all`." });
  const matches = matchParts(inventory, pattern, parts);
  const setsOf = (operation: PatternPart["operation"]): readonly ReadonlySet<string>[] =>
    parts.filter((part) => part.operation === operation).map(({ text }) => matches.get(text)!);
  const [adds, keeps, drops] = [setsOf("add"), setsOf("keep"), setsOf("drop")];
  const first = adds.length === 0 ? [inventory.groups.get("all")?.hosts ?? []] : adds;
  const wanted = new Set(first.flatMap((names) => [...names]));
  return [...wanted]
    .filter((name) => keeps.every((names) => names.has(name)) && !drops.some((names) => names.has(name)))
    .map((name) => inventory.hosts.get(name) ?? implicitLocalhost(name));
}

function readNames(file: string, cwd: string): string {
  try {
    const lines = readFileSync(resolve(cwd, file), "utf8").split("\n");
    return lines
      .map((line) => line.replace(/(^|\s)#.*/, "").trim())
      .filter((line) => line !== "")
      .join(",");
  } catch (cause) {
    throw new VolleyError("USAGE", `the limit @${file} cannot be read: there is no such file`, { cause });
  }
}

/** The error that nobody is left of the hosts of these patterns; a limit that leaves nobody is named. */
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
 * Those of the hosts that a limit also names. A limit is a pattern; `@FILE` in it stands for the names in a file, one
 * to a line, relative to `cwd`. Fails with `PATTERN_UNKNOWN`, and `USAGE` when the file cannot be read.
 */
export function limitHosts(
  hosts: readonly Host[],
  inventory: Inventory,
  limit: string,
  options: { readonly cwd: string },
): readonly Host[] {
  const pattern = limit
    .split(",")
    .map((part) => (part.startsWith("@") ? readNames(part.slice(1), options.cwd) : part))
    .join(",");
  if (/^[\s,:]*$/.test(pattern)) return [];
  const names = new Set(selectHosts(inventory, pattern).map(({ name }) => name));
  return hosts.filter(({ name }) => names.has(name));
}
