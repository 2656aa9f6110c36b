import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import {
  compareProject,
  manifestAdvice,
  starterFiles,
  writeProject,
} from "../../../src/cli/start/project.ts";
import { ROOT, readDocument } from "../../docs/markdown.ts";
import { volley } from "../../e2e/lib/cli.ts";
import { scratchDirectory } from "../../e2e/lib/project.ts";

const scratch = scratchDirectory();
let directory: string;
let count = 0;
beforeEach(() => {
  directory = join(scratch(), `start-${++count}`);
  mkdirSync(directory);
});

function put(name: string, text: string): void {
  mkdirSync(dirname(join(directory, name)), { recursive: true });
  writeFileSync(join(directory, name), text);
}

const read = (name: string): string => readFileSync(join(directory, name), "utf8");
const filesBelow = (): readonly string[] =>
  readdirSync(directory, { recursive: true, encoding: "utf8" }).sort();

test("the files are those that the README shows", () => {
  const { blocks } = readDocument("README.md");
  const files = Object.entries(starterFiles());
  expect(files.map(([name]) => name)).toEqual([
    "inventory/fleet.yaml",
    "roles/web/role.ts",
    "roles/web/templates/site.conf.j2",
    "site.ts",
    "tsconfig.json",
  ]);
  for (const [name, text] of files) expect(blocks.find(({ file }) => file === name)?.code, name).toBe(text);
});

describe("a new project", () => {
  test("is written, checked, and checked again when it is there", async () => {
    const first = await volley(["init", "my fleet"], { cwd: directory });
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.stdout).toContain("site.ts: 1 play compiles; vars, actions and assets fit for 2 hosts");
    expect(first.stdout).toMatch(/^Next:\n {2}cd 'my fleet'\n {2}npm install /m);
    for (const [name, text] of Object.entries(starterFiles())) expect(read(`my fleet/${name}`)).toBe(text);
    const manifest = JSON.parse(read("my fleet/package.json"));
    expect(manifest).toMatchObject({
      name: "my-fleet",
      type: "module",
      devDependencies: { typescript: expect.stringMatching(/^\^/) },
    });
    expect(manifest.dependencies.volley).toMatch(/^file:/);

    writeFileSync(join(directory, "my fleet/package.json"), '{ "type": "module" }\n');
    const again = await volley(["init", "my fleet"], { cwd: directory });
    expect(again.code).toBe(0);
    expect(again.stdout).toContain("all files are there already");
    expect(again.stdout).toContain("npm install --save-dev @types/node typescript");
    expect(read("my fleet/package.json")).toBe('{ "type": "module" }\n');
  });

  test("leaves all as it is where a file of its own is there with another content", async () => {
    put("site.ts", "mine\n");
    mkdirSync(join(directory, "tsconfig.json"));
    const { code, stdout, stderr } = await volley(["init"], { cwd: directory });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toBe(
      "volley: nothing was written: site.ts, tsconfig.json are there already in . (name another directory, or move these files away)\n",
    );
    expect(filesBelow()).toEqual(["site.ts", "tsconfig.json"]);
  });

  test("checks types where the packages are installed, by the Volley of the project", async () => {
    symlinkSync(join(ROOT, "node_modules"), join(directory, "node_modules"));
    put("package.json", '{ "type": "module" }\n');
    const { code, stdout } = await volley(["init"], { cwd: directory });
    // Volley itself is not among its own packages.
    expect({ code, told: stdout.includes("Types are checked once") }).toEqual({ code: 0, told: true });
  });
});

describe("writing", () => {
  test("is all or nothing", () => {
    const project = join(directory, "a/b");
    const files = { "one.txt": "1", "below/two.txt": "2", [`${"x".repeat(300)}.txt`]: "3" };
    expect(() => writeProject(project, files)).toThrow(/cannot write .*xxx/);
    expect(filesBelow()).toEqual([]);
  });

  test("never replaces a file, nor a link that leads nowhere", () => {
    symlinkSync("nowhere", join(directory, "two.txt"));
    expect(compareProject(directory, { "two.txt": "2" })).toEqual({ missing: [], different: ["two.txt"] });
    expect(() => writeProject(directory, { "one.txt": "1", "two.txt": "2" })).toThrow("cannot write");
    expect(filesBelow()).toEqual(["two.txt"]);
    expect(existsSync(join(directory, "nowhere"))).toBe(false);
  });

  test.each(["f", "f/g"])("refuses %s, which is no directory", (path) => {
    put("f", "");
    expect(() => compareProject(join(directory, path), { "site.ts": "" })).toThrow(
      "its path leads through a file",
    );
  });
});

test("the advice on a package.json names only what it lacks", () => {
  put(
    "package.json",
    '{ "dependencies": { "volley": "1", "valibot": "1" }, "devDependencies": { "typescript": "5" } }',
  );
  expect(manifestAdvice(directory).map(([command]) => command)).toEqual([
    "npm pkg set type=module",
    "npm install --save-dev @types/node",
  ]);
});

describe("from a project of Ansible's", () => {
  const TASKS = "- name: Say\n  ansible.builtin.debug:\n    msg: '{{ inventory_hostname }}'\n";
  const SITE = `
- name: Base
  hosts: all
  become: true
  gather_facts: true
  roles: [base]
- hosts: [web, "!old"]
  become: true
  become_user: app
  vars: { a: 1 }
  roles:
    - { role: nginx, listen_on: 8080, tags: [web, "http,tls"] }
    - role: base
      vars: { level: 2 }
- name: By hand
  hosts: db
  tasks: []
- name: Conditional
  hosts: db
  roles: [{ role: base, when: later }]
`;

  beforeEach(() => {
    put("ansible.cfg", "[defaults]\ninventory = prod.ini\n");
    put("prod.ini", "[web]\nweb1\n[old]\n[db]\ndb1\n");
    put("site.yml", SITE);
    for (const role of ["base", "nginx"]) put(`roles/${role}/tasks/main.yml`, TASKS);
  });

  test("gives its roles to the hosts of its playbooks, and leaves its files alone", async () => {
    const before = filesBelow();
    const { code, stdout, stderr } = await volley(["init", "--from-ansible", directory], { cwd: scratch() });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(read("site.ts")).toBe(`import { ansibleRole, definePlaybook } from "volley";

export default definePlaybook([
  { name: "Base", hosts: "all", become: true, roles: [ansibleRole("base")] },
  {
    hosts: "web,!old",
    become: "app",
    vars: { a: 1 },
    roles: [
      ansibleRole("nginx", { vars: { listen_on: 8080 }, tags: ["web", "http", "tls"] }),
      ansibleRole("base", { vars: { level: 2 } }),
    ],
  },
]);
`);
    expect(stdout).toContain("left in YAML: site.yml:15:3: the play has tasks\n");
    expect(stdout).toContain("left in YAML: site.yml:18:3: a role of the play has when\n");
    expect(stdout).toContain("site.ts: 2 plays compile; vars, actions and assets fit for 2 hosts\n");
    expect(stdout).toMatch(/volley lint finds nothing wrong in \d+ files/);
    expect(stdout).toContain("npx volley run site.yml -i prod.ini --check --diff");
    expect(filesBelow().filter((name) => !before.includes(name))).toEqual([
      ".gitignore",
      "package.json",
      "site.ts",
      "tsconfig.json",
    ]);
    expect(read("site.yml")).toBe(SITE);
  });

  test("writes no playbook where none gives roles to hosts, and none over one that is there", async () => {
    put("site.ts", "mine\n");
    const refused = await volley(["init", "--from-ansible", "."], { cwd: directory });
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    rmSync(join(directory, "site.ts"));
    put("site.yml", "- hosts: all\n  tasks: []\n");
    const { code, stdout } = await volley(["init", "--from-ansible", "."], { cwd: directory });
    expect(code).toBe(0);
    expect(stdout).not.toContain("site.ts");
    expect(existsSync(join(directory, "site.ts"))).toBe(false);
  });

  test("refuses a directory without playbooks, and a second directory", async () => {
    mkdirSync(join(directory, "empty"));
    const empty = await volley(["init", "--from-ansible", "empty"], { cwd: directory });
    expect(empty).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("empty holds no role and no playbook"),
    });
    const two = await volley(["init", "other", "--from-ansible", "."], { cwd: directory });
    expect(two).toMatchObject({ code: 1, stderr: expect.stringContaining("leave other out") });
  });
});
