import { globExpression } from "../shared/glob.ts";
import { compareDebianVersions } from "./debian-version.ts";
import type { DpkgDatabase } from "./dpkg.ts";

/** A package as it is asked for: `nginx`, `libc6:i386`, `nginx=1.22*`, `nginx>=1.22`, `php8.*`. */
export interface PackageSpec {
  /** With its architecture when one was given; may be a glob. */
  readonly name: string;
  readonly relation?: "=" | ">=";
  /** Of `=` it may be a glob. */
  readonly version?: string;
}

const SPEC = /^([A-Za-z0-9*?[][A-Za-z0-9+.*?[\]_-]*(?::[a-z0-9-]+)?)(?:(>=|=)(\S+))?$/;

/** Reads what was asked for; null when it is no package name. */
export function parsePackageSpec(text: string): PackageSpec | null {
  const [, name, relation, version] = SPEC.exec(text.trim()) ?? [];
  // apt-get would take "foo-" as a wish to remove foo.
  if (name === undefined || name.endsWith("-")) return null;
  if (relation === undefined || version === undefined) return { name };
  return { name, relation: relation as "=" | ">=", version };
}

/** Whether a name is a pattern for several packages. */
export function isGlob(name: string): boolean {
  return /[*?[]/.test(name);
}

/** Whether an installed version is what was asked for. */
export function versionSatisfies(installed: string, { relation, version = "*" }: PackageSpec): boolean {
  if (relation === ">=") return compareDebianVersions(installed, version) >= 0;
  return relation === undefined || globExpression(version).test(installed);
}

/** Whether a package of that name is installed, in a version that was asked for. */
export function isInstalled(dpkg: DpkgDatabase, spec: PackageSpec): boolean {
  const found = dpkg.find(spec.name);
  return found !== null && found.status === "installed" && versionSatisfies(found.version, spec);
}

/** As apt-get takes it. */
export function formatPackageSpec({ name, relation, version }: PackageSpec): string {
  return relation === undefined ? name : `${name}${relation}${version}`;
}
