import * as v from "valibot";
import { type ActionContext, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { APT_ENVIRONMENT } from "../debian/apt-get.ts";
import { type DpkgPackage, readDpkg } from "../debian/dpkg.ts";
import { defineAction } from "../define.ts";
import { oneOf } from "../shared/params.ts";
import { failureText } from "../shared/run-tool.ts";

/** A version of an installed package, as Ansible's fact shows it; package managers add fields of their own. */
interface InstalledPackage {
  readonly name: string;
  readonly version: string;
  /** The package manager: `apt`, `rpm` … */
  readonly source: string;
  readonly arch?: string | null;
  readonly release?: string;
  readonly epoch?: number | null;
  /** apt: the section. */
  readonly category?: string;
  /** apt: the origin of a repository that has this version; empty for none. */
  readonly origin?: string;
  /** pacman: names it provides. */
  readonly provides?: readonly string[];
}

/** The data of package_facts. */
interface PackageFactsData {
  readonly ansible_facts: { readonly packages: Readonly<Record<string, readonly InstalledPackage[]>> };
}

/** List the installed packages; null where the host lacks this package manager. */
type Lister = (system: ReadSystem, context: ActionContext) => Promise<readonly InstalledPackage[] | null>;

/** Package managers, in the order in which they are looked for. */
const MANAGERS = {
  apt: listDebs,
  rpm: listRpms,
  pacman: listPacman,
  apk: listApk,
} as const satisfies Readonly<Record<string, Lister>>;

type Manager = keyof typeof MANAGERS;

/** The package database of a package manager as facts name it. */
const DATABASES: Readonly<Record<string, Manager>> = {
  apt: "apt",
  dnf: "rpm",
  dnf5: "rpm",
  yum: "rpm",
  zypper: "rpm",
  apt_rpm: "rpm",
  pacman: "pacman",
  apk: "apk",
};

const FOREIGN: readonly string[] = ["portage", "pkg", "pkg_info"];

const params = v.strictObject({
  manager: v.optional(
    v.pipe(
      v.union([v.string(), v.array(v.string())]),
      v.transform((value): readonly string[] => (typeof value === "string" ? value.split(",") : value)),
      v.transform((names): readonly string[] => names.map((name) => name.trim().toLowerCase())),
      v.description(
        "Package managers to ask: `apt`, `rpm`, `pacman`, `apk`, or `auto` for any. `portage`, `pkg` and `pkg_info` are accepted, and never found.",
      ),
    ),
    "auto",
  ),
  strategy: oneOf(
    ["first", "all"],
    "first",
    "`first` asks the first package manager that the host has, `all` asks every one of them.",
  ),
});

/** Return the installed packages as facts. */
export const package_facts = defineAction<typeof params, never, PackageFactsData>({
  name: "package_facts",
  doc: `Return the installed packages as the fact \`packages\`: for each name a list of installed versions.

The fields are Ansible's: \`name\`, \`version\` and \`source\`, and for apt \`arch\`, \`category\` and \`origin\`, for rpm \`release\`, \`epoch\` and \`arch\`, for pacman \`arch\` and \`provides\`, for apk \`release\`. The host needs no Python library.`,
  params,
  examples: [{ manager: "auto" }, { manager: ["rpm", "apt"], strategy: "all" }],
  title: ({ manager }) => manager.join(" "),

  async inspect({ manager, strategy }, system, context) {
    const unknown = manager.filter((name) => name !== "auto" && !isManager(name) && !FOREIGN.includes(name));
    if (unknown.length > 0) {
      throw new VolleyError(
        "ACTION_FAILED",
        `Unsupported package managers requested: ${unknown.join(", ")}`,
        {
          hint: `known are auto, ${Object.keys(MANAGERS).join(", ")}`,
        },
      );
    }
    const own = DATABASES[context.facts.pkg_mgr];
    const all = Object.keys(MANAGERS) as readonly Manager[];
    const asked = manager.flatMap((name): readonly Manager[] =>
      name === "auto" ? (own === undefined ? all : [own, ...all]) : isManager(name) ? [name] : [],
    );
    const packages: Record<string, InstalledPackage[]> = {};
    let found = false;
    for (const name of new Set(asked)) {
      const listed = await MANAGERS[name](system, context);
      if (listed === null) continue;
      found = true;
      for (const entry of listed) {
        packages[entry.name] ??= [];
        packages[entry.name]!.push(entry);
      }
      if (strategy === "first") break;
    }
    if (found) return unchanged({ ansible_facts: { packages } });
    throw new VolleyError(
      "ACTION_FAILED",
      `Could not detect a supported package manager from the following list: ${manager.join(", ")}`,
    );
  },
});

function isManager(name: string): name is Manager {
  return Object.hasOwn(MANAGERS, name);
}

const MAX_LIST_BYTES = 64 << 20;

async function ask(
  system: ReadSystem,
  argv: readonly string[],
  { signal }: ActionContext,
  env: Readonly<Record<string, string>> = { LC_ALL: "C" },
): Promise<string> {
  const result = await system.query(argv, { env, signal, maxOutput: MAX_LIST_BYTES });
  if (result.code === 0) return result.stdout;
  throw new VolleyError("ACTION_FAILED", `${argv[0]} cannot list the packages: ${failureText(result)}`);
}

async function listDebs(
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly InstalledPackage[] | null> {
  if ((await system.stat("/var/lib/dpkg/status")) === null) return null;
  const dpkg = await readDpkg(system, context.memo);
  const native = dpkg.find("dpkg")?.architecture;
  const entries = dpkg.unpacked();
  const nameOf = ({ name, architecture }: DpkgPackage): string =>
    native === undefined || [native, "all"].includes(architecture) ? name : `${name}:${architecture}`;
  const origins = await findOrigins(entries.map(nameOf), system, context);
  return entries.map((entry) => {
    const name = nameOf(entry);
    return {
      arch: entry.architecture,
      category: entry.section,
      name,
      origin: origins.get(`${name} ${entry.version}`) ?? "",
      source: "apt",
      version: entry.version,
    };
  });
}

// An argument list has its bounds.
const NAMES_AT_ONCE = 2_000;

/** Return the origin of installed packages by `name version`, as apt's lists tell it; without apt none is known. */
async function findOrigins(
  names: readonly string[],
  system: ReadSystem,
  context: ActionContext,
): Promise<ReadonlyMap<string, string>> {
  if ((await system.which("apt-cache")) === null) return new Map();
  const ofFile = parseReleases(await ask(system, ["apt-cache", "policy"], context, APT_ENVIRONMENT));
  const origins = new Map<string, string>();
  for (let at = 0; at < names.length; at += NAMES_AT_ONCE) {
    const argv = ["apt-cache", "policy", ...names.slice(at, at + NAMES_AT_ONCE)];
    for (const [key, value] of parsePolicies(await ask(system, argv, context, APT_ENVIRONMENT), ofFile))
      origins.set(key, value);
  }
  return origins;
}

/** Parse the package files that `apt-cache policy` lists: from a file's line to its origin. */
export function parseReleases(stdout: string): ReadonlyMap<string, string> {
  const origins = new Map<string, string>();
  let file: string | undefined;
  for (const line of stdout.split("\n")) {
    const [, found] = /^ *-?\d+ (\S.*)$/.exec(line) ?? [];
    if (found !== undefined) file = found.trim();
    const [, origin] = /^ +release (?:.*,)?o=([^,]*)/.exec(line) ?? [];
    if (origin !== undefined && file !== undefined) origins.set(file, origin);
  }
  return origins;
}

/** Parse the version tables of `apt-cache policy NAME…`: the origin of installed versions by `name version`. */
export function parsePolicies(
  stdout: string,
  ofFile: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const origins = new Map<string, string>();
  let name = "";
  let installed: string | undefined;
  for (const line of stdout.split("\n")) {
    const [, header] = /^(\S+):$/.exec(line) ?? [];
    if (header !== undefined) name = header;
    const [, mark, version] = /^ (\*\*\*| {3}) (\S+) /.exec(line) ?? [];
    if (version !== undefined) installed = mark === "***" ? version : undefined;
    const [, file] = /^ {8} *-?\d+ (\S.*)$/.exec(line) ?? [];
    if (file === undefined || installed === undefined) continue;
    const origin = ofFile.get(file.trim());
    const key = `${name} ${installed}`;
    if (origin !== undefined && !origins.has(key)) origins.set(key, origin);
  }
  return origins;
}

const RPM_FORMAT = "%{NAME}\\t%{VERSION}\\t%{RELEASE}\\t%{EPOCH}\\t%{ARCH}\\n";

async function listRpms(
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly InstalledPackage[] | null> {
  if ((await system.which("rpm")) === null) return null;
  return parseRpms(await ask(system, ["rpm", "--query", "--all", "--queryformat", RPM_FORMAT], context));
}

/** Parse lines of name, version, release, epoch and architecture with tabs between. */
export function parseRpms(stdout: string): readonly InstalledPackage[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [name = "", version = "", release = "", epoch = "", arch = ""] = line.split("\t");
      return {
        arch: arch === "(none)" ? null : arch,
        epoch: epoch === "(none)" ? null : Number(epoch),
        name,
        release,
        source: "rpm",
        version,
      };
    });
}

async function listPacman(
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly InstalledPackage[] | null> {
  if ((await system.which("pacman")) === null) return null;
  return parsePacmanInfo(await ask(system, ["pacman", "-Qi"], context));
}

/** Parse the paragraphs of `pacman -Qi`. */
export function parsePacmanInfo(stdout: string): readonly InstalledPackage[] {
  return stdout.split(/\n{2,}/).flatMap((paragraph) => {
    const field = (name: string): string =>
      new RegExp(`^${name}\\s*: (.*)$`, "m").exec(paragraph)?.[1]?.trim() ?? "";
    const provides = field("Provides");
    if (field("Name") === "") return [];
    return {
      arch: field("Architecture"),
      name: field("Name"),
      provides:
        provides === "None" || provides === ""
          ? []
          : provides.split(/\s+/).map((word) => word.replace(/[<>=].*/, "")),
      source: "pacman",
      version: field("Version"),
    };
  });
}

async function listApk(
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly InstalledPackage[] | null> {
  if ((await system.which("apk")) === null) return null;
  return parseApkNames(await ask(system, ["apk", "info", "--verbose"], context));
}

/** Parse the lines of `apk info -v`: `name-version-release`. */
export function parseApkNames(stdout: string): readonly InstalledPackage[] {
  return stdout.split("\n").flatMap((line) => {
    const [, name, version, release] = /^(\S+)-([^-\s]+)-(r[^-\s]*)$/.exec(line.trim()) ?? [];
    if (name === undefined || version === undefined || release === undefined) return [];
    return { name, release, source: "apk", version };
  });
}
