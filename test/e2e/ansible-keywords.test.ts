import { readFileSync } from "node:fs";
import { beforeAll, expect, test } from "vitest";
import { builtCli, type CliEnd, volley } from "./lib/cli.ts";
import { makeProject, type Project, scratchDirectory } from "./lib/project.ts";

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
  return volley(["run", "-i", "hosts.yml", "site.yml", "--output", "ansible", ...args], {
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
  const end = await volley(
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
  const warned = [...end.stderr.matchAll(/a var is called (\w+)/g)].map(([, name]) => name);
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
