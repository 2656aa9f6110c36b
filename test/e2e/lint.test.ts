import { beforeAll, expect, test } from "vitest";
import { builtCli } from "./lib/cli.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, scratchDirectory } from "./lib/project.ts";

const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()));

const right = "- hosts: all\n  tasks:\n    - debug: {msg: hi}\n";
const wrong = "- hosts: all\n  tasks:\n    - debug: {msgg: '{{ token }}'}\n";
const braces = "- hosts: all\n  tasks:\n    - debug: {msg: hi}\n      when: '{{ flag }}'\n";

const project = () =>
  makeProject(scratch(), {
    "right.yml": right,
    "wrong.yml": wrong,
    "braces.yml": braces,
    "var.yml": "- hosts: all\n  tasks:\n    - debug: {msg: '{{ token }}'}\n",
    inventory: "web1 known=1\n",
    "roles/web/handlers/main.yml": "- {name: Restart, command: 'true'}\n",
  }).directory;

test("the exit code tells whether something was found", async () => {
  const cwd = project();
  expect(await volleyHere(["lint", "right.yml"], { cwd })).toEqual({
    code: 0,
    stdout: "1 file: nothing found\n",
    stderr: "",
  });
  expect(await volleyHere(["lint", "right.yml", "wrong.yml"], { cwd })).toEqual({
    code: 2,
    stdout:
      'wrong.yml:3:15: error: debug has no parameter "msgg"; did you mean "msg"? (it takes: msg, var, verbosity) [unknown-parameter]\n2 files: 1 error\n',
    stderr: "",
  });
  expect(await volleyHere(["lint", "braces.yml"], { cwd })).toMatchObject({ code: 0 });
  expect(await volleyHere(["lint", "--strict", "braces.yml"], { cwd })).toMatchObject({ code: 2 });
  expect((await volleyHere(["lint", "--strict", "roles/web"], { cwd })).stdout).toContain("[unused-handler]");
  expect(await volleyHere(["lint", "--no-hints", "roles/web"], { cwd })).toMatchObject({
    code: 0,
    stdout: "1 file: nothing found\n",
  });
  expect(await volleyHere(["lint", "none.yml"], { cwd })).toEqual({
    code: 1,
    stdout: "",
    stderr: "volley: there is no file or directory none.yml\n",
  });
});

test("with an inventory, a var must come from somewhere", async () => {
  const cwd = project();
  const end = await volleyHere(["lint", "-i", "inventory", "var.yml"], { cwd });
  expect(end).toMatchObject({ code: 2, stdout: expect.stringContaining('nothing here defines "token"') });
  expect(await volleyHere(["lint", "-i", "inventory", "-e", "token=1", "var.yml"], { cwd })).toMatchObject({
    code: 0,
  });
  expect(await volleyHere(["lint", "var.yml"], { cwd })).toMatchObject({ code: 0 });
});

test("--json and --sarif", async () => {
  const cwd = project();
  const json = await volleyHere(["lint", "--json", "wrong.yml"], { cwd });
  expect(json.code).toBe(2);
  expect(JSON.parse(json.stdout)).toEqual({
    version: 1,
    findings: [
      {
        rule: "unknown-parameter",
        severity: "error",
        file: "wrong.yml",
        line: 3,
        column: 15,
        message: 'debug has no parameter "msgg"; did you mean "msg"?',
        hint: "it takes: msg, var, verbosity",
      },
    ],
    summary: { files: 1, errors: 1, warnings: 0, hints: 0 },
  });
  const sarif = await volleyHere(["lint", "--sarif", "wrong.yml"], { cwd });
  expect(sarif.code).toBe(2);
  expect(JSON.parse(sarif.stdout)).toMatchObject({
    version: "2.1.0",
    runs: [
      {
        tool: { driver: { name: "volley lint" } },
        results: [{ ruleId: "unknown-parameter", level: "error" }],
      },
    ],
  });
  expect(await volleyHere(["lint", "--json", "--sarif", "wrong.yml"], { cwd })).toMatchObject({
    code: 1,
    stdout: "",
  });
});
