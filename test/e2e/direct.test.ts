import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { LOCK_PREFIX } from "../../src/agent/lock.ts";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { machineId } from "../../src/system/this-process.ts";
import { until } from "../lib/patience.ts";
import { fleetStarter, follow, hostOf, ofType, provision, start } from "./lib/drive.ts";
import { makeProject, playbookText, scratchDirectory, TWO_FILES } from "./lib/project.ts";

const scratch = scratchDirectory();
const LOCK = `${LOCK_PREFIX}${machineId()}`;
const startFleet = fleetStarter();
const DIRECT = { via: "direct" } as const;
const withoutNode = (count: number): Promise<EmbeddedFleet> =>
  startFleet({ count, faults: () => ({ kind: "noNode" }) });
const tasks = (code: string): string =>
  playbookText(`{ name: "Play", hosts: "all", tasks: ({ task, facts, host, system }) => { ${code} } }`);

test("hosts without Node: the first run changes, the second does not, and nothing is sent but content", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await withoutNode(5);
  const first = await provision(project, fleet, DIRECT);
  expect(first.summary).toMatchObject({
    exitCode: 0,
    outcomes: { ok: 5 },
    tally: { changed: 10, unchanged: 0 },
  });
  expect(ofType(first.events, "host:start").map(({ method }) => method)).toEqual(Array(5).fill("direct"));
  expect(fleet.hosts.map(({ home }) => readFileSync(join(home, "b"), "utf8"))).toEqual(Array(5).fill("b\n"));
  const second = await provision(project, fleet, DIRECT);
  expect(second.summary).toMatchObject({ exitCode: 0, tally: { changed: 0, unchanged: 10 } });
  expect(second.summary.hosts.every(({ uploadedBytes }) => uploadedBytes === 0)).toBe(true);
  // The lock is gone, and neither bundle nor journal was there.
  const kept = readdirSync(join(fleet.hosts[0]!.home, ".cache/volley"));
  // Compiled code is lent to the hosts of tests.
  expect(kept.filter((name) => name !== "compiled")).toEqual([]);
});

/** List all that lies in the hosts' homes. */
function filesOf({ hosts }: EmbeddedFleet): readonly (readonly string[])[] {
  return hosts.map(({ home }) => readdirSync(home, { encoding: "utf8", recursive: true }).sort());
}

test("check mode touches nothing and carries diffs", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({ count: 2 });
  const before = filesOf(fleet);
  const { events, summary } = await provision(project, fleet, { ...DIRECT, check: true, diff: true });
  expect(summary).toMatchObject({ check: true, exitCode: 0, tally: { changed: 4 } });
  expect(filesOf(fleet)).toEqual(before);
  expect(ofType(events, "task:end").every(({ result }) => result.diff !== undefined)).toBe(true);
});

describe("auto", () => {
  test("works directly where there is no usable Node, says so once, and sends a bundle elsewhere", async () => {
    const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
    const faults = [undefined, { kind: "noNode" }, { kind: "oldNode" }] as const;
    const fleet = await startFleet({ count: 3, faults: (index) => faults[index] });
    for (const changed of [6, 0]) {
      const { events, summary } = await provision(project, fleet, { via: "auto" });
      expect(summary).toMatchObject({ exitCode: 0, tally: { changed, unchanged: 6 - changed } });
      const methods = new Map(ofType(events, "host:start").map(({ host, method }) => [host, method]));
      expect([...methods].sort()).toEqual([
        ["web01", "bundle"],
        ["web02", "direct"],
        ["web03", "direct"],
      ]);
      const told = ofType(events, "log").filter(({ text }) => text.includes("no usable Node"));
      expect(told.map(({ host }) => host).sort()).toEqual(["web02", "web03"]);
      expect(summary.hosts.map(({ uploadedBytes }) => uploadedBytes > 0)).toEqual([
        changed > 0,
        false,
        false,
      ]);
    }
  });

  test("works directly where Node has gone since the bundle was sent", async () => {
    const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
    const fleet = await withoutNode(1);
    // The prelude looks there too.
    const node = join(fleet.hosts[0]!.home, ".cache/volley/node");
    mkdirSync(join(node, "bin"), { recursive: true });
    symlinkSync(process.execPath, join(node, "bin/node"));
    const before = await provision(project, fleet, { via: "auto" });
    expect(ofType(before.events, "host:start")[0]?.method).toBe("bundle");
    rmSync(node, { recursive: true });
    const { events, summary } = await provision(project, fleet, { via: "auto" });
    expect(summary).toMatchObject({ exitCode: 0, tally: { unchanged: 2 } });
    expect(ofType(events, "host:start")[0]?.method).toBe("direct");
  });
});

test("facts, templates, processes, output and handlers are the host's", async () => {
  const project = makeProject(scratch(), {
    "site.ts": tasks(`
      task("facts", debug({ msg: facts.env.HOME + " " + facts.env.VOLLEY_EMBEDDED_HOST + " " + facts.distribution }));
      task("command", command({ cmd: "sh -c 'echo $HOME; echo live; echo $VOLLEY_EMBEDDED_HOST >&2'" }));
      task("home", copy({ content: "x", dest: "~/from-home" }));
      console.log("a role says %d", 42);
    `),
  });
  const fleet = await startFleet({ count: 2 });
  const { events, summary } = await provision(project, fleet, DIRECT);
  expect(summary.exitCode).toBe(0);
  for (const { name, home } of fleet.hosts) {
    const mine = events.filter((event) => "host" in event && event.host === name);
    const [facts, command] = ofType(mine, "task:end");
    expect(facts?.result.message).toContain(`${home} ${name} `);
    expect(command?.result.data).toMatchObject({ stdout: `${home}\nlive`, stderr: name });
    expect(
      ofType(mine, "task:output")
        .map(({ text }) => text)
        .join(""),
    ).toContain("live");
    expect(ofType(mine, "log").map(({ text }) => text)).toContain("a role says 42");
    expect(readFileSync(join(home, "from-home"), "utf8")).toBe("x");
  }
});

test("state of a playbook's modules is each host's own", async () => {
  const project = makeProject(scratch(), {
    "site.ts": `import { debug, definePlaybook } from "volley"; let count = 0;
export default definePlaybook([{ name: "Play", hosts: "all", tasks: ({ task }) => { count++; task("count", debug({ msg: String(count) })); } }]);`,
  });
  const fleet = await startFleet({ count: 3 });
  const { events } = await provision(project, fleet, DIRECT);
  expect(ofType(events, "task:end").map(({ result }) => result.message)).toEqual(Array(3).fill("1"));
});

test("a host without SFTP fails with what to do about it", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({
    count: 2,
    faults: (index) => (index === 0 ? { kind: "noSftp" } : undefined),
  });
  const { summary } = await provision(project, fleet, DIRECT);
  expect(hostOf({ summary }, "web01")).toMatchObject({
    outcome: "failed",
    error: { code: "SFTP_UNAVAILABLE", hint: "its sshd_config needs a Subsystem sftp line" },
  });
  expect(hostOf({ summary }, "web02").outcome).toBe("ok");
});

test("a connection that goes amid a task loses the host, with an honest tally", async () => {
  const project = makeProject(scratch(), {
    "site.ts": tasks(`
      task("first", copy({ content: "1", dest: "~/first" }));
      task("long", command({ cmd: "sleep 600" }));
      task("last", copy({ content: "2", dest: "~/last" }));
    `),
  });
  const fleet = await startFleet({ count: 1 });
  const { summary } = await follow(start(project, fleet, DIRECT), (event) => {
    if (event.type === "task:start" && event.name === "long") fleet.hosts[0]!.dropConnections();
  });
  expect(hostOf({ summary }, "web01")).toMatchObject({
    outcome: "lost",
    tally: { changed: 1, failed: 1, notExecuted: 1 },
    error: { code: "CONNECTION_LOST" },
  });
  expect(summary.exitCode).toBe(4);
  expect(existsSync(join(fleet.hosts[0]!.home, "last"))).toBe(false);
  // The shell that held the lock went with the connection.
  await until(() => !existsSync(join(fleet.hosts[0]!.home, ".cache/volley", LOCK)));
});

test("a cancelled run ends the process on the host", async () => {
  const project = makeProject(scratch(), {
    "site.ts": tasks(
      `task("long", command({ cmd: "sh -c 'echo $$ > pid; exec sleep 600'" })); task("never", debug({ msg: "x" }));`,
    ),
  });
  const fleet = await startFleet({ count: 1 });
  const running = start(project, fleet, DIRECT);
  const pidFile = join(fleet.hosts[0]!.home, "pid");
  const { summary } = await follow(running, (event) => {
    if (event.type !== "task:start") return;
    void until(() => existsSync(pidFile) && readFileSync(pidFile, "utf8") !== "").then(() => {
      running.cancel();
      running.cancel();
    });
  });
  expect(summary.exitCode).toBe(130);
  const pid = readFileSync(pidFile, "utf8").trim();
  await until(() => !existsSync(`/proc/${pid}/cwd`));
});

test("handlers a failed run leaves over are run by the next, whichever way it works", async () => {
  const site = (content: string, command: string): string =>
    playbookText(`{ name: "Play", hosts: "all",
      handlers: { told: copy({ content: "told", dest: "~/told" }) },
      tasks: ({ task }) => {
        task("conf", copy({ content: "${content}", dest: "~/conf" }), { notify: "told" });
        task("may fail", command({ cmd: "${command}" }));
      } }`);
  const project = makeProject(scratch(), { "site.ts": site("1", "false") });
  const fleet = await startFleet({ count: 1 });
  const told = join(fleet.hosts[0]!.home, "told");
  expect((await provision(project, fleet, DIRECT)).summary.exitCode).toBe(2);
  expect(existsSync(told)).toBe(false);
  project.write("site.ts", site("1", "true"));
  const again = await provision(project, fleet);
  expect(again.summary.hosts[0]).toMatchObject({ outcome: "ok", failures: [] });
  expect(readFileSync(told, "utf8")).toBe("told");
});

test("two runs of one user on a host keep each other out, whichever way they work", async () => {
  const long = tasks(
    `task("long", command({ cmd: "sh -c 'echo > begun; while [ ! -e end ]; do sleep 0.05; done'" }));`,
  );
  const project = makeProject(scratch(), { "site.ts": long });
  const other = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({ count: 1 });
  const { home } = fleet.hosts[0]!;
  for (const [mine, theirs] of [
    [DIRECT, DIRECT],
    [DIRECT, {}],
    [{}, DIRECT],
  ] as const) {
    const running = follow(start(project, fleet, mine));
    await until(() => existsSync(join(home, "begun")));
    const { summary } = await provision(other, fleet, { ...theirs, lockWaitMs: 300 });
    expect(hostOf({ summary }, "web01").error).toMatchObject({ code: "LOCKED" });
    writeFileSync(join(home, "end"), "");
    expect((await running).summary.exitCode).toBe(0);
    for (const name of ["begun", "end"]) rmSync(join(home, name));
  }
});
