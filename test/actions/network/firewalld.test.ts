import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { firewalld } from "../../../src/actions/network/firewalld.ts";
import { type Tools, withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
let tools: Tools;

// Keeps what zones have as lines of two files, for the configuration and the running firewall.
const FIREWALL_CMD = `file="$ROOT/fw/running"
[ "$1" = --state ] && exit 0
[ "$1" = --permanent ] && { file="$ROOT/fw/permanent"; shift; }
zone=public; case $1 in --zone=*) zone=\${1#--zone=}; shift ;; esac
case $1 in
  --query-*) grep -qxF -- "$zone \${1#--query-}" "$file" && echo yes || { echo no; exit 1; } ;;
  --add-*) echo "$zone \${1#--add-}" >>"$file" ;;
  --remove-*) grep -vxF -- "$zone \${1#--remove-}" "$file" >"$file.new"; mv "$file.new" "$file" ;;
  --get-zones) echo public $(sed -n 's/^zone //p' "$file") ;;
  --new-zone=*) echo "zone \${1#--new-zone=}" >>"$file" ;;
  --delete-zone=*) sed -i "/^zone \${1#--delete-zone=}$/d" "$file" ;;
  --get-target) sed -n "s/^target $zone //p" "$file" | grep . || echo default ;;
  --set-target=*) echo "target $zone \${1#--set-target=}" >>"$file" ;;
esac`;

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(join(sandbox.root, "fw"));
  for (const name of ["running", "permanent"]) writeFileSync(join(sandbox.root, "fw", name), "");
  tools = withTools(sandbox, { "firewall-cmd": FIREWALL_CMD, "firewall-offline-cmd": null });
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof firewalld>[0];
const cycle = (params: Params) => checkApplyAgain({ ...sandbox, system: tools.system }, firewalld(params));
const kept = (name: "running" | "permanent"): string => readFileSync(join(sandbox.root, "fw", name), "utf8");

describe("firewalld", () => {
  it.each<[Params, string]>([
    [{ service: "https", state: "enabled" }, "service=https"],
    [{ port: "161-162/udp", state: "enabled" }, "port=161-162/udp"],
    [
      { rich_rule: 'rule service name="ftp" accept', state: "enabled" },
      'rich-rule=rule service name="ftp" accept',
    ],
    [{ masquerade: true, state: "enabled" }, "masquerade"],
    [
      { port_forward: [{ port: 443, proto: "tcp", toport: "8443", toaddr: "10.0.0.1" }], state: "enabled" },
      "forward-port=port=443:proto=tcp:toport=8443:toaddr=10.0.0.1",
    ],
  ])("%j adds, and disabled removes it", async (params, line) => {
    await cycle(params);
    expect(kept("running")).toBe(`public ${line}\n`);
    expect(kept("permanent")).toBe("");
    await cycle({ ...params, state: "disabled" });
    expect(kept("running")).toBe("");
  });

  it("changes the configuration, and with immediate the running firewall too", async () => {
    await cycle({ source: "192.0.2.0/24", zone: "internal", state: "enabled", permanent: true });
    expect([kept("permanent"), kept("running")]).toEqual(["internal source=192.0.2.0/24\n", ""]);
    const { first } = await cycle({
      source: "192.0.2.0/24",
      zone: "internal",
      state: "enabled",
      permanent: true,
      immediate: true,
    });
    expect(kept("running")).toBe("internal source=192.0.2.0/24\n");
    expect(first.data).toEqual({ msg: "Non-permanent operation, Changed source 192.0.2.0/24 to enabled" });
  });

  it("forgets after a time", async () => {
    await pass(firewalld({ port: "80/tcp", state: "enabled", timeout: 60 }), tools.system, sandbox.context());
    expect(tools.calls().at(-1)).toBe("firewall-cmd --add-port=80/tcp --timeout=60");
  });

  it("makes zones, and sets their targets", async () => {
    await cycle({ zone: "custom", state: "present", permanent: true });
    await cycle({ zone: "custom", state: "present", permanent: true, target: "DROP" });
    await cycle({ zone: "custom", state: "absent", permanent: true });
    expect(kept("permanent")).toBe("target custom DROP\n");
    const running = firewalld({ zone: "custom", state: "present" });
    await expect(pass(running, tools.system, sandbox.context())).rejects.toThrow(/set permanent/);
  });

  it("refuses clearly where firewalld is missing, or does not run", async () => {
    const call = firewalld({ service: "https", state: "enabled" });
    const missing = withTools(sandbox, { "firewall-cmd": null }).system;
    await expect(pass(call, missing, sandbox.context())).rejects.toThrow(
      /firewalld is not installed; install it first/,
    );
    expect((await pass(call, missing, sandbox.context({ check: true }))).change?.unknown).toMatch(
      /not installed/,
    );
    const stopped = withTools(sandbox, { "firewall-cmd": "exit 252" }).system;
    await expect(pass(call, stopped, sandbox.context())).rejects.toThrow(/firewall is not currently running/);
  });

  it("takes one thing at a time", () => {
    expect(() => firewalld({ service: "a", port: "1/tcp", state: "enabled" })).toThrow(/one thing at a time/);
    expect(() => firewalld({ state: "enabled" })).toThrow(/give a service, a port/);
  });
});
