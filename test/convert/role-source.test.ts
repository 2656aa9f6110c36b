import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RoleSource, readRole, writeRole } from "../../src/convert/role-source.ts";

let scratch = "";
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "volley-role-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Write a role `roles/web` in a directory of its own, and read it from there. */
function read(files: Readonly<Record<string, string>>, name = "web"): RoleSource {
  const directory = mkdtempSync(join(scratch, "project-"));
  for (const [path, text] of Object.entries(files)) {
    const file = join(directory, "roles/web", path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return readRole(name, directory, { notes: [] });
}

const ROLE = {
  "tasks/main.yml": `- name: Configure
  block:
    - ansible.builtin.template: src=site.j2 dest=/etc/site
      notify: reload
      loop: [1, 2]
  rescue:
    - include_tasks: repair.yml
  when: enabled
`,
  "tasks/repair.yml": "- command: repair\n",
  "handlers/main.yml": "- name: reload\n  service: {name: web, state: reloaded}\n  listen: changed\n",
  "defaults/main.yml": "port: 80\n\nratio: 1.0\n",
  "vars/Debian.yml": "packages:\n  - web\n",
  "meta/main.yml": "dependencies:\n  - role: other\n    size: 81\n",
  "templates/site.j2": "{{ port }}",
  "files/a/b": "",
  "library/own": "#!/bin/sh\n",
};

test("a role's tree has its statements with their places, and its vars with their lines", () => {
  const { role, tasks, handlers, defaults, vars, files, templates, library } = read(ROLE);
  expect(role).toMatchObject({
    name: "web",
    dependencies: [{ at: "meta/main.yml:2:5", name: "other", params: { size: 81 } }],
  });
  expect(tasks).toEqual({
    "tasks/main.yml": {
      content: [
        {
          kind: "block",
          at: "tasks/main.yml:1:3",
          name: "Configure",
          keys: { when: ["enabled"] },
          block: [
            {
              kind: "task",
              at: "tasks/main.yml:3:7",
              module: "template",
              written: "ansible.builtin.template",
              args: { src: "site.j2", dest: "/etc/site" },
              keys: { notify: ["reload"], loop: [1, 2] },
            },
          ],
          rescue: [
            {
              kind: "task",
              at: "tasks/main.yml:7:7",
              module: "include_tasks",
              args: { _raw_params: "repair.yml" },
              keys: {},
            },
          ],
          always: [],
        },
      ],
    },
    "tasks/repair.yml": {
      content: [
        {
          kind: "task",
          at: "tasks/repair.yml:1:3",
          module: "command",
          args: { _raw_params: "repair" },
          keys: {},
        },
      ],
    },
  });
  expect(handlers["handlers/main.yml"]).toMatchObject({
    content: [{ name: "reload", keys: { listen: ["changed"] } }],
  });
  expect(defaults["defaults/main.yml"]).toMatchObject({
    content: { port: 80 },
    lines: { port: 1, ratio: 3 },
  });
  expect(vars).toEqual({ "vars/Debian.yml": { content: { packages: ["web"] }, lines: { packages: 1 } } });
  expect([files, templates]).toEqual([["files/a/b"], ["templates/site.j2"]]);
  expect(library).toEqual({ own: { path: "library/own", kind: "words" } });
});

test("it is written as JSON, in which values that JSON lacks are marked", () => {
  const written = JSON.parse(writeRole(read(ROLE))) as RoleSource;
  expect(written.format).toBe(1);
  expect(written.defaults["defaults/main.yml"]).toMatchObject({
    content: { ratio: { $volley: ["float", "1"] } },
  });
});

test("a role is found by its path, too, and a missing one is told", () => {
  expect(read(ROLE, "./roles/web").role.name).toBe("web");
  expect(() => read(ROLE, "nginx")).toThrow("there is no role nginx");
});

test("a file that is wrong is told where it stands", () => {
  const { tasks } = read({ ...ROLE, "tasks/repair.yml": "- command: a\n  shell: b\n" });
  expect(tasks["tasks/repair.yml"]).toEqual({
    error: "tasks/repair.yml:2:3: conflicting action statements: command, shell",
  });
});
