import type { ActionContext } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { failureText } from "../shared/run-tool.ts";

/** A version of a package of the RPM family. */
export interface RpmPackage {
  readonly name: string;
  /** `0` for none. */
  readonly epoch: string;
  readonly version: string;
  readonly release: string;
  readonly arch: string;
}

const FORMAT = "%{NAME}\\t%|EPOCH?{%{EPOCH}}:{0}|\\t%{VERSION}\\t%{RELEASE}\\t%{ARCH}\\n";
const MAX_LIST_BYTES = 64 << 20;

/** List the installed packages below `root`. Fails with `ACTION_FAILED` where the host has no rpm. */
export async function readRpms(
  system: ReadSystem,
  root: string,
  { signal }: Pick<ActionContext, "signal">,
): Promise<readonly RpmPackage[]> {
  if ((await system.which("rpm")) === null)
    throw new VolleyError("ACTION_FAILED", "the host has no rpm: install the package rpm");
  const below = root === "/" ? [] : ["--root", root];
  const asked = await system.query(["rpm", ...below, "--query", "--all", "--queryformat", FORMAT], {
    env: { LC_ALL: "C" },
    signal,
    maxOutput: MAX_LIST_BYTES,
  });
  if (asked.code !== 0)
    throw new VolleyError("ACTION_FAILED", `cannot list the packages: ${failureText(asked)}`);
  return parseRpmLines(asked.stdout);
}

/** Parse lines of name, epoch, version, release and architecture with tabs between. */
export function parseRpmLines(stdout: string): readonly RpmPackage[] {
  return stdout.split("\n").flatMap((line) => {
    const [name = "", epoch = "0", version = "", release = "", arch = ""] = line.split("\t");
    return name === "" ? [] : { name, epoch, version, release, arch };
  });
}

/** Return a package as dnf names it: `name-version-release.arch`, with the epoch where it has one. */
export function nevra({ name, epoch, version, release, arch }: RpmPackage): string {
  return `${name}-${epoch === "0" ? "" : `${epoch}:`}${version}-${release}.${arch}`;
}

/** Tell whether a package is meant by a name as dnf takes it: alone, or with version, release or architecture. */
export function isNamed(entry: RpmPackage, spec: string): boolean {
  const { name, epoch, version, release, arch } = entry;
  const versions = [version, `${version}-${release}`].flatMap((each) => [each, `${epoch}:${each}`]);
  const forms = [
    name,
    ...versions.map((each) => `${name}-${each}`),
    `${epoch}:${name}-${version}-${release}`,
  ];
  return forms.some((form) => spec === form || spec === `${form}.${arch}`);
}
