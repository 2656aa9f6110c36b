import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { acl } from "../../../src/actions/files/acl.ts";
import type { System } from "../../../src/core/system.ts";
import { createLocalSystem } from "../../../src/system/local/local-system.ts";
import { withTools } from "../fake-tools.ts";
import { makeSandbox, pass, type Sandbox } from "../harness.ts";

const hasTools = (): boolean => {
  const directory = mkdtempSync(join(tmpdir(), "volley-acl-"));
  try {
    execFileSync("setfacl", ["-m", "u:65534:r", directory], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  } finally {
    rmSync(directory, { recursive: true });
  }
};

let sandbox: Sandbox;
let directory: string;
const system: System = createLocalSystem();
const path = (): string => join(directory, "f: *,*");
const entries = (file = path()): string[] =>
  execFileSync("getfacl", ["--omit-header", "--numeric", "--absolute-names", "--", file])
    .toString()
    .trim()
    .split("\n");
const run = (params: Omit<Parameters<typeof acl>[0], "path">, check = false, file = path()) =>
  pass(acl({ path: file, ...params }), system, sandbox.context({ check }));

beforeEach(() => {
  sandbox = makeSandbox();
  directory = mkdtempSync(join(tmpdir(), "volley-acl-"));
  writeFileSync(path(), "", { mode: 0o640 });
});
afterEach(() => {
  sandbox[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

const WEB = { etype: "user", entity: "65534", permissions: "rw", state: "present" } as const;

describe.skipIf(!hasTools())("with getfacl and setfacl", () => {
  it("sets an entry, once, and removes it", async () => {
    const check = await run(WEB, true);
    expect(check.state).toBe("changed");
    expect(entries()).not.toContain("user:65534:rw-");
    const first = await run(WEB);
    expect(first.state).toBe("changed");
    expect(entries()).toContain("user:65534:rw-");
    expect(first.data?.acl).toEqual(expect.arrayContaining(["user::rw-", "mask::rw-"]));
    const second = await run(WEB);
    expect(second.state).toBe("unchanged");
    expect(second.data).toEqual(first.data);
    expect((await run({ entry: "u:65534:rw", state: "present" })).state).toBe("unchanged");
    expect((await run({ etype: "user", entity: "65534", state: "absent" })).state).toBe("changed");
    expect(entries().join()).not.toContain("65534");
    expect((await run({ entry: "user:65534:rw", state: "absent" })).state).toBe("unchanged");
  });

  it("reads the entries", async () => {
    const { state, data, inspected } = await run({});
    expect(state).toBe("unchanged");
    expect(data).toEqual({ acl: ["user::rw-", "group::r--", "other::---"] });
    expect(inspected?.message).toBe("current acl");
  });

  it("sets what new files get, and all below a directory", async () => {
    mkdirSync(join(directory, "d/e"), { recursive: true });
    const given = { ...WEB, permissions: "rX", default: true, recursive: true } as const;
    expect((await run(given, false, join(directory, "d"))).state).toBe("changed");
    expect(entries(join(directory, "d/e"))).toContain("default:user:65534:r-x");
    expect((await run(given, false, join(directory, "d"))).state).toBe("unchanged");
    const entry = "default:user:65534:rX";
    expect((await run({ entry, state: "present" }, false, join(directory, "d"))).state).toBe("unchanged");
  });

  it("leaves the mask alone where told", async () => {
    await run({ ...WEB, permissions: "r", state: "present" });
    await run({ ...WEB, recalculate_mask: "no_mask" });
    expect(entries()).toContain("mask::r--");
    await run({ ...WEB, permissions: "rx", recalculate_mask: "mask" });
    expect(entries()).toContain("mask::r-x");
  });

  it("follows a link", async () => {
    const link = join(directory, "link");
    symlinkSync(path(), link);
    expect((await run(WEB, false, link)).state).toBe("changed");
    expect(entries()).toContain("user:65534:rw-");
  });

  it("fails without the file, and for an unknown user", async () => {
    await expect(run(WEB, false, join(directory, "no"))).rejects.toThrow("Path not found or not accessible");
    expect((await run(WEB, true, join(directory, "no"))).state).toBe("unknown");
    await expect(run({ ...WEB, entity: "no-such-user" })).rejects.toThrow("cannot set the ACL");
  });
});

it("names the package where the tools are missing", async () => {
  const tools = withTools(sandbox, { getfacl: null, setfacl: null });
  await expect(pass(acl({ path: path() }), tools.system, sandbox.context())).rejects.toThrow(
    "install the package acl",
  );
});

it.each([
  [{ state: "present" }, '"etype" or "entry" is required'],
  [{ state: "present", etype: "user", entity: "a" }, "permissions are required"],
  [{ state: "present", entry: "user:a" }, "permissions are required"],
  [{ state: "present", entry: "user:a:r", etype: "user" }, 'give "entry", or'],
  [{ state: "present", etype: "mask", entity: "a", permissions: "r" }, '"entity" goes with'],
  [{ use_nfsv4_acls: true }, "not supported"],
] as const)("refuses %j", (params, message) => {
  expect(() => acl({ path: "/x", ...params })).toThrow(message);
});
