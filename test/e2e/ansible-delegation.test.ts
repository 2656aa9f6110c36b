import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fleetStarter, ofType, provision } from "./lib/drive.ts";
import { makeProject, scratchDirectory } from "./lib/project.ts";

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
