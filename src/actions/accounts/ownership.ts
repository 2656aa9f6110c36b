import type { ActionContext } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";

/** What of a context the file helpers use; without it nothing is cached and it is not check mode. */
export type FileContext = Pick<ActionContext, "memo" | "check" | "signal">;

type Database = "passwd" | "group";

interface Names {
  readonly idByName: ReadonlyMap<string, number>;
  readonly nameById: ReadonlyMap<number, string>;
}

const WORDS: Readonly<Record<Database, { readonly noun: string; readonly action: string }>> = {
  passwd: { noun: "user", action: "user" },
  group: { noun: "group", action: "group" },
};

// NAME:x:ID:… in both files.
function parseNames(text: string): Names {
  const idByName = new Map<string, number>();
  const nameById = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [name, , digits] = line.split(":");
    if (name === undefined || name === "" || digits === undefined || !/^\d+$/.test(digits)) continue;
    const id = Number(digits);
    if (!idByName.has(name)) idByName.set(name, id);
    if (!nameById.has(id)) nameById.set(id, name);
  }
  return { idByName, nameById };
}

function namesKey(database: Database): string {
  return `ownership:${database}`;
}

async function readNames(system: ReadSystem, database: Database, context?: FileContext): Promise<Names> {
  const read = async (): Promise<Names> =>
    parseNames((await system.readIfExists(`/etc/${database}`))?.toString("utf8") ?? "");
  return context === undefined ? read() : context.memo.get(namesKey(database), read);
}

async function askGetent(system: ReadSystem, database: Database, key: string): Promise<string | null> {
  // getent would take a name that begins with a dash for an option; no account has one.
  if (key.startsWith("-") || (await system.which("getent")) === null) return null;
  const { code, stdout } = await system.query(["getent", database, key]);
  return code === 0 ? stdout : null;
}

/** Makes the next to ask read `/etc/passwd` and `/etc/group` anew: for actions that change users or groups. */
export function forgetNames(context: FileContext): void {
  for (const database of ["passwd", "group"] as const) context.memo.forget(namesKey(database));
}

async function findId(
  system: ReadSystem,
  database: Database,
  name: string | number,
  context?: FileContext,
): Promise<number | null> {
  if (typeof name === "number") return name;
  if (/^\d+$/.test(name)) return Number(name);
  const known = (await readNames(system, database, context)).idByName.get(name);
  if (known !== undefined) return known;
  // A package's installation may have made the user since the file was read.
  context?.memo.forget(namesKey(database));
  const fresh =
    context === undefined ? undefined : (await readNames(system, database, context)).idByName.get(name);
  if (fresh !== undefined) return fresh;
  const entry = await askGetent(system, database, name);
  return entry === null ? null : ([...parseNames(entry).idByName.values()][0] ?? null);
}

async function resolveId(
  system: ReadSystem,
  database: Database,
  name: string | number,
  context?: FileContext,
): Promise<number> {
  const id = await findId(system, database, name, context);
  if (id !== null) return id;
  const { noun, action } = WORDS[database];
  throw new VolleyError(
    "ACTION_FAILED",
    `there is no ${noun} "${name}"; make it first with the ${action} action`,
  );
}

/** The uid of a user given by name or id; null when there is none of that name. Digits are an id, as for Ansible. */
export function findOwner(
  system: ReadSystem,
  owner: string | number,
  context?: FileContext,
): Promise<number | null> {
  return findId(system, "passwd", owner, context);
}

/** The gid of a group given by name or id; null when there is none of that name. */
export function findGroup(
  system: ReadSystem,
  group: string | number,
  context?: FileContext,
): Promise<number | null> {
  return findId(system, "group", group, context);
}

/** The uid of a user given by name or id: from `/etc/passwd`, else from getent. Fails with `ACTION_FAILED` when there is none. */
export function resolveOwner(
  system: ReadSystem,
  owner: string | number,
  context?: FileContext,
): Promise<number> {
  return resolveId(system, "passwd", owner, context);
}

/** The gid of a group given by name or id: from `/etc/group`, else from getent. Fails with `ACTION_FAILED` when there is none. */
export function resolveGroup(
  system: ReadSystem,
  group: string | number,
  context?: FileContext,
): Promise<number> {
  return resolveId(system, "group", group, context);
}

/** The name of a uid in `/etc/passwd`, or undefined. */
export async function ownerName(
  system: ReadSystem,
  uid: number,
  context?: FileContext,
): Promise<string | undefined> {
  return (await readNames(system, "passwd", context)).nameById.get(uid);
}

/** The name of a gid in `/etc/group`, or undefined. */
export async function groupName(
  system: ReadSystem,
  gid: number,
  context?: FileContext,
): Promise<string | undefined> {
  return (await readNames(system, "group", context)).nameById.get(gid);
}
