import { spawnSync } from "node:child_process";
import { cpSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { readRole } from "../../src/convert/role-source.ts";
import { type ConvertedRole, convertRole } from "../../src/convert/role-to-ts.ts";
import { VolleyError } from "../../src/core/errors.ts";
import { builtCli, type CliEnd } from "../e2e/lib/cli.ts";
import { volleyHere } from "../e2e/lib/here.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const ROLES = fileURLToPath(new URL("roles", import.meta.url));
const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()), 600_000);

/** All files below a directory: mode and content, by path. */
function filesBelow(directory: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const path of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
    const stats = lstatSync(join(directory, path));
    const content = stats.isFile() ? readFileSync(join(directory, path), "utf8") : "directory";
    found[path] = `${(stats.mode & 0o7777).toString(8)} ${content}`;
  }
  return found;
}

interface Carried {
  readonly end: CliEnd;
  readonly files: Readonly<Record<string, string>>;
}

/** Run a playbook on this machine, with a directory of its own for what the role writes. */
async function carryOut(
  playbook: string,
  cwd: string,
  made = mkdtempSync(join(scratch(), "made-")),
): Promise<Carried> {
  const vars = ["-e", "ansible_connection=local", "-e", `scratch=${made}`];
  const end = await volleyHere(["run", playbook, "-i", "here,", "-o", "plain", ...vars], {
    cwd,
    env: { ANSIBLE_CONFIG: "" },
  });
  return { end, files: filesBelow(made) };
}

describe("the role app", () => {
  let directory = "";
  beforeAll(async () => {
    directory = mkdtempSync(join(scratch(), "project-"));
    cpSync(ROLES, join(directory, "roles"), { recursive: true });
    writeFileSync(join(directory, "package.json"), '{ "type": "module" }\n');
    writeFileSync(
      join(directory, "site.yml"),
      `- hosts: all\n  vars: {app_name: "{{ 'de' }}mo"}\n  roles: [app]\n`,
    );
    writeFileSync(
      join(directory, "site.ts"),
      `import { definePlaybook } from "volley";
import app from "./converted/app/role.ts";

export default definePlaybook([{ hosts: "all", vars: { app_name: "{{ 'de' }}mo" }, roles: [app()] }]);
`,
    );
    const end = await volleyHere(["role", "to-ts", "app", "-o", "converted/app"], { cwd: directory });
    expect(end.code, end.stderr).toBe(0);
  });

  test("does in TypeScript what it does in YAML", async () => {
    const yaml = await carryOut("site.yml", directory);
    expect(yaml.end.code, yaml.end.stdout).toBe(0);
    const typescript = await carryOut("site.ts", directory);
    expect(typescript.end.code, typescript.end.stdout + typescript.end.stderr).toBe(0);
    expect(Object.keys(yaml.files).length).toBeGreaterThan(14);
    expect(typescript.files).toEqual(yaml.files);
  });

  test("ends the play for the host, and runs no handlers", async () => {
    const made = mkdtempSync(join(scratch(), "made-"));
    writeFileSync(
      join(directory, "end.ts"),
      `import { definePlaybook } from "volley";
import ender from "./converted/ender/role.ts";

export default definePlaybook([{ hosts: "all", vars: { ender_name: "x" }, roles: [ender(), ender()] }]);
`,
    );
    writeFileSync(
      join(directory, "end.yml"),
      "- hosts: all\n  vars: {ender_name: x}\n  roles: [ender, ender]\n",
    );
    const converted = await volleyHere(["role", "to-ts", "ender", "-o", "converted/ender"], {
      cwd: directory,
    });
    expect(converted).toMatchObject({ code: 0, stderr: "" });
    const yaml = await carryOut("end.yml", directory);
    const typescript = await carryOut("end.ts", directory, made);
    expect(typescript.end.code, typescript.end.stdout + typescript.end.stderr).toBe(0);
    expect(Object.keys(typescript.files)).toEqual(["before"]);
    expect(typescript.files).toEqual(yaml.files);
  });

  test("passes the project's type checks", () => {
    const config = {
      extends: join(ROOT, "tsconfig.json"),
      compilerOptions: {
        paths: { volley: [join(ROOT, "src/index.ts")] },
        typeRoots: [join(ROOT, "node_modules/@types")],
      },
      include: ["site.ts", "converted"],
    };
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(config));
    cpSync(join(ROOT, "node_modules/valibot"), join(directory, "node_modules/valibot"), { recursive: true });
    const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
    const { stdout, status } = spawnSync(process.execPath, [tsc, "--noEmit", "-p", directory], {
      encoding: "utf8",
    });
    expect(stdout).toBe("");
    expect(status).toBe(0);
  });

  test("is laid out as Biome lays code out", () => {
    const biome = createRequire(import.meta.url).resolve("@biomejs/biome/bin/biome");
    cpSync(join(ROOT, "biome.json"), join(directory, "biome.json"));
    const { stdout, stderr, status } = spawnSync(process.execPath, [biome, "check", "converted"], {
      cwd: directory,
      encoding: "utf8",
    });
    expect(status, stdout + stderr).toBe(0);
  });

  test("is not written over what is there", async () => {
    const end = await volleyHere(["role", "to-ts", "app", "-o", "converted/app"], { cwd: directory });
    expect(end.code).toBe(1);
    expect(end.stderr).toContain("converted/app is there already");
  });
});

/** Convert a role of these files. */
function convert(files: Readonly<Record<string, string>>): ConvertedRole {
  const directory = mkdtempSync(join(scratch(), "role-"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, "web", path)), { recursive: true });
    writeFileSync(join(directory, "web", path), text);
  }
  return convertRole(readRole("./web", directory, { notes: [] }));
}

const tasksOf = (text: string): string => convert({ "tasks/main.yml": text }).texts["tasks/main.ts"]!;

test.each([
  [
    "- copy: {src: a, dest: /a}\n  delegate_to: '{{ item }}'\n  loop: [a]\n",
    "tasks/main.yml:1 delegate_to names the loop's item",
  ],
  ["- command: a\n  async: 60\n  poll: 0\n", "tasks/main.yml:1 a task that is left to itself"],
  [
    "- include_role: {name: '{{ other }}'}\n",
    "tasks/main.yml:1 the role is known only in a run: {{ other }}",
  ],
  ["- debug:\n- script: a.sh\n", "tasks/main.yml:2 a role in TypeScript has no word for script"],
  ["- copy: {dest: /a, contents: b}\n", 'tasks/main.yml:1 the action copy has no parameter "contents"'],
  ["- command: a\n  notify: nobody\n", 'tasks/main.yml:1 the role has no handler "nobody"'],
  ['- file: "{{ args }}"\n', "tasks/main.yml:1 the arguments of file come from {{ args }}"],
])("what TypeScript cannot say is refused with its place: %s", (text, expected) => {
  let told = "it was converted";
  try {
    tasksOf(text);
  } catch (thrown) {
    if (!(thrown instanceof VolleyError)) throw thrown;
    told = `${thrown.location?.file}:${thrown.location?.line} ${thrown.message}`;
  }
  expect(told).toContain(expected);
});

test("a module without an action fails where it is reached, and is told", () => {
  const { notes, texts } = convert({
    "tasks/main.yml": "- pkgin: name=a\n  when: ansible_os_family == 'NetBSD'\n",
  });
  expect(notes).toEqual([
    "tasks/main.yml:1:3: there is no action for the module pkgin: the task fails where it is reached",
  ]);
  expect(
    texts["tasks/main.ts"],
  ).toContain(`  await task("pkgin", fail({ msg: "there is no action for the module pkgin (tasks/main.yml:1:3)" }), {
    when: () => facts.os_family === "NetBSD",
  });`);
});

test.each([
  ["ansible_os_family == 'Debian'", 'facts.os_family === "Debian"'],
  [
    "ansible_facts['distribution'] in ['Debian', 'Ubuntu']",
    '["Debian", "Ubuntu"].includes(facts.distribution)',
  ],
  ["not (strict | bool)", "!vars.strict"],
  ["strict and mode != 'a'", 'vars.strict && vars.mode !== "a"'],
  ["not (mode == 'a' or strict)", '!(vars.mode === "a" || vars.strict)'],
  ["port == 80", 'holds("port == 80")'],
  ["mode is defined", 'holds("mode is defined")'],
])("the condition %s", (condition, expected) => {
  const { texts } = convert({
    "defaults/main.yml": "strict: true\nmode: a\nport: 80\n",
    "tasks/main.yml": `- command: a\n  when: ${JSON.stringify(condition)}\n`,
  });
  expect(texts["tasks/main.ts"]!.replace(/\s+/g, " ")).toContain(`when: () => ${expected}`);
});

test("what notifies a topic names the handlers that listen, in their order", () => {
  const { texts } = convert({
    "handlers/main.yml": `- name: first
  command: a
  listen: all
- meta: noop
  listen: [all, "none-of it"]
- name: third
  command: c
  listen: all
  notify: first
`,
    "tasks/main.yml": "- command: a\n  notify: [all, third]\n- file: {path: /a, state: directory}\n",
  });
  expect(texts["tasks/main.ts"]).toContain('notify: ["first", "all", "third"]');
  expect(texts["tasks/main.ts"]).toContain('file({ path: "/a", state: "directory" })');
  expect(texts["handlers.ts"]).toContain(`  handler("first", command({ cmd: "a" }));
  handler("all", noop({}));
  handler("third", command({ cmd: "c" }), { notify: "first" });
`);
});

test("other roles, ends and delegation have words, and what the playbook must know is told", () => {
  const { texts, notes } = convert({
    "meta/main.yml": "dependencies: [{role: first, when: use_first, first_port: 80}]\n",
    "tasks/main.yml": `# Why the play ends.
- meta: end_play
  when: ansible_os_family == 'Plan9'
- include_role:
    name: other
    tasks_from: more.yml
    public: true
  vars: {a: "{{ b }}"}
  tags: [x]
- command: a
  delegate_to: "{{ groups['db'][0] }}"
  run_once: true
`,
  });
  expect(texts["tasks/main.ts"]).toContain(`  // Why the play ends.
  if (facts.os_family === "Plan9") {
    end("play");
  }
  await includeRole(ansibleRole("other", { tasksFrom: "more.yml", public: true, vars: { a: "{{ b }}" } }));
  await task("command", command({ cmd: "a" }), { runOnce: true, delegateTo: text("{{ groups['db'][0] }}") });
`);
  expect(texts["dependencies.ts"]).toContain(
    `  await includeRole(
    ansibleRole("first", {
      vars: { first_port: 80 },
      once: true,
      public: true,
      when: () => holds("use_first"),
    }),
  );
`,
  );
  expect(texts["role.ts"]).toContain("  delegates: true,\n");
  expect(notes).toEqual([
    "tasks/main.yml:2:3: meta: end_play ends the play for the host alone that reaches it",
    "tasks/main.yml:4:3: the role other stays in YAML: the playbook must have it among its roles",
    "meta/main.yml:1:16: the role first stays in YAML: the playbook must have it among its roles",
  ]);
});

test("the result of a handler that others read is registered", () => {
  const { texts } = convert({
    "handlers/main.yml": `- name: check
  command: a
  register: checked
  failed_when: checked.rc > 1
- name: restart
  service: {name: a, state: restarted}
  when: checked.rc == 0
`,
  });
  expect(texts["handlers.ts"]).toContain('failedWhen: registers("checked", (result) => result.data.rc > 1),');
});

test("comments go with their statements, and permission bits stay octal", () => {
  const { texts } = convert({
    "vars/main.yml": "file_mode: 0640\n",
    "vars/Debian.yml": "dir_mode: 02770\n",
    "tasks/main.yml": `---
# tasks file for web
- include_vars: Debian.yml

# Said above,
# in two lines.
- name: Write
  # said within
  shell: |
    # not a comment of the role
    a
  # noqa 301
- block:
    # Of the inner one.
    - command: b
  # Behind it.
`,
  });
  const text = texts["tasks/main.ts"]!;
  expect(text).toContain("  // Said above,\n  // in two lines.\n  // said within\n  await task(");
  expect(text).toContain('  // Of the inner one.\n  // Behind it.\n  await task("command", ');
  expect(text.match(/\/\/ /g)).toHaveLength(5);
  expect(texts["vars.ts"]).toContain("{ file_mode: 0o640 }");
  expect(texts["vars-files.ts"]).toContain("{ dir_mode: 0o2770 }");
});

test("keys that are no names are quoted, also where the value is the same", () => {
  const { texts } = convert({ "defaults/main.yml": 'volumes: {"a-b": "a-b", c: c}\n' });
  expect(texts["vars.ts"]).toContain('{ "a-b": "a-b", c: "c" }');
});

test("a var that the role sets anew is no plain value", () => {
  const { texts } = convert({
    "defaults/main.yml": "mode: a\n",
    "tasks/main.yml": "- set_fact: {mode: b}\n- command: a\n  when: mode == 'a'\n",
  });
  expect(texts["tasks/main.ts"]).toContain("when: () => holds(\"mode == 'a'\")");
});

test("vars are declared with the types of their defaults, unless the role loops over them", () => {
  const { texts } = convert({
    "defaults/main.yml": `# Whether it is strict.
strict: true
users: false
mode: a
empty: ""
port: 80
both: "{{ mode }}-{{ port }}"
`,
    "tasks/main.yml": "- command: a\n  when: web_given is defined\n",
    "templates/a.j2": "{% for user in users %}{{ user }}{% endfor %}{{ web_own }}",
    "vars/main.yml": "web_one: 1\nweb_two: 1.0\nweb_three: !unsafe '{{ a }}'\n",
  });
  expect(texts["vars.ts"]).toContain(`export const declared = v.object({
  // Whether it is strict.
  strict: v.optional(v.boolean(), true),
  users: v.optional(v.unknown(), false),
  mode: v.optional(v.string(), "a"),
  empty: v.optional(v.unknown(), ""),
  port: v.optional(v.union([v.number(), v.string()]), 80),
  both: v.optional(v.unknown()),
  // Vars without a default, which the role asks for.
  web_given: v.optional(v.unknown()),
  web_own: v.optional(v.unknown()),
});`);
  expect(texts["vars.ts"]).toContain(
    'export const vars: Vars = { web_one: 1, web_two: "{{ 1.0 }}", web_three: "{% raw %}{{ a }}{% endraw %}" };',
  );
});
