import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { volleyVersion } from "../../src/bundle/this-package.ts";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { persistDirectory, preparePlace, socketPath } from "../../src/transport/persist/place.ts";
import { listKept } from "../../src/transport/persist/visit.ts";
import { processesWith } from "../chaos/rig.ts";
import { until } from "../lib/patience.ts";
import { builtCli, type CliEnd, cache, keepHostCode, lendHostCode, volley } from "./lib/cli.ts";
import { makeProject, type Project, play, playbookText, scratchDirectory } from "./lib/project.ts";

// A command line that comes again finds its bundle started on the hosts. The inventory is a script, which these tests
// hold up: a client that has no inventory yet cannot have asked a host for anything.

const scratch = scratchDirectory();
/** Skips the options in front of the command, and gives the user a home of its own. */
const SUDO = `#!/bin/sh
while [ "$1" != -- ]; do case $1 in -u) HOME="$HOME/of-$2"; mkdir -p "$HOME"; shift;; esac; shift; done; shift; exec "$@"
`;

let fleet: EmbeddedFleet;
let project: Project;
let background: ChildProcess;
let env: Readonly<Record<string, string>>;
/** The commands that hosts were asked for since the last run began. */
const asked: { readonly host: string; readonly command: string }[] = [];

beforeAll(async () => {
  project = makeProject(scratch(), { "bin/sudo": SUDO });
  chmodSync(project.path("bin/sudo"), 0o755);
  fleet = await startEmbeddedFleet({
    count: 2,
    programs: join(cache, "programs"),
    // Nobody's namesake, who needs sudo to become root.
    passwords: [{ user: "ops", password: "login" }],
    env: { PATH: `${project.path("bin")}:${process.env.PATH}`, VOLLEY_AHEAD: project.directory },
    onExec: (event) => void asked.push(event),
  });
  for (const { home } of fleet.hosts) lendHostCode(home);
  const hostvars = fleet.hosts.map(({ name, port }) => [
    name,
    { ansible_host: "127.0.0.1", ansible_port: port, ansible_user: "ops", ansible_password: "login" },
  ]);
  const hosts = fleet.hosts.map(({ name }) => name);
  project.write(
    "hosts.json",
    JSON.stringify({ all: { hosts }, _meta: { hostvars: Object.fromEntries(hostvars) } }),
  );
  project.write(
    "hosts",
    `#!/bin/sh\ncd ${project.directory}\nwhile [ -e held ]; do sleep 0.02; done\ncat hosts.json\n`,
  );
  chmodSync(project.path("hosts"), 0o755);
  env = { XDG_RUNTIME_DIR: mkdtempSync(join(scratch(), "r-")) };
  background = spawn(process.execPath, [await builtCli(), "persist", "serve"], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "ignore"],
  });
  await once(background.stdout!, "data");
});
afterAll(async () => {
  background.kill("SIGKILL");
  for (const { home } of fleet.hosts) keepHostCode(home);
  await fleet.stop();
});

/** Have the playbook write this to a file below the home. */
function writePlaybook(content: string): void {
  project.write(
    "site.ts",
    playbookText(
      play("throttle: 2", `task("Write", copy({ content: "${content}", dest: facts.env.HOME + "/said" }));`),
    ),
  );
}

const said = (home = ""): string => readFileSync(join(fleet.hosts[0]!.home, home, "said"), "utf8");
/** The processes of all hosts. */
const processes = (): readonly string[] => processesWith(`VOLLEY_AHEAD=${project.directory}`);

const reach = (): readonly string[] =>
  ["-i", "hosts", "--ssh-config", "none", "--known-hosts", fleet.knownHostsPath] as const;

function run(...args: readonly string[]): Promise<CliEnd> {
  asked.length = 0;
  return volley(["run", "site.ts", ...reach(), "--persist", "10m", ...args], { cwd: project.directory, env });
}

/** Hold up a run until a host was asked for a command, which its client cannot have done. */
async function runAfterStart(...args: readonly string[]): Promise<CliEnd> {
  const place = persistDirectory({ ...process.env, ...env });
  await expect
    .poll(async () => (await listKept(place)).every(({ idleMs }) => idleMs !== undefined))
    .toBe(true);
  project.write("held", "");
  const end = run(...args);
  await until(() => asked.length === 1);
  rmSync(project.path("held"));
  return await end;
}

const commands = (): readonly string[] => asked.map(({ command }) => command);
const WEB01 = ["-l", "web01"] as const;
const OK = { code: 0, stderr: "" };

it("the same command line takes the process that was started before it asked", async () => {
  writePlaybook("one");
  expect(await run(...WEB01)).toMatchObject(OK);
  const [launch] = commands();
  rmSync(join(fleet.hosts[0]!.home, "said"));
  expect(await runAfterStart(...WEB01)).toMatchObject({
    ...OK,
    stdout: expect.stringContaining("1 changed"),
  });
  expect(commands()).toEqual([launch]);
  expect(said()).toBe("one");
  await until(() => processes().length === 0);
});

it("a playbook that was changed is carried out as it is, and the bundle of before ends", async () => {
  const before = asked[0]!.command;
  writePlaybook("two");
  expect(await runAfterStart(...WEB01)).toMatchObject(OK);
  const [ahead, ...others] = commands();
  expect(ahead).toBe(before);
  expect(others.length).toBeGreaterThan(0);
  expect(others).not.toContain(before);
  expect(said()).toBe("two");
  await until(() => processes().length === 0);
});

it("a command line for another host starts nothing on the first", async () => {
  expect(await run("-l", "web02")).toMatchObject(OK);
  expect(asked.map(({ host }) => host)).not.toContain("web01");
  expect(await runAfterStart("-l", "web02")).toMatchObject(OK);
  expect(asked.map(({ host }) => host)).toEqual(["web02"]);
});

it("a run that ends in its preparation leaves no process on the host", async () => {
  project.write("site.ts", "export default (");
  expect(await runAfterStart(...WEB01)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("site.ts"),
  });
  expect(asked.map(({ host }) => host)).toEqual(["web01"]);
  await until(() => processes().length === 0);
});

it("a run as root takes the process behind sudo, and one as another user starts its own", async () => {
  const asRoot = [...WEB01, "--become"];
  writePlaybook("three");
  expect(await run(...asRoot)).toMatchObject(OK);
  const [launch] = commands();
  expect(launch).toContain("sudo -n");
  expect(await runAfterStart(...asRoot)).toMatchObject({
    ...OK,
    stdout: expect.stringContaining("1 unchanged"),
  });
  expect(commands()).toEqual([launch]);
  expect(said()).toBe("three");
  // Its first words are about a copy of its own, so nothing may be started for it.
  const asDeploy = [...asRoot, "--become-user", "deploy"];
  for (const told of ["1 changed", "1 unchanged"])
    expect(await run(...asDeploy)).toMatchObject({ ...OK, stdout: expect.stringContaining(told) });
  expect(said("of-deploy")).toBe("three");
  await until(() => processes().length === 0);
});

it("a background process that does not answer the greeting is not asked again", async () => {
  const own = { XDG_RUNTIME_DIR: mkdtempSync(join(scratch(), "r-")) };
  const place = persistDirectory({ ...process.env, ...own });
  preparePlace(place);
  let greetings = 0;
  const silent = createServer(() => void greetings++).listen(socketPath(place, volleyVersion()));
  await once(silent, "listening");
  const end = await volley(["exec", ...reach(), "--persist", "10m", "web01", "true"], {
    cwd: project.directory,
    env: own,
  });
  silent.close();
  expect([end.code, greetings]).toEqual([0, 1]);
  expect(end.stdout + end.stderr).toContain("the background process does not answer");
});
