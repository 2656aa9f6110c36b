import type { Memo } from "../../core/action.ts";
import type { ReadSystem } from "../../core/system.ts";
import { globExpression } from "../shared/paths.ts";

/** A package specification: `nginx`, `libc6:i386`, `nginx=1.22*`, `nginx>=1.22`, `php8.*`. */
export interface PackageSpec {
  /** May have an architecture, and may be a glob. */
  readonly name: string;
  readonly relation?: "=" | ">=";
  /** May be a glob with `=`. */
  readonly version?: string;
}

const SPEC = /^([A-Za-z0-9*?[][A-Za-z0-9+.*?[\]_-]*(?::[a-z0-9-]+)?)(?:(>=|=)(\S+))?$/;

/** Parse a package specification; null for other text. */
export function parsePackageSpec(text: string): PackageSpec | null {
  const [, name, relation, version] = SPEC.exec(text.trim()) ?? [];
  // apt-get would take "foo-" as a request to remove foo.
  if (name === undefined || name.endsWith("-")) return null;
  if (relation === undefined || version === undefined) return { name };
  return { name, relation: relation as "=" | ">=", version };
}

/** Tell whether a name is a pattern for several packages. */
export function isGlob(name: string): boolean {
  return /[*?[]/.test(name);
}

/** Tell whether an installed version satisfies a specification. */
export function versionSatisfies(installed: string, { relation, version = "*" }: PackageSpec): boolean {
  if (relation === ">=") return compareDebianVersions(installed, version) >= 0;
  return relation === undefined || globExpression(version).test(installed);
}

/** Tell whether a package is installed in a version that satisfies the specification. */
export function isInstalled(dpkg: DpkgDatabase, spec: PackageSpec): boolean {
  const found = dpkg.find(spec.name);
  return found !== null && found.status === "installed" && versionSatisfies(found.version, spec);
}

/** Format a specification for apt-get. */
export function formatPackageSpec({ name, relation, version }: PackageSpec): string {
  return relation === undefined ? name : `${name}${relation}${version}`;
}

/** A package in dpkg's database. */
export interface DpkgPackage {
  readonly name: string;
  readonly architecture: string;
  readonly version: string;
  /** `installed`, `config-files` (removed, configuration left), or a state between, such as `half-configured`. */
  readonly status: string;
  /** True when the package is on hold. */
  readonly held: boolean;
  /** Such as `admin`; empty where the package names none. */
  readonly section: string;
}

/** dpkg's database, searched on demand. */
export interface DpkgDatabase {
  /** Find by `name` or `name:architecture`; the name alone prefers an installed package, then the native architecture. */
  find(name: string): DpkgPackage | null;
  /** Names of the installed packages that provide a virtual package. */
  providers(virtual: string): readonly string[];
  /** Names of all installed packages. */
  installedNames(): readonly string[];
  /** All packages whose files are there, configured or not. */
  unpacked(): readonly DpkgPackage[];
}

const STATUS_PATH = "/var/lib/dpkg/status";
const PACKAGE = "Package: ";

function fieldOf(paragraph: string, name: string): string {
  const start = paragraph.indexOf(`\n${name}: `);
  if (start === -1) return "";
  const valueStart = start + name.length + 3;
  const end = paragraph.indexOf("\n", valueStart);
  return paragraph.slice(valueStart, end === -1 ? undefined : end);
}

/** Parse a paragraph that starts with its Package field. */
function parseParagraph(paragraph: string): DpkgPackage {
  const [want = "", , status = ""] = fieldOf(paragraph, "Status").split(" ");
  return {
    name: paragraph.slice(PACKAGE.length, paragraph.indexOf("\n")),
    architecture: fieldOf(paragraph, "Architecture"),
    version: fieldOf(paragraph, "Version"),
    status,
    held: want === "hold",
    section: fieldOf(paragraph, "Section"),
  };
}

function virtualNames(provides: string): readonly string[] {
  return provides.split(",").map((provided) => provided.replace(/\(.*/, "").trim());
}

/** Open the text of `/var/lib/dpkg/status`. A lookup searches the text without parsing it, and takes microseconds. */
export function openDpkgStatus(status: string): DpkgDatabase {
  const text = `\n\n${status}\n\n`;
  const paragraphAt = (start: number): string => text.slice(start, text.indexOf("\n\n", start));

  function* starts(header: string): Generator<number> {
    for (let at = text.indexOf(header); at !== -1; at = text.indexOf(header, at + 1)) yield at;
  }

  const candidates = (name: string): readonly DpkgPackage[] =>
    [...starts(`\n\n${PACKAGE}${name}\n`)].map((at) => parseParagraph(paragraphAt(at + 2)));

  const find = (spec: string): DpkgPackage | null => {
    const [name = "", architecture] = spec.split(":");
    const found = candidates(name);
    if (architecture !== undefined) {
      // A package of architecture "all" stands for every architecture.
      return found.find((entry) => [architecture, "all"].includes(entry.architecture)) ?? null;
    }
    if (found.length < 2) return found[0] ?? null;
    // dpkg itself is always of the native architecture.
    const native = candidates("dpkg")[0]?.architecture;
    const rank = (entry: DpkgPackage): number =>
      (entry.status === "installed" ? 2 : 0) + (entry.architecture === native ? 1 : 0);
    return [...found].sort((a, b) => rank(b) - rank(a))[0] ?? null;
  };

  const all = (): readonly DpkgPackage[] =>
    [...starts(`\n\n${PACKAGE}`)].map((at) => parseParagraph(paragraphAt(at + 2)));

  return {
    find,
    providers: (virtual) => {
      const found = new Set<string>();
      for (const at of starts("\nProvides: ")) {
        const line = text.slice(at + 1, text.indexOf("\n", at + 1));
        if (!line.includes(virtual) || !virtualNames(line.slice("Provides: ".length)).includes(virtual))
          continue;
        const entry = parseParagraph(paragraphAt(text.lastIndexOf("\n\n", at) + 2));
        if (entry.status === "installed") found.add(entry.name);
      }
      return [...found];
    },
    installedNames: () => [
      ...new Set(all().flatMap(({ name, status }) => (status === "installed" ? [name] : []))),
    ],
    unpacked: () => all().filter(({ status }) => !["not-installed", "config-files"].includes(status)),
  };
}

/** Read dpkg's database once per state of its status file. */
export async function readDpkg(system: ReadSystem, memo: Memo): Promise<DpkgDatabase> {
  const stat = await system.stat(STATUS_PATH, true);
  if (stat === null) return openDpkgStatus("");
  // Every change replaces the file, so that the key of the memo changes with it.
  return memo.get(`dpkg:${stat.inode}:${stat.mtimeMs}:${stat.size}`, async () =>
    // The fields read are ASCII, and decoding UTF-8 would take longer than everything else here.
    openDpkgStatus((await system.readFile(STATUS_PATH)).toString("latin1")),
  );
}

/** Weigh a character of a non-digit part: `~` before the end, the end before letters, letters before the rest. */
function weigh(character: string | undefined): number {
  if (character === undefined || (character >= "0" && character <= "9")) return 0;
  if (character === "~") return -1;
  const code = character.charCodeAt(0);
  return /[A-Za-z]/.test(character) ? code : code + 256;
}

function isDigit(character: string | undefined): boolean {
  return character !== undefined && character >= "0" && character <= "9";
}

function comparePart(a: string, b: string): number {
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    while ((i < a.length && !isDigit(a[i])) || (j < b.length && !isDigit(b[j]))) {
      const difference = weigh(a[i]) - weigh(b[j]);
      if (difference !== 0) return difference;
      i++;
      j++;
    }
    const left = /^\d*/.exec(a.slice(i))?.[0] ?? "";
    const right = /^\d*/.exec(b.slice(j))?.[0] ?? "";
    i += left.length;
    j += right.length;
    const [x, y] = [left.replace(/^0+/, ""), right.replace(/^0+/, "")];
    if (x.length !== y.length) return x.length - y.length;
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}

function split(version: string): {
  readonly epoch: number;
  readonly upstream: string;
  readonly revision: string;
} {
  const colon = version.indexOf(":");
  const rest = version.slice(colon + 1);
  const dash = rest.lastIndexOf("-");
  return {
    epoch: colon === -1 ? 0 : Number(version.slice(0, colon)),
    upstream: dash === -1 ? rest : rest.slice(0, dash),
    revision: dash === -1 ? "" : rest.slice(dash + 1),
  };
}

/** Compare two Debian package versions (deb-version(7)): negative when `a` is older, 0 when they are equal. */
export function compareDebianVersions(a: string, b: string): number {
  const left = split(a);
  const right = split(b);
  return (
    left.epoch - right.epoch ||
    comparePart(left.upstream, right.upstream) ||
    comparePart(left.revision, right.revision)
  );
}
