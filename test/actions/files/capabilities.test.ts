import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { capabilities } from "../../../src/actions/files/capabilities.ts";
import { withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const file = (): string => join(sandbox.root, "caps");

beforeEach(() => {
  sandbox = makeSandbox();
  writeFileSync(join(sandbox.root, "app"), "");
  writeFileSync(file(), "");
  return () => sandbox[Symbol.dispose]();
});

/** Keep what is set in a file, and tell it as libcap 2.66 and, with a file `old`, as 2.25 does. */
const TOOLS = {
  getcap: `[ -s $ROOT/caps ] || exit 0; if [ -e $ROOT/old ]; then echo "$1 = $(cat $ROOT/caps)"; else echo "$1 $(cat $ROOT/caps)"; fi`,
  setcap: `[ "$1" = -r ] && { : > $ROOT/caps; exit; }; echo "$1" > $ROOT/caps`,
};

describe("capabilities", () => {
  it("gives a program a capability, beside those it has, and takes it away", async () => {
    const { system, calls } = withTools(sandbox, TOOLS);
    const host = { ...sandbox, system };
    writeFileSync(file(), "cap_net_raw,cap_chown=ep\n");
    const { check, first } = await checkApplyAgain(
      host,
      capabilities({ path: "/app", capability: "cap_net_bind_service+ep" }),
    );
    expect(check.change?.diff).toEqual({
      path: "/app",
      attributes: {
        capabilities: ["cap_chown=ep cap_net_raw=ep", "cap_chown=ep cap_net_bind_service=ep cap_net_raw=ep"],
      },
    });
    expect(first.data).toEqual({ state: "present", msg: "capabilities changed", stdout: "" });
    await checkApplyAgain(host, capabilities({ path: "/app", capability: "cap_chown", state: "absent" }));
    expect(readFileSync(file(), "utf8")).toBe("cap_net_raw=ep cap_net_bind_service=ep\n");
    await checkApplyAgain(host, capabilities({ path: "/app", capability: "cap_net_raw-e" }));
    expect(readFileSync(file(), "utf8")).toBe("cap_net_bind_service=ep cap_net_raw=p\n");
    writeFileSync(file(), "cap_chown=i\n");
    await checkApplyAgain(host, capabilities({ path: "/app", capability: "cap_chown", state: "absent" }));
    expect(calls().at(-2)).toBe("setcap -r /app");
  });

  it("reads what older tools say", async () => {
    const { system } = withTools(sandbox, TOOLS);
    writeFileSync(file(), "cap_net_raw,cap_chown+ep cap_kill+i\n");
    writeFileSync(join(sandbox.root, "old"), "");
    for (const capability of ["cap_net_raw+ep", "CAP_CHOWN=ep", "cap_kill+i"])
      expect((await pass(capabilities({ path: "/app", capability }), system, sandbox.context())).state).toBe(
        "unchanged",
      );
  });

  it("says what is missing", async () => {
    const run = (path: string, scripts: Parameters<typeof withTools>[1]) =>
      pass(
        capabilities({ path, capability: "cap_kill=i" }),
        withTools(sandbox, scripts).system,
        sandbox.context(),
      );
    await expect(run("/none", TOOLS)).rejects.toThrow("Unable to get capabilities of /none");
    await expect(run("/app", { ...TOOLS, setcap: null })).rejects.toThrow("there is no setcap on this host");
    expect(() => capabilities({ path: "/app", capability: "cap_kill" })).toThrow("find operator");
  });
});
