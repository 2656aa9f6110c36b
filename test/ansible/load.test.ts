import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Node } from "../../src/ansible/ir.ts";
import { Collection } from "../../src/ansible/load/collection.ts";
import { type LoadedTree, loadTree } from "../../src/ansible/load/playbook.ts";
import { isModuleName } from "../../src/ansible/module-names.ts";
import { outlinePlay } from "../../src/ansible/static/outline.ts";
import { VolleyError } from "../../src/core/errors.ts";

let scratch = "";
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "volley-load-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function load(site: string, files: Readonly<Record<string, string>> = {}): LoadedTree {
  const directory = mkdtempSync(join(scratch, "tree-"));
  for (const [name, text] of Object.entries({ ...files, "site.yml": site })) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  return loadTree(join(directory, "site.yml"), {
    playbookDirectory: directory,
    roles: [join(directory, "more-roles")],
    collections: [join(directory, "collections")],
    library: [],
    settings: {},
    isModule: isModuleName,
  });
}

/** What is wrong, and where. */
function fault(site: string, files: Readonly<Record<string, string>> = {}): string {
  try {
    load(site, files);
  } catch (thrown) {
    if (!(thrown instanceof VolleyError)) throw thrown;
    const { file = "", line, column } = thrown.location ?? {};
    return `${[file, line, column].filter((each) => each !== undefined).join(":")} ${thrown.message}`;
  }
  throw new Error("it was taken");
}

const tasks = (text: string): string => `- hosts: all\n  tasks:\n${text.replace(/^/gm, "    ")}\n`;
const one = (text: string, files: Readonly<Record<string, string>> = {}): Node =>
  load(tasks(text), files).tree.plays[0]!.tasks[0]!;

test.each([
  ["- hosts: all\n  task: []\n", "site.yml:2:3 'task' is not a valid attribute for a Play"],
  ["- tasks: []\n", "site.yml:1:3 the field 'hosts' is required but was not set"],
  ["- hosts: []\n", "site.yml:1:3 Hosts list cannot be empty. Please check your playbook"],
  ["hosts: all\n", "site.yml a playbook must be a list of plays"],
  ["[]\n", "site.yml A playbook must contain at least one play"],
  [
    "- hosts: all\n  pre_tasks: 123\n",
    "site.yml:2:3 A malformed block was encountered while loading pre_tasks: 123 should be a list or None",
  ],
  ["- hosts: all\n  roles: 123\n", "site.yml:2:3 A malformed role declaration was encountered."],
  ["- hosts: all\n  roles: ['a,b']\n", "site.yml:2:11 Invalid old style role requirement: a,b"],
  [
    "- hosts: all\n  user: a\n  remote_user: b\n",
    "site.yml:2:3 both 'user' and 'remote_user' are set for this play. Set one of them",
  ],
  [tasks("- name: a\n  when: true"), "site.yml:3:7 no module/action detected in task."],
  [tasks("- debug:\n  command: x"), "site.yml:4:7 conflicting action statements: debug, command"],
  [tasks("- debug:\n  whenn: x"), "site.yml:4:7 'whenn' is not a valid attribute for a Task"],
  [
    tasks("- include_role: {name: a, vars_from: [b]}"),
    "site.yml:3:7 Expected a string for vars_from but got <class 'list'> instead",
  ],
  [
    tasks("- include_tasks: a.yml\n  become: true"),
    "site.yml:4:7 'become' is not a valid attribute for a TaskInclude",
  ],
  [
    tasks("- include_role: {name: a}\n  delegate_to: b"),
    "site.yml:4:7 'delegate_to' is not a valid attribute for a IncludeRole",
  ],
  [tasks("- block: []\n  loop: [1]"), "site.yml:4:7 'loop' is not a valid attribute for a Block"],
  [
    tasks("- debug:\n  vars: {a-b: 1}"),
    "Invalid variable name in vars specified for a Task: 'a-b' is not a valid variable name",
  ],
  [tasks("- import_tasks: none.yml"), "Could not find or access 'none.yml' on the Ansible Controller."],
  [tasks("- import_role: {name: none}\n  when: false"), "site.yml:3:7 the role 'none' was not found in "],
  [
    tasks("- import_tasks: a.yml\n  loop: [1]"),
    "You cannot use loops on 'import_tasks' statements. You should use 'include_tasks' instead.",
  ],
  ["- hosts: all\n  roles:\n    - none\n", "site.yml:3:7 the role 'none' was not found in "],
  ["- hosts: all\n  roles:\n    - {param: 1}\n", "site.yml:3:7 role definitions must contain a role name"],
  ["- import_playbook: none.yml\n", "site.yml:1:3 there is no playbook none.yml"],
])("%j is refused", (site, message) => {
  expect(fault(site)).toContain(message);
});

test("files that import themselves, and faults in imported files, are told with their place", () => {
  expect(
    fault(tasks("- import_tasks: a.yml"), {
      "a.yml": "- import_tasks: b.yml\n",
      "b.yml": "- debug:\n- import_tasks: a.yml\n",
    }),
  ).toBe("b.yml:2:3 a.yml imports itself");
  expect(
    fault(tasks("- import_tasks: a.yml"), { "a.yml": "- debug:\n- debg: {}\n  when: 1\n  wen: 2\n" }),
  ).toMatch(/^a\.yml:\d:3 /);
  expect(
    fault("- hosts: all\n  roles: [r]\n", { "roles/r/meta/main.yml": "dependencies:\n  - absent\n" }),
  ).toMatch(/^roles\/r\/meta\/main\.yml:2:5 the role 'absent' was not found/);
});

test("a task's module, arguments and keywords are brought into one form", () => {
  expect(
    one(
      "- ansible.builtin.copy: src=a dest='b c'\n  args: {mode: '600', src: not}\n  when: x\n  tags: a, b\n  notify: h",
    ),
  ).toMatchObject({
    kind: "task",
    at: "site.yml:3:7",
    module: "copy",
    args: { src: "a", dest: "b c", mode: "600" },
    keys: { when: ["x"], tags: ["a", "b"], notify: ["h"] },
  });
  expect(one("- command: echo a chdir=/tmp")).toMatchObject({
    args: { _raw_params: "echo a", chdir: "/tmp" },
  });
  expect(one("- local_action: command echo a")).toMatchObject({
    module: "command",
    args: { _raw_params: "echo a" },
    keys: { delegate_to: "localhost" },
  });
  expect(one("- action: {module: copy, src: a}")).toMatchObject({ module: "copy", args: { src: "a" } });
  expect(one('- debug:\n  args: "{{ a }}"')).toMatchObject({ argsFrom: "{{ a }}" });
  expect(one("- debug:\n  vars: [{a: 1}, {b: 2}]")).toMatchObject({ keys: { vars: { a: 1, b: 2 } } });
  expect(one("- block: [debug: ]\n  rescue: [fail: ]\n  always: [ping: ]\n  name: b")).toMatchObject({
    kind: "block",
    name: "b",
    block: [{ module: "debug" }],
    rescue: [{ module: "fail" }],
    always: [{ module: "ping" }],
  });
});

test("imports become blocks, includes go along, faults of what is included wait until it is reached", () => {
  const { tree } = load(
    tasks(
      "- import_tasks: tasks/a.yml\n  when: x\n- include_tasks: bad.yml\n- include_vars: v.yml\n- include_tasks: 'os-{{ os }}.yml'",
    ),
    {
      "tasks/a.yml": "- debug: msg=a\n",
      "bad.yml": "- nothing\n",
      "vars/v.yml": "a: 1\n",
      "os-a.yml": "[]\n",
      "os-b.yml": "[]\n",
      "other.yml": "[]\n",
    },
  );
  expect(tree.plays[0]!.tasks[0]).toMatchObject({
    kind: "block",
    imported: "tasks/a.yml",
    keys: { when: ["x"] },
    block: [{ module: "debug", at: "tasks/a.yml:1:3" }],
  });
  expect(Object.keys(tree.tasks).sort()).toEqual(["bad.yml", "os-a.yml", "os-b.yml"]);
  expect(tree.tasks["bad.yml"]).toEqual({ error: "bad.yml:1:3: a task must be a mapping of keywords" });
  expect(tree.vars).toEqual({ "vars/v.yml": { content: { a: 1 } } });
});

test("playbooks that are imported give their plays their conditions, tags and vars", () => {
  const { tree } = load(
    "- import_playbook: more/b.yml\n  when: x\n  tags: t\n  vars: {a: 1}\n- hosts: last\n",
    {
      "more/b.yml": "- hosts: b\n  tags: [u]\n  vars: {a: 2, c: 3}\n  tasks: [import_tasks: t.yml]\n",
      "more/t.yml": "- debug:\n",
    },
  );
  expect(tree.plays.map(({ hosts }) => hosts)).toEqual(["b", "last"]);
  expect(tree.plays[0]).toMatchObject({
    keys: { when: ["x"], tags: ["t", "u"] },
    vars: { a: 1, c: 3 },
    file: "more/b.yml",
  });
});

test("roles come with their dependencies, files, vars and modules, but not with what only their authors need", () => {
  const { tree, files, inputs, modules } = load(
    "- hosts: all\n  roles:\n    - {role: r, p: 1, tags: t, when: w}\n    - far\n",
    {
      "roles/r/meta/main.yml":
        "dependencies: [{role: d, q: 2}]\nallow_duplicates: true\nargument_specs: {main: {options: {}}}\n",
      "roles/r/tasks/main.yml": "- own:\n- command: a\n",
      "roles/r/tasks/more.yml": "- ping:\n",
      "roles/r/library/own.py": "#!/usr/bin/python\nfrom ansible.module_utils.basic import AnsibleModule\n",
      "roles/r/vars/main.yml": "v: 1\n",
      "roles/r/templates/t.j2": "t\n",
      "roles/r/molecule/default/converge.yml": "[]\n",
      "roles/r/README.md": "r\n",
      "roles/d/defaults/main.yml": "e: 1\n",
      "more-roles/far/handlers/main.yml": "- name: h\n  debug:\n",
      "files/f": "f\n",
    },
  );
  expect(tree.plays[0]!.roles).toMatchObject([
    { name: "r", role: "roles/r", params: { p: 1 }, keys: { tags: ["t"], when: ["w"] } },
    { name: "far", role: "more-roles/far" },
  ]);
  expect(tree.roles["roles/r"]).toMatchObject({
    allowDuplicates: true,
    argumentSpecs: { main: { options: {} } },
    dependencies: [{ name: "d", role: "roles/d", params: { q: 2 } }],
  });
  expect(Object.keys(tree.tasks).sort()).toEqual([
    "more-roles/far/handlers/main.yml",
    "roles/r/tasks/main.yml",
    "roles/r/tasks/more.yml",
  ]);
  expect(Object.keys(tree.vars).sort()).toEqual(["roles/d/defaults/main.yml", "roles/r/vars/main.yml"]);
  expect(tree.library).toEqual({ own: { path: "roles/r/library/own.py", kind: "python" } });
  expect([...files.keys()].sort()).toEqual(["files/f", "roles/r/library/own.py", "roles/r/templates/t.j2"]);
  expect(modules).toEqual(expect.arrayContaining(["command", "debug", "own", "ping", "shell"]));
  expect(inputs.some((path) => path.endsWith("/roles/d"))).toBe(true);
});

test("what only a controller has is noted", () => {
  const need = (text: string): string | undefined => load(tasks(text)).tree.needs.controller;
  expect(need("- command: a")).toBeUndefined();
  expect(need("- debug: msg={{ hostvars[inventory_hostname].a }}")).toBeUndefined();
  expect(need("- debug: msg={{ hostvars['b'].a }}")).toContain("site.yml:3:7");
  expect(need("- command: a\n  delegate_to: b")).toContain("delegated to b");
  expect(need("- debug: msg={{ lookup('env', 'HOME') }}")).toContain("the lookup env");
  expect(need("- debug: msg={{ lookup('file', 'a') }}")).toBeUndefined();
  expect(need("- debug: msg={{ lookup('file', role_path ~ '/a') }}")).toBeUndefined();
  expect(need("- debug: msg={{ lookup('file', '~/.ssh/id_rsa.pub') }}")).toContain("the lookup file");
  expect(need("- debug: msg={{ lookup('file', path) }}")).toContain("the lookup file");
  expect(need("- debug: msg={{ item }}\n  with_file: [a]")).toBeUndefined();
  expect(need("- debug: msg={{ item }}\n  with_file: [~/a]")).toContain("with_file");
  expect(need("- debug: msg={{ item }}\n  with_filetree: [a]")).toContain("with_filetree");
  expect(need("- debug: msg={{ item }}\n  with_community.general.filetree: [a]")).toContain("filetree");
  expect(need("- debug: msg={{ query('community.general.filetree', 'a') }}")).toContain(
    "the lookup filetree",
  );
  expect(need("- command: a\n  when: path is not exists")).toContain("test of a path");
  expect(need("- command: a\n  when: (role_path ~ '/vars/a.yml') is file")).toBeUndefined();
});

test("templates and vars, too, may need the controller", () => {
  const site = "- hosts: all\n  roles: [r]\n";
  const need = (text: string, files: Readonly<Record<string, string>> = {}): string | undefined =>
    load(text, files).tree.needs.controller;
  const role = (name: string, text: string) => ({ "roles/r/tasks/main.yml": "[]", [name]: text });
  expect(need(site, role("roles/r/templates/t.j2", "{{ a }}"))).toBeUndefined();
  expect(need(site, role("roles/r/templates/t.j2", "{{ hostvars[h].a }}"))).toContain(
    "roles/r/templates/t.j2",
  );
  expect(need(site, role("roles/r/templates/t.j2", "{{ template_mtime }}"))).toContain("file of a template");
  expect(need(site, role("roles/r/defaults/main.yml", "a: \"{{ lookup('pipe', 'b') }}\""))).toContain("pipe");
  expect(need("- hosts: all\n  vars: {a: \"{{ lookup('url', 'b') }}\"}\n")).toContain("the lookup url");
});

test("a file that comes to a role's directories makes the tree out of date", () => {
  const files = {
    "roles/r/tasks/main.yml": "[]",
    "roles/r/vars/deep/a.yml": "",
    "roles/r/meta/argument_specs.yml": "",
  };
  const { inputs } = load("- hosts: all\n  roles: [r]\n", files);
  for (const path of ["tasks", "vars", "vars/deep", "meta/argument_specs.yml"])
    expect(inputs.some((each) => each.endsWith(`/roles/r/${path}`))).toBe(true);
});

test("module_defaults may name groups of modules, which collections define", () => {
  const site = (group: string): string => `- hosts: all
  module_defaults: {debug: {}, group/texts: {}}
  tasks:
    - debug:
      module_defaults: {group/${group}: {msg: x}}
`;
  const files = {
    "collections/ansible_collections/a/b/meta/runtime.yml": `action_groups:
  texts:
    - metadata: {extend_group: [more, a.c.all]}
    - ansible.builtin.debug
    - own
  more: [a.b.other, {metadata: {extend_group: a.b.texts}}]
`,
    "collections/ansible_collections/a/c/meta/runtime.yml": "action_groups: {all: [set_fact]}\n",
  };
  const { tree, inputs } = load(site("a.b.texts"), files);
  expect(tree.actionGroups).toEqual({ "group/a.b.texts": ["a.b.other", "set_fact", "debug", "own"] });
  expect(inputs.filter((file) => file.endsWith("meta/runtime.yml"))).toHaveLength(2);
  expect(fault(site("a.b.none"), files)).toContain("could not resolve the module_defaults group a.b.none");
  expect(fault(site("a.x.texts"), files)).toContain("could not resolve the module_defaults group a.x.texts");
});

test("a directory is listed once in a load, however many names with templates may mean its files", () => {
  const directory = mkdtempSync(join(scratch, "tree-"));
  const put = (path: string): void => {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), "");
  };
  for (const path of ["vars/a-one.yml", "vars/b-one.yml", "a-two.json", "a-three.txt", ".hidden/a-four.yml"])
    put(path);
  const fitting = (name: string, collection: Collection): readonly string[] =>
    collection.fitting(name, "site.yml", undefined, ["vars"]).map((path) => collection.pathOf(path));
  const collection = new Collection(directory);
  expect(fitting("a-{{ x }}", collection)).toEqual(["a-two.json", "vars/a-one.yml"]);
  put("vars/b-two.yml");
  expect(fitting("b-{{ x }}", collection)).toEqual(["vars/b-one.yml"]);
  expect(fitting("b-{{ x }}", new Collection(directory))).toEqual(["vars/b-one.yml", "vars/b-two.yml"]);
});

test("a name with templates may fit a file that imports the one which is read", () => {
  const { tree } = load("- hosts: all\n  roles: [r]\n", {
    "roles/r/tasks/main.yml": "- debug:\n- import_tasks: install/all.yml\n",
    "roles/r/tasks/install/all.yml": '- include_tasks: "{{ ansible_os_family }}.yml"\n',
    "roles/r/tasks/install/Debian.yml": "- debug:\n",
  });
  expect(
    Object.entries(tree.tasks)
      .filter(([path]) => path !== "site.yml")
      .map(([path, file]) => [path, "error" in file ? file.error : file.content.length]),
  ).toEqual([
    ["roles/r/tasks/install/Debian.yml", 1],
    ["roles/r/tasks/install/all.yml", 1],
    ["roles/r/tasks/main.yml", 2],
  ]);
});

test("a file that is imported may include itself", () => {
  const { tree } = load(tasks("- import_tasks: a.yml"), {
    "a.yml": "- include_tasks: a.yml\n  when: again | bool\n",
  });
  expect(Object.keys(tree.tasks)).toEqual(["a.yml"]);
});

test("imports may be named by the place of the role or of the playbook", () => {
  const { tree } = load(
    "- hosts: all\n  roles: [r]\n  tasks:\n    - import_tasks: '{{ playbook_dir }}/b.yml'\n",
    {
      "roles/r/tasks/main.yml": "- import_tasks: '{{ role_path }}/tasks/a.yml'\n",
      "roles/r/tasks/a.yml": "- debug:\n",
      "b.yml": "- debug:\n- debug:\n",
    },
  );
  const main = tree.tasks["roles/r/tasks/main.yml"];
  expect(main).toMatchObject({ content: [{ kind: "block", block: [{ module: "debug" }] }] });
  expect(tree.plays[0]!.tasks).toMatchObject([{ kind: "block", block: [{}, {}] }]);
});

test("tasks are listed with the module's name as it was written, and with the check of a role's arguments", () => {
  const { tree } = load("- hosts: all\n  roles:\n    - {role: r, tags: t}\n", {
    "roles/r/meta/argument_specs.yml": "argument_specs: {main: {short_description: About it, options: {}}}\n",
    "roles/r/tasks/main.yml":
      "- ansible.builtin.debug:\n- debug:\n- action: ansible.builtin.ping\n- name: named\n  ansible.builtin.ping:\n- name: other\n  include_role: {name: r}\n",
  });
  const listed = outlinePlay(tree, tree.plays[0]!, {}).map(({ role, name, tags }) => [
    role,
    name,
    tags.join(),
  ]);
  expect(listed).toEqual([
    ["r", "Validating arguments against arg spec 'main' - About it", "always,t"],
    ["", "ansible.builtin.debug", "t"],
    ["", "debug", "t"],
    ["", "ansible.builtin.ping", "t"],
    ["r", "named", "t"],
    ["", "other", "t"],
  ]);
});
