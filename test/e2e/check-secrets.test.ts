import { expect, test } from "vitest";
import { inYaml, VAULT } from "../vars/secrets/vault-fixtures.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, scratchDirectory } from "./lib/project.ts";

const scratch = scratchDirectory();
const site = `import { debug, definePlay, definePlaybook, defineRole } from "volley";
const database = defineRole({
  name: "database",
  vars: { "~standard": { version: 1, vendor: "test", validate: (value: unknown) => {
    const { token } = value as { token?: unknown };
    return typeof token === "string" && token.startsWith("inline")
      ? { value: { token } } : { issues: [{ message: "does not begin as it should", path: ["token"] }] };
  } } } as never,
  tasks: ({ task }) => { task("Say", debug({ msg: "hi" })); },
});
export default definePlaybook([definePlay({ name: "All", hosts: "all", roles: [database()] })]);
`;

function projectWith(token: string) {
  return makeProject(scratch(), {
    "site.ts": site,
    "inventory/hosts.yaml": "all: { hosts: { web1: } }\n",
    "inventory/group_vars/all.yaml": token,
    password: "correct horse\n",
  });
}

test("a host with secrets is passed over, and checked where a flag says how to open them", async () => {
  const { directory: cwd } = projectWith(inYaml("token", VAULT.inline));
  const closed = await volleyHere(["check", "site.ts", "--no-types"], { cwd });
  expect(closed).toMatchObject({ code: 0, stderr: "" });
  expect(closed.stdout).toMatch(/1 host passed over: secrets/);
  const open = await volleyHere(["check", "site.ts", "--no-types", "--vault-password-file", "password"], {
    cwd,
  });
  expect(open).toMatchObject({
    code: 0,
    stderr: "",
    stdout: "site.ts: 1 play compiles; vars, actions and assets fit for 1 host\n",
  });
});

test("what is wrong with a secret is found, and a wrong password is said; neither shows it", async () => {
  const { directory: cwd } = projectWith("token: plain\n");
  const wrong = await volleyHere(["check", "site.ts", "--no-types"], { cwd });
  expect(wrong).toMatchObject({ code: 1, stdout: "" });
  expect(wrong.stderr).toMatch(/token/);
  const project = projectWith(inYaml("token", VAULT.inline));
  project.write("password", "not this\n");
  const end = await volleyHere(["check", "site.ts", "--no-types", "--vault-password-file", "password"], {
    cwd: project.directory,
  });
  expect(end).toMatchObject({ code: 1, stdout: "" });
  expect(end.stderr.trim().split("\n")).toHaveLength(1);
  expect(end.stderr).toMatch(/password/);
});
