import { posix } from "node:path";
import type { ActionContext, Change } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { readPasswd } from "../accounts/accounts.ts";
import { failureText, runTool } from "../shared/run-tool.ts";
import { applyFile, type FileChange, freeBackupPath, inspectFile, makeBackup } from "../shared/write-file.ts";

// Crontabs of users and files in /etc/cron.d: reading, writing, and their variables. For `cron` and `cronvar`.

const SPOOL = "/var/spool/cron/crontabs";
const BACKUPS = "/var/backups";
const FILE_MODE = 0o644;

/** The parameters that say which crontab is meant. */
interface Owner {
  readonly user?: string | undefined;
  readonly cron_file?: string | undefined;
  readonly backup: boolean;
}

/** A crontab as it is. */
export interface Table {
  /** The path of a file in `/etc/cron.d`; null for a user's crontab. */
  readonly path: string | null;
  /** The text; undefined for no crontab. */
  readonly before: string | undefined;
  readonly lines: readonly string[];
}

/** The writing of a crontab. */
export interface CronChange extends Change {
  /** The file to write; null for a user's crontab and for a file to remove. */
  readonly file: FileChange | null;
  readonly removes: string | null;
  /** The old and the wanted crontab. */
  readonly before: string;
  readonly after: string;
}

/** Read a crontab. Fail for the system's own one, `/etc/crontab`. */
export async function readTable(params: Owner, system: ReadSystem): Promise<Table> {
  const path = cronFilePath(params);
  if (path === "/etc/crontab")
    throw new VolleyError("ACTION_FAILED", "Will not manage /etc/crontab via cron_file, see documentation.", {
      hint: "the system's own crontab is its package's: name a file in /etc/cron.d",
    });
  if (path === null) {
    const before = await readCrontab(params, system);
    return { path, before, lines: splitCrontab(before ?? "") };
  }
  const before = asText(await system.readIfExists(path));
  return { path, before, lines: fileLines(before ?? "") };
}

/** Tell whether two crontabs have the same lines. */
export function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((line, index) => line === other[index]);
}

/** Say what is to be written for a crontab to have other lines; null for nothing. */
export async function inspectTable({
  table: { path, before, lines },
  edited,
  params,
  system,
  context,
  data,
}: {
  readonly table: Table;
  readonly edited: readonly string[];
  readonly params: Owner;
  readonly system: ReadSystem;
  readonly context: ActionContext;
  readonly data: object;
}): Promise<CronChange | null> {
  if (isSame(lines, edited)) return null;
  const after = joinCrontab(edited);
  const change = { file: null, removes: null, before: joinCrontab(lines), after, data };
  if (path === null)
    return {
      ...change,
      diff: { path: `crontab of ${await crontabUser(params, system)}`, before: change.before, after },
    };
  const mode = before === undefined ? { mode: FILE_MODE } : {};
  const file = await inspectFile({ system, context, path, content: after, backup: params.backup, ...mode });
  return file === null ? null : { ...change, file, diff: file.diff };
}

/** Write a crontab, or remove its file; return the data of the task with the path of the backup. */
export async function applyTable<Data extends object>({
  change,
  params,
  system,
  context,
  data,
}: {
  readonly change: CronChange;
  readonly params: Owner;
  readonly system: System;
  readonly context: ActionContext;
  readonly data: Data;
}) {
  if (change.file !== null) {
    const applied = await applyFile(change.file, system);
    return { ...applied, data: { ...data, ...applied.data } };
  }
  if (change.removes !== null) {
    const backup = params.backup ? await makeBackup(system, change.removes) : undefined;
    await system.remove(change.removes);
    return { data: { ...data, ...(backup === undefined ? {} : { backup_file: backup }) } };
  }
  const backup =
    params.backup && change.before !== "" ? await backupCrontab(change.before, params, system) : {};
  await installCrontab(change.after, params, system, context);
  return { data: { ...data, ...backup } };
}

function asText(bytes: Uint8Array | null): string | undefined {
  return bytes === null ? undefined : bytesToText(bytes);
}

function cronFilePath({ cron_file }: Owner): string | null {
  return cron_file === undefined ? null : posix.resolve("/etc/cron.d", cron_file);
}

/** Split the text of a file into lines. */
export function fileLines(text: string): readonly string[] {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}

async function crontabUser({ user }: Owner, system: ReadSystem): Promise<string> {
  return user ?? (await readPasswd(system)).find(({ uid }) => uid === system.uid)?.name ?? String(system.uid);
}

/** Read a user's crontab; undefined when the user has none. */
async function readCrontab(params: Owner, system: ReadSystem): Promise<string | undefined> {
  if (system.uid === 0 && (await system.stat(SPOOL))?.type === "directory") {
    return asText(await system.readIfExists(`${SPOOL}/${await crontabUser(params, system)}`));
  }
  if ((await system.which("crontab")) === null) return undefined;
  const listed = await system.query(["crontab", ...userOption(params), "-l"], {
    env: { LC_ALL: "C" },
    keepsBytes: true,
  });
  if (listed.code === 0) return listed.stdout;
  if (/no crontab for/i.test(listed.stderr)) return undefined;
  throw new VolleyError("ACTION_FAILED", `cannot read the crontab: ${failureText(listed)}`);
}

function userOption({ user }: Owner): readonly string[] {
  return user === undefined ? [] : ["-u", user];
}

async function installCrontab(
  text: string,
  params: Owner,
  system: System,
  { signal }: ActionContext,
): Promise<void> {
  if ((await system.which("crontab")) === null) {
    throw new VolleyError(
      "ACTION_FAILED",
      "there is no crontab command on this host; install the package cron first",
    );
  }
  await runTool(system, ["crontab", ...userOption(params), "-"], "install the crontab", {
    input: text,
    signal,
  });
}

async function backupCrontab(
  text: string,
  params: Owner,
  system: System,
): Promise<{ readonly backup_file: string }> {
  const name = `crontab.${await crontabUser(params, system)}`;
  const directory =
    (await system.stat(BACKUPS))?.type === "directory" ? BACKUPS : await system.realPath("~/");
  const path = await freeBackupPath(system, posix.join(directory, name));
  await system.writeFile(path, text, { mode: 0o600 });
  return { backup_file: path };
}

/** Split a crontab into lines, without the header that `crontab` adds when it installs one. */
function splitCrontab(text: string): readonly string[] {
  const lines = fileLines(text);
  const ownHeader = /^# (?:DO NOT EDIT THIS FILE|\(.* installed on |\(Cron version )/;
  let start = 0;
  while (start < 3 && start < lines.length && ownHeader.test(lines[start] ?? "")) start++;
  return lines.slice(start);
}

/** Join lines to the text of a crontab, without empty ones at its end. */
export function joinCrontab(lines: readonly string[]): string {
  const end = lines.findLastIndex((line) => line.trim() !== "") + 1;
  return lines
    .slice(0, end)
    .map((line) => `${line}\n`)
    .join("");
}

/** List the names of the variables. */
export function variableNames(lines: readonly string[]): readonly string[] {
  return lines.flatMap((line) => /^([A-Za-z_]\w*)\s*=/.exec(line)?.[1] ?? []);
}

/** Find the line that sets a variable; -1 for none. */
export function findVariable(lines: readonly string[], name: string): number {
  return lines.findIndex((line) => variableNames([line])[0] === name);
}

/** Remove a variable. */
export function removeVariable(lines: readonly string[], name: string): readonly string[] {
  const at = findVariable(lines, name);
  return at === -1 ? lines : [...lines.slice(0, at), ...lines.slice(at + 1)];
}
