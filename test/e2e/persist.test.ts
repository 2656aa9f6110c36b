import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, expect, it } from "vitest";
import { recordedPersist } from "../../src/controller/prepare/options.ts";
import { listRuns, runsDirectory } from "../../src/controller/records/records.ts";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { processStart } from "../../src/system/this-process.ts";
import { processBehind } from "../../src/transport/persist/hung.ts";
import { persistDirectory, socketsIn } from "../../src/transport/persist/place.ts";
import { listKept } from "../../src/transport/persist/visit.ts";
import { PATIENT, until } from "../lib/patience.ts";
import { builtCli, type CliEnd, volley } from "./lib/cli.ts";
import { fleetStarter } from "./lib/drive.ts";
import { makeProject, play, playbookText, scratchDirectory, TWO_FILES, waitFor } from "./lib/project.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  await builtCli();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Site {
  readonly fleet: EmbeddedFleet;
  readonly directory: string;
  /** The environment, and with it the background process, of this test alone. */
  readonly env: Readonly<Record<string, string>>;
  readonly reach: readonly string[];
  volley(args: readonly string[]): Promise<CliEnd>;
}

async function site(): Promise<Site> {
  const fleet = await startFleet({ count: 1 });
  const directory = mkdtempSync(join(scratch(), "persist-"));
  writeFileSync(join(directory, "hosts.yaml"), fleet.inventoryYaml());
  const env = { HOME: directory, XDG_RUNTIME_DIR: mkdtempSync(join(scratch(), "r-")) };
  const run = (args: readonly string[]): Promise<CliEnd> => volley(args, { cwd: directory, env });
  closers.push(() => run(["persist", "stop"]));
  const reach = ["-i", "hosts.yaml", "--ssh-config", "none", "--known-hosts", fleet.knownHostsPath];
  return { fleet, directory, env, reach: [...reach, "--persist", "10m"], volley: run };
}

async function startBackground(env: Site["env"]): Promise<ChildProcess> {
  const background = spawn(process.execPath, [await builtCli(), "persist", "serve"], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "ignore"],
  });
  closers.push(() => background.kill("SIGKILL"));
  const [line] = (await once(background.stdout, "data")) as [Buffer];
  expect(line.toString()).toBe("ready\n");
  return background;
}

it("exec and run use what another command has left, and pass a background process by that was killed", async () => {
  const { fleet, directory, env, reach, volley } = await site();
  const [host] = fleet.hosts;
  const background = await startBackground(env);
  const exec = (): Promise<CliEnd> => volley(["exec", "web01", ...reach, "--", "echo", "here"]);
  expect(await exec()).toMatchObject({ code: 0, stdout: expect.stringContaining("here") });
  const project = makeProject(directory, { "site.ts": playbookText(TWO_FILES) });
  expect(await volley(["run", project.path("site.ts"), ...reach])).toMatchObject({ code: 0 });
  expect(host!.stats.connections).toBe(1);
  const listed = await volley(["persist", "list"]);
  expect(listed.stdout).toMatch(
    /^HOST +ADDRESS +IDLE +LEFT +CHANNELS\nweb01 +\S+@127\.0\.0\.1:\d+ +\S+ +\d+m\d+s +0\n$/,
  );
  background.kill("SIGKILL");
  await once(background, "close");
  expect(await volley(["persist", "list", "-o", "json"])).toMatchObject({ code: 0, stdout: "[]\n" });
  // The next one connects by itself, and starts another for the one after that.
  expect(await exec()).toMatchObject({ code: 0, stderr: expect.not.stringContaining("kept") });
  await expect.poll(async () => (await volley(["persist", "list"])).stdout, PATIENT).toContain("web01");
  expect(host!.stats.connections).toBe(3);
  expect(await exec()).toMatchObject({ code: 0 });
  expect(host!.stats.connections).toBe(3);
  expect(await volley(["persist", "stop", "web02"])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("no connection is kept to web02"),
  });
  expect(await volley(["persist", "stop"])).toMatchObject({ code: 0, stdout: "1 connection closed\n" });
  await until(() => host!.stats.openConnections === 0);
  expect(await volley(["exec", "web01", ...reach, "--no-persist", "--", "true"])).toMatchObject({ code: 0 });
  expect(await volley(["persist", "list"])).toMatchObject({ stdout: "no connection is kept\n" });
});

it("a command ends with the client that was killed, and the next one is carried out", async () => {
  const { fleet, directory, env, reach, volley } = await site();
  const { home } = fleet.hosts[0]!;
  const kept = async (): Promise<string> => (await volley(["persist", "list"])).stdout;
  expect(await volley(["exec", "web01", ...reach, "--", "true"])).toMatchObject({ code: 0 });
  await expect.poll(kept, PATIENT).toContain("web01");
  const client = spawn(
    process.execPath,
    [await builtCli(), "exec", "web01", ...reach, "--", "sh", "-c", "echo $$ > pid; exec sleep 1000"],
    { cwd: directory, env: { ...process.env, ...env }, stdio: "ignore" },
  );
  closers.push(() => client.kill("SIGKILL"));
  await until(() => existsSync(join(home, "pid")) && readFileSync(join(home, "pid"), "utf8").endsWith("\n"));
  const pid = readFileSync(join(home, "pid"), "utf8").trim();
  client.kill("SIGKILL");
  await until(() => !existsSync(`/proc/${pid}`));
  expect(await volley(["exec", "web01", ...reach, "--", "true"])).toMatchObject({ code: 0 });
});

it("attach uses kept connections as the run was started, or as it is told to", async () => {
  const { fleet, directory, env, reach, volley } = await site();
  const [host] = fleet.hosts;
  await startBackground(env);
  const project = makeProject(directory, {
    "site.ts": playbookText(play("throttle: 2", `task("Wait", ${waitFor("go")});`)),
  });
  const kept = async (): Promise<number> =>
    (JSON.parse((await volley(["persist", "list", "-o", "json"])).stdout) as readonly unknown[]).length;
  for (const [options, more, recorded] of [
    [["--persist", "10m"], [], 600_000],
    [["--no-persist"], ["--persist", "5m"], false],
  ] as const) {
    rmSync(join(host!.home, "go"), { force: true });
    const run = spawn(
      process.execPath,
      [await builtCli(), "run", project.path("site.ts"), ...reach.slice(0, -2), ...options, "-o", "json"],
      { cwd: directory, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "ignore"] },
    );
    closers.push(() => run.kill("SIGKILL"));
    let said = "";
    run.stdout.on("data", (text: Buffer) => {
      said += text.toString();
    });
    await until(() => said.includes('"type":"task:start"'));
    run.kill("SIGKILL");
    await once(run, "close");
    // The run's own connection ends with the agent on it.
    await expect.poll(kept, PATIENT).toBe(0);
    const [name] = listRuns(runsDirectory());
    expect(recordedPersist(name!)).toBe(recorded);
    writeFileSync(join(host!.home, "go"), "");
    expect(await volley(["attach", ...more])).toMatchObject({ code: 0 });
    expect(await kept()).toBe(1);
    await volley(["persist", "stop", "web01"]);
  }
});

it("a background process that hangs is named and ended, and holds nothing of the command that started it", async () => {
  const { directory, env, reach, volley } = await site();
  const inherited = join(directory, "inherited");
  const descriptor = openSync(inherited, "w");
  const exec = ["exec", "web01", ...reach, "--", "true"];
  const client = spawn(process.execPath, [await builtCli(), ...exec], {
    cwd: directory,
    env: { ...process.env, ...env },
    stdio: [...Array.from({ length: 20 }, () => "ignore" as const), descriptor],
  });
  closeSync(descriptor);
  expect(await once(client, "close")).toEqual([0, null]);
  const place = persistDirectory({ ...process.env, ...env });
  await expect.poll(async () => (await listKept(place)).map(({ host }) => host), PATIENT).toEqual(["web01"]);
  const { pid } = processBehind(socketsIn(place)[0]!)!;
  const open = readdirSync(`/proc/${pid}/fd`).map((name) => linkOr(`/proc/${pid}/fd/${name}`));
  expect(open.length).toBeGreaterThan(3);
  expect(open).not.toContain(inherited);
  process.kill(pid, "SIGSTOP");
  closers.push(() => processBehind(socketsIn(place)[0] ?? "") && process.kill(pid, "SIGKILL"));
  const hangs = `the background process ${pid} does not answer: it is halted (SIGSTOP)`;
  const [listed, stopped] = await Promise.all([
    volley(["persist", "list"]),
    volley(["persist", "stop", "web01"]),
  ]);
  for (const { code, stderr } of [listed, stopped]) {
    expect(code).toBe(1);
    expect(stderr).toContain(hangs);
    expect(stderr).toContain(`kill -CONT ${pid} lets it go on; volley persist stop`);
  }
  expect(await volley(["persist", "stop"])).toEqual({
    code: 0,
    stdout: `process ${pid} did not answer and was killed, with its connections\n`,
    stderr: "",
  });
  expect(processStart(pid)).toBeUndefined();
  expect(readdirSync(place).filter((name) => name !== "key")).toEqual([]);
  expect(await volley(exec)).toMatchObject({ code: 0, stderr: expect.not.stringContaining("kept") });
});

function linkOr(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
