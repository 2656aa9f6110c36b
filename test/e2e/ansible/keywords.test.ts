import { existsSync, readFileSync } from "node:fs";
import { beforeAll, expect, test } from "vitest";
import { builtCli, type CliEnd } from "../lib/cli.ts";
import { volleyHere } from "../lib/here.ts";
import { makeProject, type Project, scratchDirectory } from "../lib/project.ts";

// Keywords of plays, as ansible-playbook 2.14 heeds them.

const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()), 600_000);

const HOSTS = `all:
  vars: {ansible_connection: local, of_hosts: 1}
  children:
    web: {hosts: {a: , b: , c: , d: }}
`;

const project = (files: Readonly<Record<string, string>>): Project =>
  makeProject(scratch(), { "hosts.yml": HOSTS, ...files });

function run(at: Project, ...args: readonly string[]): Promise<CliEnd> {
  return volleyHere(["run", "-i", "hosts.yml", "site.yml", "--output", "ansible", ...args], {
    cwd: at.directory,
    env: { ANSIBLE_CONFIG: "" },
  });
}

test("keywords of plays may be templates of the play's vars, its files, extra vars, groups and lookups", async () => {
  const at = project({
    "site.yml": `- hosts: "{{ groups.web[:most | int] }}"
  name: "Do {{ order }} {{ nothing | default('well') }}"
  gather_facts: false
  serial: "{{ sizes }}"
  order: "{{ order }}"
  strategy: "{{ strategy }}"
  any_errors_fatal: "{{ fatal }}"
  vars_files: [more.yml]
  vars: {order: reverse_inventory, strategy: linear, most: "{{ lookup('env', 'MOST_HOSTS') }}"}
  tasks:
    - shell: "echo {{ ansible_play_batch | join(' ') }}, {{ ansible_play_name }} >> {{ playbook_dir }}/out"
      run_once: true
    - command: /bin/false
      when: inventory_hostname == failing
- {hosts: all, gather_facts: false, tasks: [{shell: "echo later >> {{ playbook_dir }}/out"}]}
`,
    "more.yml": "sizes: [1, 2]\n",
    out: "",
  });
  const end = await volleyHere(
    ["run", "-i", "hosts.yml", "site.yml", "-o", "ansible", "-e", "fatal=yes failing=b"],
    { cwd: at.directory, env: { ANSIBLE_CONFIG: "", MOST_HOSTS: "3" } },
  );
  expect(end.stdout).toContain("PLAY [Do reverse_inventory well]");
  expect(readFileSync(at.path("out"), "utf8")).toBe(
    "c, Do reverse_inventory well\nb a, Do reverse_inventory well\n",
  );
  expect(end.code).toBe(2);
});

test("a keyword that cannot be filled in, such as one of a host's vars, stops the run before it begins", async () => {
  const at = project({
    "site.yml": '- {hosts: web, serial: "{{ of_hosts }}", gather_facts: false, tasks: [{debug: }]}\n',
  });
  const end = await run(at);
  expect(end).toMatchObject({ code: 1, stdout: "" });
  expect(end.stderr).toMatch(/serial: \{\{ of_hosts \}\} cannot be filled in: .*of_hosts/);
});

test.each([
  ["order: sideways", /order is one of inventory, .*, not "sideways"[\s\S]*site\.yml:1:/],
  ["order: '{{ 0 }}ways'", /play "a" \(site\.yml:1:3\): order is one of .*, not "0ways"/],
  ["serial: [1, many]", /serial is a number of hosts, .*, not "many"/],
  ["serial: ['{{ 1 }}', '{{ [] }}']", /serial is a number of hosts, .*, not \[\]/],
  ["strategy: '{{ 1 }}'", /strategy is one of linear, free, host_pinned, not/],
  ["max_fail_percentage: few", /max_fail_percentage is a number from 0 to 100, not "few"/],
  ["any_errors_fatal: '{{ 7 }}'", /any_errors_fatal is yes or no, not/],
  ["throttle: '{{ {} }}'", /throttle is a number of hosts, not/],
  ["become: perhaps", /become is yes or no, not "perhaps"/],
  ["hosts: {b: }", /hosts is a pattern or a list of patterns, not/],
  ["hosts: '{{ {} }}'", /hosts is a pattern or a list of patterns, not \{\}/],
] as const)(
  "a play whose keyword has a value that cannot be is refused before the run: %s",
  async (line, text) => {
    const [key] = line.split(":");
    const hosts = key === "hosts" ? "" : "  hosts: a\n";
    const at = project({
      "site.yml": `- ${line}\n${hosts}  gather_facts: false\n  tasks: [{command: "touch {{ playbook_dir }}/done"}]\n`,
    });
    const end = await run(at);
    expect(end).toMatchObject({ code: 1, stdout: "" });
    expect(end.stderr).toMatch(text);
    expect(end.stderr).not.toMatch(/\n {4}at /);
  },
);

test("sizes, shares and switches may be texts; sizes below 1 are all hosts", async () => {
  const at = project({
    "site.yml": `- {hosts: web, gather_facts: no, serial: ["1", "50%", 0], max_fail_percentage: "30%", become: "no", throttle: "2",
   strategy: ansible.builtin.linear, tasks: [{debug: {msg: "{{ ansible_play_batch }}"}}]}
`,
  });
  expect(await run(at)).toMatchObject({ code: 0 });
});

test.each([
  ["ignore_unreachable: true, check_mode: maybe", "the field 'check_mode' has an invalid value (maybe)"],
  ["run_once: '{{ [] }}'", "the field 'run_once' has an invalid value ([])"],
  ["timeout: abc", "the field 'timeout' has an invalid value (abc)"],
  ["retries: '', until: true", "the field 'retries' has an invalid value ()"],
  ["become: '{{ 1 }}1'", "the field 'become' has an invalid value (11)"],
])("a task whose keyword has a value that cannot be fails: %s", async (keys, text) => {
  const at = project({
    "site.yml": `- hosts: a
  gather_facts: false
  tasks: [{command: "touch {{ playbook_dir }}/done", ${keys}}]
`,
  });
  const end = await run(at);
  expect(end.stdout).toContain(text);
  expect(end.code).toBe(2);
  expect(existsSync(at.path("done"))).toBe(false);
});

test.each(["'{{ nothing }}'", "maybe", "'{{ [] }}'"])(
  "output stays hidden where no_log cannot be told, and the task fails: %s",
  async (value) => {
    const at = project({
      "site.yml": `- {hosts: a, gather_facts: false, tasks: [{command: "echo top-secret", no_log: ${value}, register: all}]}\n`,
    });
    const end = await run(at, "-vv");
    expect(end.code).toBe(2);
    expect(end.stdout).toContain("censored");
    expect(end.stdout + end.stderr).not.toContain("top-secret");
  },
);

test("omit leaves a keyword out, and what is no keyword of a loop or no tag is refused", async () => {
  const tasks = (text: string): Project =>
    project({ "site.yml": `- {hosts: a, gather_facts: false, tasks: [{debug: , ${text}}]}\n` });
  const omits = [
    "retries",
    "delay",
    "timeout",
    "throttle",
    "no_log",
    "check_mode",
    "become",
    "async",
    "poll",
  ];
  const left = await run(tasks(`until: true, ${omits.map((key) => `${key}: '{{ omit }}'`).join(", ")}`));
  expect(left.code).toBe(0);
  const loop = await run(tasks("loop: [1], loop_control: {lable: x}"));
  expect(loop).toMatchObject({ code: 1, stdout: "" });
  expect(loop.stderr).toContain("'lable' is not a valid attribute for a LoopControl");
  expect((await run(tasks("tags: {a: 1}"))).stderr).toContain("tags must be specified as a list");
});

test("vars with the names of keywords are warned of, once each; ansible_forks is the number of --forks", async () => {
  const at = project({
    "site.yml": `- hosts: web
  gather_facts: false
  vars: {environment: x, port: 1, item: 1}
  roles: [own]
  tasks:
    - assert: {that: "ansible_forks == 7"}
      vars: {tags: x}
`,
    "roles/own/defaults/main.yml": "register: 1\n",
    "roles/own/tasks/main.yml": "- set_fact: {loop: 1}\n",
  });
  const end = await run(at, "--forks", "7", "-e", "throttle=1");
  expect(end.code).toBe(0);
  const warned = [...end.stderr.matchAll(/Found variable using reserved name: (\w+)/g)].map(
    ([, name]) => name,
  );
  expect(warned.sort()).toEqual(["environment", "port", "register", "throttle"]);
});

test("a playbook of a collection is imported by its name", async () => {
  const at = project({
    "site.yml": "- import_playbook: own.things.greet\n- import_playbook: own.things.greet.yml\n",
    "collections/ansible_collections/own/things/playbooks/greet.yml":
      "- {hosts: a, gather_facts: false, tasks: [{debug: {msg: from there}}]}\n",
  });
  const end = await run(at);
  expect(end.code).toBe(0);
  expect(end.stdout.match(/from there/g)).toHaveLength(2);
});

test("a task that cannot be delegated makes the exit code that of unreachable hosts", async () => {
  const at = project({
    "site.yml": `- hosts: a
  gather_facts: false
  tasks: [{command: id, delegate_to: away}]
`,
    "hosts.yml": `${HOSTS}    away:
      hosts:
        away: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 9, ansible_user: nobody, ansible_password: x}
`,
  });
  const end = await run(at);
  expect(end.stdout).toMatch(/^fatal: \[a[^\]]*\]: UNREACHABLE!/m);
  expect(end.code).toBe(4);
});

test("a debugger is warned of, and passed over", async () => {
  const at = project({
    "site.yml": `- hosts: web
  gather_facts: false
  tasks:
    - {command: /bin/true, debugger: never}
    - {command: /bin/false, debugger: on_failed}
`,
  });
  const end = await run(at);
  expect(end.code).toBe(2);
  expect(end.stderr.match(/site\.yml:5:\d+: debugger is passed over/g)).toHaveLength(1);
});

test("debug shows what a template would give for an expression, and a var as it is", async () => {
  const at = project({
    "site.yml": `- hosts: a
  gather_facts: false
  vars: {number: 5, inner: {number: 1, list: [2], text: "07"}}
  tasks:
    - {debug: {var: number}}
    - {debug: {var: inner.number}}
    - {debug: {var: number + 1}}
    - {debug: {var: inner.list}}
    - {debug: {var: inner.text}}
`,
  });
  const { stdout } = await run(at);
  expect(
    [...stdout.matchAll(/^ {4}("[\s\S]*?)\n\}/gm)].map(([, text]) => text?.replaceAll(/\s+/g, " ")),
  ).toEqual([
    '"number": 5',
    '"inner.number": "1"',
    '"number + 1": "6"',
    '"inner.list": [ 2 ]',
    '"inner.text": "07"',
  ]);
});
