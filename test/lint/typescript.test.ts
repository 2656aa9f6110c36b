import { expect, test } from "vitest";
import { line, linter } from "./fixture.ts";

const { look } = linter();

const role = (tasks: string, name = "web"): string =>
  `import { copy, defineRole, file } from "volley";\nexport default defineRole({\n  name: "${name}",\n  tasks({ task, vars }) {\n${tasks}\n  },\n});\n`;

test("a role: wrong parameters and missing files, with their places", async () => {
  const files = {
    "package.json": "{}",
    "roles/web/role.ts": role('    task("a", file({ path: "/a", stat: "absent" } as never));'),
    "roles/db/role.ts": role('    task("a", copy({ src: "none", dest: "/a" }));', "db"),
    "roles/ok/role.ts": role('    task("a", copy({ src: "there", dest: vars.any as string }));', "ok"),
    "roles/ok/files/there": "x",
  };
  expect((await look(files, ".")).map(line)).toEqual([
    expect.stringMatching(/^roles\/db\/role\.ts:5:\d+ missing-file: .*none/),
    expect.stringMatching(/^roles\/web\/role\.ts:5:\d+ playbook: file: unknown parameter "stat"/),
  ]);
});

test("a playbook: each fault that the compiler finds, and each role's", async () => {
  const broken = {
    "site.ts": "import a from './no.ts';\nimport b from './nor.ts';\nexport default [a, b];\n",
  };
  expect((await look(broken, "site.ts")).map(line)).toEqual([
    expect.stringMatching(/^site\.ts:1:15 build: Could not resolve "\.\/no\.ts"/),
    expect.stringMatching(/^site\.ts:2:15 build: Could not resolve "\.\/nor\.ts"/),
  ]);
  const found = await look(
    {
      "site.ts":
        'import { definePlaybook } from "volley";\nimport web from "./web.ts";\nimport db from "./db.ts";\nexport default definePlaybook([{ hosts: "all", roles: [web(), db()] }]);\n',
      "web.ts": role('    task("a", file({ path: "/a", state: "gone" as never }));'),
      "db.ts": role('    task("", file({ path: "/a" }));', "db"),
    },
    "site.ts",
  );
  expect(found.map(({ rule, file }) => `${file} ${rule}`)).toEqual(["db.ts playbook", "web.ts playbook"]);
});

test("a file that exports neither", async () => {
  expect((await look({ "a.ts": "export default 1;\n" }, "a.ts")).map(line)).toEqual([
    "a.ts playbook: the file exports neither a playbook nor a role",
  ]);
});

test("plays and roles of the other kind", async () => {
  const found = await look(
    {
      "site.yml": "- { hosts: all, roles: [script], tasks: [{ command: 'true', notify: of the script }] }\n",
      "roles/script/role.ts": role('    task("", file({ path: "/a" }));', "script"),
      "site.ts":
        'import { ansibleRole, definePlaybook } from "volley";\nexport default definePlaybook([{ hosts: "all", roles: [ansibleRole("yaml"), ansibleRole("none")] }]);\n',
      "roles/yaml/tasks/main.yml": "- { fle: { path: /a } }\n",
    },
    "site.yml",
    "site.ts",
  );
  expect(found.map(({ rule, file }) => `${file} ${rule}`)).toEqual([
    "roles/script/role.ts playbook",
    "roles/yaml/tasks/main.yml unknown-module",
    "site.ts missing-role",
  ]);
});
