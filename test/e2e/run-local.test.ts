import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { builtCli, type CliEnd, volley } from "./lib/cli.ts";
import { makeProject, type Project, playbookText, scratchDirectory } from "./lib/project.ts";
import { hosts } from "./lib/sources.ts";

/** A play for some hosts that writes its host's name to a file below the home. */
const playFor = (hosts: string, name: string): string =>
  `{ name: "For ${hosts}", hosts: "${hosts}", tasks: ({ task, facts, host }) => void task("Write ${name}", copy({ content: \`\${host.name}\\n\`, dest: \`\${facts.env.HOME}/${name}\` })) }`;

const scratch = scratchDirectory();
let project: Project;
beforeAll(async () => {
  await builtCli();
  project = makeProject(scratch(), {
    "site.ts": playbookText(playFor("all", "all"), playFor("web", "web"), playFor(hostname(), "named")),
    "carried.ts": playbookText(playFor("all", "carried"), playFor("web", "carried-web")),
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
const written = (name: string): string | undefined => {
  const path = join(process.env.HOME!, name);
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
    const end = await run(...args);
    expect(end, args.join(" ")).toMatchObject({ code: 1, stdout: "" });
    expect(end.stderr.trimEnd().split("\n")).toEqual([expect.stringMatching(message)]);
  }
});

describe("with a bundle", () => {
  beforeAll(async () => {
    const made = await volley(["bundle", "carried.ts", "-i", "inventory", "-o", "site.run"], {
      cwd: project.directory,
    });
    expect(made).toMatchObject({ code: 0, stderr: "" });
  });

  test("the bundle is carried out, with check mode and tags", async () => {
    const end = await run("site.run", "-l", "web2", "--check");
    expect(end).toMatchObject({ code: 0, stderr: "" });
    expect(end.stdout).toMatch(/web2: 2 total actions/);
    const none = await run("site.run", "-l", "web2", "--tags", "none", "-o", "json");
    expect(JSON.parse(none.stdout.trim().split("\n").at(-1)!)).toMatchObject({
      type: "bye",
      tally: { changed: 0, unchanged: 0 },
    });
  });

  test("refusals name the host, the option or the file", async () => {
    const refusals: readonly (readonly [RegExp, ...string[]])[] = [
      [/was not made for .* \(say with -l .*web1, web2\)/, "site.run"],
      [/not made for "web9"/, "site.run", "-l", "web9"],
      [/leave out --inventory, --extra-vars/, "site.run", "-i", "inventory", "-e", "a=b"],
      [/as plain or json, not as ink/, "site.run", "-o", "ink"],
      [/cannot read none\.run/, "site.run", "none.run"],
      [/package is not a bundle|cannot read package/, "package"],
      [/site\.ts is a playbook/, "site.ts", "site.run"],
    ];
    for (const [message, ...args] of refusals) {
      const end = await run(...args);
      expect(end, args.join(" ")).toMatchObject({ code: 1, stdout: "" });
      expect(end.stderr.trimEnd().split("\n")).toEqual([expect.stringMatching(message)]);
    }
  });
});
