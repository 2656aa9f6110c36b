import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { builtCli, type CliEnd, volley } from "../lib/cli.ts";
import { makeProject, type Project, scratchDirectory } from "../lib/project.ts";

// The collection `volley.fleet` in contrib/ansible: its files, and playbooks that use it.

const COLLECTION = fileURLToPath(new URL("../../../contrib/ansible", import.meta.url));
const HAS_ANSIBLE = spawnSync("ansible-playbook", ["--version"]).status === 0;

const scratch = scratchDirectory();
let cli: string;
beforeAll(async () => {
  cli = await builtCli();
}, 600_000);

/** A project in whose `collections` the collection is installed. */
function withCollection(files: Readonly<Record<string, string>>): Project {
  const project = makeProject(scratch(), files);
  mkdirSync(project.path("collections/ansible_collections/volley"), { recursive: true });
  symlinkSync(COLLECTION, project.path("collections/ansible_collections/volley/fleet"));
  mkdirSync(project.path("home"));
  return project;
}

test("volley lint finds nothing in its role and its playbook", async () => {
  const project = withCollection({});
  const { code, stdout } = await volley(
    ["lint", "--strict", join(COLLECTION, "roles/bundle"), join(COLLECTION, "playbooks/provision.yml")],
    { cwd: project.directory, env: { ANSIBLE_COLLECTIONS_PATH: project.path("collections") } },
  );
  expect(stdout).toContain("11 files: nothing found");
  expect(code).toBe(0);
});

test("galaxy.yml names the version that its files have", () => {
  const read = (name: string): unknown => parse(readFileSync(join(COLLECTION, name), "utf8"));
  expect(read("galaxy.yml")).toMatchObject({ namespace: "volley", name: "fleet", license: ["MIT"] });
  expect(read("meta/runtime.yml")).toEqual({ requires_ansible: ">=2.14.0" });
});

describe("the script that runs a bundle", () => {
  const SCRIPT = readFileSync(join(COLLECTION, "roles/bundle/files/run.sh"), "utf8");
  const BUNDLE = '#!/bin/sh\necho "ran $*"; cat\n';
  const ID = createHash("sha256").update(BUNDLE).digest("hex");

  const start = (home: string, sent: string, ...options: readonly string[]) =>
    spawnSync("/bin/sh", ["-c", SCRIPT, "volley", ID, sent, ...options], {
      env: { HOME: home, PATH: process.env.PATH },
      input: "vars",
      encoding: "utf8",
    });

  test("asks for a bundle that is missing, takes one that is whole, and runs it from then on", () => {
    const { directory: home } = makeProject(scratch(), {});
    const cache = join(home, ".cache/volley/bundles");
    const { stdout, status } = start(home, "", "--local", "a");
    const sent = /^volley:absent (.*)\n$/.exec(stdout)?.[1];
    expect(status).toBe(0);
    expect(sent).toMatch(new RegExp(`^${cache}/\\.${ID}\\.\\d+\\.tmp$`));
    expect(statSync(cache).mode & 0o777).toBe(0o700);

    writeFileSync(sent!, `${BUNDLE}#`);
    expect(start(home, sent!)).toMatchObject({ status: 1, stderr: "volley: the bundle arrived damaged\n" });
    expect(readdirSync(cache)).toEqual([]);

    writeFileSync(sent!, BUNDLE);
    expect(start(home, sent!, "--local", "a")).toMatchObject({ status: 0, stdout: "ran --local a\nvars" });
    expect(readdirSync(cache)).toEqual([`${ID}.run`]);
    expect(start(home, "", "b c")).toMatchObject({ status: 0, stdout: "ran b c\nvars" });

    // A disk may lose a part of a file.
    writeFileSync(join(cache, `${ID}.run`), BUNDLE.slice(1));
    expect(start(home, "").stdout).toMatch(/^volley:absent /);
  });

  test("keeps the five bundles used last", () => {
    const { directory: home } = makeProject(scratch(), {});
    const cache = join(home, ".cache/volley/bundles");
    mkdirSync(cache, { recursive: true });
    // Names as long as those of bundles: a short one would be part of the command of another test's process.
    const names = Array.from({ length: 7 }, (_, index) => `${String(index + 1).repeat(64)}.run`);
    for (const [index, name] of names.entries()) {
      writeFileSync(join(cache, name), "");
      utimesSync(join(cache, name), index + 1, index + 1);
    }
    writeFileSync(join(cache, "sent"), BUNDLE);
    expect(start(home, join(cache, "sent")).status).toBe(0);
    expect(readdirSync(cache).sort()).toEqual([...names.slice(3), `${ID}.run`].sort());
  });
});

const SITE = `
import { copy, debug, definePlaybook, fail } from "volley";
export default definePlaybook([
  { name: "Web", hosts: "web", tasks: ({ task, vars, host }) => {
    task("Write", copy({ dest: vars.directory + "/" + host.name, content: vars.word + "\\n" }));
    task("Say", debug("the password is " + vars.password));
    task("Break", fail("no {{ 6 * 7 }} with " + vars.password), { when: vars.breaks === true });
  } },
  { name: "Db", hosts: "db", tasks: ({ task }) => void task("Never here", fail("a play for other hosts")) },
]);
`;

describe.skipIf(!HAS_ANSIBLE)("ansible-playbook, which is absent where this is skipped,", () => {
  const play = (project: Project, ...args: readonly string[]): Promise<CliEnd> =>
    new Promise((resolve) =>
      execFile(
        "ansible-playbook",
        ["-i", "hosts.yml", "site.yml", ...args],
        {
          cwd: project.directory,
          env: {
            ...process.env,
            ANSIBLE_COLLECTIONS_PATH: project.path("collections"),
            ANSIBLE_NOCOLOR: "1",
            ANSIBLE_NOCOWS: "1",
            HOME: project.path("home"),
            XDG_CACHE_HOME: project.path("home/.cache"),
          },
        },
        (error, stdout, stderr) =>
          resolve({ code: (error?.code as number | undefined) ?? 0, stdout, stderr }),
      ),
    );

  const makeSite = (): Project => {
    const project = withCollection({
      "site.ts": SITE,
      "hosts.yml": `
all:
  vars: { ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}" }
  children:
    web: { hosts: { web1: {}, web2: { app_breaks: true } } }
    db: { hosts: { db1: {} } }
`,
    });
    project.write(
      "site.yml",
      `
- hosts: web
  gather_facts: false
  roles:
    - role: volley.fleet.bundle
      vars:
        volley_command: ${JSON.stringify([process.execPath, cli])}
        volley_vars:
          directory: ${project.directory}
          word: "of {{ inventory_hostname }}"
          password: open sesame
          breaks: "{{ app_breaks | default(false) }}"
        volley_secrets: [password]
  tasks:
    - debug: { msg: "tally {{ volley_tally.changed }} of {{ volley_events | length }} events" }
`,
    );
    return project;
  };

  test("changes nothing in check mode, shows differences, and counts what would change", async () => {
    const project = makeSite();
    const { code, stdout } = await play(project, "--check", "--diff", "--limit", "web1");
    expect(stdout).toMatch(/^web1 +: ok=\d+ +changed=1 +unreachable=0 +failed=0 /m);
    expect(stdout).toContain('"+of web1"');
    expect(existsSync(project.path("web1"))).toBe(false);
    expect(code).toBe(0);
  });

  test("fails the hosts that failed, by their own vars and plays, and tells no secret", async () => {
    const project = makeSite();
    const first = await play(project, "-vvv");
    expect(first.stdout).toMatch(/^web1 +: ok=\d+ +changed=1 +unreachable=0 +failed=0 /m);
    expect(first.stdout).toMatch(/^web2 +: ok=\d+ +changed=1 +unreachable=0 +failed=1 /m);
    expect(first.stdout).toContain('"failed: Web : Break: no {{ 6 * 7 }} with ********"');
    expect(first.stdout).toMatch(/"msg": "tally 1 of \d+ events"/);
    expect(`${first.stdout}${first.stderr}`).not.toContain("sesame");
    expect(readFileSync(project.path("web1"), "utf8")).toBe("of web1\n");
    expect(readFileSync(project.path("web2"), "utf8")).toBe("of web2\n");
    expect(first.code).toBe(2);

    const second = await play(project, "--limit", "web1");
    expect(second.stdout).toMatch(/^web1 +: ok=\d+ +changed=0 +unreachable=0 +failed=0 /m);
    expect(second.stdout).toContain("skipping: [web1]");
    expect(second.code).toBe(0);
  });
});
