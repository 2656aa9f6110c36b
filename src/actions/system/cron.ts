import { posix } from "node:path";
import { type ActionContext, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { bytesToText } from "../../core/text.ts";
import { readPasswd } from "../accounts/accounts.ts";
import { defineAction } from "../define.ts";
import { backupPath, makeBackup } from "../shared/backup.ts";
import { failureText, runTool } from "../shared/run-tool.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";
import { type CronParams, cronParams } from "./cron-params.ts";
import {
  formatCronLine,
  jobNames,
  joinCrontab,
  removeJob,
  removeVariable,
  setJob,
  setVariable,
  splitCrontab,
  variableNames,
} from "./crontab.ts";

const SPOOL = "/var/spool/cron/crontabs";
const BACKUPS = "/var/backups";
const FILE_MODE = 0o644;

interface CronChange extends Change {
  /** The file to write, or null for a user's crontab and for a file that is removed. */
  readonly file: FileChange | null;
  readonly removes: string | null;
  /** The crontab as it was, and as it should be. */
  readonly before: string;
  readonly after: string;
}

/** What the cron action returns. */
export interface CronData {
  readonly jobs: readonly string[];
  readonly envs: readonly string[];
  readonly cron_file?: string;
  readonly backup_file?: string;
}

/** Sets jobs and variables of crontabs. */
export const cron = defineAction<typeof cronParams, CronChange, CronData>({
  name: "cron",
  doc: `Set or remove a job, or with \`env\` a variable, of a user's crontab or of a file in \`/etc/cron.d\`.

A job is known by its name, which stands in a comment above it: \`#Ansible: NAME\`, the very comment Ansible's module writes, so that crontabs made by it are taken over as they are. Another name makes another job. Everything else in the crontab is left as it is. A \`cron_file\` that is left without a line is removed.

A \`%\` in a job must be escaped, as cron demands. As root the crontab is read from the spool directory, otherwise asked of \`crontab -l\`; it is always written by \`crontab\`.`,
  params: cronParams,
  examples: [
    { name: "backup", minute: 0, hour: "2", job: "/usr/local/bin/backup" },
    { name: "rotate", special_time: "daily", job: "/usr/sbin/rotate", cron_file: "rotate", user: "root" },
    { name: "MAILTO", env: true, job: "ops@example.org" },
    { name: "backup", state: "absent" },
  ],
  title: ({ name }) => name,

  async inspect(params, system, context) {
    const path = cronFilePath(params);
    const before =
      path === null ? await readCrontab(params, system) : asText(await system.readIfExists(path));
    const lines = path === null ? splitCrontab(before ?? "") : fileLines(before ?? "");
    const edited = edit(lines, params);
    if (edited === null) return placeMissing(params, context);
    const removes =
      path !== null &&
      before !== undefined &&
      params.state === "absent" &&
      edited.every((line) => line.trim() === "");
    const same = edited.length === lines.length && edited.every((line, index) => line === lines[index]);
    if (same && !removes) return unchanged(describe(edited, path));
    const after = joinCrontab(edited);
    const change = { file: null, removes: removes ? path : null, before: joinCrontab(lines), after };
    if (removes) return { ...change, diff: { path: path ?? "", before: before ?? "", after: null } };
    if (path === null)
      return {
        ...change,
        diff: { path: `crontab of ${await crontabUser(params, system)}`, before: change.before, after },
      };
    const mode = before === undefined ? { mode: FILE_MODE } : {};
    const file = await inspectFile({ system, context, path, content: after, backup: params.backup, ...mode });
    return file === null ? unchanged(describe(edited, path)) : { ...change, file, diff: file.diff };
  },

  async apply(change, params, system, context) {
    const path = cronFilePath(params);
    const data = describe(fileLines(change.after), path);
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
  },
});

function asText(bytes: Uint8Array | null): string | undefined {
  return bytes === null ? undefined : bytesToText(bytes);
}

function cronFilePath({ cron_file }: CronParams): string | null {
  return cron_file === undefined ? null : posix.resolve("/etc/cron.d", cron_file);
}

function fileLines(text: string): readonly string[] {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}

/** The crontab's lines as they should be; null when the variable that a new one goes beside is not there. */
function edit(lines: readonly string[], params: CronParams): readonly string[] | null {
  const { name, job, value, state, env, insertafter, insertbefore } = params;
  const text = job ?? value ?? "";
  if (env) {
    if (state === "absent") return removeVariable(lines, name);
    const other = insertafter ?? insertbefore;
    const relation = insertafter === undefined ? "before" : "after";
    return setVariable(lines, name, text, other === undefined ? null : { relation, name: other });
  }
  if (state === "absent") return removeJob(lines, name);
  const {
    minute = "*",
    hour = "*",
    day,
    dom,
    month = "*",
    weekday,
    dow,
    special_time: special,
    disabled,
  } = params;
  const user = params.cron_file === undefined ? undefined : params.user;
  const schedule = {
    minute,
    hour,
    day: day ?? dom ?? "*",
    month,
    weekday: weekday ?? dow ?? "*",
    special,
    user,
    disabled,
  };
  return setJob(lines, { name, line: formatCronLine(text, schedule) });
}

function placeMissing({ insertafter, insertbefore }: CronParams, { check }: ActionContext): CronChange {
  const message = `the crontab has no variable ${insertafter ?? insertbefore} to put it beside`;
  if (!check) throw new VolleyError("ACTION_FAILED", message);
  return {
    file: null,
    removes: null,
    before: "",
    after: "",
    unknown: `${message}; an earlier task may set it`,
  };
}

async function crontabUser({ user }: CronParams, system: ReadSystem): Promise<string> {
  return user ?? (await readPasswd(system)).find(({ uid }) => uid === system.uid)?.name ?? String(system.uid);
}

/** A user's crontab, or undefined when there is none. */
async function readCrontab(params: CronParams, system: ReadSystem): Promise<string | undefined> {
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

function userOption({ user }: CronParams): readonly string[] {
  return user === undefined ? [] : ["-u", user];
}

async function installCrontab(
  text: string,
  params: CronParams,
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
  params: CronParams,
  system: System,
): Promise<{ readonly backup_file: string }> {
  const name = `crontab.${await crontabUser(params, system)}`;
  const directory =
    (await system.stat(BACKUPS))?.type === "directory" ? BACKUPS : await system.realPath("~/");
  const path = backupPath(posix.join(directory, name), new Date(), process.pid);
  await system.writeFile(path, text, { mode: 0o600 });
  return { backup_file: path };
}

function describe(lines: readonly string[], path: string | null): CronData {
  return { jobs: jobNames(lines), envs: variableNames(lines), ...(path === null ? {} : { cron_file: path }) };
}
