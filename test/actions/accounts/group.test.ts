import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { group } from "../../../src/actions/accounts/group.ts";
import { makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(join(sandbox.root, "etc"));
  writeFileSync(join(sandbox.root, "etc/group"), "root:x:0:\ncrew:x:2000:alice,bob\n");
  return () => sandbox[Symbol.dispose]();
});

const check = (params: Parameters<typeof group>[0]) =>
  pass(group(params), sandbox.system, sandbox.context({ check: true }));

describe("group", () => {
  it.each([
    [{ name: "crew" }],
    [{ name: "crew", gid: 2000, system: true }],
    [{ name: "cre", state: "absent" as const }],
  ])("leaves %j", async (params) => {
    for (const checks of [true, false]) {
      expect((await pass(group(params), sandbox.system, sandbox.context({ check: checks }))).state).toBe(
        "unchanged",
      );
    }
  });

  it("returns the id", async () => {
    expect((await check({ name: "crew" })).inspected?.data).toEqual({
      name: "crew",
      state: "present",
      system: false,
      gid: 2000,
    });
  });

  it("makes, changes and removes", async () => {
    expect((await check({ name: "new", gid: 7, system: true })).change).toEqual({
      argv: ["groupadd", "--system", "--gid", "7", "new"],
      diff: { path: "group new", before: null, after: "gid 7\n" },
    });
    expect((await check({ name: "crew", gid: 7 })).change).toEqual({
      argv: ["groupmod", "--gid", "7", "crew"],
      diff: { path: "group crew", attributes: { gid: ["2000", "7"] } },
    });
    expect((await check({ name: "crew", state: "absent" })).change).toEqual({
      argv: ["groupdel", "crew"],
      diff: { path: "group crew", before: "gid 2000\n", after: null },
    });
  });

  it("refuses the id of another group unless told to share it", async () => {
    await expect(check({ name: "new", gid: 2000 })).rejects.toThrow(/gid 2000 belongs to the group "crew"/);
    expect((await check({ name: "new", gid: 2000, non_unique: true })).state).toBe("changed");
  });
});
