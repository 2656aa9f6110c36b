import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { builtCli, type CliEnd } from "../lib/cli.ts";
import { volleyHere } from "../lib/here.ts";
import { makeProject, scratchDirectory } from "../lib/project.ts";

// Playbooks whose hosts ask for each other. ansible-playbook 2.14 passes their asserts as well.

const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()), 600_000);

const HOSTS = `all:
  vars: {ansible_connection: local, ansible_python_interpreter: /usr/bin/python3}
  children:
    web: {hosts: {a: {n: 1}, b: {n: 2}, c: {n: 3}}}
`;

interface Tried extends CliEnd {
  /** The lines that tasks have written. */
  readonly lines: readonly string[];
  /** Of the recap: `a ok=1 changed=0 …`. */
  readonly recap: readonly string[];
}

async function play(tasks: string, keys = "", more: Readonly<Record<string, string>> = {}): Promise<Tried> {
  const { directory } = makeProject(scratch(), {
    "hosts.yml": HOSTS,
    "out.txt": "",
    "site.yml": `- hosts: web
  gather_facts: false
  vars: {out: "{{ playbook_dir }}/out.txt"}
${keys}  tasks:
${tasks.replace(/^/gm, "    ")}
`,
    ...more,
  });
  const end = await volleyHere(["run", "-i", "hosts.yml", "site.yml", "--output", "ansible"], {
    cwd: directory,
    env: { ANSIBLE_CONFIG: "" },
  });
  const recap = end.stdout.split("\n").flatMap((line) => {
    const [, host, ok, failed, rescued] = /^(\w+) +: ok=(\d+) .*failed=(\d+).*rescued=(\d+)/.exec(line) ?? [];
    return host === undefined ? [] : [`${host} ok=${ok} failed=${failed} rescued=${rescued}`];
  });
  const lines = readFileSync(join(directory, "out.txt"), "utf8")
    .split("\n")
    .filter((line) => line !== "");
  return { ...end, lines, recap };
}

test("hosts know each other, and what each has learned so far", async () => {
  const end = await play(`- command: "echo {{ n }}"
  register: said
- assert:
    that:
      - ansible_play_hosts == ['a', 'b', 'c']
      - ansible_play_hosts_all == ['a', 'b', 'c']
      - ansible_play_batch == ['a', 'b', 'c']
      - groups.web | map('extract', hostvars, ['said', 'stdout']) | list == ['1', '2', '3']
- set_fact: {leader: "{{ inventory_hostname }}"}
  when: inventory_hostname == groups.web[0]
- assert: {that: "hostvars[groups.web[0]].leader == 'a'"}
- add_host: {name: "new-{{ inventory_hostname }}", groups: made, special: "{{ n }}"}
- assert: {that: "groups.made == ['new-a'] and hostvars['new-a'].special | int == 1"}
- group_by: {key: "odd_{{ n % 2 }}"}
- assert: {that: "groups.odd_1 | sort == ['a', 'c'] and groups.odd_0 == ['b']"}
`);
  expect(end).toMatchObject({
    code: 0,
    recap: ["a", "b", "c"].map((host) => `${host} ok=${host === "a" ? 8 : 6} failed=0 rescued=0`),
  });
});

test("no host begins a task before all have done the one before, rescued ones too", async () => {
  const { code, lines } = await play(`- shell: "sleep {{ (3 - n) / 4 }}; echo one >> {{ out }}"
- shell: "echo two >> {{ out }}"
- block:
    - command: /bin/false
      when: n == 2
  rescue:
    - shell: "sleep 0.5; echo rescued >> {{ out }}"
- shell: "echo three >> {{ out }}"
- assert: {that: "ansible_play_hosts | length == 3"}
`);
  expect([code, lines]).toEqual([0, "one one one two two two rescued three three three".split(" ")]);
});

test("with the strategy free each host goes at its own pace", async () => {
  const { code, lines } = await play(
    // The others wait in their first task for the second of the first host.
    `- shell: "{{ '' if n == 1 else 'until grep -q two ' ~ out ~ '; do sleep 0.1; done;' }} echo one >> {{ out }}"
  timeout: 100
- shell: "echo two >> {{ out }}"
- assert: {that: "ansible_play_hosts | length == 3"}
`,
    "  strategy: free\n",
  );
  expect([code, lines.slice(0, 2)]).toEqual([0, ["one", "two"]]);
});

test("throttle limits the hosts that are at a task", async () => {
  const { code, lines } = await play(`- shell: "echo in >> {{ out }}; sleep 0.3; echo out >> {{ out }}"
  throttle: 1
`);
  expect([code, lines]).toEqual([0, ["in", "out", "in", "out", "in", "out"]]);
});

test("tasks are done on other machines, and their facts are kept there", async () => {
  const { code, recap } = await play(`- command: "echo {{ inventory_hostname }} by {{ n }}"
  delegate_to: b
  register: there
- assert: {that: "there.stdout == inventory_hostname ~ ' by ' ~ n"}
- set_fact: {told_by: "{{ inventory_hostname }}"}
  delegate_to: c
  delegate_facts: true
  when: n == 1
- assert:
    that:
      - hostvars.c.told_by == 'a'
      - (told_by is defined) == (inventory_hostname == 'c')
- setup:
  delegate_to: c
  delegate_facts: true
  run_once: true
- assert:
    that: "hostvars.c.ansible_facts.system == 'Linux' and (inventory_hostname == 'c') == (ansible_system is defined)"
`);
  expect([code, recap.every((line) => line.includes("failed=0"))]).toEqual([0, true]);
});

test("a task knows the vars of the machine that it is delegated to", async () => {
  const { code } = await play(`- set_fact: {learned: "{{ n }}"}
- assert:
    that:
      - ansible_delegated_vars.b.ansible_host == 'b' and ansible_delegated_vars.b.n == 2
      - ansible_delegated_vars.b.learned | int == 2
      - ansible_delegated_vars.b.inventory_hostname == inventory_hostname
      - n == groups.web.index(inventory_hostname) + 1
      - inventory_hostname == 'b' or hostvars.b.ansible_host is undefined
  delegate_to: b
- assert: {that: "ansible_delegated_vars[item].ansible_host == item"}
  delegate_to: "{{ item }}"
  loop: "{{ groups.web }}"
- assert: {that: ansible_delegated_vars is undefined}
- command: echo "{{ ansible_delegated_vars.c.n }}"
  delegate_to: c
  register: told
- assert: {that: "told.stdout == '3'"}
- debug:
  delegate_to: "{{ nowhere }}"
  when: nowhere is defined
`);
  expect(code).toBe(0);
});

test("a task that is done once is done by the first host that comes to it", async () => {
  const { code, lines } = await play(
    `- include_tasks: some.yml
  when: n != 1
- shell: "echo {{ ansible_play_hosts | length }} >> {{ out }}"
  run_once: true
`,
    "",
    {
      "some.yml": `- shell: "echo once on {{ n }} | tee -a {{ out }}"
  run_once: true
  register: once
- assert: {that: "once.stdout == 'once on 2'"}
`,
    },
  );
  expect([code, lines]).toEqual([0, ["once on 2", "3"]]);
});

test("an error that is fatal for all ends the run at the task, unless it is rescued", async () => {
  const { code, lines } = await play(`- block:
    - block:
        - command: /bin/false
          when: n == 1
      any_errors_fatal: true
  rescue:
    - shell: "echo rescued >> {{ out }}"
- shell: "sleep {{ n - 1 }}; echo both >> {{ out }}; [ {{ n }} != 1 ]"
  any_errors_fatal: true
- shell: "echo never >> {{ out }}"
`);
  expect([code === 0, lines]).toEqual([false, ["rescued", "both", "both", "both"]]);
});

test("one host ends the play for all; the condition of the first counts", async () => {
  const { code, lines } = await play(`- meta: end_play
  when: n == 2
- shell: "echo {{ n }} >> {{ out }}"
  throttle: 1
- meta: end_play
  when: n == 1
- shell: "echo never >> {{ out }}"
`);
  expect([code, [...lines].sort()]).toEqual([0, ["1", "2", "3"]]);
});

test("batches of a serial play go through it one after the other", async () => {
  const { code, lines } = await play(
    `- shell: "echo {{ ansible_play_batch | join('+') }} of {{ ansible_play_hosts | length }} >> {{ out }}"
  run_once: true
`,
    "  serial: [1, 2]\n",
  );
  expect([code, lines]).toEqual([0, ["a of 3", "b+c of 3"]]);
});

test("an include that is done once brings its tasks to the first host alone", async () => {
  const { code, lines } = await play(
    `- include_tasks: some.yml
  run_once: true
- include_tasks: {file: some.yml, apply: {run_once: true}}
  run_once: true
- block:
    - include_tasks: some.yml
  run_once: true
- assert: {that: "(knows is defined) == (inventory_hostname == 'a')"}
`,
    "",
    { "some.yml": `- shell: "echo on {{ n }} >> {{ out }}"\n- set_fact: {knows: true}\n  run_once: false\n` },
  );
  expect([code, lines]).toEqual([0, ["on 1", "on 1", "on 1"]]);
});

test("the first batch of a serial play ends it for all", async () => {
  const { code, lines } = await play(
    `- shell: "echo {{ n }} >> {{ out }}"\n- meta: end_play\n- fail: {}`,
    "  serial: 1\n",
  );
  expect([code, lines]).toEqual([0, ["1"]]);
});

test("set_stats takes dictionaries of valid names", async () => {
  const { code } = await play(`- set_stats: {data: [1]}
  ignore_errors: true
  register: list
- set_stats: {data: {".bad": 1}}
  ignore_errors: true
  register: name
- assert:
    that:
      - list is failed and name is failed
      - list.msg is search('needs to be a dictionary/hash')
      - name.msg is search('.bad. is not valid')
`);
  expect(code).toBe(0);
});

test("later plays are for the hosts that tasks have added and grouped", async () => {
  const { directory } = makeProject(scratch(), {
    "hosts.yml": HOSTS,
    "out.txt": "",
    "site.yml": `- hosts: web
  gather_facts: false
  tasks:
    - group_by: {key: "odd_{{ n % 2 }}"}
    - add_host: {name: new1, groups: [made, web], ansible_connection: local, n: 9, out: "{{ playbook_dir }}/out.txt"}
- hosts: odd_1
  gather_facts: false
  tasks:
    - assert: {that: "inventory_hostname in ['a', 'c'] and ansible_play_hosts_all | sort == ['a', 'c']"}
- hosts: odd_7
  gather_facts: false
  tasks: [{fail: {}}]
- hosts: made
  gather_facts: true
  tasks:
    - shell: "echo {{ inventory_hostname }} {{ n }} {{ group_names | join(' ') }} {{ ansible_system }} >> {{ out }}"
- hosts: web:!odd_1
  gather_facts: false
  tasks:
    - assert: {that: "ansible_play_hosts | sort == ['b', 'new1']"}
- hosts: nowhere
  gather_facts: false
  tasks: [{fail: {}}]
`,
  });
  const end = await volleyHere(["run", "-i", "hosts.yml", "site.yml", "--output", "ansible"], {
    cwd: directory,
    env: { ANSIBLE_CONFIG: "" },
  });
  const recap = [...end.stdout.matchAll(/^(\w+) +: ok=(\d+).*failed=(\d+)/gm)].map(([, ...found]) =>
    found.join(" "),
  );
  expect([end.code, recap]).toEqual([0, ["a 3 0", "b 2 0", "c 2 0", "new1 3 0"]]);
  expect(readFileSync(join(directory, "out.txt"), "utf8")).toBe("new1 9 made web Linux\n");
});

test("no later play begins once all hosts of a play have failed", async () => {
  const { directory } = makeProject(scratch(), {
    "hosts.yml": HOSTS,
    "site.yml": `- hosts: a
  gather_facts: false
  tasks: [{fail: {msg: stop}}]
- hosts: localhost
  gather_facts: false
  tasks: [{debug: {msg: never}}]
`,
  });
  const end = await volleyHere(["run", "-i", "hosts.yml", "site.yml", "--output", "ansible"], {
    cwd: directory,
    env: { ANSIBLE_CONFIG: "" },
  });
  expect(end.code).toBe(2);
  expect(end.stdout).toContain('"msg": "stop"');
  expect(end.stdout).not.toContain("never");
});

test("hosts that work by themselves leave plays alone whose hosts only a controller can tell", async () => {
  const { directory } = makeProject(scratch(), {
    "hosts.yml": HOSTS,
    "site.yml": `- hosts: web
  gather_facts: false
  tasks: [{group_by: {key: "odd_{{ n % 2 }}"}}]
- hosts: odd_1
  gather_facts: false
  tasks: [{debug: {msg: for some}}]
`,
  });
  const inventory = ["-i", "hosts.yml", "site.yml"];
  const options = { cwd: directory, env: { ANSIBLE_CONFIG: "" } };
  const byBundle = await volleyHere(["run", ...inventory, "--via", "bundle", "-o", "plain", "-vv"], options);
  expect([byBundle.code, byBundle.stdout.includes("for some")]).toEqual([0, false]);
  expect(byBundle.stdout).toContain("take part only with --via direct");
  const listed = await volleyHere(["run", ...inventory, "--list-hosts"], options);
  expect(listed.stdout).toMatch(/odd_1.*\n.*\n.*hosts \(0\)/);
});
