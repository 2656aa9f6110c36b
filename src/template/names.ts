import { fail } from "./errors.ts";
import { filters } from "./filters/index.ts";
import { tests } from "./tests.ts";
import type { Callable } from "./values.ts";

/** The collections whose filters, tests and lookups Volley has, as prefixes of names. */
const COLLECTION = /^(?:ansible\.(?:builtin|legacy|posix|utils|netcommon)|community\.(?:general|crypto))\./;

/** Return a name without the collection before it. */
export function shortName(name: string): string {
  return name.includes(".") ? name.replace(COLLECTION, "") : name;
}

function find(kind: string, table: Readonly<Record<string, Callable>>, name: string): Callable {
  const short = shortName(name);
  return (Object.hasOwn(table, short) ? table[short] : undefined) ?? fail(`there is no ${kind} '${name}'`);
}

/** Return a filter by its name, which may begin with a collection. */
export function findFilter(name: string): Callable {
  return find("filter", filters, name);
}

/** Return a test by its name, which may begin with a collection. */
export function findTest(name: string): Callable {
  return find("test", tests, name);
}
