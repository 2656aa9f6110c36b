import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { listRuns, runsDirectory } from "../../src/controller/records/records.ts";
import { fleetStarter } from "./lib/drive.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, playbookText, scratchDirectory } from "./lib/project.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();

const siteFailingIn = (home: string): string =>
  playbookText(`{ name: "One", hosts: "all", tasks: ({ task, facts }) => {
  task("Write a file", copy({ content: "a & b\\n", dest: \`\${facts.env.HOME}/a\` }));
  task("Wait", shell("sleep 0.2"));
  task("Say <b>no</b>", shell("echo '<script>out</script>'; exit 3"), { when: () => facts.env.HOME === ${JSON.stringify(home)} });
} }`);

it("a run with --timing says where the time went, and volley report makes a page of its log", async () => {
  const fleet = await startFleet({ count: 3 });
  const project = makeProject(scratch(), { "site.ts": siteFailingIn(fleet.hosts[1]?.home ?? "") });
  const inventory = project.write("inventory.yaml", fleet.inventoryYaml());
  const cwd = project.directory;
  const args = ["run", "site.ts", "-i", inventory, "--known-hosts", fleet.knownHostsPath, "--diff"];
  const failing = fleet.hosts[1]?.name ?? "";

  const ran = await volleyHere([...args, "--timing", "-o", "plain"], { cwd });
  expect(ran.code).toBe(2);
  const [before, timing = ""] = ran.stdout.split("\nphase ");
  expect(before).toContain("fleet: ");
  for (const phase of ["build", "connect", "authenticate", "upload", "start", "facts", "tasks"])
    expect(timing).toMatch(new RegExp(`^${phase} `, "m"));
  expect(timing).toMatch(/^One : Wait \(shell\) +[\d.]+(?:ms|s) /m);

  const [run = ""] = listRuns(runsDirectory());
  const told = await volleyHere(["report"], { cwd });
  expect(told).toMatchObject({ code: 0, stderr: "" });
  expect(told.stdout).toMatch(new RegExp(`^${run}\\.html \\(\\d+ kB\\)\n$`));
  const page = readFileSync(join(cwd, `${run}.html`), "utf8");
  expect(page).toContain("<h1>site.ts on 3 hosts</h1>");
  expect(page).toContain(`<b>${failing}</b>`);
  expect(page).toContain("Say &lt;b&gt;no&lt;/b&gt;");
  expect(page).toContain("&lt;script&gt;out&lt;/script&gt;");
  expect(page).toContain("<ins>+a &amp; b</ins>");
  for (const { name } of fleet.hosts) expect(page).toContain(`data-host="${name}"`);

  // By the beginning of its name, to standard output: the same page.
  const again = await volleyHere(["report", run.slice(0, -1), "-o", "-"], { cwd });
  expect(again.stdout).toBe(page);

  const json = await volleyHere([...args, "--timing", "-o", "json"], { cwd });
  expect(json.stderr).toContain("slowest host");
  expect(
    json.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).type)
      .at(-1),
  ).toBe("run:end");
  project.write("events.ndjson", json.stdout);
  const ofFile = await volleyHere(["report", "events.ndjson", "--out", "events.html"], { cwd });
  expect(ofFile).toMatchObject({ code: 0, stderr: "" });
  expect(readFileSync(join(cwd, "events.html"), "utf8")).toContain("<h1>site.ts on 3 hosts</h1>");
});

it("says what is wrong with the name of a run, and writes nothing", async () => {
  const project = makeProject(scratch(), {});
  const missing = await volleyHere(["report", "20010101"], { cwd: project.directory });
  expect(missing.code).toBe(1);
  expect(missing.stderr).toBe("volley: there is no run 20010101 here (volley runs lists them)\n");
  project.write("empty.ndjson", "");
  const empty = await volleyHere(["report", "empty.ndjson"], { cwd: project.directory });
  expect(empty.code).toBe(1);
  expect(empty.stderr).toMatch(/^volley: nothing is known of run empty: its log is empty or gone/);
  expect(existsSync(project.path("empty.html"))).toBe(false);
  const nowhere = await volleyHere(["report", "@last", "-o", "no/such/place.html"], {
    cwd: project.directory,
  });
  expect(nowhere.code).toBe(1);
  expect(nowhere.stderr).toBe(
    "volley: cannot write no/such/place.html: there is no such directory (name another file with -o)\n",
  );
});
