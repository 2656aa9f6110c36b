import { describe, expect, test } from "vitest";
import { line, linter, playbook } from "./fixture.ts";

const { look } = linter();

/** The findings in a playbook of these tasks. */
async function inTasks(
  tasks: string,
  files: Readonly<Record<string, string>> = {},
): Promise<readonly string[]> {
  return (await look({ ...files, "site.yml": playbook(tasks) })).map(line);
}

describe("YAML and keywords", () => {
  test("YAML that does not parse has its place, and the other files are looked at", async () => {
    const found = await look(
      {
        "site.yml": playbook("- import_tasks: tasks/broken.yml\n- import_tasks: tasks/wrong.yml"),
        "tasks/broken.yml": "- debug: {msg: 'a\n",
        "tasks/wrong.yml": "- debug: {msgg: a}\n",
      },
      "site.yml",
    );
    expect(found.map(line)).toEqual([
      expect.stringMatching(/^tasks\/broken\.yml:2:1 yaml: not valid YAML: the quote/),
      'tasks/wrong.yml:1:11 unknown-parameter: debug has no parameter "msgg"; did you mean "msg"?',
    ]);
  });

  test.each([
    [
      "- debug: {msg: a}\n  when: x is defined\n  when: y is defined",
      'site.yml:5:7 duplicate-key: the key "when" is written twice; the first one, on line 4, does not count',
    ],
    [
      "- debug: {msg: a}\n  whenn: true",
      "site.yml:4:7 unknown-keyword: 'whenn' is not a valid attribute for a Task; did you mean \"when\"?",
    ],
    [
      "- block: [{debug: {msg: a}}]\n  loop: [1]",
      "site.yml:4:7 unknown-keyword: 'loop' is not a valid attribute for a Block",
    ],
    [
      "- debug: {msg: a}\n  loop: [1]\n  loop_control: {loopvar: x}",
      "site.yml:5:22 unknown-keyword: 'loopvar' is not a valid attribute for a LoopControl; did you mean \"loop_var\"?",
    ],
    ["- name: nothing", "site.yml:3:7 invalid-task: no module/action detected in task."],
    ["- text", "site.yml:3:7 invalid-task: a task must be a mapping of keywords"],
    [
      "- debug: {msg: a}\n  become: maybe",
      "site.yml:4:15 invalid-value: the keyword 'become' must be true or false",
    ],
    [
      "- debug: {msg: a}\n  retries: some",
      "site.yml:4:16 invalid-value: the keyword 'retries' must be a number",
    ],
    [
      "- debug: {msg: a}\n  loop: packages",
      "site.yml:4:13 invalid-value: 'loop' needs a list, and this is the text \"packages\"",
    ],
    [
      "- debug: {msg: a}\n  loop: {a: 1}",
      "site.yml:4:13 invalid-value: 'loop' needs a list, and this is a dict",
    ],
    [
      "- command: a\n  register: an-odd name",
      'site.yml:4:17 invalid-value: \'register\' needs the name of a var: letters, digits and "_", not "an-odd name"',
    ],
    [
      "- set_fact: {1st: a}",
      'site.yml:3:18 invalid-value: set_fact needs names of vars: letters, digits and "_", not "1st"',
    ],
    [
      "- import_tasks: site.yml\n  loop: [1]",
      "site.yml:4:7 invalid-task: 'import_tasks' cannot loop: it is read before the run begins",
    ],
    [
      "- meta: flush_handler",
      'site.yml:3:7 invalid-value: meta has no action "flush_handler"; did you mean "flush_handlers"?',
    ],
  ])("%j", async (tasks, expected) => {
    expect(await inTasks(tasks)).toContain(expected);
  });

  test("every slip of a task is told", async () => {
    expect(await inTasks("- command: 'true'\n  wen: true\n  notfy: x\n  loopp: [1]")).toHaveLength(3);
  });

  test("plays", async () => {
    const found = await look({ "site.yml": "- hosts: all\n  task: []\n- tasks: []\n- hosts: []\n" });
    expect(found.map(line)).toEqual([
      "site.yml:2:3 unknown-keyword: 'task' is not a valid attribute for a Play; did you mean \"tasks\"?",
      "site.yml:3:3 invalid-task: the play has no 'hosts': name a group, a host or a pattern",
      "site.yml:4:3 invalid-task: the play's 'hosts' name nothing",
    ]);
  });
});

describe("modules and parameters", () => {
  test.each([
    [
      "- coppy: {src: a, dest: /b}",
      'site.yml:3:7 unknown-module: there is no module "coppy"; did you mean "copy"?',
    ],
    [
      "- file: {path: /a, stat: absent}",
      'site.yml:3:24 unknown-parameter: file has no parameter "stat"; did you mean "state"?',
    ],
    [
      "- file: path=/a stat=absent",
      'site.yml:3:7 unknown-parameter: file has no parameter "stat"; did you mean "state"?',
    ],
    [
      "- file: {path: /a, state: gone}",
      expect.stringMatching(/^site\.yml:3:24 invalid-value: parameter "state": must be /),
    ],
    ["- file: {state: absent}", 'site.yml:3:7 missing-parameter: file requires the parameter "path"'],
    [
      "- file: {path: /a, force: perhaps}",
      expect.stringMatching(/^site\.yml:3:24 invalid-value: parameter "force"/),
    ],
    [
      "- file: {path: /a, state: file, recurse: true}",
      expect.stringMatching(/^site\.yml:3:7 parameter-conflict: .*recurse/),
    ],
    ["- command:\n  args: {chdir: /}", expect.stringMatching(/^site\.yml:3:7 parameter-conflict: /)],
    ["- debug: {msg: a, var: b}", 'site.yml:3:23 parameter-conflict: debug takes either "msg" or "var"'],
    ["- assert: {msg: a}", 'site.yml:3:7 missing-parameter: assert requires "that"'],
    [
      "- include_role: {tasks_from: a}",
      'site.yml:3:7 missing-parameter: include_role requires "name" or "role"',
    ],
    ["- apt: nginx", 'site.yml:3:7 invalid-value: apt takes no free text: "nginx"'],
    [
      "- package: {name: a, colour: red}",
      'site.yml:3:26 unknown-parameter: no package manager has a parameter "colour"',
    ],
  ])("%j", async (tasks, expected) => {
    expect(await inTasks(tasks)).toContainEqual(expected);
  });

  test.each([
    "- file: {path: '{{ p }}', state: '{{ s }}', recurse: '{{ r }}'}",
    "- file: '{{ all_of_it }}'",
    "- file: {state: absent}\n  args: '{{ more }}'",
    "- file: {state: absent}\n  module_defaults: {file: {path: /a}}",
    "- package: {name: a, update_cache: true, enablerepo: x}",
    "- service: {name: a, daemon_reload: true}",
    "- command: a b\n  args: {chdir: /, creates: /c}",
    "- copy: {content: '{{ text }}', src: '{{ src }}', dest: /a}",
    "- ansible.builtin.file: {dest: /a, state: directory, mode: 0755}",
    "- '{{ which }}': {anything: 1}",
    "- meta: noop",
  ])("%j may be right", async (tasks) => {
    expect(await inTasks(tasks)).toEqual([]);
  });

  test("a conflict is told where no value of the templates can make it right", async () => {
    expect(
      await inTasks("- copy: {dest: '{{ d }}', content: 'x{{ a }}', src: 'y{{ b }}', mode: '{{ m }}'}"),
    ).toEqual([expect.stringContaining("parameter-conflict")]);
  });

  test("modules of one's own: those in Python are told, and others taken", async () => {
    const files = {
      "library/mine.py": "#!/usr/bin/python\nfrom ansible.module_utils.basic import AnsibleModule\n",
      "library/other": "#!/bin/sh\n# WANT_JSON\n",
    };
    expect(await inTasks("- mine: {a: 1}\n- other: {a: 1}", files)).toEqual([
      "site.yml:3:7 python-module: the module mine (library/mine.py) needs Ansible's Python",
    ]);
  });
});

describe("templates", () => {
  test.each([
    [
      "- debug: {msg: '{{ a'}",
      expect.stringMatching(/^site\.yml:3:20 template-syntax: the template cannot be read: /),
    ],
    ["- debug: {msg: '{{ 1 | no_such }}'}", 'site.yml:3:20 unknown-filter: there is no filter "no_such"'],
    [
      "- debug: {msg: '{{ 1 | defalt(2) }}'}",
      'site.yml:3:20 unknown-filter: there is no filter "defalt"; did you mean "default"?',
    ],
    [
      "- debug: {msg: '{{ [] | map(\"uper\") }}'}",
      'site.yml:3:20 unknown-filter: there is no filter "uper"; did you mean "upper"?',
    ],
    [
      "- debug: {msg: a}\n  when: x is defind",
      'site.yml:4:13 unknown-test: there is no test "defind"; did you mean "defined"?',
    ],
    ["- debug: {msg: a}\n  when: x ==", expect.stringMatching(/^site\.yml:4:13 template-syntax/)],
    [
      "- debug: {msg: a}\n  when: [x is defined, y is nothing_known]",
      'site.yml:4:28 unknown-test: there is no test "nothing_known"',
    ],
    [
      "- assert: {that: [x is defind]}",
      'site.yml:3:23 unknown-test: there is no test "defind"; did you mean "defined"?',
    ],
    [
      "- debug: {msg: \"{{ lookup('fil', 'a') }}\"}",
      'site.yml:3:20 unknown-lookup: there is no lookup "fil"; did you mean "file"?',
    ],
    [
      "- debug: {msg: a}\n  with_item: [1]",
      'site.yml:4:7 unknown-lookup: there is no lookup "item"; did you mean "items"?',
    ],
    [
      "- debug: {msg: a}\n  when: '{{ x }} == 1'",
      "site.yml:4:13 braces-in-condition: a condition is an expression already: leave the delimiters {{ }} or {% %} out",
    ],
    // Of a block of literal lines the line within counts.
    [
      "- copy:\n    dest: /a\n    content: |\n      one\n      {{ 1 | no_such }}",
      'site.yml:7 unknown-filter: there is no filter "no_such"',
    ],
  ])("%j", async (tasks, expected) => {
    expect(await inTasks(tasks)).toContainEqual(expected);
  });

  test.each([
    "- debug: {msg: !unsafe '{{ a'}",
    "- debug: {msg: \"{{ lookup('env', 'HOME') }}{{ q('sequence', 'end=2') }}\"}",
    "- debug: {msg: '{{ a | ansible.builtin.default(1) | community.general.random_mac }}'}",
    "- debug: {msg: a}\n  with_first_found: [a]\n  when: false",
  ])("%j is right", async (tasks) => {
    expect(await inTasks(tasks)).toEqual([]);
  });

  test("template files", async () => {
    const found = await look({
      "site.yml": playbook(
        "- template: {src: a.j2, dest: /a}\n- template: {src: b, dest: /b, variable_start_string: '<<', variable_end_string: '>>'}",
      ),
      "templates/a.j2": "one\n{% include 'missing.j2' %}\n{{ x | no_such }}\n",
      "templates/b": "{{ not jinja }} << x | no_such >>\n",
      "templates/c.j2": "{% if x %}\n",
      "templates/d.j2": "#jinja2: variable_start_string:'[%', variable_end_string:'%]'\n[% x %] {{ \n",
    });
    expect(found.map(line)).toEqual([
      'templates/a.j2:2 missing-file: there is no template "missing.j2"',
      'templates/a.j2:3 unknown-filter: there is no filter "no_such"',
      'templates/b:1 unknown-filter: there is no filter "no_such"',
      expect.stringMatching(/^templates\/c\.j2:1 template-syntax: /),
    ]);
  });
});

test("templates are included by their place below the template that a task names", async () => {
  const found = await look({
    "site.yml": playbook("- template: {src: etc/main.j2, dest: /a}"),
    "templates/etc/main.j2": "{% include 'parts/head.j2' %}\n",
    "templates/etc/parts/head.j2": "{% include 'parts/foot.j2' %}{% include 'etc/foot.j2' %}\n",
    "templates/etc/parts/foot.j2": "",
  });
  expect(found.map(line)).toEqual([
    'templates/etc/parts/head.j2:1 missing-file: there is no template "etc/foot.j2"',
  ]);
});

describe("files", () => {
  test("files that are named and not there", async () => {
    const found = await inTasks(
      [
        "- include_tasks: a.yml",
        "- include_vars: b.yml",
        "- template: {src: c.j2, dest: /c}",
        "- copy: {src: d, dest: /d}",
        "- script: e --flag",
        "- unarchive: {src: f.tar.gz, dest: /f}",
        "- import_role: {name: g}",
      ].join("\n"),
    );
    expect(found).toEqual([
      'site.yml:3:7 missing-file: there is no file of tasks "a.yml"',
      'site.yml:4:7 missing-file: there is no file of vars "b.yml"',
      'site.yml:5:7 missing-file: there is no template "c.j2"',
      'site.yml:6:7 missing-file: there is no file "d"',
      'site.yml:7:7 missing-file: there is no script "e"',
      'site.yml:8:7 missing-file: there is no file "f.tar.gz"',
      "site.yml:9:7 missing-role: the role 'g' was not found",
    ]);
  });

  test.each([
    "- copy: {src: d, dest: /d, remote_src: true}",
    "- copy: {src: '{{ d }}', dest: /d}",
    "- copy: {src: /somewhere/else, dest: /d}",
    "- copy: {src: d, dest: /d}\n  ignore_errors: true",
    "- block: [{copy: {src: d, dest: /d}}]\n  rescue: [{meta: noop}]",
    "- unarchive: {src: https://example.org/f.tar.gz, dest: /f}",
    "- include_vars: '{{ x }}.yml'",
    "- include_vars: x.yml\n  ignore_errors: true",
    "- block: [{include_tasks: x.yml}, {include_role: {name: x}}]\n  rescue: [{meta: noop}]",
  ])("%j may be right", async (tasks) => {
    expect(await inTasks(tasks)).toEqual([]);
  });

  test("nothing ignores that an include or an import finds nothing, and no rescue is in time for an import", async () => {
    const tasks = [
      "- {include_tasks: a.yml, ignore_errors: true}",
      "- {include_role: {name: b}, ignore_errors: true}",
      "- block: [{import_tasks: c.yml}]\n  rescue: [{meta: noop}]",
    ];
    expect(await inTasks(tasks.join("\n"))).toEqual([
      'site.yml:3:8 missing-file: there is no file of tasks "a.yml"',
      "site.yml:4:8 missing-role: the role 'b' was not found",
      'site.yml:5:16 missing-file: there is no file of tasks "c.yml"',
    ]);
  });

  test("files that are there, under names in quotes as well", async () => {
    const files = { "files/a b/c.sh": "", "templates/t.j2": "", "vars/v.yml": "", "tasks/t.yml": "" };
    const tasks = [
      "- script: \"'a b/c.sh' --flag\"",
      "- template: {src: t.j2, dest: /t}",
      "- include_vars: v.yml",
      "- include_tasks: t.yml",
    ];
    expect(await inTasks(tasks.join("\n"), files)).toEqual([]);
  });

  test("vars_files and imported playbooks", async () => {
    const found = await look({
      "site.yml":
        "- import_playbook: no.yml\n- hosts: all\n  vars_files: [a.yml, [b.yml, c.yml], d.yml, '{{ x }}.yml']\n",
      "vars/c.yml": "x: 1\n",
      "d.yml": "- 1\n",
    });
    expect(found.map(line)).toEqual([
      "d.yml:1:1 yaml: a vars file must hold a mapping of names to values",
      'site.yml:1:20 missing-file: there is no playbook "no.yml"',
      'site.yml:3:16 missing-file: there is no file of vars "a.yml"',
    ]);
  });
});
