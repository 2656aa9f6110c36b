import type { ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, it } from "vitest";
import { listRuns, runsDirectory } from "../../src/controller/records/records.ts";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { PATIENCE_MS, until } from "../lib/patience.ts";
import { ask, type TestViewer, versionOf, view } from "../reporter/web/viewer.ts";
import { type CliEnd, volley } from "./lib/cli.ts";
import { fleetStarter } from "./lib/drive.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, type Project, playbookText, scratchDirectory, waitFor } from "./lib/project.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();
const SITE = playbookText(`{ name: "Only", hosts: "all", tasks: ({ task, facts }) => {
  task("First", command(["true"]));
  task("Wait for the test", ${waitFor("go")});
  task("Last", command(["true"]));
} }`);

async function prepare(
  count: number,
): Promise<{ fleet: EmbeddedFleet; project: Project; args: readonly string[] }> {
  const fleet = await startFleet({ count });
  const project = makeProject(scratch(), { "site.ts": SITE });
  const inventory = project.write("inventory.yaml", fleet.inventoryYaml());
  return { fleet, project, args: ["run", "site.ts", "-i", inventory, "--known-hosts", fleet.knownHostsPath] };
}

/** Starts a command with `--web`; returns its end, and the page's address as soon as it is told. */
async function startWeb(
  args: readonly string[],
  cwd: string,
): Promise<{ readonly end: Promise<CliEnd>; readonly url: string; readonly child: ChildProcess }> {
  let child!: ChildProcess;
  let stderr = "";
  const end = volley(args, {
    cwd,
    on: (started) => {
      child = started;
      child.stderr!.on("data", (text: string) => {
        stderr += text;
      });
    },
  });
  const address = /http:\/\/127\.0\.0\.1:\d+\/[\w-]{32}\//;
  await until(() => address.test(stderr));
  return { end, url: address.exec(stderr)![0], child };
}

/** Opens the page once the hosts have done the first of their three tasks. */
async function viewAtWork(url: string, hosts: number): Promise<TestViewer> {
  const atWork = async (): Promise<string | undefined> => {
    const { body } = await ask(url);
    return body.match(/<span class="now">1\/3 /g)?.length === hosts ? body : undefined;
  };
  await expect.poll(atWork, { timeout: PATIENCE_MS, interval: 100 }).toBeDefined();
  return view(url, versionOf((await ask(url)).body));
}

function release({ hosts }: EmbeddedFleet): void {
  for (const { home } of hosts) writeFileSync(join(home, "go"), "");
}

it("run --web shows the run while it goes on, and its report at the end, beside the output asked for", async () => {
  const { fleet, project, args } = await prepare(2);
  const { end, url } = await startWeb([...args, "-o", "json", "--web"], project.directory);
  const viewer = await viewAtWork(url, 2);
  release(fleet);
  const { code, stdout, stderr } = await end;
  expect(code).toBe(0);
  expect(stderr).toBe(`The run in a browser: ${url}\n`);
  expect(JSON.parse(stdout.trim().split("\n").at(-1)!)).toMatchObject({ type: "run:end" });
  const last = await viewer.frame(({ ended }) => ended !== undefined);
  expect(last.parts.summary).toContain("exit code 0");
  expect(Object.keys(last.ended!.data.hosts)).toEqual(fleet.hosts.map(({ name }) => name));
  await until(() => viewer.isClosed);
});

it("attach --web shows what was done before, too", async () => {
  const { fleet, project, args } = await prepare(1);
  const first = await startWeb([...args, "-o", "json", "--web"], project.directory);
  await viewAtWork(first.url, 1);
  first.child.kill("SIGKILL");
  await first.end;
  const second = await startWeb(["attach", "-o", "plain", "--web"], project.directory);
  expect(second.url).not.toBe(first.url);
  const viewer = await viewAtWork(second.url, 1);
  release(fleet);
  expect((await second.end).code).toBe(0);
  const { ended } = await viewer.frame((frame) => frame.ended !== undefined);
  const [letters] = ended!.data.hosts[fleet.hosts[0]!.name] as [string];
  expect(letters).toHaveLength(3);

  const [run] = listRuns(runsDirectory());
  const again = await volleyHere(["attach", run!, "-o", "plain", "--web"], { cwd: project.directory });
  expect(again).toMatchObject({
    code: 0,
    stderr: `volley: run ${run} has ended: volley report ${run} writes its page\n`,
  });
});

it("a port that is taken, or is none, is told before anything is started", async () => {
  const { project, args } = await prepare(1);
  const runs = listRuns(runsDirectory()).length;
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as AddressInfo;
  const taken = await volleyHere([...args, "--web", String(port)], { cwd: project.directory });
  other.close();
  expect(taken.code).toBe(1);
  expect(taken.stdout).toBe("");
  expect(taken.stderr.split("\n")[0]).toContain(
    `cannot open port ${port} of 127.0.0.1: another program uses it`,
  );
  const wrong = await volleyHere([...args, "--web", "65536"], { cwd: project.directory });
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toContain("It must be a port of 0 to 65535.");
  expect(listRuns(runsDirectory())).toHaveLength(runs);
});
