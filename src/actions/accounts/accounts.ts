import type { ReadSystem } from "../../core/system.ts";

/** One line of `/etc/passwd`. */
export interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly comment: string;
  readonly home: string;
  readonly shell: string;
}

/** One line of `/etc/group`. */
export interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** One line of `/etc/shadow`; days count from 1970-01-01, and what is not set is null. */
export interface ShadowEntry {
  readonly name: string;
  readonly password: string;
  readonly minimumDays: number | null;
  readonly maximumDays: number | null;
  readonly warningDays: number | null;
  readonly expiresDay: number | null;
}

function lines(text: string): readonly (readonly string[])[] {
  return text
    .split("\n")
    .filter((line) => line.includes(":") && !line.startsWith("#"))
    .map((line) => line.split(":"));
}

function parsePasswd(text: string): readonly PasswdEntry[] {
  return lines(text).map(([name = "", , uid, gid, comment = "", home = "", shell = ""]) => ({
    name,
    uid: Number(uid),
    gid: Number(gid),
    comment,
    home,
    shell,
  }));
}

function parseGroup(text: string): readonly GroupEntry[] {
  return lines(text).map(([name = "", , gid, members = ""]) => ({
    name,
    gid: Number(gid),
    members: members.split(",").filter((member) => member !== ""),
  }));
}

function days(text: string | undefined): number | null {
  return text === undefined || text === "" ? null : Number(text);
}

function parseShadow(text: string): readonly ShadowEntry[] {
  return lines(text).map(([name = "", password = "", , minimum, maximum, warning, , expires]) => ({
    name,
    password,
    minimumDays: days(minimum),
    maximumDays: days(maximum),
    warningDays: days(warning),
    expiresDay: days(expires),
  }));
}

async function textOf(system: ReadSystem, path: string): Promise<string> {
  return (await system.readIfExists(path))?.toString("utf8") ?? "";
}

/** The accounts of `/etc/passwd`; those of a directory service are not in it. */
export async function readPasswd(system: ReadSystem): Promise<readonly PasswdEntry[]> {
  return parsePasswd(await textOf(system, "/etc/passwd"));
}

/** The groups of `/etc/group`. */
export async function readGroups(system: ReadSystem): Promise<readonly GroupEntry[]> {
  return parseGroup(await textOf(system, "/etc/group"));
}

/** The entries of `/etc/shadow`, which only root can read. */
export async function readShadow(system: ReadSystem): Promise<readonly ShadowEntry[]> {
  return parseShadow(await textOf(system, "/etc/shadow"));
}

/** The account of a name: from `/etc/passwd`, else from whatever directory service the host asks; null when there is none. */
export async function findAccount(system: ReadSystem, name: string): Promise<PasswdEntry | null> {
  const local = (await readPasswd(system)).find((entry) => entry.name === name);
  if (local !== undefined) return local;
  // getent would take a name that begins with a dash for an option; no account has one.
  if (name.startsWith("-") || (await system.which("getent")) === null) return null;
  const asked = await system.query(["getent", "passwd", name]);
  return asked.code === 0 ? (parsePasswd(asked.stdout)[0] ?? null) : null;
}
