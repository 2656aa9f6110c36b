import { beforeAll, expect, test } from "vitest";
import { builtCli, type CliEnd } from "../lib/cli.ts";
import { volleyHere } from "../lib/here.ts";
import { makeProject, type Project, scratchDirectory } from "../lib/project.ts";

const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()), 600_000);

const project = (): Project =>
  makeProject(scratch(), {
    "site.yml": `- hosts: "{{ target | default('all') }}"
  name: First
  connection: local
  remote_user: nobody-here
  gather_facts: false
  tags: [p1]
  pre_tasks:
    - name: pre
      debug: msg=1
  roles:
    - role: web
      tags: r1
  tasks:
    - block:
        - name: in block
          debug: msg="x is {{ x | default('none') }}"
      rescue:
        - name: rescuing
          debug: msg=2
      tags: [b, a]
    - name: never
      debug: msg=3
      tags: never
`,
    "here.yml": `- hosts: localhost
  gather_facts: false
  tasks:
    - name: Say
      debug: msg="here, {{ of_all | default('alone') }}"
`,
    "roles/web/tasks/main.yml": "- name: Install\n  debug: msg=4\n- debug: msg=5\n",
    "roles/web/meta/main.yml": "dependencies: [{role: base, tags: dep}]\n",
    "roles/base/tasks/main.yml": "- name: Prepare\n  debug: msg=6\n",
  });

function run(at: Project, ...args: readonly string[]): Promise<CliEnd> {
  return volleyHere(["run", ...args], { cwd: at.directory, env: { ANSIBLE_CONFIG: "" } });
}

test("tasks and tags are listed as ansible-playbook lists them", async () => {
  expect(await run(project(), "-i", "web1,", "site.yml", "--list-tasks", "--list-tags")).toEqual({
    code: 0,
    stderr: "",
    stdout: `
playbook: site.yml

  play #1 (all): First\tTAGS: [p1]
    tasks:
      pre\tTAGS: [p1]
      base : Prepare\tTAGS: [dep, p1, r1]
      web : Install\tTAGS: [p1, r1]
      debug\tTAGS: [p1, r1]
      in block\tTAGS: [a, b, p1]
      TASK TAGS: [a, b, dep, p1, r1]
`,
  });
});

test("a play's connection holds, and its pattern may be an extra var", async () => {
  const all = await run(
    project(),
    "-i",
    "web1,web2,",
    "site.yml",
    "-e",
    "target=web2 x=5",
    "-v",
    "--tags",
    "a",
  );
  expect(all).toMatchObject({ code: 0, stderr: "" });
  expect(all.stdout).toMatch(/^TASK \[in block\] \*+\nok: \[web2\] => \{\n {4}"msg": "x is 5"\n\}$/m);
  expect(all.stdout).not.toContain("web1");
});

test("it starts at a task, of a role too", async () => {
  const end = await run(project(), "-i", "web1,", "site.yml", "-v", "--start-at-task", "web : Install");
  expect([...end.stdout.matchAll(/^TASK \[(.*?)\] /gm)].map(([, task]) => task)).toEqual([
    "web : Install",
    "web : debug",
    "in block",
  ]);
});

test("without an inventory there is this machine, which is not among all", async () => {
  const here = await run(project(), "here.yml", "-v");
  expect(here).toMatchObject({ code: 0, stderr: "" });
  expect(here.stdout).toContain("here, alone");
  const all = await run(project(), "site.yml");
  expect(all.code).toBe(0);
  expect(all.stdout).toMatch(/^PLAY \[First\] \*+\nskipping: no hosts matched$/m);
});

test("patterns that name nothing are passed over, and an empty limit is none; a limit that names nobody is refused", async () => {
  const at = project();
  const unknown = await run(at, "-i", "web1,", "site.yml", "-e", "target=web1:nowhere");
  expect(unknown.code).toBe(0);
  expect(unknown.stderr).toBe("[WARNING]: Could not match supplied host pattern, ignoring: nowhere\n");
  expect((await run(at, "-i", "web1,", "site.yml", "-l", "")).code).toBe(0);
  const nobody = await run(at, "-i", "web1,", "site.yml", "-l", "nowhere");
  expect(nobody).toMatchObject({ code: 1, stdout: "" });
  expect(nobody.stderr).toContain("nowhere");
});

test("ansible.cfg beside it is read, and this machine has the vars of all", async () => {
  const at = project();
  at.write("ansible.cfg", "[defaults]\ninventory = hosts/inv\nroles_path = more\n[tags]\nskip = b\n");
  at.write("hosts/inv", "web1 ansible_connection=local\n");
  at.write("hosts/group_vars/all.yml", "of_all: and all\n");
  expect((await run(at, "here.yml", "-v")).stdout).toContain("here, and all");
  const end = await run(at, "site.yml", "-v");
  expect(end.stdout).toContain("web : Install");
  expect(end.stdout).not.toContain("in block");
});

test("scripts read what ansible-playbook prints, unless another output is asked for", async () => {
  const at = project();
  at.write(
    "short.yml",
    `- hosts: all
  connection: local
  gather_facts: false
  tasks:
    - name: Say
      debug: msg="{{ item }}"
      loop: [1, {a: true}]
    - name: Break
      fail: msg=broken
      ignore_errors: true
    - include_tasks: more.yml
    - name: Leave out
      debug: msg=1
      when: false
`,
  );
  at.write("more.yml", "- ping:\n");
  const banner = (title: string): string => `${title} `.padEnd(80, "*");
  const end = await run(at, "-i", "web1,", "short.yml");
  expect(end).toMatchObject({ code: 0, stderr: "" });
  expect(end.stdout).toBe(`
${banner("PLAY [all]")}

${banner("TASK [Say]")}
ok: [web1] => (item=1) => {
    "msg": 1
}
ok: [web1] => (item={'a': True}) => {
    "msg": {
        "a": true
    }
}

${banner("TASK [Break]")}
fatal: [web1]: FAILED! => {"changed": false, "msg": "broken"}
...ignoring

${banner("TASK [include_tasks]")}
included: ${at.directory}/more.yml for web1

${banner("TASK [ping]")}
ok: [web1]

${banner("TASK [Leave out]")}
skipping: [web1]

${banner("PLAY RECAP")}
web1                       : ok=4    changed=0    unreachable=0    failed=0    skipped=1    rescued=0    ignored=1   

`);
  expect((await run(at, "-i", "web1,", "short.yml", "-o", "plain")).stdout).toContain("short.yml on 1 host");
});

test("settings of ansible.cfg that tasks are carried out by, and the verbosity", async () => {
  const at = makeProject(scratch(), {
    "ansible.cfg": `[defaults]
any_errors_fatal = true
no_log = true
ansible_managed = Made by hand
inject_facts_as_vars = false
gather_subset = !all
`,
    "hosts.yml": "all: {vars: {ansible_connection: local}, hosts: {a: {n: 1}, b: {n: 2}}}\n",
    "site.yml": `- hosts: all
  tasks:
    - assert:
        that:
          - ansible_system is not defined
          - ansible_facts.system == 'Linux'
          - ansible_verbosity == 2
          - "'{{ ansible_managed }}' == 'Made by hand'"
    - debug: {msg: seen, verbosity: 2}
      no_log: false
    - debug: {msg: unseen, verbosity: 3}
      no_log: false
    - command: echo hidden
    - fail: {msg: stop}
      when: n == 1
    - debug: {msg: never}
      no_log: false
`,
  });
  const env = { ANSIBLE_CONFIG: at.path("ansible.cfg") };
  const { code, stdout } = await volleyHere(["run", "-i", "hosts.yml", "site.yml", "-vv"], {
    cwd: at.directory,
    env,
  });
  expect(code).not.toBe(0);
  expect(stdout).toContain("seen");
  for (const text of ["unseen", "hidden", "never"]) expect(stdout).not.toContain(`"${text}"`);
});

test("ansible.cfg limits the time of every task", async () => {
  const at = makeProject(scratch(), {
    "ansible.cfg": "[defaults]\ntask_timeout = 1\n",
    // No other task than the one that never ends: the limit holds for each, and a slow machine would exceed it.
    "site.yml": "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - command: sleep infinity\n",
  });
  const { code, stdout } = await volleyHere(["run", "-i", "localhost,", "-c", "local", "site.yml"], {
    cwd: at.directory,
    env: { ANSIBLE_CONFIG: at.path("ansible.cfg") },
  });
  expect(code).not.toBe(0);
  expect(stdout).toContain("in the expected time frame (1)");
});
