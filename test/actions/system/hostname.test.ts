import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { hostname } from "../../../src/actions/system/hostname.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc"));
  return () => sandbox[Symbol.dispose]();
});

describe("hostname", () => {
  it("writes the file of an image that does not run", async () => {
    writeFileSync(at("etc/hostname"), "old\n");
    const { check } = await checkApplyAgain(sandbox, hostname({ name: "web1" }));
    expect(check.change?.diff).toEqual([{ path: "/etc/hostname", before: "old\n", after: "web1\n" }]);
    expect(readFileSync(at("etc/hostname"), "utf8")).toBe("web1\n");
  });

  it("leaves a file without a newline at its end", async () => {
    writeFileSync(at("etc/hostname"), "web1");
    expect((await pass(hostname({ name: "web1" }), sandbox.system, sandbox.context())).state).toBe(
      "unchanged",
    );
  });

  it("compares the running name too", async () => {
    writeFileSync(at("etc/hostname"), "web1\n");
    mkdirSync(at("proc/sys/kernel"), { recursive: true });
    writeFileSync(at("proc/sys/kernel/hostname"), "old\n");
    const { state, change } = await pass(
      hostname({ name: "web1" }),
      sandbox.system,
      sandbox.context({ check: true }),
    );
    expect(state).toBe("changed");
    expect(change?.diff).toEqual([{ path: "/proc/sys/kernel/hostname", before: "old\n", after: "web1\n" }]);
  });

  it.each(["", "a_b", "-a", "a.", "a b", "x".repeat(65)])("refuses the name %j", (name) => {
    expect(() => hostname({ name })).toThrow(/"name": must be/);
  });
});
