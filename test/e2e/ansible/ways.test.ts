import { chmodSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { expect, test } from "vitest";
import type { EmbeddedFleet } from "../../../src/embedded/options.ts";
import { fleetStarter, ofType, provision, type Ran } from "../lib/drive.ts";
import { makeProject, type Project, scratchDirectory } from "../lib/project.ts";

// Keywords below the play, and vars, that say how a host is reached. On Debian hosts ansible-playbook 2.14 does the same.

const scratch = scratchDirectory();
const startFleet = fleetStarter();

/** Writes down how it was called, skips the options and the user, and executes the command. */
const PROGRAM = `#!/bin/sh
echo "\${0##*/} $*" >>"$ASKED"
while [ "$1" != -- ] && [ "$1" != -c ]; do shift; done
case $1 in -c) exec sh -c "$2";; esac
shift; exec "$@"
`;

interface Tried extends Ran {
  readonly project: Project;
  readonly fleet: EmbeddedFleet;
  /** The calls of the programs that change the user. */
  readonly asked: readonly string[];
  /** The messages of `debug` tasks. */
  readonly said: readonly unknown[];
}

/** Carries out a play on a host whose user `ops` logs in with the password `login`, and `web` with `of-web`. */
async function play(text: string, vars = ""): Promise<Tried> {
  const names = ["sudo", "su", "doas", "other"];
  const project = makeProject(scratch(), {
    "site.yml": text,
    ...Object.fromEntries(names.map((name) => [`bin/${name}`, PROGRAM])),
  });
  for (const name of names) chmodSync(project.path(`bin/${name}`), 0o755);
  const fleet = await startFleet({
    count: 1,
    passwords: [
      { user: "ops", password: "login" },
      { user: "web", password: "of-web" },
    ],
    env: { PATH: `${project.path("bin")}:${process.env.PATH}`, ASKED: project.path("asked") },
  });
  const inventory = project.write(
    "ops.yaml",
    fleet
      .inventoryYaml()
      .replaceAll(`ansible_user: ${JSON.stringify(fleet.user)}`, vars)
      .replaceAll(/.*private_key_file.*\\n/g, ""),
  );
  const ran = await provision(project, fleet, {
    playbook: project.path("site.yml"),
    inventory,
    password: "login",
  });
  const ends = ofType(ran.events, "task:end");
  const asked = (() => {
    try {
      return readFileSync(project.path("asked"), "utf8").trimEnd().split("\\n");
    } catch {
      return [];
    }
  })();
  const said = ends.flatMap(({ result }) => {
    const { msg } = (result.data ?? {}) as { readonly msg?: unknown };
    return typeof msg === "string" && msg.startsWith("said ") ? [msg.slice(5)] : [];
  });
  return { ...ran, project, fleet, asked, said };
}

test("another login user: by remote_user, by vars with a password, and by set_fact", async () => {
  const { summary, said, events } = await play(`- hosts: all
  remote_user: ops
  gather_facts: false
  tasks:
    - command: "true"
    - command: "true"
      remote_user: "{{ 'web' }}"
      vars: {ansible_password: of-web}
    - block:
        - command: "true"
      vars: {ansible_user: web, ansible_ssh_pass: of-web}
    - command: "true"
      vars: {ansible_user: nobody-there}
      ignore_unreachable: true
      register: r
    - debug: {msg: "said {{ r.unreachable }} {{ ansible_user }}"}
    - set_fact: {ansible_user: web, ansible_password: of-web}
    - command: echo "{{ ansible_password }}"
    - command: "true"
      remote_user: ops
    - command: "true"
      vars: {ansible_password: wrong-one}
      register: r
    - debug: {msg: "said {{ ansible_user }}"}
`);
  expect(said).toEqual(["True ops", "web"]);
  expect(summary).toMatchObject({ exitCode: 0, tally: { failed: 0 } });
  expect(JSON.stringify(events)).not.toContain("of-web");
});

test("connection: local works on the controller, with the vars of the host", async () => {
  const { summary, said, project } = await play(`- hosts: all
  remote_user: ops
  gather_facts: false
  tasks:
    - command: sh -c 'echo "\${ASKED:-controller} {{ inventory_hostname }}"; pwd'
      connection: local
      register: r
    - debug: {msg: "said {{ r.stdout_lines | join(' ') }}"}
    - copy: {content: "{{ inventory_hostname }}", dest: made}
      vars: {ansible_connection: local}
    - command: "true"
      connection: docker
      ignore_errors: true
      register: r
    - debug: {msg: "said {{ r.msg }}"}
`);
  expect(summary.exitCode).toBe(0);
  expect(said).toEqual([
    `controller web01 ${project.directory}`,
    'Volley connects a task by "ssh" or "local", not by "docker" (the inventory and plays may say more: docker, podman, lxd, incus, nspawn, chroot)',
  ]);
  expect(readFileSync(project.path("made"), "utf8")).toBe("web01");
});

test("another way to become a user: method, program and flags", async () => {
  const { summary, asked, said } = await play(`- hosts: all
  remote_user: ops
  become_method: doas
  gather_facts: false
  tasks:
    - command: "true"
      become: true
    - block:
        - command: "true"
          become: true
      become_method: sudo
      become_flags: "-H -S"
    - command: "true"
      become: true
      vars: {ansible_become_method: su, ansible_become_exe: other}
    - command: "true"
      become: true
      become_method: pbrun
      ignore_errors: true
      register: r
    - debug: {msg: "said {{ r.msg }}"}
`);
  expect(summary.exitCode).toBe(0);
  const programs = [...new Set(asked.map((line) => line.split(" ")[0]))];
  // Root needs no permission: the embedded hosts are this machine.
  const isRoot = userInfo().uid === 0;
  expect(programs).toEqual(isRoot ? ["su"] : ["doas", "sudo", "other"]);
  if (!isRoot) expect(asked.find((line) => line.startsWith("sudo"))).toMatch(/^sudo -H -S /);
  expect(said).toEqual(['Volley becomes another user by sudo, su or doas, not by "pbrun"']);
});

test("another port, and one that is the inventory's", async () => {
  const { summary, said } = await play(`- hosts: all
  remote_user: ops
  gather_facts: false
  tasks:
    - command: "true"
      port: 1
    - command: "true"
      vars: {ansible_port: 1}
      ignore_unreachable: true
      register: r
    - debug: {msg: "said {{ r.unreachable }}"}
`);
  // As in Ansible the inventory's var wins over the keyword.
  expect(summary.exitCode).toBe(0);
  expect(said).toEqual(["True"]);
});

test("on this machine, become is asked of sudo as anywhere, and who it is already needs no asking", async () => {
  const { summary, said } = await play(`- hosts: all
  remote_user: ops
  gather_facts: false
  tasks:
    - command: id -un
      delegate_to: localhost
      become: true
      become_user: ${userInfo().username}
      register: r
    - debug: {msg: "said {{ r.stdout }}"}
    - command: id -un
      connection: local
      become: true
      become_user: no-such-user-here
      ignore_errors: true
      register: r
    - debug: {msg: "said {{ r is failed }}"}
`);
  expect(summary.exitCode).toBe(0);
  expect(said).toEqual([userInfo().username, "True"]);
});
