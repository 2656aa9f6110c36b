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
    const { check, first, second } = await checkApplyAgain(
      sandbox,
      hostname({ name: "web1", use: "debian" }),
    );
    expect(check.change?.diff).toEqual([{ path: "/etc/hostname", before: "old\n", after: "web1\n" }]);
    expect(readFileSync(at("etc/hostname"), "utf8")).toBe("web1\n");
    for (const data of [check.change?.data, first.data, second.data]) {
      expect(data).toEqual({
        name: "web1",
        ansible_facts: {
          ...{ ansible_hostname: "web1", ansible_nodename: "web1" },
          ...{ ansible_fqdn: "web1", ansible_domain: "" },
        },
      });
    }
  });

  it.each([
    ["web1", "10.0.0.1 web1.example.org web1 # this host\n", "web1.example.org", "example.org"],
    ["web2.example.com", "10.0.0.1 web2\n", "web2.example.com", "example.com"],
  ])("gives the facts of %s", async (name, hosts, fqdn, domain) => {
    writeFileSync(at("etc/hosts"), hosts);
    const { data } = await pass(hostname({ name }), sandbox.system, sandbox.context());
    expect(data?.ansible_facts).toMatchObject({
      ...{ ansible_hostname: name.split(".")[0], ansible_nodename: name },
      ...{ ansible_fqdn: fqdn, ansible_domain: domain },
    });
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
