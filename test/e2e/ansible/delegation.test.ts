import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fleetStarter, ofType, provision } from "../lib/drive.ts";
import { makeProject, scratchDirectory } from "../lib/project.ts";

// Delegation to other hosts over SSH.

const scratch = scratchDirectory();
const startFleet = fleetStarter();

test("tasks are delegated to a host of the run, and to a host that the run is not for", async () => {
  const fleet = await startFleet({ count: 3 });
  const project = makeProject(scratch(), {
    "site.yml": `- hosts: web01:web02
  gather_facts: false
  tasks:
    - shell: echo "{{ inventory_hostname }}" >> "$HOME/by"
      delegate_to: "{{ item }}"
      throttle: 1
      loop: [web02, web03]
    - shell: cat "$HOME/by"
      delegate_to: web03
      run_once: true
      register: there
    - copy:
        content: "{{ there.stdout_lines | sort | join(' ') }}"
        dest: "~/told"
    - shell: exit 3
      delegate_to: web01
      ignore_errors: true
    - command: id
      delegate_to: web77
      ignore_unreachable: true
      register: nobody
    - assert: {that: [nobody is unreachable, nobody is not failed, nobody is not changed]}
    - command: id
      delegate_to: "{{ item }}"
      loop: [web03, web77]
      ignore_unreachable: true
      register: some
    - assert:
        that:
          - some.results[0] is reachable
          - some.results[1] is unreachable
`,
  });
  const { events, summary } = await provision(project, fleet, { playbook: "site.yml" });
  const failed = ofType(events, "task:end").filter(({ result }) => result.state === "failed");
  expect(failed.map(({ name, result }) => [name, result.ignored])).toEqual([
    ["shell", true],
    ["shell", true],
    ["command", true],
    ["command", true],
    ["command", true],
    ["command", true],
  ]);
  expect(failed.at(-1)?.result.error?.message).toContain("web77");
  expect(summary).toMatchObject({ exitCode: 0 });
  const read = (host: number, name: string): string =>
    readFileSync(join(fleet.hosts[host]!.home, name), "utf8");
  expect([0, 1].map((host) => read(host, "told"))).toEqual(["web01 web02", "web01 web02"]);
  expect([1, 2].map((host) => read(host, "by").trim().split("\n").sort())).toEqual([
    ["web01", "web02"],
    ["web01", "web02"],
  ]);
});

test("a host whose task cannot reach the other is out, whatever else would forgive a failure", async () => {
  const fleet = await startFleet({ count: 2 });
  const project = makeProject(scratch(), {
    "site.yml": `- hosts: web01
  gather_facts: false
  tasks:
    - block:
        - command: id
          delegate_to: web77
          ignore_errors: true
          failed_when: false
      rescue:
        - copy: {content: rescued, dest: "~/told"}
    - copy: {content: went on, dest: "~/told"}
- hosts: web02
  gather_facts: false
  tasks:
    - copy: {content: never, dest: "~/told"}
`,
  });
  const { events } = await provision(project, fleet, { playbook: "site.yml" });
  // As in Ansible: no host of the first play is left, so the second does not begin.
  const ends = ofType(events, "task:end").map(({ host, result }) => [host, result.state, result.ignored]);
  expect(ends).toEqual([["web01", "failed", undefined]]);
  expect(fleet.hosts.some(({ home }) => existsSync(join(home, "told")))).toBe(false);
});

test("the way to the other host is that host's by the inventory, but for vars and keywords of the task", async () => {
  const fleet = await startFleet({ count: 3, passwords: [{ user: "web", password: "of-web" }] });
  const [, second, third] = fleet.hosts;
  const text = fleet.inventoryYaml();
  const user = `ansible_user: ${JSON.stringify(fleet.user)}`;
  expect(text).toContain(user);
  const project = makeProject(scratch(), {
    "site.yml": `- hosts: web01
  gather_facts: false
  remote_user: web
  tasks:
    - shell: echo keyword outdone >> "$HOME/by"
      delegate_to: web02
      remote_user: nobody-there
      port: 1
    - shell: echo port of a var >> "$HOME/by"
      delegate_to: "{{ item }}"
      vars: {ansible_port: "{{ other[item] }}"}
      loop: [web02]
    - shell: echo address alone >> "$HOME/by"
      delegate_to: elsewhere
      vars: {ansible_host: ${third!.address}, ansible_port: ${third!.port}, ansible_password: of-web}
    - command: "true"
      delegate_to: web02
      vars: {ansible_user: nobody-there}
      ignore_unreachable: true
      register: nobody
    - command: "true"
      delegate_to: web02
      vars: {ansible_port: 1}
      ignore_unreachable: true
      register: nowhere
    - command: pwd
      delegate_to: web02
      connection: local
      register: here
    - command: pwd
      delegate_to: web02
      vars: {ansible_connection: local}
      register: here_too
    - command: "true"
      delegate_to: web02
      become: true
      become_method: pbrun
      ignore_errors: true
      register: method
    - command: "true"
      delegate_to: web02
      vars: {ansible_become: true, ansible_become_user: no-such-user-there}
      ignore_errors: true
      register: become
    - assert:
        that:
          - nobody is unreachable
          - nowhere is unreachable
          - here.stdout == playbook_dir
          - here_too.stdout == playbook_dir
          - method is failed and 'not by "pbrun"' in method.msg
          - become is failed and 'no-such-user-there' in become.msg
  vars_files: [ports.yml]
`,
    "ports.yml": `other: {web02: ${third!.port}}\n`,
  });
  const { events, summary } = await provision(project, fleet, { playbook: "site.yml" });
  const failed = ofType(events, "task:end").filter(
    ({ result }) => result.state === "failed" && result.ignored !== true,
  );
  expect(failed.map(({ name, result }) => [name, result.error?.message])).toEqual([]);
  expect(summary.exitCode).toBe(0);
  const by = ({ home }: { readonly home: string }): string => readFileSync(join(home, "by"), "utf8");
  expect(by(second!)).toBe("keyword outdone\n");
  expect(by(third!)).toBe("port of a var\naddress alone\n");
  expect(JSON.stringify(events)).not.toContain("of-web");
});
