import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { sudoers } from "../../../src/actions/access/sudoers.ts";
import { withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const rule = (name: string): string => readFileSync(at(`etc/sudoers.d/${name}`), "utf8");

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc/sudoers.d"), { recursive: true });
});
afterEach(() => sandbox[Symbol.dispose]());

it("writes a rule, once, and removes it", async () => {
  const call = sudoers({ name: "app", user: "alice", commands: "/usr/bin/true" });
  const { check } = await checkApplyAgain(sandbox, call);
  expect(rule("app")).toBe("alice ALL=NOPASSWD: /usr/bin/true\n");
  expect(check.change?.diff).toMatchObject({ path: "/etc/sudoers.d/app", before: null, after: rule("app") });
  expect(statSync(at("etc/sudoers.d/app")).mode & 0o7777).toBe(0o440);
  await checkApplyAgain(sandbox, sudoers({ name: "app", state: "absent" }));
  expect(existsSync(at("etc/sudoers.d/app"))).toBe(false);
});

it.each([
  [{ group: "web", commands: ["/bin/a", "/bin/b -c"] }, "%web ALL=NOPASSWD: /bin/a, /bin/b -c\n"],
  [{ user: "u", commands: "ALL", nopassword: false, runas: "www:www" }, "u ALL=(www:www) ALL\n"],
  [
    { user: "u", commands: "ALL", host: "web1", setenv: true, noexec: true },
    "u web1=NOEXEC:NOPASSWD:SETENV: ALL\n",
  ],
  [{ group: "g", commands: "ALL", defaults: ["!targetpw"] }, "Defaults:%g !targetpw\n%g ALL=NOPASSWD: ALL\n"],
] as const)("%j", async (params, expected) => {
  await checkApplyAgain(
    sandbox,
    sudoers({ name: "r", ...(params as object) } as Parameters<typeof sudoers>[0]),
  );
  expect(rule("r")).toBe(expected);
});

it("refuses a rule that visudo refuses, in check mode too", async () => {
  const { system, calls } = withTools(sandbox, {
    visudo: "cat > $ROOT/seen; echo stdin:1:3: syntax error; exit 1",
  });
  const call = sudoers({ name: "app", user: "a", commands: "bad" });
  for (const check of [true, false])
    await expect(pass(call, system, sandbox.context({ check }))).rejects.toThrow("syntax error");
  expect(calls()[0]).toBe("visudo -c -f -");
  expect(readFileSync(at("seen"), "utf8")).toBe("a ALL=NOPASSWD: bad\n");
  expect(existsSync(at("etc/sudoers.d/app"))).toBe(false);
  const unchecked = sudoers({ name: "app", user: "a", commands: "bad", validation: "absent" });
  expect((await pass(unchecked, system, sandbox.context())).state).toBe("changed");
});

it("says which package has visudo, where it is required", async () => {
  const { system } = withTools(sandbox, { visudo: null });
  const given = { name: "app", user: "a", commands: "/bin/true" };
  const required = sudoers({ ...given, validation: "required" });
  await expect(pass(required, system, sandbox.context())).rejects.toThrow("install the package sudo");
  expect((await pass(sudoers(given), system, sandbox.context())).state).toBe("changed");
});

it("names wrong parameters", () => {
  expect(() => sudoers({ name: "a/b", user: "u", commands: "ALL" })).toThrow('parameter "name"');
  expect(() => sudoers({ name: "a", commands: "ALL" })).toThrow("who the rule is for");
  expect(() => sudoers({ name: "a", user: "u", group: "g", commands: "ALL" })).toThrow(
    "mutually exclusive: user|group",
  );
  expect(() => sudoers({ name: "a", user: "u" })).toThrow('"commands" is required');
  expect(() => sudoers({ name: "a", user: "u\nroot", commands: "ALL" })).toThrow("one line each");
});
