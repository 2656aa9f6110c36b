import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { package as packageAction } from "../../../src/actions/packages/package.ts";
import { makeSandbox, pass, type Sandbox } from "../harness.ts";

const STATUS = "Package: git\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2.39.5\n";

function withGit(): Sandbox {
  const sandbox = makeSandbox();
  mkdirSync(join(sandbox.root, "var/lib/dpkg"), { recursive: true });
  writeFileSync(join(sandbox.root, "var/lib/dpkg/status"), STATUS);
  return sandbox;
}

describe("package", () => {
  it.each([
    ["the facts' package manager", { name: "git", state: "present" }],
    ["the package manager named", { name: "git", use: "apt" }],
    ["one named in full", { name: ["git"], use: "ansible.builtin.apt" }],
    ["parameters of that package manager, as playbooks write them", { pkg: "git", update_cache: "no" }],
  ])("leaves it to %s", async (_what, given) => {
    using sandbox = withGit();
    const context = sandbox.context({ facts: { pkg_mgr: "apt" } });
    const { state, data } = await pass(packageAction(given), sandbox.system, context);
    expect(state).toBe("unchanged");
    expect(data).toMatchObject({ cache_updated: false });
  });

  it.each([
    [{ name: "git" }, "unknown", /Could not detect which package manager/],
    [{ name: "git" }, "portage", /Could not find a module for portage/],
    [{ name: "git", use: "atp" }, "apt", /Could not find a module for atp; did you mean "apt"/],
    [{ name: "git", colour: "red" }, "apt", /apt: unknown parameter "colour"/],
  ])("refuses %j with %s", async (given, pkg_mgr, message) => {
    using sandbox = withGit();
    const context = sandbox.context({ facts: { pkg_mgr } });
    await expect(pass(packageAction(given), sandbox.system, context)).rejects.toThrow(message);
  });
});
