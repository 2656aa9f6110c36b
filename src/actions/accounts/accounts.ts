import type { ActionContext } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { type PasswdEntry, parsePasswd } from "../../core/unix/users.ts";

/** A line of `/etc/group`. */
export interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** A line of `/etc/shadow`. Days count from 1970-01-01; fields that are not set are null. */
export interface ShadowEntry {
  readonly name: string;
  readonly password: string;
  readonly minimumDays: number | null;
  readonly maximumDays: number | null;
  readonly warningDays: number | null;
  /** Days after the password's expiry until the account is disabled. */
  readonly inactiveDays: number | null;
  readonly expiresDay: number | null;
}

function fieldsOf(text: string): readonly (readonly string[])[] {
  return text
    .split("\n")
    .filter((line) => line.includes(":") && !line.startsWith("#"))
    .map((line) => line.split(":"));
}

function parseGroup(text: string): readonly GroupEntry[] {
  return fieldsOf(text).flatMap(([name = "", , gid = "", members = ""]) =>
    name === "" || !/^\d+$/.test(gid)
      ? []
      : [{ name, gid: Number(gid), members: members.split(",").filter((member) => member !== "") }],
  );
}

function days(text: string | undefined): number | null {
  return text === undefined || text === "" ? null : Number(text);
}

function parseShadow(text: string): readonly ShadowEntry[] {
  return fieldsOf(text).map(([name = "", password = "", , minimum, maximum, warning, inactive, expires]) => ({
    name,
    password,
    minimumDays: days(minimum),
    maximumDays: days(maximum),
    warningDays: days(warning),
    inactiveDays: days(inactive),
    expiresDay: days(expires),
  }));
}

async function textOf(system: ReadSystem, path: string): Promise<string> {
  return (await system.readIfExists(path))?.toString("utf8") ?? "";
}

/** Read the accounts of `/etc/passwd`, without those of directory services. */
export async function readPasswd(system: ReadSystem): Promise<readonly PasswdEntry[]> {
  return parsePasswd(await textOf(system, "/etc/passwd"));
}

/** Read the groups of `/etc/group`. */
export async function readGroups(system: ReadSystem): Promise<readonly GroupEntry[]> {
  return parseGroup(await textOf(system, "/etc/group"));
}

/** Read the entries of `/etc/shadow`, which only root can read. */
export async function readShadow(system: ReadSystem): Promise<readonly ShadowEntry[]> {
  return parseShadow(await textOf(system, "/etc/shadow"));
}

/** Find an account by name in `/etc/passwd`, else with getent; null when no such account exists. */
export async function findAccount(system: ReadSystem, name: string): Promise<PasswdEntry | null> {
  const local = (await readPasswd(system)).find((entry) => entry.name === name);
  if (local !== undefined) return local;
  const asked = await askGetent(system, "passwd", name);
  return asked === null ? null : (parsePasswd(asked)[0] ?? null);
}

/** The part of a context that file helpers use. Without it nothing is cached, and check mode is off. */
export type FileContext = Pick<ActionContext, "memo" | "check" | "signal" | "registered">;

type Database = "passwd" | "group";

interface Names {
  readonly idByName: ReadonlyMap<string, number>;
  readonly nameById: ReadonlyMap<number, string>;
}

/** The beginnings of messages about names that a database does not have, as Ansible's `file` has them. */
const LOST: Readonly<Record<Database, string>> = {
  passwd: "chown failed: failed to look up user",
  group: "chgrp failed: failed to look up group",
};

function parseNames(database: Database, text: string): Names {
  const entries =
    database === "passwd"
      ? parsePasswd(text).map(({ name, uid }) => [name, uid] as const)
      : parseGroup(text).map(({ name, gid }) => [name, gid] as const);
  const idByName = new Map<string, number>();
  const nameById = new Map<number, string>();
  for (const [name, id] of entries) {
    if (!idByName.has(name)) idByName.set(name, id);
    if (!nameById.has(id)) nameById.set(id, name);
  }
  return { idByName, nameById };
}

function namesKey(database: Database): string {
  return `ownership:${database}`;
}

async function readNames(system: ReadSystem, database: Database, context?: FileContext): Promise<Names> {
  const read = async (): Promise<Names> => parseNames(database, await textOf(system, `/etc/${database}`));
  return context === undefined ? read() : context.memo.get(namesKey(database), read);
}

async function askGetent(system: ReadSystem, database: Database, key: string): Promise<string | null> {
  // getent would take a name with a leading dash for an option; no account has one.
  if (key.startsWith("-") || (await system.which("getent")) === null) return null;
  const { code, stdout } = await system.query(["getent", database, key]);
  return code === 0 ? stdout : null;
}

/** Drop the cached names of users and groups, for actions that change them. */
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
  // Another task may have made the user since the file was read.
  context?.memo.forget(namesKey(database));
  const fresh =
    context === undefined ? undefined : (await readNames(system, database, context)).idByName.get(name);
  if (fresh !== undefined) return fresh;
  const entry = await askGetent(system, database, name);
  return entry === null ? null : ([...parseNames(database, entry).idByName.values()][0] ?? null);
}

async function resolveId(
  system: ReadSystem,
  database: Database,
  name: string | number,
  context?: FileContext,
): Promise<number> {
  const id = await findId(system, database, name, context);
  if (id !== null) return id;
  throw new VolleyError("ACTION_FAILED", `${LOST[database]} ${name}; make it first`);
}

/** Find the uid of a user given by name or id; null for an unknown name. As in Ansible, digits are an id. */
export function findOwner(
  system: ReadSystem,
  owner: string | number,
  context?: FileContext,
): Promise<number | null> {
  return findId(system, "passwd", owner, context);
}

/** Find the gid of a group given by name or id; null for an unknown name. */
export function findGroup(
  system: ReadSystem,
  group: string | number,
  context?: FileContext,
): Promise<number | null> {
  return findId(system, "group", group, context);
}

/** Find the uid of a user given by name or id. Fails with `ACTION_FAILED` for an unknown name. */
export function resolveOwner(
  system: ReadSystem,
  owner: string | number,
  context?: FileContext,
): Promise<number> {
  return resolveId(system, "passwd", owner, context);
}

/** Find the gid of a group given by name or id. Fails with `ACTION_FAILED` for an unknown name. */
export function resolveGroup(
  system: ReadSystem,
  group: string | number,
  context?: FileContext,
): Promise<number> {
  return resolveId(system, "group", group, context);
}

/** Return the name of a uid in `/etc/passwd`, or undefined. */
export async function ownerName(
  system: ReadSystem,
  uid: number,
  context?: FileContext,
): Promise<string | undefined> {
  return (await readNames(system, "passwd", context)).nameById.get(uid);
}

/** Return the name of a gid in `/etc/group`, or undefined. */
export async function groupName(
  system: ReadSystem,
  gid: number,
  context?: FileContext,
): Promise<string | undefined> {
  return (await readNames(system, "group", context)).nameById.get(gid);
}
