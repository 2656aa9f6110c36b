import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { selinux } from "../../../src/actions/system/selinux.ts";
import { seport } from "../../../src/actions/system/seport.ts";
import { withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;

beforeEach(() => {
  sandbox = makeSandbox();
  return () => sandbox[Symbol.dispose]();
});

function write(name: string, text: string): void {
  mkdirSync(dirname(join(sandbox.root, name)), { recursive: true });
  writeFileSync(join(sandbox.root, name), text);
}

const CONFIG = "# SELinux\nSELINUX=enforcing\nSELINUXTYPE=targeted\n";

describe("selinux", () => {
  it("sets the mode now and at boot, and says when only a reboot changes it", async () => {
    write("etc/selinux/config", CONFIG);
    write("etc/selinux/targeted/x", "");
    write("sys/fs/selinux/enforce", "1");
    const { system } = withTools(sandbox, { setenforce: `printf %s $1 > $ROOT/sys/fs/selinux/enforce` });
    const host = { ...sandbox, system };
    const { first } = await checkApplyAgain(host, selinux({ state: "permissive", policy: "targeted" }));
    expect(first.data).toMatchObject({ state: "permissive", policy: "targeted", reboot_required: false });
    expect(readFileSync(join(sandbox.root, "etc/selinux/config"), "utf8")).toBe(
      CONFIG.replace("=enforcing", "=permissive"),
    );
    const off = await checkApplyAgain(host, selinux({ state: "disabled" }));
    expect(off.second.data).toMatchObject({ reboot_required: true });
  });

  it("has nothing to disable on a host without, and enforces nothing there", async () => {
    const run = (given: Parameters<typeof selinux>[0]) =>
      pass(selinux(given), sandbox.system, sandbox.context());
    expect((await run({ state: "disabled" })).state).toBe("unchanged");
    await expect(run({ state: "enforcing", policy: "targeted" })).rejects.toThrow("SELinux is not installed");
    write("etc/selinux/config", CONFIG);
    await expect(run({ state: "enforcing", policy: "none" })).rejects.toThrow("Policy none does not exist");
    expect(() => selinux({ state: "enforcing" })).toThrow("Policy is required");
  });
});

/** Keeps what is set here in files, one for each port. */
const SEMANAGE = {
  semanage: `cd $ROOT/ports
case "$2" in
-l) [ "$4" = -C ] || { echo "http_port_t  tcp  80, 443"; echo "http_port_t  udp  81"; }
  for f in *; do [ -e "$f" ] && echo "$(cat $f)  tcp  $f"; done; exit 0;;
-d) for last; do :; done; rm "$last";;
*) for last; do :; done; echo "$6" > "$last";;
esac`,
};

describe("seport", () => {
  it("gives ports a type, changes it, and takes it away", async () => {
    write("sys/fs/selinux/enforce", "1");
    mkdirSync(join(sandbox.root, "ports"));
    const { system, calls } = withTools(sandbox, SEMANAGE);
    const host = { ...sandbox, system };
    const given = { ports: ["80", "8888"], proto: "tcp" as const, setype: "http_port_t" };
    const { check } = await checkApplyAgain(host, seport(given));
    expect(check.change?.diff).toEqual([
      { path: "SELinux port 8888/tcp", attributes: { setype: ["", "http_port_t"] } },
    ]);
    expect(calls()).toContain("semanage port -a -p tcp -t http_port_t 8888");
    await checkApplyAgain(host, seport({ ...given, ports: "8888", setype: "other_port_t", local: true }));
    expect(calls()).toContain("semanage port -m -p tcp -t other_port_t 8888");
    await checkApplyAgain(host, seport({ ...given, ports: "8888", setype: "other_port_t", state: "absent" }));
    expect(calls()).toContain("semanage port -d -p tcp 8888");
  });

  it("refuses a host without SELinux, and one without semanage", async () => {
    const call = seport({ ports: "81", proto: "udp", setype: "x_t" });
    await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow("SELinux is disabled");
    write("sys/fs/selinux/enforce", "0");
    const { system } = withTools(sandbox, { semanage: null });
    await expect(pass(call, system, sandbox.context())).rejects.toThrow("there is no semanage on this host");
  });
});
