import { isVolleyError } from "../core/errors.ts";
import { fail } from "./errors.ts";
import { filters } from "./filters/index.ts";
import { moreFilter, moreTest } from "./more/index.ts";
import { tests } from "./tests.ts";
import { type Callable, str } from "./values.ts";

/** The collections whose filters, tests and lookups Volley has, as prefixes of names. */
const COLLECTION = /^(?:ansible\.(?:builtin|legacy|posix|utils|netcommon)|community\.(?:general|crypto))\./;

/** Return a name without the collection before it. */
export function shortName(name: string): string {
  return name.includes(".") ? name.replace(COLLECTION, "") : name;
}

/** The tests that ask for names. */
const NAMES: Readonly<Record<string, Callable>> = {
  filter: ([name]) => filterOf(str(name)) !== undefined,
  test: ([name]) => testOf(str(name)) !== undefined,
};

function own(table: Readonly<Record<string, Callable>>, name: string): Callable | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Look for a name among what is seldom used; a bundle whose texts name nothing of it does not have that part. */
export function inMore(look: () => Callable | undefined): Callable | undefined {
  try {
    return look();
  } catch (error) {
    if (isVolleyError(error) && error.code === "BUNDLE_INVALID") return undefined;
    throw error;
  }
}

function filterOf(name: string): Callable | undefined {
  const short = shortName(name);
  return own(filters, short) ?? inMore(() => moreFilter(short));
}

function testOf(name: string): Callable | undefined {
  const short = shortName(name);
  return own(tests, short) ?? own(NAMES, short) ?? inMore(() => moreTest(short));
}

/** Return a filter by its name, which may begin with a collection. */
export function findFilter(name: string): Callable {
  return filterOf(name) ?? fail(unknownName(name, "filter"));
}

/** Return a test by its name, which may begin with a collection. */
export function findTest(name: string): Callable {
  return testOf(name) ?? fail(unknownName(name, "test"));
}

function unknownName(name: string, kind: "filter" | "test"): string {
  const why = `Could not load "${name}": `;
  // In Ansible's words, as no plugin can have such a name.
  return /^\w+(?:\.\w+)*$/.test(name)
    ? `${why}there is no ${kind} '${name}'`
    : `TemplateSyntaxError: ${why}'invalid plugin name: ansible.builtin.${name}'`;
}
