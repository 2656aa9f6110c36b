import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { type Runtime, readRuntime } from "../../src/bundle/runtimes/store.ts";
import type { RunOptions } from "../../src/controller/prepare/options.ts";
import type { EmbeddedFleet, HostFault } from "../../src/embedded/options.ts";
import { fleetStarter, ofType, provision } from "./lib/drive.ts";
import { makeProject, type Project, playbookText, scratchDirectory, TWO_FILES } from "./lib/project.ts";
import { keepSmallRuntime, useCacheWithoutRuntimes } from "./lib/runtimes.ts";

// Runtimes for users that are reached by a dialogue: they keep bundles and runtimes of their own.

const PASSWORD = "open sesame";

/** A sudo that wants the password, gives each user but root a home, and has the programs of `bin/` before the host's. */
const sudo = (programs: string): string => `#!/bin/sh
while [ "$1" != -- ]; do case $1 in -p) p=$2; shift;; -u) HOME="$HOME/of-$2"; mkdir -p "$HOME";; esac; shift; done; shift
printf %s "$p" >&2
IFS= read -r word && [ "$word" = "${PASSWORD}" ] || exit 1
PATH="${programs}:$PATH" exec "$@"
`;

const scratch = scratchDirectory();
const startFleet = fleetStarter();
let project: Project;
useCacheWithoutRuntimes();
beforeEach(() => {
  project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  mkdirSync(project.path("bin"));
  addProgram("sudo", sudo(project.path("bin")));
});

/** Add a program that the user to become finds before the host's own. */
function addProgram(name: string, text: string): void {
  chmodSync(project.write(`bin/${name}`, text), 0o755);
}

/** A host without Node, whose user `ops` is nobody's namesake. */
async function withoutNode(...more: readonly HostFault[]): Promise<EmbeddedFleet> {
  const faults: readonly HostFault[] = [{ kind: "noNode" }, ...more];
  return startFleet({ count: 1, faults: () => faults, passwords: [{ user: "ops", password: "login" }] });
}

/** The options of a run as `ops`, who becomes another user by the password. */
function through(fleet: EmbeddedFleet, become: boolean | string): Partial<RunOptions> {
  const inventory = fleet
    .inventoryYaml()
    .replaceAll(`ansible_user: ${JSON.stringify(fleet.user)}`, 'ansible_user: "ops"')
    .replaceAll(/.*private_key_file.*\n/g, "");
  return {
    ...{ runtime: "send", via: "bundle", become, becomePassword: PASSWORD, password: "login" },
    becomeExe: project.path("bin/sudo"),
    inventory: project.write("ops.yaml", inventory),
  };
}

const runtimesOf = (fleet: EmbeddedFleet, become: boolean | string): string =>
  join(fleet.hosts[0]!.home, become === true ? "" : `of-${become}`, ".cache/volley/runtimes");
const partOf = (fleet: EmbeddedFleet, become: boolean | string, { id }: Runtime): string => {
  mkdirSync(runtimesOf(fleet, become), { recursive: true });
  return join(runtimesOf(fleet, become), `.${id}.part`);
};

test.each([true, "deploy"])("become %s: an upload goes on where an earlier one was cut", async (become) => {
  const runtime = await keepSmallRuntime({ padding: randomBytes(1 << 20) });
  const fleet = await withoutNode();
  const archive = await readRuntime(runtime);
  writeFileSync(partOf(fleet, become, runtime), archive.subarray(0, 700_000));
  const { summary, events } = await provision(project, fleet, through(fleet, become));
  expect(summary.hosts[0]).toMatchObject({ outcome: "ok", tally: { changed: 2 } });
  // Ten blocks of 64 KiB are there, and a part of one.
  expect(ofType(events, "host:upload")[0]).toMatchObject({ bytes: 655_360, totalBytes: runtime.bytes });
  expect(readdirSync(runtimesOf(fleet, become))).toEqual([runtime.id]);
  const again = await provision(project, fleet, through(fleet, become));
  expect(again.summary.hosts[0]).toMatchObject({ outcome: "ok", uploadedBytes: 0, tally: { unchanged: 2 } });
});

test("connections that are cut, one after the other, bring the whole runtime in the end", async () => {
  const runtime = await keepSmallRuntime({ padding: randomBytes(2 << 20) });
  const fleet = await withoutNode({ kind: "dropAfterBytes", bytes: 1_500_000 });
  const { summary, events } = await provision(project, fleet, through(fleet, "deploy"));
  expect(summary.hosts[0]).toMatchObject({ outcome: "ok", tally: { changed: 2 } });
  expect(ofType(events, "host:lost")).toHaveLength(1);
  expect(filesOf(fleet)).toEqual([runtime.id]);
});

const refusals: readonly (readonly [name: string, program: string, text: string, message: RegExp])[] = [
  [
    "architecture",
    "uname",
    "case $1 in -m) echo riscv64;; *) echo 6.1.0;; esac",
    /its architecture, riscv64/,
  ],
  [
    "kernel",
    "uname",
    'case $1 in -r) echo 3.10.0;; *) /bin/uname "$@";; esac',
    /its kernel, 3\.10\.0, is older/,
  ],
  ["C library", "getconf", "echo glibc 2.17", /its C library, glibc 2\.17, is older than/],
  [
    "room",
    "df",
    "echo fs; echo /dev/x 99 98 1024 99% /",
    /Node needs \d+ MiB there, of which 1 MiB are free/,
  ],
  [
    "directory",
    "mkdir",
    'for d; do case $d in */runtimes) exit 1;; esac; done; exec /bin/mkdir "$@"',
    /not writable/,
  ],
];
test.each(refusals)("its %s is looked at before anything is sent", async (_name, program, text, message) => {
  await keepSmallRuntime();
  addProgram(program, `#!/bin/sh\n${text}\n`);
  const fleet = await withoutNode();
  const { summary, events } = await provision(project, fleet, through(fleet, "deploy"));
  expect(summary.hosts[0]).toMatchObject({ outcome: "failed", uploadedBytes: 0 });
  expect(summary.hosts[0]!.error).toMatchObject({ code: "NODE_MISSING", hint: expect.any(String) });
  expect(summary.hosts[0]!.error!.message).toMatch(message);
  expect(ofType(events, "host:upload")).toEqual([]);
  expect(filesOf(fleet)).toEqual([]);
});

/** The files below the cache of runtimes. */
function filesOf(fleet: EmbeddedFleet): readonly string[] {
  try {
    return readdirSync(runtimesOf(fleet, "deploy"));
  } catch {
    return [];
  }
}

test("the disk that becomes full while it is sent is told, and nothing is left", async () => {
  await keepSmallRuntime({ padding: randomBytes(1 << 20) });
  addProgram("dd", '#!/bin/sh\nhead -c 300000 >"$(echo "$1" | cut -c 4-)"\nexit 1\n');
  const fleet = await withoutNode();
  const { summary } = await provision(project, fleet, through(fleet, "deploy"));
  expect(summary.hosts[0]!.error).toMatchObject({ code: "NODE_MISSING" });
  expect(summary.hosts[0]!.error!.message).toMatch(/the disk is full/);
  expect(filesOf(fleet)).toEqual([]);
});

test("a part that does not belong to it is not gone on with twice", async () => {
  const runtime = await keepSmallRuntime({ padding: randomBytes(1 << 20) });
  const fleet = await withoutNode();
  writeFileSync(partOf(fleet, "deploy", runtime), randomBytes(200_000));
  const { summary } = await provision(project, fleet, through(fleet, "deploy"));
  expect(summary.hosts[0]).toMatchObject({ outcome: "ok", tally: { changed: 2 } });
  expect(filesOf(fleet)).toEqual([runtime.id]);
});
