import { expect, test } from "vitest";
import { fleetStarter, ofType, provision } from "../lib/drive.ts";
import { makeProject, scratchDirectory } from "../lib/project.ts";

// Meta tasks, and vars that statements leave to those after them. ansible-playbook 2.14 passes these playbooks, too.

const scratch = scratchDirectory();
const startFleet = fleetStarter();

test("a host that ended its play is none of its hosts, and handlers may be meta tasks", async () => {
  const fleet = await startFleet({ count: 3 });
  const project = makeProject(scratch(), {
    "site.yml": `- hosts: all
  gather_facts: false
  tasks:
    - meta: end_host
      when: inventory_hostname == 'web01'
    - assert:
        that:
          - ansible_play_hosts == ['web02', 'web03']
          - ansible_play_batch == ['web02', 'web03']
          - ansible_play_hosts_all == ['web01', 'web02', 'web03']
    - command: "true"
      notify: [nothing, leave, told]
    - meta: flush_handlers
    - debug: {msg: "left is {{ ansible_play_hosts }}"}
  handlers:
    - name: nothing
      meta: noop
    - name: leave
      meta: end_host
      when: inventory_hostname == 'web02'
    - name: told
      debug: {msg: told}
- hosts: all
  gather_facts: false
  tasks:
    - assert:
        that: ansible_play_hosts == ['web01', 'web02', 'web03']
`,
  });
  const { events, summary } = await provision(project, fleet, { playbook: "site.yml" });
  const said = ofType(events, "task:end")
    .filter(({ action }) => action === "debug")
    .map(({ host, result }) => [host, result.message]);
  expect(said).toEqual([
    ["web03", "told"],
    ["web03", "left is ['web03']"],
  ]);
  const failed = ofType(events, "task:end").filter(({ result }) => result.state === "failed");
  expect(failed.map(({ result }) => result.error?.message)).toEqual([]);
  expect(summary.exitCode).toBe(0);
});

test("a rescue knows the name that a task was given, and a public include leaves its vars", async () => {
  const fleet = await startFleet({ count: 1 });
  const project = makeProject(scratch(), {
    "site.yml": `- hosts: all
  gather_facts: false
  tasks:
    - block:
        - fail:
      rescue:
        - assert: {that: [ansible_failed_task.name == '', ansible_failed_task.action == 'fail']}
    - block:
        - name: Break {{ 1 + 1 }}
          fail:
      rescue:
        - assert: {that: ansible_failed_task.name == 'Break 2'}
    - include_role: {name: some}
      vars: {given: privately}
    - assert: {that: [given is not defined, own is not defined]}
    - include_role: {name: some, public: true}
      vars: {given: publicly, lazy: "{{ given }} so"}
    - assert: {that: [given == 'publicly', lazy == 'publicly so', own == 'default']}
    - include_role: {name: some}
    - assert: {that: seen == 'publicly default'}
    - assert:
        that:
          - of_play == 'play'
          - own_vars.of_play is not defined
          - own_vars.own is not defined
          - own_vars.seen == seen
          - own_vars.ansible_port == ansible_port
      vars: {own_vars: "{{ hostvars[inventory_hostname] }}"}
  vars: {of_play: play}
`,
    "roles/some/defaults/main.yml": "given: default\nown: default\n",
    "roles/some/tasks/main.yml": '- set_fact: {seen: "{{ given }} {{ own }}"}\n',
  });
  const { events, summary } = await provision(project, fleet, { playbook: "site.yml" });
  const failed = ofType(events, "task:end").filter(
    ({ action, result }) => action !== "fail" && result.state === "failed",
  );
  expect(failed.map(({ result }) => result.error?.message)).toEqual([]);
  expect(summary.exitCode).toBe(0);
});
