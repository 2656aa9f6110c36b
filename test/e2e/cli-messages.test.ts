import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import type { EmbeddedFleet, HostFault } from "../../src/embedded/options.ts";
import { builtCli, type CliEnd, volley } from "./lib/cli.ts";
import { fleetStarter, keptBundles } from "./lib/drive.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, type Project, scratchDirectory } from "./lib/project.ts";
import { hosts, role, site, tasks, withRole } from "./lib/sources.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();
beforeAll(async () => void (await builtCli()), 600_000);

async function runOn(fleet: EmbeddedFleet, project: Project, ...args: readonly string[]): Promise<CliEnd> {
  project.write("inventory/hosts.yaml", fleet.inventoryYaml());
  return volleyHere(
    ["run", "site.ts", "--known-hosts", fleet.knownHostsPath, "--connect-timeout", "4", ...args],
    { cwd: project.directory },
  );
}

test("a template that fails: named, with its line and the variable", async () => {
  const project = makeProject(scratch(), {
    "site.ts": withRole("web()"),
    "roles/web/role.ts": role('task("T", template({ src: "x.j2", dest: "~/x" }));'),
    "roles/web/templates/x.j2": "fine\nstill fine\n{{ nowhere.to.be }}\n",
  });
  const fleet = await startFleet({ count: 1 });
  const end = await runOn(fleet, project);
  expect(end.code).toBe(2);
  expect(end.stderr).toBe("");
  expect(end.stdout).toMatch(/'nowhere' is undefined\n +at x\.j2:3\n/);
  expect(existsSync(join(fleet.hosts[0]!.home, "x"))).toBe(false);
});

test("the wrong key: said in the summary, nothing was run", async () => {
  const project = makeProject(scratch(), site);
  const fleet = await startFleet({ count: 1, faults: () => ({ kind: "rejectAuth" }) });
  const end = await runOn(fleet, project);
  expect(end).toMatchObject({ code: 1, stderr: "" });
  expect(end.stdout).toMatch(/web01 accepted none of the keys for user/);
});

const hostFaults: readonly (readonly [what: string, fault: HostFault, code: number, says: RegExp])[] = [
  [
    "a full disk",
    { kind: "diskFull", afterBytes: 50_000 },
    1,
    /cannot write in ~\/\.cache\/volley\/bundles: No space left on device/,
  ],
  ["a read-only home", { kind: "readOnlyHome" }, 1, /cannot keep the bundle in .*'s home: /],
  ["a Node too old", { kind: "oldNode" }, 0, /web01 +directly +without a bundle/],
  ["no Node", { kind: "noNode" }, 0, /web01 +directly +without a bundle/],
  ["a corrupted upload", { kind: "corruptUpload" }, 1, /the bundle arrived damaged 2 times/],
  ["a changed host key", { kind: "wrongHostKey" }, 1, /the host key has changed.*known_hosts:1/],
  ["nobody listening", { kind: "refuse" }, 4, /refused the connection: no SSH server listens there/],
  ["silence", { kind: "hang" }, 4, /did not answer within 4 s/],
  ["a banner", { kind: "noisyBanner" }, 0, /1 host: 1 ok/],
];

test.each(hostFaults)(
  "%s on the host: said in the summary, nothing half-written",
  async (_what, fault, code, says) => {
    const project = makeProject(scratch(), site);
    const fleet = await startFleet({ count: 1, faults: () => fault });
    const end = await runOn(fleet, project);
    expect(end.stderr).toBe("");
    expect(end.stdout).toMatch(says);
    expect(end.code).toBe(code);
    expect(keptBundles(fleet.hosts[0]!).temporary).toEqual([]);
    expect(end.stdout).not.toMatch(/node:internal|\.ts:\d+:\d+\)|undefined|\[object/);
  },
);

test("one host of two unreachable: the other is done, 4", async () => {
  const project = makeProject(scratch(), site);
  const fleet = await startFleet({
    count: 2,
    faults: (index) => (index === 0 ? { kind: "refuse" } : undefined),
  });
  const end = await runOn(fleet, project);
  expect(end).toMatchObject({ code: 4, stderr: "" });
  expect(end.stdout).toMatch(/refused the connection/);
  expect(existsSync(join(fleet.hosts[1]!.home, "b"))).toBe(true);
});

test("plain output has no escapes when piped, json is one object a line", async () => {
  const project = makeProject(scratch(), site);
  const fleet = await startFleet({ count: 3 });
  const plain = await runOn(fleet, project, "--output", "plain");
  expect(plain).toMatchObject({ code: 0, stderr: "" });
  expect(plain.stdout).not.toContain("\u001b");
  expect((await runOn(fleet, project)).stdout).not.toContain("\u001b");
  const json = await runOn(fleet, project, "--output", "json");
  expect(json).toMatchObject({ code: 0, stderr: "" });
  const events = json.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { readonly type: string; readonly seq: number });
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_event, index) => index + 1));
  expect(events.at(-1)).toMatchObject({ type: "run:end", summary: { exitCode: 0, tally: { unchanged: 6 } } });
});

test("colours when forced, none with NO_COLOR", async () => {
  const project = makeProject(scratch(), site);
  const fleet = await startFleet({ count: 1 });
  project.write("inventory/hosts.yaml", fleet.inventoryYaml());
  const args = ["run", "site.ts", "--known-hosts", fleet.knownHostsPath, "--output", "plain"];
  const forced = await volleyHere(args, { cwd: project.directory, env: { FORCE_COLOR: "1", NO_COLOR: "" } });
  const none = await volleyHere(args, { cwd: project.directory, env: { NO_COLOR: "1" } });
  expect(forced.stdout).toContain("\u001b[");
  expect(none.stdout).not.toContain("\u001b");
});

test("Ctrl-C ends cleanly with a summary and 130", async () => {
  const project = makeProject(scratch(), {
    "site.ts": tasks(
      'task("Hang", shell("echo waiting; sleep 1000"));',
      'task("After", debug({ msg: "after" }));',
    ),
  });
  const fleet = await startFleet({ count: 2 });
  project.write("inventory/hosts.yaml", fleet.inventoryYaml());
  const end = await volley(["run", "site.ts", "--known-hosts", fleet.knownHostsPath, "--output", "json"], {
    cwd: project.directory,
    on: (child) => {
      let waiting = 0;
      child.stdout!.on("data", (text: string) => {
        waiting += text.split('"text":"waiting').length - 1;
        if (waiting < 2) return;
        waiting = Number.NEGATIVE_INFINITY;
        child.kill("SIGINT");
        child.stdout!.on("data", (more: string) => {
          if (more.includes('"how":"clean"')) child.kill("SIGINT");
        });
      });
    },
  });
  expect(end).toMatchObject({ code: 130, stderr: "" });
  expect(JSON.parse(end.stdout.trimEnd().split("\n").at(-1)!)).toMatchObject({
    type: "run:end",
    summary: { outcomes: { cancelled: 2 } },
  });
});

test("a reader that leaves, as head does, does not fail the run", async () => {
  const project = makeProject(scratch(), site);
  const fleet = await startFleet({ count: 2 });
  project.write("inventory/hosts.yaml", fleet.inventoryYaml());
  const end = await volley(["run", "site.ts", "--known-hosts", fleet.knownHostsPath, "--output", "json"], {
    cwd: project.directory,
    on: (child) => child.stdout!.once("data", () => child.stdout!.destroy()),
  });
  expect(end.stderr).toBe("");
  expect(end.code).toBe(0);
  expect(existsSync(join(fleet.hosts[1]!.home, "b"))).toBe(true);
});

test("a stdout that takes nothing is told of in one line, and a run goes on", async () => {
  const project = makeProject(scratch(), site);
  const fleet = await startFleet({ count: 2 });
  project.write("inventory/hosts.yaml", fleet.inventoryYaml());
  // Writing to a file that is open for reading alone fails, as on a full disk.
  const stdout = openSync(project.path("site.ts"), "r");
  const says = "volley: cannot write to standard output: it is not open\n";
  try {
    for (const args of [["doc"], ["--help"], ["runs"]])
      expect(await volley(args, { cwd: project.directory, stdout })).toMatchObject({ code: 1, stderr: says });
    const args = ["run", "site.ts", "--known-hosts", fleet.knownHostsPath];
    const end = await volley(args, { cwd: project.directory, stdout });
    expect(end).toMatchObject({ code: 0, stderr: says });
  } finally {
    closeSync(stdout);
  }
  expect(existsSync(join(fleet.hosts[1]!.home, "b"))).toBe(true);
});

test("a home that is a file: the run ends with its summary, without a log", async () => {
  const project = makeProject(scratch(), site);
  const fleet = await startFleet({ count: 1 });
  project.write("inventory/hosts.yaml", fleet.inventoryYaml());
  const home = { HOME: project.path("site.ts"), XDG_STATE_HOME: "", XDG_CACHE_HOME: "" };
  const inDirectory = { cwd: project.directory, env: home };
  for (const via of ["bundle", "direct"]) {
    const args = ["run", "site.ts", "--known-hosts", fleet.knownHostsPath, "--via", via];
    const end = await volleyHere(args, inDirectory);
    expect(end).toMatchObject({ code: 0, stderr: "" });
    expect(end.stdout).toMatch(/1 host: 1 ok/);
  }
  const args = ["exec", "all", "--known-hosts", fleet.knownHostsPath, "--", "true"];
  expect(await volleyHere(args, inDirectory)).toMatchObject({ code: 0 });
  expect(await volleyHere(["runs"], inDirectory)).toMatchObject({
    code: 0,
    stdout: "There has been no run yet.\n",
  });
});

test("check: with types, without, and with what is wrong", async () => {
  const project = makeProject(scratch(), { ...site, ...hosts });
  const without = await volleyHere(["check", "site.ts", "--no-types"], { cwd: project.directory });
  expect(without).toMatchObject({
    code: 0,
    stderr: "",
    stdout: "site.ts: 1 play compiles; vars, actions and assets fit for 2 hosts\n",
  });
  const none = await volleyHere(["check", "site.ts"], { cwd: project.directory });
  expect(none).toMatchObject({ code: 1, stdout: "" });
  expect(none.stderr).toMatch(
    /^volley: the project has no TypeScript to check types with \(npm install --save-dev typescript, or leave types out with --no-types\)\n$/,
  );

  symlinkSync(fileURLToPath(new URL("../../node_modules", import.meta.url)), project.path("node_modules"));
  const index = fileURLToPath(new URL("../../src/index.ts", import.meta.url));
  const config = {
    compilerOptions: {
      strict: true,
      module: "nodenext",
      target: "es2022",
      noEmit: true,
      // All but the playbook is checked once.
      incremental: true,
      tsBuildInfoFile: "./types.tsbuildinfo",
      skipLibCheck: true,
      allowImportingTsExtensions: true,
      types: ["node"],
      lib: ["es2023"],
      paths: { volley: [index] },
    },
    include: ["*.ts"],
  };
  project.write("tsconfig.json", JSON.stringify(config));
  const right = await volleyHere(["check", "site.ts"], { cwd: project.directory });
  expect(right).toMatchObject({ code: 0, stderr: "", stdout: expect.stringMatching(/; types are right\n$/) });
  project.write("tsconfig.json", JSON.stringify({ ...config, include: ["roles"] }));
  project.write("roles/a.ts", "export {};\n");
  const leftOut = await volleyHere(["check", "site.ts"], { cwd: project.directory });
  expect(leftOut).toMatchObject({ code: 1, stdout: "" });
  expect(leftOut.stderr).toBe(
    'volley: tsconfig.json leaves site.ts out: its types were not checked (add it to "include" there, or leave types out with --no-types)\n',
  );
  project.write("tsconfig.json", JSON.stringify(config));
  project.write("site.ts", tasks('const count: number = "4"; void count;'));
  const wrong = await volleyHere(["check", "site.ts"], { cwd: project.directory });
  expect(wrong.code).toBe(1);
  expect(wrong.stdout).toMatch(/site\.ts.*6.*error TS2322/);
});

test("bundle: writes a file that runs by itself", async () => {
  const project = makeProject(scratch(), { ...site, ...hosts });
  const end = await volleyHere(["bundle", "site.ts", "-o", "site.run", "-i", "inventory", "-l", "web1"], {
    cwd: project.directory,
  });
  expect(end).toMatchObject({ code: 0, stderr: "" });
  expect(end.stdout).toMatch(
    /^site\.run: \d+\.\d KiB, SHA-256 [0-9a-f]{64}\nRun it there: sh site\.run --local web1/,
  );
  expect(readdirSync(project.directory).filter((name) => name.startsWith("site.run"))).toEqual(["site.run"]);
  const out = await volleyHere(["bundle", "site.ts", "-o", "-", "-i", "inventory", "-l", "web1"], {
    cwd: project.directory,
  });
  expect(out).toMatchObject({ code: 0, stdout: readFileSync(project.path("site.run"), "utf8") });
  expect(out.stderr).toMatch(/^-: \d+\.\d KiB, .*\nRun it there: sh FILE --local web1/);
  expect(existsSync(project.path("-"))).toBe(false);
  const again = await volleyHere(["bundle", "site.run", "-o", "again.run"], { cwd: project.directory });
  expect(again).toMatchObject({ code: 1, stdout: "" });
});

test.skipIf(process.getuid?.() === 0)("bundle into a directory that may not be written to", async () => {
  const project = makeProject(scratch(), site);
  mkdirSync(project.path("locked"));
  chmodSync(project.path("locked"), 0o555);
  writeFileSync(project.path("note"), "");
  const end = await volleyHere(["bundle", "site.ts", "-o", "locked/site.run"], { cwd: project.directory });
  expect(end).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringMatching(/^volley: cannot write locked\/site\.run: permission denied\n$/),
  });
});
