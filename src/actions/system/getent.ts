import * as v from "valibot";
import { type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { describe, flag, nameText, optionalText } from "../shared/params.ts";
import { failureText } from "../shared/run-tool.ts";

const params = v.strictObject({
  database: nameText("The database, such as `passwd`, `group` or `hosts`; see getent(1)."),
  key: v.optional(
    describe(v.string(), "The entry to look up. Default: all of them, where the database can list them."),
  ),
  split: v.optional(
    describe(
      v.pipe(v.string(), v.nonEmpty("must not be empty")),
      "The text between two fields. Default: a colon for `passwd`, `shadow`, `group` and `gshadow`, else white space.",
    ),
  ),
  service: optionalText("The service that answers, such as `files`. Default: those of nsswitch.conf(5)."),
  fail_key: flag("Fail when there is no such `key`; else its fact is null.", true),
});

/** The fields of an entry, or of each when a key has several; null for a missing key. */
type Entry = readonly string[] | readonly (readonly string[])[] | null;

/** The data of a getent task: one fact, `getent_` and the database. */
interface GetentData {
  readonly ansible_facts: Readonly<Record<string, Readonly<Record<string, Entry>>>>;
}

const COLON_DATABASES = ["passwd", "shadow", "group", "gshadow"];
const MISSING_KEY = "One or more supplied key could not be found in the database.";
/** The exit codes of getent(1). */
const FAILURES: Readonly<Record<number, string>> = {
  1: "Missing arguments, or database unknown.",
  2: MISSING_KEY,
  3: "Enumeration not supported on this database.",
};

/** Look up entries of the system's databases. */
export const getent = defineAction<typeof params, Change, GetentData>({
  name: "getent",
  doc: `Look up entries of a database of the system, such as its users, groups or hosts, and set them as the fact \`getent_DATABASE\`.

The fact has an entry's fields under its key; fields of keys that occur several times are a list of lists. It changes nothing.`,
  params,
  examples: [{ database: "passwd", key: "root" }, { database: "group" }],
  title: ({ database, key }) => (key === undefined ? database : `${database} ${key}`),

  async inspect(given, system): Promise<Unchanged<GetentData>> {
    const { database, key, split, service, fail_key } = given;
    const argv = [
      "getent",
      ...(service === undefined ? [] : ["-s", service]),
      // Not every getent takes this sign.
      ...(key?.startsWith("-") === true ? ["--"] : []),
      database,
      ...(key === undefined || key === "" ? [] : [key]),
    ];
    const { code, stdout, stderr } = await ask(system, argv);
    const fact = (entries: Readonly<Record<string, Entry>>): GetentData => ({
      ansible_facts: { [`getent_${database}`]: entries },
    });
    if (code === 0) {
      return unchanged(fact(readEntries(stdout, split ?? (COLON_DATABASES.includes(database) ? ":" : null))));
    }
    if (code === 2 && !fail_key) return unchanged(fact({ [key ?? ""]: null }), MISSING_KEY);
    throw new VolleyError("ACTION_FAILED", FAILURES[code] ?? failureText({ argv, code, stdout, stderr }));
  },
});

async function ask(
  system: ReadSystem,
  argv: readonly string[],
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  if ((await system.which("getent")) === null) {
    throw new VolleyError(
      "ACTION_FAILED",
      "there is no getent on this host; install the package that has it (libc-bin)",
    );
  }
  return system.query(argv, { keepsBytes: true, maxOutput: MAX_OUTPUT });
}

/** Directories with many thousands of users are listed whole. */
const MAX_OUTPUT = 64 * 1024 * 1024;

/** Read getent's output; without `split`, white space separates fields. */
function readEntries(text: string, split: string | null): Readonly<Record<string, Entry>> {
  const found = new Map<string, (readonly string[])[]>();
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const [key = "", ...fields] = split === null ? line.trim().split(/\s+/) : line.split(split);
    const others = found.get(key);
    if (others === undefined) found.set(key, [fields]);
    else others.push(fields);
  }
  return Object.fromEntries(
    [...found].map(([key, entries]): [string, Entry] => [
      key,
      entries.length === 1 ? (entries[0] ?? []) : entries,
    ]),
  );
}
