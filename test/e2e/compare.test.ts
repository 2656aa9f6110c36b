import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Comparison } from "../../src/compare/comparison.ts";
import type { Results } from "../../src/compare/results.ts";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { builtCli, type CliEnd, volley } from "./lib/cli.ts";
import { fleetStarter, keptBundles } from "./lib/drive.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, type Project, playbookText, scratchDirectory, TWO_FILES } from "./lib/project.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();
const TIMEOUT_MS = 400_000;

type Written = Comparison & { readonly format: number; readonly results: Results };

async function setUp(plays = TWO_FILES, count = 2): Promise<{ project: Project; fleet: EmbeddedFleet }> {
  const project = makeProject(scratch(), { "site.ts": playbookText(plays) });
  const fleet = await startFleet({ count });
  project.write("inventory.yaml", fleet.inventoryYaml());
  return { project, fleet };
}

function compare(
  { project, fleet }: { readonly project: Project; readonly fleet: EmbeddedFleet },
  args: readonly string[],
  on?: Parameters<typeof volley>[1]["on"],
): Promise<CliEnd> {
  const common = ["compare", "site.ts", "-i", "inventory.yaml", "--known-hosts", fleet.knownHostsPath];
  return volley([...common, ...args], {
    cwd: project.directory,
    env: { LC_ALL: "C.UTF-8" },
    ...(on === undefined ? {} : { on }),
  });
}

const leftDirectories = (): readonly string[] =>
  readdirSync(tmpdir()).filter((name) => name.startsWith("volley-compare-"));

test(
  "bundle with what earlier runs left and without, and a script",
  async () => {
    const { project, fleet } = await setUp();
    const before = leftDirectories();
    const files = ["--json", "out.json", "--csv", "out.csv"];
    const { code, stdout, stderr } = await compare({ project, fleet }, [
      ...[
        "--methods",
        "bundle",
        "--also",
        "script=true",
        "--both",
        "--runs",
        "2",
        "--rtt",
        "0,10ms",
        ...files,
      ],
    ]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const written = JSON.parse(readFileSync(project.path("out.json"), "utf8")) as Written;
    const { samples, results, hosts, conditions, remoteCpu, cancelled } = written;
    expect({ hosts, remoteCpu, cancelled }).toEqual({
      hosts: ["web01", "web02"],
      remoteCpu: "target",
      cancelled: false,
    });
    expect(conditions).toEqual([
      { cache: "cold", roundTripMs: 0 },
      { cache: "warm", roundTripMs: 0 },
      { cache: "cold", roundTripMs: 10 },
      { cache: "warm", roundTripMs: 10 },
    ]);
    // In turn, and in the second round the other way round.
    const order = samples.map(({ method, cache, roundTripMs }) => `${method} ${cache} ${roundTripMs}`);
    expect(order.slice(0, 8)).toEqual([
      ...["bundle cold 0", "script cold 0", "bundle warm 0", "script warm 0"],
      ...["bundle cold 10", "script cold 10", "bundle warm 10", "script warm 10"],
    ]);
    expect(order.slice(8)).toEqual(order.slice(0, 8).reverse());
    expect(samples).toHaveLength(16);
    for (const sample of samples) {
      expect(sample.wallMs).toBeGreaterThan(0);
      expect(sample.controllerCpuMs).toBeGreaterThanOrEqual(0);
      if (sample.method === "script") {
        expect(sample).not.toHaveProperty("sentBytes");
        expect(sample).toMatchObject({ hosts: [], phasesMs: {} });
        continue;
      }
      expect(sample.hosts.map(({ host, outcome, tally }) => [host, outcome, tally.unchanged])).toEqual([
        ["web01", "ok", 2],
        ["web02", "ok", 2],
      ]);
      expect(sample.remoteCpuMs).toBeGreaterThan(0);
      expect(sample.receivedBytes).toBeGreaterThan(1_000);
      expect(sample.flights).toBeGreaterThanOrEqual(5);
      for (const phase of ["build", "connect", "start", "facts", "tasks"] as const)
        expect(sample.phasesMs[phase]).toBeGreaterThanOrEqual(0);
      // A bundle for each host, or none.
      const isSent = sample.cache === "cold";
      expect(sample.sentBytes! > 100_000, `${sample.cache} sent ${sample.sentBytes}`).toBe(isSent);
      expect(sample.phasesMs.upload !== undefined && sample.sentBytes! > 100_000).toBe(isSent);
    }
    const [, , , last] = results.conditions;
    expect(last?.methods.map(({ method, runs }) => [method, runs])).toEqual([
      ["bundle", 2],
      ["script", 2],
    ]);
    expect(last?.methods[1]?.ratio).toMatchObject({ baseline: "bundle", pairs: 2, distinct: false });
    expect(results.caches.map(({ method, roundTripMs }) => [method, roundTripMs])).toEqual([
      ["bundle", 0],
      ["bundle", 10],
    ]);
    // A command that went through no proxy had no delay.
    expect(results.slopes.map(({ method, cache }) => [method, cache])).toEqual([
      ["bundle", "cold"],
      ["bundle", "warm"],
    ]);

    expect(stdout).toContain("site.ts on 2 hosts");
    expect(stdout).toMatch(/^ {2}wall +\d+ ms +[\d.]+ ms$/m);
    expect(stdout).toMatch(/too few for an\s+interval,\s+6 are needed/);
    expect(stdout).toContain("script: its connections did not go through the proxies");
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(stderr.split("\n").filter((line) => / run \d: \d/.test(line))).toHaveLength(16);
    expect(readFileSync(project.path("out.csv"), "utf8").split("\r\n")).toHaveLength(1 + 16 + 1);
    expect(keptBundles(fleet.hosts[0]!).bundles).toHaveLength(1);
    expect(leftDirectories()).toEqual(before);
    // The runs of a comparison are not among the runs one looks at.
    expect((await volley(["runs"], { cwd: project.directory })).stdout).not.toContain("site.ts");
  },
  TIMEOUT_MS,
);

test(
  "a bundle and action by action, as a page",
  async () => {
    const both = await setUp();
    const args = ["--runs", "1", "--html", "page.html", "--csv", "-"];
    const { code, stdout, stderr } = await compare(both, args);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const [, bundle, direct, end] = stdout.split("\r\n").map((line) => line.split(","));
    expect([bundle, direct, end].map((fields) => fields?.[0])).toEqual(["bundle", "direct", ""]);
    // The same work, with many more words.
    expect(Number(direct![9])).toBeGreaterThan(Number(bundle![9]));
    const page = readFileSync(both.project.path("page.html"), "utf8");
    expect(page).toContain("site.ts on 2 hosts");
    expect(page).toContain("volley run site.ts --via direct");
    expect(page).not.toMatch(/>\s*NaN/);
  },
  TIMEOUT_MS,
);

const TOGGLE = `{ name: "Toggle", hosts: "all", tasks: ({ task }) => {
  task("Toggle", shell('if [ -e ~/on ]; then rm ~/on; echo off; else : >~/on; fi'), { changedWhen: ({ data }) => data.stdout.includes("off") });
} }`;

describe("runs that do not do the same", () => {
  test(
    "are refused, with what differs",
    async () => {
      const { code, stdout, stderr } = await compare(await setUp(TOGGLE), [
        "--methods",
        "bundle",
        "--runs",
        "4",
      ]);
      expect(code).toBe(1);
      expect(stdout).toBe("");
      expect(stderr).toMatch(
        /^volley: bundle \(warm, run 1\) and bundle \(warm, run 2\) did not do the same.*web01: ok with 1 \w+, then ok with 1 \w+; web02: ok with .*--reset/m,
      );
    },
    TIMEOUT_MS,
  );

  test(
    "do the same when the hosts are reset, here or there",
    async () => {
      const both = await setUp(TOGGLE, 1);
      const homes = both.fleet.hosts.map(({ home }) => home);
      const here = await compare(both, [
        ...[
          "--methods",
          "bundle",
          "--runs",
          "2",
          "--reset",
          `rm -f ${homes.map((home) => `${home}/on`).join(" ")}`,
        ],
      ]);
      expect(here).toMatchObject({ code: 0 });
      const there = await compare(both, [
        "--methods",
        "bundle",
        "--runs",
        "2",
        "--reset-hosts",
        "rm -f ~/on",
      ]);
      expect(there).toMatchObject({ code: 0 });
      const failing = await compare(both, ["--methods", "bundle", "--reset-hosts", "echo no >&2; false"]);
      expect(failing).toMatchObject({ code: 1, stdout: "" });
      expect(failing.stderr).toMatch(/^volley: web0\d: .* failed: no$/m);
    },
    TIMEOUT_MS,
  );
});

test(
  "commands go through the proxies with the inventory they are given, and only those that end well are compared",
  async () => {
    const both = await setUp();
    const cli = await builtCli();
    const line = (inventory: string): string =>
      `${process.execPath} ${cli} exec all -i ${inventory} --known-hosts ${both.fleet.knownHostsPath} -- true`;
    const { code, stderr } = await compare(both, [
      ...[
        "--methods",
        "none",
        "--also",
        `own=${line("{inventory}")}`,
        "--also",
        `around=${line("inventory.yaml")}`,
      ],
      ...["--runs", "1", "--json", "out.json"],
    ]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const { samples } = JSON.parse(readFileSync(both.project.path("out.json"), "utf8")) as Written;
    expect(samples.every(({ sentBytes = 0, flights = 0 }) => sentBytes > 1_000 && flights >= 3)).toBe(true);

    const failing = await compare(both, ["--methods", "none", "--also", "bad=echo sorry; exit 3"]);
    expect(failing).toMatchObject({ code: 1, stdout: "" });
    expect(failing.stderr).toMatch(/^volley: bad, warm-up: ended with exit code 3: sorry/m);
  },
  TIMEOUT_MS,
);

test(
  "Ctrl-C ends the run under way and shows what there is",
  async () => {
    const both = await setUp();
    const { project } = both;
    writeFileSync(project.path("slow.sh"), "[ -e begun ] && sleep 60; : >begun\n");
    let toldMs = 0;
    const { code, stdout } = await compare(
      both,
      ["--methods", "none", "--also", "slow=sh slow.sh", "--runs", "1"],
      async (child) => {
        while (!existsSync(project.path("begun"))) await sleep(50);
        await sleep(500);
        toldMs = performance.now();
        child.kill("SIGINT");
      },
    );
    expect(code).toBe(130);
    expect(stdout).toContain("The comparison was ended early.");
    expect(performance.now() - toldMs).toBeLessThan(60_000);
  },
  TIMEOUT_MS,
);

test.each([
  [["--rtt", "far"], /--rtt/],
  [["--runs", "0"], /--runs/],
  [["--methods", "agent"], /there is no method "agent"/],
  [["--also", "true"], /--also takes NAME=COMMAND/],
  [["--json", "-", "--csv", "-"], /only one of --json, --csv and --html/],
  [["--json", "nowhere/out.json"], /cannot write nowhere\/out\.json: there is no such directory/],
  [["--html", "."], /cannot write \.: it is a directory/],
])("%j is refused in one line", async (args, message) => {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES), inventory: "web1\n" });
  const { code, stdout, stderr } = await volleyHere(["compare", "site.ts", ...args], {
    cwd: project.directory,
  });
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(message);
});
