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
# here's  the fallback

auth    requisite   pam_deny.so
@include   common-extra
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
  it.each<[string, Params, readonly string[]]>([
    [
      "changes a control",
      { ...DENY, new_control: "required" },
      [
        "# /etc/pam.d/common-auth - a comment",
        "auth       [success=1 default=ignore] pam_unix.so nullok try_first_pass",
        "# here's  the fallback",
        "",
        "auth       required pam_deny.so",
        "@include   common-extra",
        "session    required pam_mkhomedir.so umask=0022 [debug=a b] silent",
      ],
    ],
    [
      "changes a type",
      { ...HOME, new_type: "-session" },
      [
        "# /etc/pam.d/common-auth - a comment",
        "auth       [success=1 default=ignore] pam_unix.so nullok try_first_pass",
        "# here's  the fallback",
        "",
        "auth       requisite pam_deny.so",
        "@include   common-extra",
        "-session   required pam_mkhomedir.so umask=0022 [debug=a b] silent",
      ],
    ],
    [
      "changes arguments of a rule that goes over two lines",
      { ...UNIX, module_arguments: ["nullok"] },
      [
        "# /etc/pam.d/common-auth - a comment",
        "auth       [success=1 default=ignore] pam_unix.so nullok",
        "# here's  the fallback",
        "",
        "auth       requisite pam_deny.so",
        "@include   common-extra",
        "session    required pam_mkhomedir.so umask=0022 [debug=a b] silent",
      ],
    ],
    [
      "removes all arguments",
      { ...HOME, module_arguments: [] },
      [
        "# /etc/pam.d/common-auth - a comment",
        "auth       [success=1 default=ignore] pam_unix.so nullok try_first_pass",
        "# here's  the fallback",
        "",
        "auth       requisite pam_deny.so",
        "@include   common-extra",
        "session    required pam_mkhomedir.so",
      ],
    ],
    [
      "puts a rule before",
      { ...DENY, ...NEW, state: "before", module_arguments: ["deny=3", "[x=a b]"] },
      [
        "# /etc/pam.d/common-auth - a comment",
        "auth       [success=1 default=ignore] pam_unix.so nullok try_first_pass",
        "# here's  the fallback",
        "",
        "auth       required pam_tally2.so deny=3 [x=a b]",
        "auth       requisite pam_deny.so",
        "@include   common-extra",
        "session    required pam_mkhomedir.so umask=0022 [debug=a b] silent",
      ],
    ],
    [
      "puts a rule after",
      { ...DENY, ...NEW, state: "after" },
      [
        "# /etc/pam.d/common-auth - a comment",
        "auth       [success=1 default=ignore] pam_unix.so nullok try_first_pass",
        "# here's  the fallback",
        "",
        "auth       requisite pam_deny.so",
        "auth       required pam_tally2.so",
        "@include   common-extra",
        "session    required pam_mkhomedir.so umask=0022 [debug=a b] silent",
      ],
    ],
    [
      "adds arguments, and replaces values",
      { ...HOME, state: "args_present", module_arguments: ["umask=0077", "silent", "x"] },
      [
        "# /etc/pam.d/common-auth - a comment",
        "auth       [success=1 default=ignore] pam_unix.so nullok try_first_pass",
        "# here's  the fallback",
        "",
        "auth       requisite pam_deny.so",
        "@include   common-extra",
        "session    required pam_mkhomedir.so umask=0077 [debug=a b] silent x",
      ],
    ],
    [
      "removes arguments, by name too",
      { ...HOME, state: "args_absent", module_arguments: ["umask", "silent"] },
      [
        "# /etc/pam.d/common-auth - a comment",
        "auth       [success=1 default=ignore] pam_unix.so nullok try_first_pass",
        "# here's  the fallback",
        "",
        "auth       requisite pam_deny.so",
        "@include   common-extra",
        "session    required pam_mkhomedir.so [debug=a b]",
      ],
    ],
    [
      "removes a rule",
      { ...DENY, state: "absent" },
      [
        "# /etc/pam.d/common-auth - a comment",
        "auth       [success=1 default=ignore] pam_unix.so nullok try_first_pass",
        "# here's  the fallback",
        "",
        "@include   common-extra",
        "session    required pam_mkhomedir.so umask=0022 [debug=a b] silent",
      ],
    ],
  ])("%s, and lays out every rule", async (_what, params, lines) => {
    const { check, first } = await checkApplyAgain(sandbox, pamd(params));
    expect(read()).toBe(`${lines.join("\n")}\n`);
    expect(first.data).toEqual({ change_count: 1, backupdest: "" });
    expect(check.change?.data).toEqual(first.data);
  });

  it("lays out rules it does not change without changing what they mean", async () => {
    const file = String.raw`#%PAM-1.0
  -auth \
    sufficient \
    pam_a.so
password	[success=1 \
	default=ignore]	pam_b.so\
	x
session   include   system-login
session required pam_c.so [q=[a\]b  c] y  # why \
session optional pam_d.so
# see C:\
auth x m.so
`;
    writeFileSync(at("etc/pam.d/x"), file);
    await run({ name: "x", type: "auth", control: "x", module_path: "m.so", new_control: "required" });
    expect(read("etc/pam.d/x")).toBe(String.raw`#%PAM-1.0
-auth      sufficient pam_a.so
password   [success=1  default=ignore] pam_b.so x
session    include system-login
session    required pam_c.so [q=[a\]b  c] y # why \
session    optional pam_d.so
# see C:\
auth       required m.so
`);
  });

  it.each<[string, Params]>([
    ["a rule that is not there", { ...DENY, type: "account", state: "absent" }],
    ["arguments that are there", { ...UNIX, state: "args_present", module_arguments: ["try_first_pass"] }],
    ["arguments that are not there", { ...HOME, state: "args_absent", module_arguments: ["nullok"] }],
    ["a rule that is as wanted", { ...HOME, module_arguments: ["umask=0022 [debug=a b]", "silent"] }],
  ])("leaves the file byte for byte with %s", async (_what, params) => {
    expect((await run(params)).data).toEqual({ change_count: 0, backupdest: "" });
    expect(read()).toBe(AUTH);
  });

  it("keeps a copy, and counts every rule", async () => {
    writeFileSync(at("etc/pam.d/x"), "auth a m.so\nauth a m.so\n");
    const { data } = await run({
      ...{ name: "x", type: "auth", control: "a", module_path: "m.so", new_control: "b", backup: true },
    });
    expect(read("etc/pam.d/x")).toBe("auth       b m.so\nauth       b m.so\n");
    expect(data?.change_count).toBe(2);
    expect(read(data?.backupdest)).toBe("auth a m.so\nauth a m.so\n");
  });

  it("fails without the file; check mode cannot know", async () => {
    const call = { ...DENY, name: "none" };
    await expect(run(call)).rejects.toThrow(/PAM module file \/etc\/pam\.d\/none/);
    expect((await run(call, true)).state).toBe("unknown");
  });

  it.each<[Params, RegExp]>([
    [
      { ...DENY, state: "after", new_type: "auth" },
      /state is after but all of the following are missing: new_control, new_module_path/,
    ],
    [{ ...DENY, state: "args_present" }, /missing: module_arguments/],
    [{ ...DENY, control: "a b" }, /one word, or words in brackets/],
    [{ ...DENY, name: "../passwd" }, /the name of a file/],
  ])("refuses %j", (params, message) => expect(() => pamd(params)).toThrow(message));
});
