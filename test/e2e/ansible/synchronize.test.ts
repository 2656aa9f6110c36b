import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fleetStarter, ofType, provision } from "../lib/drive.ts";
import { makeProject, scratchDirectory } from "../lib/project.ts";

// rsync between the controller and hosts, over the connection that Volley has. Needs the program rsync.

const scratch = scratchDirectory();
const startFleet = fleetStarter();

const hasRsync = ((): boolean => {
  try {
    execFileSync("rsync", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

test.skipIf(!hasRsync)("synchronize pushes, deletes and pulls, and tells what changed", async () => {
  const fleet = await startFleet({ count: 1 });
  const project = makeProject(scratch(), {
    "files/tree/one": "one\n",
    "files/tree/sub/two": "x".repeat(3_000_000),
    "files/tree/it's a name": "odd\n",
    "site.yml": `- hosts: web01
  gather_facts: false
  tasks:
    - {synchronize: {src: tree/, dest: "~/there"}, check_mode: true, register: planned}
    - {stat: {path: "~/there"}, register: nothing}
    - {synchronize: {src: tree/, dest: "~/there"}, register: first}
    - {ansible.posix.synchronize: {src: tree/, dest: there}, register: again}
    - {copy: {content: more, dest: "~/there/more"}}
    - {synchronize: {src: tree/, dest: "~/there", delete: true, rsync_opts: ["--exclude=one"]}, register: deleted}
    - {synchronize: {src: "~/there/", dest: back/, mode: pull, times: false}, register: pulled}
    - {synchronize: {src: "{{ first.cmd.split(':')[-1] }}/", dest: "~/copy"}, delegate_to: "{{ inventory_hostname }}", register: within}
    - {synchronize: {src: missing/, dest: "~/there"}, ignore_errors: true, register: missing}
    - {synchronize: {src: tree/, dest: "~/there", rsync_path: no-such-rsync}, ignore_errors: true, register: absent}
    - assert:
        that:
          - planned is changed
          - not nothing.stat.exists
          - first is changed
          - "'<f+++++++++ one' in first.stdout_lines"
          - first.rc == 0
          - again is not changed
          - again.msg == ''
          - "'*deleting   more' in deleted.stdout_lines"
          - pulled is changed
          - within is changed
          - missing is failed
          - missing.rc == 23
          - "'missing' in missing.msg"
          - absent is failed
          - absent.rc != 0
          - "'no-such-rsync' in absent.msg"
`,
  });
  const { events, summary } = await provision(project, fleet, { playbook: "site.yml" });
  const failed = ofType(events, "task:end").filter(
    ({ result }) => result.state === "failed" && result.ignored !== true,
  );
  expect(failed.map(({ result }) => result.error?.message)).toEqual([]);
  expect(summary).toMatchObject({ exitCode: 0 });
  const { home } = fleet.hosts[0]!;
  expect(readdirSync(join(home, "there")).sort()).toEqual(["it's a name", "one", "sub"]);
  expect(readFileSync(join(project.directory, "back/sub/two"), "utf8")).toHaveLength(3_000_000);
  expect(existsSync(join(home, "copy/one"))).toBe(true);
});
