import type { ActionContext } from "../../core/action.ts";
import { ActionFailure } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ProcessResult, ReadSystem } from "../../core/system.ts";
import { failureText } from "../shared/run-tool.ts";
import { isNamed, nevra, type RpmPackage, readRpms } from "./rpm-database.ts";

/** The wanted state of packages. */
export interface DnfRequest {
  readonly names: readonly string[];
  readonly state: "present" | "latest" | "absent";
  readonly autoremove: boolean;
  /** Upgrade installed packages; install no new ones. */
  readonly updateOnly: boolean;
  readonly root: string;
  /** Options for every run. */
  readonly flags: readonly string[];
}

/** A run of dnf, and its effect. */
export interface DnfOperation {
  readonly args: readonly string[];
  readonly installed: readonly string[];
  readonly removed: readonly string[];
}

/** The data of a dnf task. */
export interface DnfData {
  readonly rc?: number;
  readonly results: readonly unknown[];
  readonly failures?: readonly string[];
}

/** The environment of every run: messages in English. */
export const DNF_ENVIRONMENT = { LC_ALL: "C.UTF-8", LANG: "C.UTF-8", COLUMNS: "300" } as const;

/** Find the package manager's program. Fails with `ACTION_FAILED`. */
export async function findDnf(system: ReadSystem, names: readonly string[]): Promise<string> {
  for (const name of names) {
    const found = await system.which(name);
    if (found !== null) return found;
  }
  throw new VolleyError("ACTION_FAILED", `the host has no ${names.join(" or ")}`);
}

/** Plan the runs of dnf: from rpm's database where nothing is missing, else by dnf's own answer. */
export async function planDnf(
  program: string,
  request: DnfRequest,
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly DnfOperation[]> {
  const { names, state, flags } = request;
  const installed = await readRpms(system, request.root, context);
  const isThere = (spec: string): boolean => installed.some((entry) => isNamed(entry, spec));
  const ask = async (args: readonly string[]): Promise<readonly DnfOperation[]> => {
    const operation = await askDnf(program, [...flags, ...args], installed, system, context);
    return operation === null ? [] : [operation];
  };
  if (state === "absent") {
    if (names.length === 0) return request.autoremove ? ask(["autoremove"]) : [];
    const clean = `--setopt=clean_requirements_on_remove=${request.autoremove ? "True" : "False"}`;
    const isPlain = (spec: string): boolean => /^[\w.+:~^-]+$/.test(spec);
    return names.every((spec) => isPlain(spec) && !isThere(spec)) ? [] : ask([clean, "remove", ...names]);
  }
  if (state === "latest") {
    const all = names.includes("*");
    const others = names.filter((name) => name !== "*");
    const known = others.filter(isThere);
    const isNew = (spec: string): boolean => !known.includes(spec);
    return [
      ...(all ? await ask(["upgrade"]) : known.length > 0 ? await ask(["upgrade", ...known]) : []),
      ...(request.updateOnly || !others.some(isNew) ? [] : await ask(["install", ...others.filter(isNew)])),
    ];
  }
  const missing = names.filter((spec) => !isThere(spec));
  if (missing.length === 0) return [];
  return ask(["install", ...missing]);
}

const NOTHING =
  /^(?:Nothing to do\b|No packages marked for|Error: No packages marked for|Error: Nothing to do)/m;

/** Ask dnf what a run would do; null for nothing. Fails with `ACTION_FAILED` for packages that are not available. */
async function askDnf(
  program: string,
  args: readonly string[],
  before: readonly RpmPackage[],
  system: ReadSystem,
  { signal }: ActionContext,
): Promise<DnfOperation | null> {
  const asked = await system.query([program, "--assumeno", ...args], { env: DNF_ENVIRONMENT, signal });
  const rows = parseTransaction(asked.stdout);
  if (rows.length > 0) return operationFor(args, rows, before);
  if (asked.code === 0 && NOTHING.test(asked.stdout)) return null;
  const isUpgrade = args.includes("upgrade");
  if (isUpgrade && NOTHING.test(`${asked.stdout}\n${asked.stderr}`)) return null;
  if (asked.code === 0) return null;
  throw dnfFailure(asked);
}

/** Make the failure of a run, with Ansible's data. */
export function dnfFailure(result: ProcessResult): ActionFailure<DnfData> {
  const said = `${result.stdout}\n${result.stderr}`;
  const missing = [...said.matchAll(/^No match for argument: (.+)$/gm)].map(([, name]) => name!.trim());
  const groups = [...said.matchAll(/^Module or Group '(.+)' is not available/gm)].map(([, name]) => name!);
  const failures = [
    ...missing.map((name) => `No package ${name} available.`),
    ...groups.map((name) => `No group ${name} available.`),
  ];
  const why = failures.length > 0 ? failures.join(" ") : failureText(result);
  const what = failures.length > 0 ? "Failed to install some of the specified packages" : "dnf failed";
  return new ActionFailure<DnfData>(
    "ACTION_FAILED",
    `${what}: ${why}`,
    { rc: result.code, results: [], ...(failures.length > 0 ? { failures } : {}) },
    failures.length > 0 ? { hint: "check the name, and that its repository is enabled" } : {},
  );
}

/** A row of a transaction's table. */
export interface TransactionRow {
  /** The heading: `Installing`, `Upgrading`, `Removing dependent packages` … */
  readonly section: string;
  readonly name: string;
  readonly arch: string;
  /** With release, and the epoch where it has one. */
  readonly version: string;
}

const HEADING =
  /^(Installing|Upgrading|Updating|Downgrading|Reinstalling|Removing|Skipping)((?: [a-z ]+)?)(?: \(.*\))?:$/;

/** Parse the table that dnf and yum show before a transaction. A long name stands on a line of its own. */
export function parseTransaction(stdout: string): readonly TransactionRow[] {
  const rows: TransactionRow[] = [];
  let section = "";
  let carried = "";
  for (const line of stdout.split("\n")) {
    if (/^(?:Transaction Summary|={10,})/.test(line)) {
      if (line.startsWith("Transaction")) break;
      continue;
    }
    const heading = HEADING.exec(line);
    if (heading !== null) {
      section = `${heading[1]}${heading[2]}`;
      continue;
    }
    if (section === "" || !/^ \S/.test(line)) {
      if (carried === "" || !/^ {2,}\S/.test(line)) continue;
    }
    const words = `${carried} ${line}`.trim().split(/\s+/);
    if (/^ {5}replacing /.test(line)) continue;
    if (words.length < 4) {
      carried = words.join(" ");
      continue;
    }
    carried = "";
    const [name = "", arch = "", version = ""] = words;
    if (!section.startsWith("Skipping")) rows.push({ section, name, arch, version });
  }
  return rows;
}

function operationFor(
  args: readonly string[],
  rows: readonly TransactionRow[],
  before: readonly RpmPackage[],
): DnfOperation {
  const nameOf = ({ name, version, arch }: TransactionRow): string =>
    `${name}-${version.replace(/^0:/, "")}.${arch}`;
  const removed: string[] = [];
  const installed: string[] = [];
  for (const row of rows) {
    if (row.section.startsWith("Removing")) removed.push(nameOf(row));
    else {
      installed.push(nameOf(row));
      if (/^(?:Upgrading|Updating|Downgrading|Reinstalling)/.test(row.section))
        removed.push(...before.filter(({ name, arch }) => name === row.name && arch === row.arch).map(nevra));
    }
  }
  return { args, installed: installed.sort(), removed: removed.sort() };
}

/** Format operations as Ansible's results. */
export function resultLines(operations: readonly DnfOperation[], downloads: boolean): readonly string[] {
  if (downloads) return operations.flatMap(({ installed }) => installed.map((each) => `Downloaded: ${each}`));
  return [
    ...operations.flatMap(({ installed }) => installed.map((each) => `Installed: ${each}`)),
    ...operations.flatMap(({ removed }) => removed.map((each) => `Removed: ${each}`)),
  ];
}

/** Format operations as a diff with one line per package. */
export function transactionDiff(operations: readonly DnfOperation[]): Diff {
  const text = (side: "installed" | "removed"): string =>
    [...operations.flatMap((operation) => operation[side])]
      .sort()
      .map((each) => `${each}\n`)
      .join("");
  return { path: "packages", before: text("removed"), after: text("installed") };
}
