import { spawnSync } from "node:child_process";
import fs, { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { STATE_DIRECTORY } from "../../src/image/first-boot.ts";
import { systemdUnit } from "../../src/image/init.ts";
import { installPayload } from "../../src/image/install.ts";
import type { Payload } from "../../src/image/payload.ts";
import { readResult } from "../../src/image/result.ts";
import { openRoot } from "../../src/image/root.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";
import { somePayload } from "./payloads.ts";

// Installations that end at each of their changes to the disk, and what the machine does at its next boot. Bundles are
// scripts here that say their name; runner and service are the real ones.

const scratch = scratchDirectory();
const UNIT = "etc/systemd/system/volley-first-boot.service";
const ENABLED = "etc/systemd/system/multi-user.target.wants/volley-first-boot.service";

const bundleOf = (name: string, host = "web1"): Payload =>
  somePayload({ host, isSigned: false, content: `#!/bin/sh\necho "${name} runs"\n` });
const old = bundleOf("old");
const next = bundleOf("new");

const install = (directory: string, payload: Payload): Promise<void> =>
  installPayload(openRoot(directory), payload, {
    ...{ init: "systemd", waitsForNetwork: false },
    signal: new AbortController().signal,
  });

/** The way an installation ends: the process is gone, or one change fails and the installation can clear up. */
type Fault = "killed" | "failing";

/**
 * Work with one change to the disk that fails, counted from 1; a process that is gone changes nothing more. A file is
 * half-written then. Returns whether the work came so far.
 */
async function withFault(fault: Fault, at: number, work: () => Promise<void>): Promise<boolean> {
  let count = 0;
  const fails = (): boolean => (fault === "killed" ? ++count >= at : ++count === at);
  const { writeFile } = fs.promises;
  const names = ["mkdirSync", "renameSync", "symlinkSync", "rmSync", "chmodSync", "fsyncSync"] as const;
  const originals = names.map((name) => [name, fs[name]] as const);
  const error = (): Error => Object.assign(new Error("input/output error"), { code: "EIO" });
  for (const [name, original] of originals)
    Object.assign(fs, {
      [name]: (...args: readonly unknown[]) => {
        if (fails()) throw error();
        // Nothing here looks at the disk itself.
        if (name !== "fsyncSync") return Reflect.apply(original, fs, args);
      },
    });
  fs.promises.writeFile = (async (path: string, content: string | Uint8Array, { mode }: { mode: number }) => {
    const isHalf = fails();
    await writeFile(path, isHalf ? content.slice(0, content.length / 2) : content, { mode, flag: "wx" });
    if (isHalf) throw error();
  }) as typeof writeFile;
  syncBuiltinESMExports();
  try {
    await work();
  } catch (thrown) {
    expect(count).toBeGreaterThanOrEqual(at);
    expect(String(thrown)).toContain("input/output error");
  } finally {
    for (const [name, original] of originals) Object.assign(fs, { [name]: original });
    fs.promises.writeFile = writeFile;
    syncBuiltinESMExports();
  }
  return count >= at;
}

/** The outcomes of machines, by the texts that decide them: most faults leave a machine as others do. */
const booted = new Map<string, string>();

/** Boot a root's machine as far as systemd starts the service; returns what the service does. */
function boot(directory: string): string {
  const root = openRoot(directory);
  const unit = root.read(UNIT);
  if (unit === undefined || !root.exists(ENABLED)) return "nothing";
  const [, stamp] = /^ConditionPathExists=!(.*)$/m.exec(unit)!;
  if (root.exists(stamp!)) return "nothing";
  const [, runner] = /^ExecStart=\/bin\/sh (.*)$/m.exec(unit)!;
  const texts = root
    .list(join(runner!, ".."))
    .map((name) => `${name}: ${root.read(join(runner!, "..", name))}`);
  const key = [unit, ...texts].join("\n");
  const did = booted.get(key) ?? start(directory, root.locate(runner!), root.locate(stamp!));
  booted.set(key, did);
  return did;
}

function start(directory: string, runner: string, stamp: string): string {
  const ran = spawnSync("sh", [runner], {
    encoding: "utf8",
    env: { HOME: directory, PATH: process.env.PATH! },
  });
  const isDone = ran.status === 0 && existsSync(stamp);
  return isDone ? (/^(\w+) runs$/m.exec(ran.stdout)?.[1] ?? ran.stdout) : `fault: ${ran.stdout}${ran.stderr}`;
}

let empty: string;
beforeAll(() => {
  empty = mkdtempSync(join(scratch(), "empty-"));
  for (const name of ["etc/os-release", "lib/systemd/systemd"]) {
    mkdirSync(join(empty, name, ".."), { recursive: true });
    writeFileSync(join(empty, name), "");
  }
});

/** The roots to install into. */
const roots = {
  empty: async () => {},
  "not booted": (directory: string) => install(directory, old),
  provisioned: async (directory: string) => {
    await install(directory, old);
    booted.clear();
    expect(boot(directory)).toBe("old");
  },
  "prepared by cloud-init": async (directory: string) => {
    const root = openRoot(directory);
    mkdirSync(join(directory, STATE_DIRECTORY), { recursive: true });
    for (const { name, content } of old.files)
      writeFileSync(root.locate(`${STATE_DIRECTORY}/${name}`), content);
    mkdirSync(join(directory, ENABLED, ".."), { recursive: true });
    writeFileSync(join(directory, UNIT), systemdUnit({ host: "web1", waitsForNetwork: false }));
    writeFileSync(join(directory, ENABLED), "");
  },
};

/** Install with a fault at each change in turn; returns what each machine then does, without repetitions. */
async function bootAfterEach(
  fault: Fault,
  prepared: string,
  payload: Payload,
  check: (directory: string) => void = () => {},
): Promise<readonly string[]> {
  const seen: string[] = [];
  const place = mkdtempSync(join(scratch(), "roots-"));
  for (let at = 1; ; at++) {
    const directory = join(place, String(at));
    cpSync(prepared, directory, { recursive: true, verbatimSymlinks: true });
    const isInTime = await withFault(fault, at, () => install(directory, payload));
    check(directory);
    const did = boot(directory);
    if (seen.at(-1) !== did) seen.push(did);
    // A process that was killed has left something: the next installation removes it.
    if (fault === "killed") {
      await withFault(fault, Number.POSITIVE_INFINITY, () => install(directory, payload));
      check(directory);
      if (did !== "new") expect(boot(directory)).toBe(payload === next ? "new" : "nothing");
    }
    const left = readdirSync(directory, { recursive: true, encoding: "utf8" });
    expect(left.filter((name) => name.endsWith(".volley-new"))).toEqual([]);
    const states = openRoot(directory).list(STATE_DIRECTORY);
    if (fault === "killed" || did === "old") expect(states).toHaveLength(1);
    if (!isInTime) return seen;
  }
}

/** Make a root as one of {@link roots}. */
async function prepare(name: keyof typeof roots): Promise<string> {
  const directory = mkdtempSync(join(scratch(), "prepared-"));
  cpSync(empty, directory, { recursive: true });
  await roots[name](directory);
  return directory;
}

describe("an installation that ends at each of its changes", () => {
  test.each([
    ["killed", "empty", ["nothing", "new"]],
    ["killed", "not booted", ["old", "new"]],
    ["killed", "provisioned", ["nothing", "new"]],
    ["killed", "prepared by cloud-init", ["old", "new"]],
    ["failing", "empty", ["nothing", "new"]],
    ["failing", "not booted", ["old", "new"]],
  ] as const)("%s, into a root that is %s", async (fault, name, expected) => {
    expect(await bootAfterEach(fault, await prepare(name), next)).toEqual(expected);
  });

  test("keeps stamp and result of the bundle that provisioned the machine", async () => {
    const again = bundleOf("old", "web2");
    expect(again.bundle.id).toBe(old.bundle.id);
    const hasResult = (directory: string): void => {
      const result = readResult(openRoot(directory), "root");
      expect(result).toMatchObject({ bundle: old.bundle.id, attempt: 1, host: "web1" });
    };
    const prepared = await prepare("provisioned");
    expect(await bootAfterEach("killed", prepared, again, hasResult)).toEqual(["nothing"]);
  });
});
