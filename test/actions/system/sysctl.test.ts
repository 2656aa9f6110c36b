import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { sysctl, sysctlPath } from "../../../src/actions/system/sysctl.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const put = (path: string, text: string): void => {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
};

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc"));
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof sysctl>[0];

describe("sysctl, in a file", () => {
  it.each<[string, string | null, Params, string]>([
    ["makes the file", null, { name: "vm.swappiness", value: 5 }, "vm.swappiness=5\n"],
    [
      "changes a value in place",
      "# a\n; vm.swappiness=1\nvm.swappiness = 60\n\nkernel.x=1\n",
      { name: "vm.swappiness", value: "5" },
      "# a\n; vm.swappiness=1\nvm.swappiness=5\n\nkernel.x=1\n",
    ],
    ["adds a setting at the end", "a.b=1", { key: "c.d", val: true }, "a.b=1\nc.d=1\n"],
    ["writes words for bools as numbers", "a.b=1\n", { name: "a.b", value: "No" }, "a.b=0\n"],
    ["leaves a setting once", "a.b=1\nx=1\na.b=2\n", { name: "a.b", value: 3 }, "a.b=3\nx=1\n"],
    ["removes a setting", "a.b=1\nc.d = 2\n", { name: "c.d", state: "absent" }, "a.b=1\n"],
    [
      "knows both separators",
      "net/ipv4/ip_forward=0\n",
      { name: "net.ipv4.ip_forward", value: 1 },
      "net.ipv4.ip_forward=1\n",
    ],
  ])("%s", async (_what, before, params, after) => {
    if (before !== null) put("etc/sysctl.conf", before);
    await checkApplyAgain(sandbox, sysctl({ reload: false, ...params }));
    expect(readFileSync(at("etc/sysctl.conf"), "utf8")).toBe(after);
  });

  it.each<[string, string, Params]>([
    ["the value", "vm.swappiness = 5\n", { name: "vm.swappiness", value: 5 }],
    [
      "the value with other white space",
      "net.ipv4.tcp_rmem = 4096\t1  2\n",
      { name: "net.ipv4.tcp_rmem", value: "4096 1 2" },
    ],
    ["a file without the setting", "a.b=1\n", { name: "c.d", state: "absent" }],
    ["a file without a newline at its end", "a.b=1", { name: "a.b", value: 1 }],
  ])("leaves %s", async (_what, text, params) => {
    put("etc/sysctl.conf", text);
    expect((await pass(sysctl(params), sandbox.system, sandbox.context())).state).toBe("unchanged");
    expect(readFileSync(at("etc/sysctl.conf"), "utf8")).toBe(text);
  });

  it("makes no file to remove a setting from", async () => {
    expect(
      (await pass(sysctl({ name: "a.b", state: "absent" }), sandbox.system, sandbox.context())).state,
    ).toBe("unchanged");
    expect(existsSync(at("etc/sysctl.conf"))).toBe(false);
  });
});

describe("sysctl, in the running kernel", () => {
  const params: Params = { name: "net.ipv4.tcp_rmem", value: "1 2 3", sysctl_set: true };

  it("leaves what is set, white space aside", async () => {
    put("etc/sysctl.conf", "net.ipv4.tcp_rmem=1 2 3\n");
    put("proc/sys/net/ipv4/tcp_rmem", "1\t2\t3\n");
    expect((await pass(sysctl(params), sandbox.system, sandbox.context())).state).toBe("unchanged");
  });

  it("sees what differs there alone", async () => {
    put("etc/sysctl.conf", "net.ipv4.tcp_rmem=1 2 3\n");
    put("proc/sys/net/ipv4/tcp_rmem", "1\t2\t4\n");
    const { state, change } = await pass(sysctl(params), sandbox.system, sandbox.context({ check: true }));
    expect(state).toBe("changed");
    expect(change?.diff).toEqual([
      { path: "/proc/sys/net/ipv4/tcp_rmem", before: "1 2 4\n", after: "1 2 3\n" },
    ]);
  });

  it("is compared where the file is loaded into it, and only there", async () => {
    put("etc/sysctl.conf", "net.ipv4.tcp_rmem=1 2 3\n");
    put("proc/sys/net/ipv4/tcp_rmem", "1\t2\t4\n");
    const stateOf = async (reload: boolean): Promise<string> => {
      const call = sysctl({ ...params, sysctl_set: false, reload });
      return (await pass(call, sandbox.system, sandbox.context({ check: true }))).state;
    };
    expect(await stateOf(true)).toBe("changed");
    expect(await stateOf(false)).toBe("unchanged");
  });

  it("keeps a file that cannot be loaded, as Ansible does", async () => {
    // The sandbox's file is no file to sysctl(8), which works on the machine.
    const call = sysctl({
      name: "net.ipv4.tcp_rmem",
      value: "1 2 3",
      sysctl_file: "/etc/only-in-the-sandbox.conf",
    });
    await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow(/sysctl/);
    expect(readFileSync(at("etc/only-in-the-sandbox.conf"), "utf8")).toBe("net.ipv4.tcp_rmem=1 2 3\n");
  });

  it("needs a setting the kernel has, which in check mode an earlier task may bring", async () => {
    await expect(pass(sysctl(params), sandbox.system, sandbox.context())).rejects.toThrow(
      /kernel has no setting/,
    );
    expect((await pass(sysctl(params), sandbox.system, sandbox.context({ check: true }))).state).toBe(
      "unknown",
    );
    const tolerant = sysctl({ ...params, ignoreerrors: true, reload: false });
    expect((await pass(tolerant, sandbox.system, sandbox.context())).state).toBe("changed");
  });
});

describe("sysctlPath", () => {
  it.each([
    ["net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"],
    ["net/ipv4/conf/eth0.1/forwarding", "/proc/sys/net/ipv4/conf/eth0.1/forwarding"],
    ["net.ipv4.conf.eth0/1.forwarding", "/proc/sys/net/ipv4/conf/eth0.1/forwarding"],
  ])("of %s", (key, path) => expect(sysctlPath(key)).toBe(path));
});

describe("sysctl's parameters", () => {
  it.each<[unknown, RegExp]>([
    [{ name: "a.b" }, /value is required/],
    [{ name: "a.b", value: "" }, /value is required/],
    [{ value: 1 }, /name is required/],
    [{ name: "a.b", value: 1, sysctl_file: "x" }, /absolute/],
    [{ name: "a.b", valeu: 1 }, /unknown parameter "valeu"; did you mean "value"/],
    [{ name: "-vm.swappiness", value: 1 }, /parameter "name": must be a setting/],
    [{ name: "vm.swappiness =", value: 1 }, /parameter "name": must be a setting/],
    [{ name: "vm.swappiness", value: "1\nvm.overcommit_memory=1" }, /parameter "value": must be one line/],
  ])("refuses %j", (params, message) => expect(() => sysctl(params as Params)).toThrow(message));
});
