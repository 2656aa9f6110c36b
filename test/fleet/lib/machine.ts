import { readFile } from "node:fs/promises";
import { runOrThrow } from "./command.ts";

/** A line of a sources.list: a source of packages. */
interface AptSource {
  readonly uri: string;
  readonly release: string;
  readonly component: string;
}

/** This machine's own distribution and apt configuration. Its hosts use the same mirror. */
export interface MachineApt {
  readonly suite: string;
  /** The archive to bootstrap from. */
  readonly mirror: string;
  readonly sources: readonly AptSource[];
  /** The `Acquire` settings (proxies, certificates, checks), in apt.conf syntax. */
  readonly acquireConfig: string;
}

/** Read this machine's release name and apt configuration; throws when apt has no source for that release. */
export async function readMachineApt(signal?: AbortSignal): Promise<MachineApt> {
  const options = signal ? { signal } : {};
  const release = parseOsRelease(await readFile("/etc/os-release", "utf8"));
  const suite = release.VERSION_CODENAME;
  const distribution = release.ID;
  if (!suite || !distribution) throw new Error("/etc/os-release names no release");
  const targets = await runOrThrow(
    [
      "apt-get",
      "indextargets",
      "--format",
      "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)",
      "Created-By: Packages",
    ],
    options,
  );
  const sources = parseIndexTargets(targets, suite, distribution);
  const main = sources.find((source) => source.release === suite && source.component === "main");
  if (!main) throw new Error(`apt on this machine has no source for ${suite} main`);
  const dump = await runOrThrow(["apt-config", "dump"], options);
  return { suite, mirror: main.uri, sources, acquireConfig: parseAcquire(dump) };
}

function parseOsRelease(text: string): Record<string, string | undefined> {
  const pairs = [...text.matchAll(/^(\w+)="?([^"\n]*)"?$/gm)];
  return Object.fromEntries(pairs.map((match) => [match[1] ?? "", match[2]]));
}

function parseIndexTargets(text: string, suite: string, distribution: string): AptSource[] {
  const rows = text
    .split("\n")
    .map((line) => line.split("|"))
    .flatMap(([uri, release, component, origin]) =>
      uri && release && component ? [{ uri, release, component, origin: origin ?? "" }] : [],
    )
    .filter((row) => row.release === suite || row.release.startsWith(`${suite}-`));
  // Other vendors name their releases alike; the origin is known only once apt-get update has run.
  const own = rows.filter((row) => row.origin.toLowerCase() === distribution);
  const seen = new Map((own.length > 0 ? own : rows).map((row) => [Object.values(row).join(" "), row]));
  return [...seen.values()].map(({ uri, release, component }) => ({ uri, release, component }));
}

function parseAcquire(dump: string): string {
  const unrelated = /^Acquire::(IndexTargets|Changelogs|CompressionTypes|cdrom)\b/i;
  const lines = dump.split("\n").filter((line) => /^Acquire::/i.test(line) && !unrelated.test(line));
  return `${lines.join("\n")}\n`;
}
