import type { Callable } from "../values.ts";
import { ipFilters, ipTests } from "./ip.ts";
import { listFilters } from "./lists.ts";
import { moreLookups } from "./lookups.ts";
import { passwordFilters } from "./password.ts";
import { queryFilters } from "./query/index.ts";
import { randomFilters } from "./random.ts";
import { systemFilters, systemTests } from "./system.ts";
import { textFilters } from "./text.ts";
import { unitFilters } from "./units.ts";
import { vaultFilters } from "./vault.ts";

// What templates seldom use is a part of bundles by itself, which those bundles have whose texts name something of it.

const filters: Readonly<Record<string, Callable>> = {
  ...textFilters,
  ...randomFilters,
  ...passwordFilters,
  ...listFilters,
  ...unitFilters,
  ...systemFilters,
  ...vaultFilters,
  ...ipFilters,
  ...queryFilters,
};

const tests: Readonly<Record<string, Callable>> = { ...systemTests, ...ipTests };

function own(table: Readonly<Record<string, Callable>>, name: string): Callable | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Return a filter that is seldom used, by its short name; undefined for any other name. */
export function moreFilter(name: string): Callable | undefined {
  return own(filters, name);
}

/** Return a test that is seldom used, by its short name; undefined for any other name. */
export function moreTest(name: string): Callable | undefined {
  return own(tests, name);
}

/** Return a lookup that is seldom used, by its short name; undefined for any other name. */
export function moreLookup(name: string): Callable | undefined {
  return own(moreLookups, name);
}

/** List the names that {@link moreFilter}, {@link moreTest} and {@link moreLookup} know. */
export function moreNames(): Readonly<Record<"filters" | "tests" | "lookups", readonly string[]>> {
  return {
    filters: Object.keys(filters),
    tests: Object.keys(tests),
    lookups: Object.keys(moreLookups),
  };
}

export { compareEpoch, compareSemantic, compareStrict } from "./version.ts";
