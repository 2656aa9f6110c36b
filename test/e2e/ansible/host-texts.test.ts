import { existsSync } from "node:fs";
import { beforeAll, expect, test } from "vitest";
import { builtCli, type CliEnd } from "../lib/cli.ts";
import { volleyHere } from "../lib/here.ts";
import { makeProject, type Project, scratchDirectory } from "../lib/project.ts";

// Text that came from a host is never a template or a lookup: the controller would carry out what the host wrote.

const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()), 600_000);

/** Both texts leave a file behind on the controller, should anything render or evaluate them. */
const project = (tasks: string, more: Readonly<Record<string, string>> = {}): Project =>
  makeProject(scratch(), {
    "site.yml": `- hosts: a
  gather_facts: false
  vars: {marker: "touch {{ playbook_dir }}/done", braces: "{{ '{{' }}"}
  tasks:
    - command: {argv: [printf, "%s", "{{ braces }} lookup('pipe', '{{ marker }}') {{ '}}' }}"]}
      register: templated
    - command: {argv: [printf, "%s", "lookup('pipe', '{{ marker }}')"]}
      register: bare
${tasks}`,
    ...more,
  });

const run = (at: Project): Promise<CliEnd> =>
  volleyHere(["run", "-i", "a,", "-c", "local", "site.yml", "--output", "ansible"], {
    cwd: at.directory,
    env: { ANSIBLE_CONFIG: "" },
  });

const KEYWORDS = {
  delegate_to: "templated",
  become: "templated",
  become_user: "templated",
  become_method: "templated",
  become_exe: "templated",
  become_flags: "templated",
  connection: "templated",
  remote_user: "templated",
  port: "templated",
  delegate_facts: "templated",
  check_mode: "templated",
  diff: "templated",
  ignore_unreachable: "templated",
  no_log: "templated",
  run_once: "templated",
  timeout: "templated",
  retries: "templated",
  delay: "templated",
  async: "templated",
  when: "bare",
  changed_when: "bare",
  failed_when: "bare",
  until: "bare",
  // It ends the host's part.
  throttle: "templated",
} as const;

test("nor in the keywords of a task", async () => {
  const tasks = Object.entries(KEYWORDS).map(
    ([key, text]) => `
    - command: id
      ${key}: "{{ ${text}.stdout }}"
      ${key.startsWith("become_") ? "become: true" : ""}
      ${key === "ignore_unreachable" ? "" : "ignore_unreachable: true"}
      ignore_errors: true`,
  );
  const at = project(tasks.join(""));
  const end = await run(at);
  expect(end.stdout).toContain("PLAY RECAP");
  for (const key of ["become", "check_mode", "run_once"])
    expect(end.stdout).toContain(`the field '${key}' has an invalid value (`);
  for (const key of ["timeout", "retries", "delay", "async", "throttle"])
    expect(end.stdout).toContain(`the field '${key}' has an invalid value (`);
  expect(existsSync(at.path("done"))).toBe(false);
});

const CONNECTION_VARS = [
  "ansible_become",
  "ansible_become_user",
  "ansible_become_method",
  "ansible_become_exe",
  "ansible_become_flags",
  "ansible_become_password",
  "ansible_connection",
  "ansible_host",
  "ansible_port",
  "ansible_user",
  "ansible_password",
  "ansible_ssh_private_key_file",
];

test.each(["", "delegate_to: b"])("nor in vars that say how the host is reached %s", async (place) => {
  // As in Ansible, the way to another host is told with that host's registers.
  const text = place === "" ? "templated.stdout" : "hostvars.a.templated.stdout";
  const tasks = CONNECTION_VARS.map(
    (name) => `
    - command: id
      vars: {${name}: "{{ ${text} }}", ${name.startsWith("ansible_become_") ? "ansible_become: true" : "unused: 1"}}
      ${place}
      ignore_unreachable: true
      ignore_errors: true`,
  );
  const added =
    "\n    - {add_host: {name: b, ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}}";
  const at = project(added + tasks.join(""));
  const end = await run(at);
  expect(end.stdout).toMatch(/^a +: ok=\d+ .* unreachable=[01] /m);
  expect(existsSync(at.path("done"))).toBe(false);
});

test("nor in the names of hosts and groups", async () => {
  const at = project(`
    - {add_host: {name: "{{ templated.stdout }}", groups: laters, ansible_connection: local}}
    - {group_by: {key: "{{ templated.stdout }}"}}
    - {debug: {msg: "{{ hostvars[groups.laters[0]].ansible_host }} {{ group_names }}"}}
- hosts: laters
  gather_facts: false
  tasks:
    - {debug: {msg: "{{ ansible_host }} {{ inventory_hostname }}"}}
    - {command: id, remote_user: "{{ ansible_host }}", delegate_to: "{{ inventory_hostname }}"}
`);
  const end = await run(at);
  expect(end.stdout).toContain("PLAY RECAP");
  expect(existsSync(at.path("done"))).toBe(false);
});

test("nor in what assert, debug, module_defaults, roles and added hosts are given", async () => {
  const at = project(
    `
    - {assert: {that: "{{ [templated.stdout] }}"}, ignore_errors: true}
    - {assert: {that: "{{ [bare.stdout] }}"}, ignore_errors: true}
    - {assert: {that: "{{ bare.stdout }}"}, ignore_errors: true}
    - {debug: {var: "{{ bare.stdout }}"}, ignore_errors: true}
    - {debug: {var: "{{ templated.stdout }}"}, ignore_errors: true}
    - debug:
      module_defaults: "{{ {'debug': {'msg': templated.stdout}} }}"
    - {include_role: {name: checked}, vars: {given: "{{ templated.stdout }}"}}
    - {add_host: {name: later, ansible_connection: local, own: "{{ templated.stdout }}", deep: [{own: "{{ templated.stdout }}"}]}}
    - {debug: {msg: "{{ hostvars.later.own }}"}}
- hosts: later
  gather_facts: false
  tasks:
    - {command: "echo {{ own | quote }}"}
    - {debug: {var: deep}}
`,
    {
      "roles/checked/meta/argument_specs.yml":
        "argument_specs: {main: {options: {given: {type: str, required: true}}}}\n",
      "roles/checked/tasks/main.yml": '- debug: {msg: "{{ given }}"}\n',
    },
  );
  const end = await run(at);
  expect(end.stdout).toMatch(/^later +: ok=2 /m);
  expect(existsSync(at.path("done"))).toBe(false);
});
