import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { listPlaybookRuns, readSummary, runsDirectory } from "../../src/controller/records/records.ts";
import type { Event } from "../../src/core/events.ts";
import { builtCli, type CliEnd, volley } from "./lib/cli.ts";
import { ofType } from "./lib/drive.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, type Project, playbookText, scratchDirectory, waitFor } from "./lib/project.ts";
import { hosts } from "./lib/sources.ts";
import { openTerminal, tmuxAvailable } from "./lib/tmux.ts";

/** A play for some hosts that writes its host's name to a file below the home. */
const playFor = (hosts: string, name: string): string =>
  `{ name: "For ${hosts}", hosts: "${hosts}", tasks: ({ task, facts, host }) => void task("Write ${name}", copy({ content: \`\${host.name}\\n\`, dest: \`\${facts.env.HOME}/${name}\` })) }`;

/** A play that waits until a test lets it go on. */
const WAITS = `{ name: "Waits", hosts: "web2", tasks: ({ task, facts }) => {
  task("Wait", ${waitFor("go")}, { tags: "wait" });
  task("Note", shell("echo once >> ~/waited"), { tags: "wait" });
} }`;

const YAML = `- hosts: all
  gather_facts: false
  tasks:
    - name: Write yaml
      copy: { content: "{{ inventory_hostname }}\\n", dest: ~/yaml }
`;

const scratch = scratchDirectory();
let project: Project;
beforeAll(async () => {
  await builtCli();
  project = makeProject(scratch(), {
    "site.ts": playbookText(playFor("all", "all"), playFor("web", "web"), playFor(hostname(), "named")),
    "carried.ts": playbookText(playFor("all", "carried"), playFor("web", "carried-web"), WAITS),
    "site.yml": YAML,
    "web.ts": playbookText(playFor("web", "never")),
    // That way cannot be gone: this machine is reached without.
    "inventory/hosts.yaml": hosts["inventory/hosts.yaml"].replace(
      "web1:",
      "web1: { ansible_host: 192.0.2.1, ansible_connection: ssh, ansible_user: nobody }",
    ),
  });
}, 600_000);

const run = (...args: readonly string[]): Promise<CliEnd> =>
  volley(["run", "--local", ...args], { cwd: project.directory });
const homeFile = (name: string): string => join(process.env.HOME!, name);
const written = (name: string): string | undefined => {
  const path = homeFile(name);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
};

test("without an inventory this machine is localhost: plays for all, localhost and its host name", async () => {
  const end = await run("site.ts", "--output", "plain");
  expect(end).toMatchObject({ code: 0, stderr: "" });
  expect(end.stdout).toContain("localhost: 2 total actions");
  expect([written("all"), written("named"), written("web")]).toEqual([
    "localhost\n",
    "localhost\n",
    undefined,
  ]);
});

test("-l names the host of an inventory, whatever the way to it", async () => {
  const end = await run("site.ts", "-i", "inventory", "-l", "web1", "-o", "json");
  expect(end).toMatchObject({ code: 0, stderr: "" });
  expect([written("all"), written("named"), written("web")]).toEqual(["web1\n", "web1\n", "web1\n"]);
});

test("hosts and options that make no sense are refused in one line", async () => {
  const refusals: readonly (readonly [RegExp, ...string[]])[] = [
    [/no play is for this machine \(localhost, .*"web"/, "web.ts"],
    [/-l "web" names web1, web2/, "site.ts", "-l", "web"],
    [/-l "db" names no host|no host or group is called "db"/, "site.ts", "-l", "db"],
    [/has no host .* nor localhost .*web1, web2/, "site.ts", "-i", "inventory"],
    [/without a connection: leave out --user, --connection$/, "site.ts", "-u", "root", "-c", "ssh"],
  ];
  for (const [message, ...args] of refusals) {
    const end = await volleyHere(["run", "--local", ...args], { cwd: project.directory });
    expect(end, args.join(" ")).toMatchObject({ code: 1, stdout: "" });
    expect(end.stderr.trimEnd().split("\n")).toEqual([expect.stringMatching(message)]);
  }
});

describe("with a bundle", () => {
  beforeAll(async () => {
    const made = await volleyHere(["bundle", "carried.ts", "-i", "inventory", "-o", "site.run"], {
      cwd: project.directory,
    });
    expect(made).toMatchObject({ code: 0, stderr: "" });
    writeFileSync(homeFile("go"), "");
  });
  /** The records of runs, the latest first. */
  const recorded = (): readonly string[] => listPlaybookRuns(runsDirectory());

  test("the bundle is carried out as every run is, and recorded", async () => {
    const before = recorded().length;
    const end = await run("site.run", "-l", "web2");
    expect(end).toMatchObject({ code: 0, stderr: "" });
    expect(end.stdout).toMatch(/^carried\.ts on 1 host\n/);
    expect(end.stdout).toMatch(/^web2 +changed +For all : Write carried /m);
    expect(end.stdout).toMatch(/web2: 4 total actions/);
    expect([written("carried"), written("carried-web")]).toEqual(["web2\n", "web2\n"]);
    expect(recorded()).toHaveLength(before + 1);
    expect(readSummary(runsDirectory(), recorded()[0]!)).toMatchObject({
      playbook: "carried.ts",
      exitCode: 0,
      hosts: [{ host: "web2", outcome: "ok" }],
    });
    const shown = await volleyHere(["attach"], { cwd: project.directory });
    expect(shown).toMatchObject({ code: 0, stderr: "" });
    expect(shown.stdout).toContain("web2: 4 total actions");
  });

  test("check mode changes nothing and shows what would change; tags choose tasks", async () => {
    rmSync(homeFile("carried"), { force: true });
    const end = await run("site.run", "-l", "web1", "--check", "--diff", "--skip-tags", "other");
    expect(end).toMatchObject({ code: 0, stderr: "" });
    expect(end.stdout).toMatch(/CHECK MODE/);
    expect(end.stdout).toMatch(/^ *\+ ?web1$/m);
    expect(written("carried")).toBeUndefined();
    const none = await run("site.run", "-l", "web2", "--tags", "none", "-o", "json");
    expect(JSON.parse(none.stdout.trim().split("\n").at(-1)!)).toMatchObject({
      type: "run:end",
      summary: { tally: { changed: 0, unchanged: 0 }, exitCode: 0 },
    });
  });

  test("the run goes on when its controller is killed, and another picks it up", async () => {
    for (const name of ["go", "waited"]) rmSync(homeFile(name), { force: true });
    await volleyHere(["bundle", "carried.ts", "-i", "inventory", "-l", "web2", "-o", "one.run"], {
      cwd: project.directory,
    });
    const killed = await volley(["run", "--local", "one.run", "-t", "wait", "-o", "json"], {
      cwd: project.directory,
      on: (child) => {
        let seen = "";
        child.stdout!.on("data", (text: string) => {
          seen += text;
          if (/"type":"task:start".*"name":"Wait"/.test(seen)) child.kill("SIGKILL");
        });
      },
    });
    expect(killed.code).toBeNull();
    // The host is that of the run, although this bundle has several.
    copyFileSync(project.path("site.run"), project.path("one.run"));
    writeFileSync(homeFile("go"), "");
    const end = await volley(["attach", "-o", "json"], { cwd: project.directory });
    expect(end).toMatchObject({ code: 0, stderr: "" });
    const events = end.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Event);
    expect(ofType(events, "task:end").map(({ name, result }) => [name, result.state])).toEqual([
      ["Wait", "changed"],
      ["Note", "changed"],
    ]);
    expect(written("waited")).toBe("once\n");
  });

  test.skipIf(!tmuxAvailable())(
    "on a terminal the run has its screen, and Ctrl-C twice ends the action, too",
    async () => {
      for (const name of ["go", "waited"]) rmSync(homeFile(name), { force: true });
      const terminal = openTerminal(
        [process.execPath, await builtCli(), ...["run", "--local", "site.run", "-l", "web2", "-t", "wait"]],
        { columns: 80, rows: 24, cwd: project.directory, env: { HOME: process.env.HOME! } },
      );
      try {
        const rows = await terminal.see(/● web2 .*Wait/);
        expect(rows).toMatch(/^volley carried\.ts/);
        expect(rows).toMatch(/^hosts 0\/1 done/m);
        terminal.press("Enter");
        await terminal.see(/Esc back/);
        terminal.press("C-c");
        await terminal.see("press Ctrl-C again to stop now");
        terminal.press("C-c");
        expect(await terminal.see("exit 130")).toMatch(/⊘ web2 was cancelled/);
      } finally {
        await terminal.close();
      }
    },
  );

  test("refusals name the host, the option or the file", async () => {
    const refusals: readonly (readonly [RegExp, ...string[]])[] = [
      [/was not made for .* \(say with -l .*web1, web2\)/, "site.run"],
      [/not made for "web9"/, "site.run", "-l", "web9"],
      [/leave out --inventory, --extra-vars/, "site.run", "-i", "inventory", "-e", "a=b"],
      [/--resume goes on with one/, "site.run", "site.run", "-l", "web1", "--resume"],
      [/cannot read none\.run/, "site.run", "none.run", "-l", "web1"],
      [/package is not a bundle|cannot read package/, "package"],
      [/site\.ts is a playbook/, "site.ts", "site.run"],
    ];
    for (const [message, ...args] of refusals) {
      const end = await volleyHere(["run", "--local", ...args], { cwd: project.directory });
      expect(end, args.join(" ")).toMatchObject({ code: 1, stdout: "" });
      expect(end.stderr.trimEnd().split("\n")).toEqual([expect.stringMatching(message)]);
    }
  });
});

test("a bundle of a YAML playbook shows its run as ansible-playbook does, whatever way its inventory has", async () => {
  const made = await volleyHere(["bundle", "site.yml", "-i", "localhost,", "-o", "yaml.run"], {
    cwd: project.directory,
  });
  expect(made).toMatchObject({ code: 0, stderr: "" });
  const end = await run("yaml.run");
  expect(end).toMatchObject({ code: 0, stderr: "" });
  expect(end.stdout).toMatch(/^TASK \[Write yaml\] \*+\nchanged: \[localhost\]/m);
  expect(written("yaml")).toBe("localhost\n");
});
