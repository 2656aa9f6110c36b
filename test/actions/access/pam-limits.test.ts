import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { pam_limits } from "../../../src/actions/access/pam-limits.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const FILE = "etc/security/limits.conf";
const at = (path: string): string => join(sandbox.root, path);
const read = (path = FILE): string => readFileSync(at(path), "utf8");

const LIMITS = `# /etc/security/limits.conf
#joe  soft  nofile  1
joe   soft  nofile  4096 # joe's files
@dba\thard\tmemlock\tunlimited
*     -     nice    -5
`;

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc/security"), { recursive: true });
  writeFileSync(at(FILE), LIMITS);
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof pam_limits>[0];
const JOE = { domain: "joe", limit_type: "soft", limit_item: "nofile" } as const;
const DBA = { domain: "@dba", limit_type: "hard", limit_item: "memlock" } as const;
const run = (params: Params, check = false) =>
  pass(pam_limits(params), sandbox.system, sandbox.context({ check }));

describe("pam_limits", () => {
  it.each<[string, Params, (before: string) => string]>([
    [
      "changes a limit in its place, and keeps its comment",
      { ...JOE, value: "64000" },
      (text) => text.replace(/^joe .*$/m, "joe\tsoft\tnofile\t64000\t# joe's files"),
    ],
    [
      "replaces a comment with the limit",
      { ...JOE, value: "64000", comment: "more" },
      (text) => text.replace(/^joe .*$/m, "joe\tsoft\tnofile\t64000\t#more"),
    ],
    [
      "adds a limit at the end",
      { ...JOE, limit_type: "hard", value: "unlimited", comment: "all" },
      (text) => `${text}joe\thard\tnofile\tunlimited\t#all\n`,
    ],
    [
      "takes the higher limit",
      { ...JOE, value: "8192", use_max: true },
      (text) => text.replace("joe   soft  nofile  4096 ", "joe\tsoft\tnofile\t8192\t"),
    ],
    [
      "takes the lower limit",
      { ...DBA, value: "64", use_min: true },
      (text) => text.replace("memlock\tunlimited", "memlock\t64"),
    ],
    [
      "sets a niceness below zero",
      { domain: "*", limit_type: "-", limit_item: "nice", value: "-10" },
      (text) => text.replace(/^\*.*$/m, "*\t-\tnice\t-10"),
    ],
  ])("%s", async (_what, params, edited) => {
    const { first } = await checkApplyAgain(sandbox, pam_limits(params));
    expect(read()).toBe(edited(LIMITS));
    expect(first.applied?.message).toContain(`${params.domain}\t`);
  });

  it.each<[string, Params]>([
    ["an equal limit", { ...JOE, value: "4096", comment: "ignored" }],
    ["a higher limit", { ...JOE, value: "100", use_max: true }],
    ["an infinite limit", { ...DBA, value: "100", use_max: true }],
    ["a lower limit", { ...JOE, value: "infinity", use_min: true }],
  ])("leaves %s", async (_what, params) => {
    expect((await run(params)).state).toBe("unchanged");
    expect(read()).toBe(LIMITS);
  });

  it("makes a file in a directory that exists, and keeps copies", async () => {
    const dest = "/etc/security/limits.d.conf";
    await checkApplyAgain(sandbox, pam_limits({ ...JOE, value: "1", dest }));
    expect(read(dest)).toBe("joe\tsoft\tnofile\t1\n");
    expect(statSync(at(dest)).mode & 0o777).toBe(0o644);
    const { data } = await run({ ...JOE, value: "2", dest, backup: true });
    expect(read(data?.backup_file)).toBe("joe\tsoft\tnofile\t1\n");
    await expect(run({ ...JOE, value: "1", dest: "/none/x" })).rejects.toThrow(
      /Path \/none\/x does not exist/,
    );
    expect((await run({ ...JOE, value: "1", dest: "/none/x" }, true)).state).toBe("unknown");
  });

  it.each<[Params, RegExp]>([
    [{ ...JOE, value: "many" }, /value must be a number, unlimited/],
    [{ ...JOE, value: "-7" }, /must not be negative/],
    [{ ...JOE, value: "1", use_min: true, use_max: true }, /use_min or use_max, not both/],
    [{ ...JOE, value: "1", domain: "a b" }, /must be one word/],
    [{ ...JOE, value: "1", limit_item: "files" } as unknown as Params, /parameter "limit_item": must be/],
  ])("refuses %j", (params, message) => expect(() => pam_limits(params)).toThrow(message));
});
