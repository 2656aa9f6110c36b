import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { modprobe } from "../../../src/actions/system/modprobe.ts";
import { failureData } from "../../../src/core/action.ts";
import { type Tools, withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
let tools: Tools;
const at = (path: string): string => join(sandbox.root, path);
const put = (path: string, text: string): void => {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
};
const read = (path: string): string => readFileSync(at(path), "utf8");

/** Keeps the list of loaded modules as the kernel does: with underscores. */
const MODPROBE = `if [ "$1" = -r ]; then sed -i "/^$(echo $2 | tr - _) /d" $ROOT/proc/modules
elif [ "$1" = missing ]; then echo "modprobe: FATAL: Module missing not found" >&2; exit 1
else echo "$(echo $1 | tr - _) 16384 0 - Live 0x0" >> $ROOT/proc/modules; fi`;

beforeEach(() => {
  sandbox = makeSandbox();
  put("proc/modules", "loop 40960 0 - Live 0x0000000000000000\n");
  put("proc/sys/kernel/osrelease", "6.1.0\n");
  put("lib/modules/6.1.0/modules.builtin", "kernel/net/bridge/br-built.ko\n");
  tools = withTools(sandbox, { modprobe: MODPROBE });
  return () => sandbox[Symbol.dispose]();
});

const host = (): Sandbox => ({ ...sandbox, system: tools.system });
const run = (call: ReturnType<typeof modprobe>, check = false) =>
  pass(call, tools.system, sandbox.context({ check }));

describe("modprobe, now", () => {
  it("loads a module with its parameters", async () => {
    const { first } = await checkApplyAgain(
      host(),
      modprobe({ name: "snd-dummy", params: `id="a b" index=1` }),
    );
    expect(tools.calls()).toEqual(["modprobe snd-dummy id=a b index=1"]);
    expect(first.data).toEqual({ name: "snd-dummy", params: `id="a b" index=1`, state: "present" });
  });

  it("unloads a module", async () => {
    await checkApplyAgain(host(), modprobe({ name: "loop", state: "absent" }));
    expect(tools.calls()).toEqual(["modprobe -r loop"]);
  });

  it.each(["loop", "br-built", "br_built"])("leaves %s, which is there", async (name) => {
    expect((await run(modprobe({ name }))).state).toBe("unchanged");
    expect(tools.calls()).toEqual([]);
  });

  it("says why a module cannot be loaded", async () => {
    const thrown = await run(modprobe({ name: "missing" })).catch((error: unknown) => error);
    expect((thrown as Error).message).toMatch(/^cannot load the kernel module missing: .*not found/);
    expect(failureData(thrown)).toMatchObject({ name: "missing", state: "present", rc: 1, stdout: "" });
  });

  it("says which package has the program", async () => {
    const { system } = withTools(sandbox, { modprobe: null });
    await expect(pass(modprobe({ name: "x" }), system, sandbox.context())).rejects.toThrow(/package kmod/);
  });
});

describe("modprobe, at each boot", () => {
  beforeEach(() => {
    mkdirSync(at("etc"));
  });

  it("writes a file for the module and one for its parameters", async () => {
    await checkApplyAgain(
      host(),
      modprobe({ name: "dummy", params: "numdummies=2 x=1", persistent: "present" }),
    );
    expect(read("etc/modules-load.d/dummy.conf")).toBe("dummy\n");
    expect(read("etc/modprobe.d/dummy.conf")).toBe("options dummy numdummies=2\noptions dummy x=1\n");
  });

  it("is content with another file that loads it", async () => {
    put("etc/modules-load.d/mine.conf", "# mine\nbr-netfilter\n");
    put("etc/modprobe.d/mine.conf", "options br_netfilter a=1 b=2\n");
    put("proc/modules", "br_netfilter 1 0 - Live 0x0\n");
    const call = modprobe({ name: "br_netfilter", params: "b=2 a=1", persistent: "present" });
    expect((await run(call)).state).toBe("unchanged");
  });

  it("replaces other parameters", async () => {
    put("etc/modules-load.d/dummy.conf", "dummy\n");
    put("etc/modprobe.d/old.conf", "options dummy numdummies=1\noptions other x=1\n");
    await checkApplyAgain(host(), modprobe({ name: "dummy", params: "numdummies=2", persistent: "present" }));
    expect(read("etc/modprobe.d/old.conf")).toBe("#options dummy numdummies=1\noptions other x=1\n");
    expect(read("etc/modprobe.d/dummy.conf")).toBe("options dummy numdummies=2\n");
  });

  it("comments out what loads it", async () => {
    put("etc/modules-load.d/all.conf", "loop\ndummy\n");
    put("etc/modprobe.d/all.conf", "options loop max_loop=8\nblacklist pcspkr\n");
    await checkApplyAgain(host(), modprobe({ name: "loop", state: "absent", persistent: "absent" }));
    expect(read("etc/modules-load.d/all.conf")).toBe("#loop\ndummy\n");
    expect(read("etc/modprobe.d/all.conf")).toBe("#options loop max_loop=8\nblacklist pcspkr\n");
  });

  it("leaves the files alone unless asked", async () => {
    await run(modprobe({ name: "dummy", params: "a=1" }));
    expect(existsSync(at("etc/modprobe.d"))).toBe(false);
  });
});
