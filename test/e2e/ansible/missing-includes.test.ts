import { beforeAll, expect, test } from "vitest";
import { fleetStarter, ofType, provision, type Ran } from "../lib/drive.ts";
import { makeProject, scratchDirectory } from "../lib/project.ts";

// Files and roles that includes name and that are not there. The outcomes are those of ansible-playbook 2.14.

const scratch = scratchDirectory();
const startFleet = fleetStarter();

/** Statements by a name, with whether the host goes on after them. */
const CASES: Readonly<Record<string, readonly [statements: string, goesOn: boolean]>> = {
  "a file of tasks": ["- include_tasks: none.yml\n  ignore_errors: true", false],
  "a file of a loop": [
    "- include_tasks: '{{ item }}.yml'\n  loop: [good, none]\n  ignore_errors: true",
    false,
  ],
  "a role": ["- include_role: {name: nobody}\n  ignore_errors: true", false],
  "a role's tasks": ["- include_role: {name: some, tasks_from: none}\n  ignore_errors: true", false],
  "a role's vars": ["- include_role: {name: some, vars_from: none}\n  ignore_errors: true", false],
  "tasks that are no YAML": ["- include_tasks: broken.yml\n  ignore_errors: true", false],
  "no file": ["- include_tasks: ''\n  ignore_errors: true", false],
  "a rescued file of tasks": [rescued("include_tasks: none.yml"), true],
  "a rescued role": [rescued("include_role: {name: nobody}"), true],
  "a role's tasks, which nothing rescues": [rescued("include_role: {name: some, tasks_from: none}"), false],
  "no YAML, which nothing rescues": [rescued("include_tasks: broken.yml"), false],
  "what is not reached": [
    ["include_tasks: none.yml", "include_role: {name: nobody}", "include_vars: none.yml"]
      .map((each) => `- ${each}\n  when: false`)
      .join("\n"),
    true,
  ],
  "failures of included tasks, which the include does not ignore": [
    "- include_tasks: failing.yml\n  ignore_errors: true",
    false,
  ],
  "output of included tasks, which the include does not hide": [
    "- include_tasks: good.yml\n  no_log: true",
    true,
  ],
  "places that were looked at": [
    `
- include_vars: none.yml
  ignore_errors: true
  register: vars_of
- include_vars: {dir: nowhere}
  ignore_errors: true
  register: dir_of
- copy: {src: none.txt, dest: ~/none.txt}
  ignore_errors: true
  register: copied
- template: {src: none.j2, dest: ~/none.txt}
  ignore_errors: true
  register: rendered
- include_vars: none.yml
  failed_when: false
  register: forgiven
- assert:
    that:
      - vars_of.message is search(pattern % ('none.yml', playbook_dir, 'vars', 'none.yml'))
      - vars_of.msg is not defined
      - vars_of is not changed
      - dir_of.message == playbook_dir ~ '/cases/nowhere directory does not exist'
      - copied.msg is search(pattern % ('none.txt', playbook_dir, 'files', 'none.txt'))
      - rendered.msg is search(pattern % ('none.j2', playbook_dir, 'templates', 'none.j2'))
      - forgiven is not failed
      - forgiven.message == vars_of.message
  vars:
    pattern: "Could not find or access '%s'\\nSearched in:\\n\\t%s/cases/%s/%s\\n\\t"
- include_tasks: good.yml
  register: included
- assert:
    that: [included.failed is not defined, included is not changed, not included.include_args]
- debug: {msg: "{{ nobody }}"}
  ignore_errors: true
  register: untried
- assert: {that: [untried.changed is not defined, untried is not changed]}
`,
    true,
  ],
};

function rescued(include: string): string {
  return `- block:\n    - ${include}\n  rescue:\n    - debug: {msg: caught}`;
}

let ran: Ran;

beforeAll(async () => {
  const names = Object.keys(CASES);
  const fleet = await startFleet({ count: names.length });
  const hosts = fleet.hosts.map(({ name }) => name);
  const project = makeProject(scratch(), {
    "site.yml": `- hosts: all
  gather_facts: false
  tasks:
    - include_tasks: "cases/{{ inventory_hostname }}.yml"
    - debug: {msg: went on}
`,
    ...Object.fromEntries(hosts.map((host, nth) => [`cases/${host}.yml`, CASES[names[nth]!]![0]])),
    "cases/good.yml": "- debug: {msg: from the file}\n",
    "cases/failing.yml": "- command: 'false'\n",
    "cases/broken.yml": "- debug: msg=x\n   bad: [\n",
    "roles/some/tasks/main.yml": "- debug: {msg: from the role}\n",
  });
  ran = await provision(project, fleet, { playbook: "site.yml" });
}, 120_000);

test.each(Object.entries(CASES).map(([name, [, goesOn]], nth) => [name, goesOn, nth] as const))(
  "%s: the host goes on: %s",
  (_name, goesOn, nth) => {
    const host = ofType(ran.events, "run:start")[0]!.hosts[nth]!;
    const ends = ofType(ran.events, "task:end").filter((each) => each.host === host);
    const failures = ends.filter(({ result }) => result.state === "failed" && result.ignored !== true);
    const asserts = ends.filter(({ action, result }) => action === "assert" && result.state === "failed");
    expect(asserts.map(({ result }) => result.error?.message)).toEqual([]);
    expect(ends.at(-1)?.result.message).toBe(goesOn ? "went on" : undefined);
    const isRescued = ofType(ran.events, "task:rescued").some((each) => each.host === host);
    expect(failures.length).toBe(goesOn && !isRescued ? 0 : 1);
    const outcome = ran.summary.hosts.find((each) => each.host === host)?.outcome;
    expect(outcome).toBe(goesOn ? "ok" : "failed");
  },
);

test("an include hides its own output alone", () => {
  const shown = ofType(ran.events, "task:end").filter(({ result }) => result.message === "from the file");
  expect(shown.length).toBe(2);
});
