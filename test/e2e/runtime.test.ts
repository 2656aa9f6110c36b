import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { RunOptions } from "../../src/controller/prepare/options.ts";
import type { EmbeddedFleet, HostFault } from "../../src/embedded/options.ts";
import { fleetStarter, follow, ofType, provision, type Ran, start } from "./lib/drive.ts";
import { makeProject, type Project, playbookText, scratchDirectory, TWO_FILES } from "./lib/project.ts";
import { keepSmallRuntime, useCacheWithoutRuntimes } from "./lib/runtimes.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();
const SEND = { runtime: "send" } as const;

let project: Project;
useCacheWithoutRuntimes();
beforeEach(() => {
  project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
});

const withoutNode = (count = 1, ...more: readonly HostFault[]): Promise<EmbeddedFleet> =>
  startFleet({ count, faults: () => [{ kind: "noNode" }, ...more] });
const runtimesOf = (fleet: EmbeddedFleet): string => join(fleet.hosts[0]!.home, ".cache/volley/runtimes");
const methods = ({ events }: Ran): readonly unknown[] =>
  ofType(events, "host:start").map(({ method }) => method);
const told = ({ events }: Ran): readonly string[] =>
  ofType(events, "log")
    .filter(({ text }) => text.includes("Node"))
    .map(({ text }) => text);
const go = (fleet: EmbeddedFleet, options: Partial<RunOptions> = {}): Promise<Ran> =>
  provision(project, fleet, { ...SEND, ...options });

test("a host without Node is sent a runtime, once", async () => {
  const runtime = await keepSmallRuntime();
  const fleet = await withoutNode(3);
  const first = await go(fleet);
  expect(first.summary).toMatchObject({ exitCode: 0, tally: { changed: 6 } });
  expect(methods(first)).toEqual(["bundle", "bundle", "bundle"]);
  // The connections that begin while the bundle is built are the sessions' own.
  expect(fleet.hosts.map(({ stats }) => stats.connections)).toEqual([1, 1, 1]);
  expect(told(first)).toEqual(Array(3).fill("there is no usable Node: Node 24.0.0 is sent, once (0.0 MiB)"));
  const bundle = ofType(first.events, "run:build")[0]!.bytes;
  expect(first.summary.hosts.map(({ uploadedBytes }) => uploadedBytes)).toEqual(
    Array(3).fill(bundle + runtime.bytes),
  );
  expect(readdirSync(runtimesOf(fleet))).toEqual([runtime.id]);
  expect(statSync(join(runtimesOf(fleet), runtime.id)).mode & 0o777).toBe(0o700);
  const second = await go(fleet, { via: "bundle" });
  expect(second.summary).toMatchObject({ exitCode: 0, tally: { changed: 0, unchanged: 6 } });
  expect(second.summary.hosts.map(({ uploadedBytes }) => uploadedBytes)).toEqual([0, 0, 0]);
  expect(told(second)).toEqual([]);
});

test("a host whose Node is too old is sent one, too, also when it has the bundle", async () => {
  await keepSmallRuntime();
  const fleet = await startFleet({ count: 1, faults: () => ({ kind: "oldNode" }) });
  const before = await go(fleet, { runtime: "never" });
  expect(methods(before)).toEqual(["direct"]);
  expect(methods(await go(fleet))).toEqual(["bundle"]);
});

test("a host that has the bundle is sent the runtime alone", async () => {
  const fleet = await withoutNode();
  const runtime = await keepSmallRuntime();
  await go(fleet);
  await keepSmallRuntime({ program: `#!/bin/sh\n# another\nexec '${process.execPath}' "$@"\n` });
  const { summary } = await go(fleet);
  expect(summary.hosts[0]!.uploadedBytes).toBeLessThan(10_000);
  expect(readdirSync(runtimesOf(fleet))).toHaveLength(2);
  await keepSmallRuntime({ program: `#!/bin/sh\n# a third\nexec '${process.execPath}' "$@"\n` });
  await go(fleet);
  // Two are kept, those used last.
  expect(readdirSync(runtimesOf(fleet))).toHaveLength(2);
  expect(readdirSync(runtimesOf(fleet))).not.toContain(runtime.id);
});

describe("no runtime is sent", () => {
  test("where none was fetched: a line says how that changes", async () => {
    const fleet = await withoutNode();
    const ran = await go(fleet);
    expect(methods(ran)).toEqual(["direct"]);
    expect(told(ran)).toEqual([
      "there is no usable Node; worked on directly, without a bundle (after `volley runtime fetch` runs send one, once)",
    ]);
    const insisted = await go(fleet, { via: "bundle" });
    expect(insisted.summary.hosts[0]!.error?.code).toBe("NODE_MISSING");
  });

  test("to hosts that the inventory excludes, or with runtime: never", async () => {
    await keepSmallRuntime();
    const fleet = await withoutNode();
    expect(methods(await go(fleet, { runtime: "never" }))).toEqual(["direct"]);
    const inventory = project.write(
      "never.yaml",
      fleet.inventoryYaml().replace(/^( *)ansible_port:/m, "$1volley_runtime: never\n$&"),
    );
    expect(methods(await go(fleet, { inventory, runtime: undefined! }))).toEqual(["direct"]);
  });
});

test("a runtime that cannot start there is not kept, and the host is worked on directly", async () => {
  await keepSmallRuntime({ program: "#!/bin/sh\necho 'GLIBC_9.99 not found' >&2\nexit 1\n" });
  const fleet = await withoutNode();
  const ran = await go(fleet);
  expect(methods(ran)).toEqual(["direct"]);
  expect(told(ran).at(-1)).toMatch(
    /^there is no usable Node: the Node that was sent.* cannot be started; worked on directly/,
  );
  expect(
    ofType(ran.events, "host:noise")
      .map(({ text }) => text)
      .join("\n"),
  ).toContain("GLIBC_9.99 not found");
  expect(readdirSync(runtimesOf(fleet))).toHaveLength(1);
  // The reason is remembered: nothing is sent again in vain.
  const insisted = await go(fleet, { via: "bundle" });
  expect(insisted.summary.hosts[0]).toMatchObject({ error: { code: "NODE_MISSING" }, uploadedBytes: 0 });
  expect(
    ofType(insisted.events, "host:noise")
      .map(({ text }) => text)
      .join("\n"),
  ).toContain("GLIBC_9.99");
  // For a day: the host may have been mended.
  const [note] = readdirSync(runtimesOf(fleet));
  const before = Date.now() / 1_000 - 25 * 60 * 60;
  utimesSync(join(runtimesOf(fleet), note!), before, before);
  expect((await go(fleet)).summary.hosts[0]!.uploadedBytes).toBeGreaterThan(0);
});

test("a program that the host's C library cannot start is started by the runtime's own loader", async () => {
  await keepSmallRuntime({
    program: `#!/bin/sh\n[ "$BY_LOADER" = 1 ] || exit 127\nexec '${process.execPath}' "$@"\n`,
    loader: '#!/bin/sh\n[ "$1" = --library-path ] || exit 9\nshift 2\nexport BY_LOADER=1\nexec "$@"\n',
  });
  const fleet = await withoutNode();
  expect(methods(await go(fleet, { via: "bundle" }))).toEqual(["bundle"]);
  expect(methods(await go(fleet, { via: "bundle" }))).toEqual(["bundle"]);
});

test("an upload that is cut goes on where it was cut", async () => {
  const padding = randomBytes(3 << 20);
  const runtime = await keepSmallRuntime({ padding });
  const fleet = await startFleet({
    count: 1,
    faults: () => [{ kind: "noNode" }, { kind: "dropAfterBytes", bytes: 1_500_000, times: 1 }],
  });
  const part = join(runtimesOf(fleet), `.${runtime.id}.part`);
  let there = 0;
  const after: number[] = [];
  const ran = await follow(start(project, fleet, SEND), (event) => {
    if (event.type === "host:lost") there = statSync(part).size;
    if (event.type === "host:upload" && there > 0 && event.bytes > 0) after.push(event.bytes);
  });
  expect(ran.summary).toMatchObject({ exitCode: 0, tally: { changed: 2 } });
  expect(methods(ran)).toEqual(["bundle"]);
  expect(there).toBeGreaterThan(0);
  expect(there).toBeLessThan(runtime.bytes);
  expect(after[0]).toBeGreaterThan(there);
  expect(readdirSync(runtimesOf(fleet))).toEqual([runtime.id]);
});

test("a runtime that arrives damaged is sent again, and given up after the second time", async () => {
  await keepSmallRuntime();
  const fleet = await startFleet({
    count: 1,
    faults: () => [{ kind: "noNode" }, { kind: "corruptUpload" }],
  });
  const ran = await go(fleet);
  expect(ran.summary.hosts[0]).toMatchObject({ outcome: "failed", error: { code: "UPLOAD_FAILED" } });
  expect(readdirSync(runtimesOf(fleet)).filter((name) => !name.startsWith("."))).toEqual([]);
});

const hasSsh = spawnSync("ssh", ["-V"]).error === undefined;
test.skipIf(!hasSsh)(
  "the ssh program sends it as well, to several names of one account at once",
  async () => {
    const runtime = await keepSmallRuntime({ padding: randomBytes(1 << 20) });
    const fleet = await withoutNode();
    const { address, port } = fleet.hosts[0]!;
    const line = `{ ansible_host: ${address}, ansible_port: ${port}, ansible_user: ${fleet.user}, ansible_ssh_private_key_file: ${JSON.stringify(fleet.privateKeyPath)} }`;
    const inventory = project.write(
      "names.yaml",
      `all: { hosts: { one: ${line}, two: ${line}, three: ${line} } }`,
    );
    const ran = await go(fleet, { inventory, transport: "openssh", via: "bundle" });
    expect(ran.summary.hosts.map(({ error }) => error?.message)).toEqual([undefined, undefined, undefined]);
    expect(readdirSync(runtimesOf(fleet))).toEqual([runtime.id]);
  },
);

test("a full disk fails the host, and leaves nothing", async () => {
  await keepSmallRuntime({ padding: randomBytes(1 << 20) });
  const fleet = await withoutNode(1, { kind: "diskFull", afterBytes: 300_000 });
  const ran = await go(fleet);
  expect(ran.summary.hosts[0]!.error).toMatchObject({ code: "UPLOAD_FAILED" });
  expect(ran.summary.hosts[0]!.error!.message).toMatch(/No space left on device/);
  expect(readdirSync(runtimesOf(fleet))).toEqual([]);
});

test("volley_runtime_dir keeps it elsewhere, and other files there stay", async () => {
  const runtime = await keepSmallRuntime();
  const fleet = await withoutNode();
  const place = join(scratch(), "it's elsewhere");
  mkdirSync(join(place, "mine"), { recursive: true });
  writeFileSync(join(place, "mine", "kept"), "");
  const inventory = project.write(
    "elsewhere.yaml",
    fleet
      .inventoryYaml()
      .replace(/^( *)ansible_port:/m, `$1volley_runtime_dir: ${JSON.stringify(place)}\n$&`),
  );
  const ran = await go(fleet, { inventory, via: "bundle" });
  expect(methods(ran)).toEqual(["bundle"]);
  expect(readdirSync(place).sort()).toEqual([runtime.id, "mine"].sort());
  expect(existsSync(runtimesOf(fleet))).toBe(false);
  expect(readFileSync(join(place, "mine", "kept"), "utf8")).toBe("");
});
