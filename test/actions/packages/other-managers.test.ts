import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { apk, parseApk } from "../../../src/actions/packages/apk.ts";
import { npm, readTree } from "../../../src/actions/packages/npm.ts";
import { pacman } from "../../../src/actions/packages/pacman.ts";
import { parseSummary, zypper } from "../../../src/actions/rpm/zypper.ts";
import { createLocalSystem } from "../../../src/system/local/local-system.ts";
import { makeSandbox, pass, testsWorkDirectly } from "../harness.ts";

describe("the plans of package managers", () => {
  it("are read from apk", () => {
    const changes = parseApk(`(1/4) Installing ncurses-libs (6.4_p20231125-r0)
(2/4) Upgrading musl (1.2.4-r2 -> 1.2.4-r3)
(3/4) Purging bash (5.2.21-r0)
(4/4) Replacing a (1-r0 -> 1-r0)
Executing busybox-1.36.1-r15.trigger
OK: 9 MiB in 17 packages
`);
    expect(changes).toEqual([
      { name: "ncurses-libs", before: null, after: "6.4_p20231125-r0" },
      { name: "musl", before: "1.2.4-r2", after: "1.2.4-r3" },
      { name: "bash", before: "5.2.21-r0", after: null },
      { name: "a", before: "1-r0", after: "1-r0" },
    ]);
  });

  it("are read from zypper's XML", () => {
    const changes = parseSummary(`<stream><message type="info">Loading repository data...</message>
<install-summary download-size="6025" packages-to-change="3">
<to-upgrade>
<solvable type="package" name="foo" edition="1.1-1" arch="noarch" edition-old="1.0-1" summary="a &lt;b&gt;"/>
</to-upgrade>
<to-install>
<solvable type="package" name="bar" edition="1.0-1" arch="noarch" summary="test bar">
<description>name="not this"</description></solvable>
</to-install>
<to-remove>
<solvable type="package" name="qux" edition="3-1" arch="noarch"/>
</to-remove>
</install-summary></stream>`);
    expect(changes).toEqual([
      { name: "foo", before: "1.0-1", after: "1.1-1" },
      { name: "bar", before: null, after: "1.0-1" },
      { name: "qux", before: "3-1", after: null },
    ]);
    expect(parseSummary('<stream><message type="info">Nothing to do.</message></stream>')).toEqual([]);
  });

  it("are read from npm's tree", () => {
    const tree = readTree({
      dependencies: {
        there: { version: "1.0.0" },
        gone: { required: "^2", missing: true },
        wrong: { version: "1.0.0", invalid: "^2 from the root project" },
      },
    });
    expect([...tree.versions]).toEqual([
      ["there", "1.0.0"],
      ["wrong", "1.0.0"],
    ]);
    expect(tree.broken).toEqual(["gone", "wrong"]);
  });
});

describe("the parameters of package managers", () => {
  it.each([
    [() => apk({}), /one of the following is required: name, update_cache, upgrade/],
    [() => apk({ name: "x", upgrade: true }), /mutually exclusive: name\|upgrade/],
    [() => apk({ name: "-x" }), /must not begin with a dash/],
    [() => pacman({ name: "x", upgrade: true }), /mutually exclusive: name\|upgrade/],
    [() => zypper({ name: "*" }), /goes with state "latest" or "dist-upgrade" only/],
    [() => zypper({}), /parameter "name" is required/],
    [() => npm({ name: "x" }), /path must be specified when not using global/],
    [() => npm({ path: "/x", state: "absent" }), /needs a name/],
  ])("are checked: %s", (make, message) => expect(make).toThrow(message));
});

const hasNpm = spawnSync("npm", ["--version"]).status === 0;

// Real npm, with a dependency in a directory beside the project. Over a connection it would be the same once more.
describe.runIf(hasNpm && !testsWorkDirectly())("npm in a project", () => {
  it("installs what package.json names, and removes a package", async () => {
    using sandbox = makeSandbox();
    const directory = mkdtempSync(join(tmpdir(), "volley-npm-"));
    const put = (path: string, content: object): void => {
      mkdirSync(join(directory, path));
      writeFileSync(join(directory, path, "package.json"), JSON.stringify(content));
    };
    try {
      put("dependency", { name: "volley-dependency", version: "1.0.0" });
      put("app", {
        name: "app",
        version: "1.0.0",
        dependencies: { "volley-dependency": "file:../dependency" },
      });
      const system = createLocalSystem();
      const run = async (given: object, check = false) => {
        const call = npm({ path: join(directory, "app"), ...given });
        return (await pass(call, system, sandbox.context({ check }))).state;
      };
      expect(await run({}, true)).toBe("changed");
      expect(await run({})).toBe("changed");
      expect(await run({})).toBe("unchanged");
      expect(await run({ name: "volley-dependency", version: "1.0.0" })).toBe("unchanged");
      expect(await run({ name: "volley-dependency", version: "2.0.0" }, true)).toBe("changed");
      expect(await run({ name: "volley-dependency", state: "absent" })).toBe("changed");
      expect(await run({ name: "volley-dependency", state: "absent" })).toBe("unchanged");
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
