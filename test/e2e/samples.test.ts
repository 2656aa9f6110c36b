import { cpSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { builtCli } from "./lib/cli.ts";
import { fleetStarter } from "./lib/drive.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, type Project, scratchDirectory } from "./lib/project.ts";

// The playbooks and roles of the checkout: site.ts, site.yml, roles/.

const root = fileURLToPath(new URL("../..", import.meta.url));
const scratch = scratchDirectory();
const startFleet = fleetStarter();
beforeAll(async () => void (await builtCli()), 600_000);

function samples(): Project {
  const project = makeProject(scratch(), {});
  for (const name of ["site.ts", "site.yml", "roles", "inventory", "package.json"])
    cpSync(join(root, name), project.path(name), { recursive: true });
  return project;
}

test.each(["site.ts", "site.yml"])(
  "%s fits its inventory, and lists the tasks of both languages",
  async (site) => {
    const { directory: cwd } = samples();
    const checked = await volleyHere(["check", site, "-i", "inventory", "--no-types"], { cwd });
    expect(checked).toMatchObject({ code: 0, stderr: "" });
    const { stdout } = await volleyHere(["run", site, "-i", "inventory", "--list-tasks"], { cwd });
    expect(stdout).toContain("base : Create the administrator\tTAGS: []\n");
    expect(stdout).toContain("logrotate : Write the rules\tTAGS: [logs]\n");
    expect(stdout).toContain("web : Install nginx\tTAGS: [packages]\n");
  },
);

test("the role in YAML writes its rules and removes others, on hosts without root", async () => {
  const project = samples();
  const fleet = await startFleet({ count: 2 });
  const inventory = project.write(
    "inventory/fleet.yaml",
    `${fleet.inventoryYaml()}  children:\n    web:\n      hosts:\n        ${fleet.hosts[0]!.name}:\n      vars: {domain: www.example.org}\n`,
  );
  const run = () =>
    volleyHere(
      [
        ...["run", "site.yml", "-i", inventory, "--known-hosts", fleet.knownHostsPath, "-o", "ansible"],
        ...["--tags", "logs", "-e"],
        '{"logrotate_package": "", "logrotate_directory": "{{ ansible_env.HOME }}", "logrotate_try": ["true"]}',
      ],
      { cwd: project.directory },
    );
  const home = (index: number, name: string): string => join(fleet.hosts[index]!.home, name);
  const first = await run();
  expect(first).toMatchObject({ code: 0, stderr: "" });
  expect(first.stdout).toContain("RUNNING HANDLER [logrotate : Try the rules]");
  expect(readFileSync(home(0, "web-errors"), "utf8")).toBe(`# Ansible managed
/var/log/www.example.org.*.log {
    daily
    rotate 14
    missingok
    notifempty
    compress
    delaycompress
    create 0640 www-data adm
    postrotate
        [ ! -f /run/nginx.pid ] || kill -USR1 "$(cat /run/nginx.pid)"
    endscript
}
`);
  expect(readFileSync(home(1, "clean-up"), "utf8")).toContain(
    "/var/log/clean-up.log {\n    monthly\n    rotate 4\n",
  );
  expect(existsSync(home(1, "web-errors"))).toBe(false);
  const second = await run();
  expect(second.stdout).toMatch(/changed=0 .*\n.*changed=0 /);
});
