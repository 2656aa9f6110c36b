import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { seboolean } from "../../../src/actions/system/seboolean.ts";
import { withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;

beforeEach(() => {
  sandbox = makeSandbox();
  return () => sandbox[Symbol.dispose]();
});

/** Keeps the state now and at boot in two files. */
const TOOLS = {
  getsebool: `[ "$1" = ftpd ] || { echo "Error getting active value for $1" >&2; exit 1; }; echo "$1 --> $(cat $ROOT/now)"`,
  setsebool: `[ "$1" = -P ] && { echo $3 > $ROOT/boot; shift; }; echo $2 > $ROOT/now`,
  semanage: `echo "ftpd_other (off , off)  x"; echo "ftpd  ($(cat $ROOT/now)  ,  $(cat $ROOT/boot))  Allow ftpd to"`,
};

describe("seboolean", () => {
  it("refuses a host without SELinux, unless told to pass", async () => {
    const call = (more: object = {}) =>
      pass(seboolean({ name: "ftpd", state: true, ...more }), sandbox.system, sandbox.context());
    await expect(call()).rejects.toThrow("SELinux is disabled on this host.");
    expect((await call({ ignore_selinux_state: true })).state).toBe("unchanged");
  });

  it("sets a boolean now, and for the next boots", async () => {
    mkdirSync(join(sandbox.root, "sys/fs/selinux/booleans"), { recursive: true });
    for (const file of ["now", "boot"]) writeFileSync(join(sandbox.root, file), "off\n");
    const tools = withTools(sandbox, TOOLS);
    const host = { ...sandbox, system: tools.system };
    const { first } = await checkApplyAgain(host, seboolean({ name: "ftpd", state: true }));
    expect(first.data).toEqual({ name: "ftpd", state: true, persistent: false });
    const { check } = await checkApplyAgain(host, seboolean({ name: "ftpd", state: true, persistent: true }));
    expect(check.change?.diff).toEqual({
      path: "SELinux boolean ftpd",
      attributes: { persistent: ["off", "on"] },
    });
    expect(tools.calls()).toContain("setsebool -P ftpd on");
    await expect(
      pass(seboolean({ name: "none", state: true }), tools.system, sandbox.context()),
    ).rejects.toThrow("SELinux boolean none does not exist.");
  });
});
