import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { pamd } from "../../../src/actions/access/pamd.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const read = (path = "etc/pam.d/common-auth"): string => readFileSync(at(path), "utf8");

const AUTH = `# /etc/pam.d/common-auth - a comment
auth\t[success=1 default=ignore]\tpam_unix.so nullok \\
\ttry_first_pass
# here's the fallback
auth    requisite   pam_deny.so
@include common-extra
session required\tpam_mkhomedir.so umask=0022 [debug=a b] silent
`;

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc/pam.d"), { recursive: true });
  writeFileSync(at("etc/pam.d/common-auth"), AUTH);
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof pamd>[0];
const UNIX = {
  name: "common-auth",
  type: "auth",
  control: "[success=1  default=ignore]",
  module_path: "pam_unix.so",
} as const;
const DENY = { name: "common-auth", type: "auth", control: "requisite", module_path: "pam_deny.so" } as const;
const HOME = {
  name: "common-auth",
  type: "session",
  control: "required",
  module_path: "pam_mkhomedir.so",
} as const;
const NEW = { new_type: "auth", new_control: "required", new_module_path: "pam_tally2.so" } as const;
const run = (params: Params, check = false) => pass(pamd(params), sandbox.system, sandbox.context({ check }));

describe("pamd", () => {
  it.each<[string, Params, (before: string) => string]>([
    [
      "changes a control and keeps the rest, comments and continued lines",
      { ...DENY, new_control: "required" },
      (text) => text.replace("auth    requisite   ", "auth    required   "),
    ],
    [
      "changes arguments of a rule that goes over two lines",
      { ...UNIX, module_arguments: ["nullok"] },
      (text) => text.replace("nullok \\\n\ttry_first_pass", "nullok"),
    ],
    [
      "removes all arguments",
      { ...HOME, module_arguments: [] },
      (text) => text.replace(" umask=0022 [debug=a b] silent", ""),
    ],
    [
      "puts a rule before",
      { ...DENY, ...NEW, state: "before", module_arguments: ["deny=3", "[x=a b]"] },
      (text) =>
        text.replace(
          "auth    requisite",
          "auth    required   pam_tally2.so deny=3 [x=a b]\nauth    requisite",
        ),
    ],
    [
      "puts a rule after",
      { ...DENY, ...NEW, state: "after" },
      (text) => text.replace("pam_deny.so\n", "pam_deny.so\nauth    required   pam_tally2.so\n"),
    ],
    [
      "adds arguments, and replaces values",
      { ...HOME, state: "args_present", module_arguments: ["umask=0077", "silent", "x"] },
      (text) => text.replace("umask=0022 [debug=a b] silent", "umask=0077 [debug=a b] silent x"),
    ],
    [
      "removes arguments, by name too",
      { ...HOME, state: "args_absent", module_arguments: ["umask", "silent"] },
      (text) => text.replace(" umask=0022 [debug=a b] silent", " [debug=a b]"),
    ],
    ["removes a rule", { ...DENY, state: "absent" }, (text) => text.replace(/^.*pam_deny.*\n/m, "")],
  ])("%s", async (_what, params, edited) => {
    const { check, first } = await checkApplyAgain(sandbox, pamd(params));
    expect(read()).toBe(edited(AUTH));
    expect(first.data).toEqual({ change_count: 1, backupdest: "" });
    expect(check.change?.data).toEqual(first.data);
  });

  it.each<[string, Params]>([
    ["a rule that is not there", { ...DENY, type: "account", state: "absent" }],
    ["arguments that are there", { ...UNIX, state: "args_present", module_arguments: ["try_first_pass"] }],
    ["arguments that are not there", { ...HOME, state: "args_absent", module_arguments: ["nullok"] }],
    ["a rule that is as wanted", { ...HOME, module_arguments: ["umask=0022 [debug=a b]", "silent"] }],
  ])("leaves %s", async (_what, params) => {
    expect((await run(params)).data).toEqual({ change_count: 0, backupdest: "" });
    expect(read()).toBe(AUTH);
  });

  it("keeps a copy, and counts every rule", async () => {
    writeFileSync(at("etc/pam.d/x"), "auth a m.so\nauth a m.so\n");
    const { data } = await run({
      ...{ name: "x", type: "auth", control: "a", module_path: "m.so", new_control: "b", backup: true },
    });
    expect(read("etc/pam.d/x")).toBe("auth b m.so\nauth b m.so\n");
    expect(data?.change_count).toBe(2);
    expect(read(data?.backupdest)).toBe("auth a m.so\nauth a m.so\n");
  });

  it("fails without the file; check mode cannot know", async () => {
    const call = { ...DENY, name: "none" };
    await expect(run(call)).rejects.toThrow(/no \/etc\/pam\.d\/none/);
    expect((await run(call, true)).state).toBe("unknown");
  });

  it.each<[Params, RegExp]>([
    [{ ...DENY, state: "after", new_type: "auth" }, /new_type, new_control and new_module_path are required/],
    [{ ...DENY, state: "args_present" }, /module_arguments is required/],
    [{ ...DENY, control: "a b" }, /one word, or words in brackets/],
    [{ ...DENY, name: "../passwd" }, /the name of a file/],
  ])("refuses %j", (params, message) => expect(() => pamd(params)).toThrow(message));
});
