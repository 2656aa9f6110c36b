import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { apt } from "../../../src/actions/debian/apt.ts";
import type { Diff } from "../../../src/core/result.ts";
import { makeSandbox, pass, type Sandbox, testsWorkDirectly } from "../harness.ts";

const STATUS = `Package: git
Status: install ok installed
Architecture: amd64
Version: 1:2.39.5-0+deb12u2

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0-1
`;

function withPackages(): Sandbox {
  const sandbox = makeSandbox();
  put(sandbox, "var/lib/dpkg/status", STATUS);
  put(sandbox, "var/lib/apt/lists/deb.example.org_dists_stable_InRelease", "");
  mkdirSync(join(sandbox.root, "var/lib/apt/lists/partial"));
  return sandbox;
}

function put(sandbox: Sandbox, path: string, content: string): void {
  mkdirSync(dirname(join(sandbox.root, path)), { recursive: true });
  writeFileSync(join(sandbox.root, path), content);
}

describe("apt, where nothing is to be done", () => {
  // These calls may start no process. test/fleet tries the answers of a real host.
  it.each([
    ["an installed package", { name: "git" }],
    ["several names for the parameter", { pkg: ["git"] }],
    ["a list in one string", { package: "git, git" }],
    ["an installed version", { name: "git=1:2.39*" }],
    ["a version that is new enough", { name: "git>=1:2.30" }],
    ["an installed architecture", { name: "git:amd64" }],
    ["an empty list", { name: [] }],
    ["a package that is not there to be removed", { name: "sl", state: "absent" as const }],
    ["one removed with its configuration left", { name: "gone", state: "absent" as const }],
    ["a glob that matches nothing installed", { name: "g[ao]x*", state: "absent" as const }],
    ["nothing to clean", { clean: true, autoclean: true }],
    ["lists that are not to be fetched", { name: "git", update_cache: false, cache_valid_time: 0 }],
  ])("leaves %s", async (_what, params) => {
    using sandbox = withPackages();
    for (const check of [true, false]) {
      const { state, data } = await pass(apt(params), sandbox.system, sandbox.context({ check }));
      expect(state).toBe("unchanged");
      if (!check) expect(data).toMatchObject({ cache_updated: false });
    }
    expect(sandbox.output).toEqual([]);
  });

  it("does not fetch lists that are still valid", async () => {
    using sandbox = withPackages();
    const { state } = await pass(
      apt({ update_cache: true, cache_valid_time: 3600 }),
      sandbox.system,
      sandbox.context(),
    );
    expect(state).toBe("unchanged");
  });

  it("takes a fetch that brought nothing new for a fetch", async () => {
    using sandbox = withPackages();
    utimesSync(join(sandbox.root, "var/lib/apt/lists"), 1, 1);
    const call = apt({ cache_valid_time: 3600 });
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("unchanged");
    utimesSync(join(sandbox.root, "var/lib/apt/lists/partial"), 1, 1);
    expect((await pass(call, sandbox.system, sandbox.context({ check: true }))).state).toBe("changed");
  });

  it("returns no output where apt-get was not run, as Ansible does", async () => {
    using sandbox = withPackages();
    const { data } = await pass(apt({ name: "git" }), sandbox.system, sandbox.context());
    expect(data).toEqual({ cache_updated: false, cache_update_time: expect.any(Number) });
  });

  it("leaves in check mode how an installed dependency is marked", async () => {
    using sandbox = withPackages();
    put(
      sandbox,
      "var/lib/apt/extended_states",
      "Package: git\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: gone\nArchitecture: amd64\nAuto-Installed: 1\n",
    );
    const found = (given: object, check: boolean) =>
      apt(given).inspect(sandbox.system, sandbox.context({ check }));
    expect(await found({ name: "git" }, true)).toMatchObject({ unchanged: true });
    expect(await found({ name: "git:amd64" }, false)).toMatchObject({ marks: ["git:amd64"] });
    expect(await found({ name: "gone", state: "absent" }, false)).toMatchObject({ unchanged: true });
  });
});

describe("apt in check mode", () => {
  it("says that the lists would be fetched, as Ansible does", async () => {
    using sandbox = withPackages();
    const { state, change } = await pass(
      apt({ update_cache: true }),
      sandbox.system,
      sandbox.context({ check: true }),
    );
    expect(state).toBe("changed");
    expect(change).toMatchObject({ message: "package lists to fetch", data: { cache_updated: true } });
  });

  it("fetches for an installed package without a change", async () => {
    using sandbox = withPackages();
    const call = apt({ name: "git", update_cache: true });
    expect((await pass(call, sandbox.system, sandbox.context({ check: true }))).state).toBe("unchanged");
  });

  it("says that downloaded packages would be removed", async () => {
    using sandbox = withPackages();
    put(sandbox, "var/cache/apt/archives/hello_2.10-3_amd64.deb", "");
    const { state, change } = await pass(
      apt({ clean: true }),
      sandbox.system,
      sandbox.context({ check: true }),
    );
    expect(state).toBe("changed");
    expect(change?.message).toBe("downloaded packages to remove");
  });
});

const installed = spawnSync("dpkg-query", ["-W", "-f", `\${Package} \${Priority} \${db:Status-Status}\n`], {
  encoding: "utf8",
});
// Of a machine's own packages; nothing is installed or removed, apt is only asked.
const neighbour = /^([a-z0-9-]+) optional installed$/m.exec(installed.stdout ?? "")?.[1];

// Over a connection apt would be asked the same once more, which takes it seconds.
describe.runIf(neighbour !== undefined && !testsWorkDirectly())(
  "apt with a file that conflicts with an installed package",
  () => {
    const name = neighbour!;
    let sandbox: Sandbox;
    let deb: string;
    beforeAll(() => {
      sandbox = withPackages();
      // apt finds conflicts in dpkg's status alone. Reading the lists of available packages would take seconds.
      const { APT_CONFIG } = process.env;
      put(sandbox, "apt.conf", 'Dir::State::lists "/nonexistent/";\n');
      process.env.APT_CONFIG = join(sandbox.root, "apt.conf");
      put(
        sandbox,
        "made/DEBIAN/control",
        `Package: volley-test-conflict\nVersion: 1\nArchitecture: all\nMaintainer: Volley <v@example.org>\nConflicts: ${name}\nDescription: x\n`,
      );
      deb = join(sandbox.root, "conflict.deb");
      execFileSync("dpkg-deb", ["--build", "--root-owner-group", join(sandbox.root, "made"), deb]);
      return () => {
        if (APT_CONFIG === undefined) delete process.env.APT_CONFIG;
        else process.env.APT_CONFIG = APT_CONFIG;
        sandbox[Symbol.dispose]();
      };
    });

    it.each([{}, { autoremove: true }])(
      "refuses it, with the names of what would be removed: %j",
      async (given) => {
        const call = apt({ deb, ...given });
        await expect(call.inspect(sandbox.system, sandbox.context())).rejects.toMatchObject({
          message: expect.stringMatching(
            `conflicts with what is installed: .*\\b${name}\\b.* would be removed$`,
          ),
          hint: expect.stringContaining("force: true"),
        });
        const { state, change } = await pass(call, sandbox.system, sandbox.context({ check: true }));
        expect(state).toBe("unknown");
        expect(change?.unknown).toContain(`${name}`);
      },
    );

    it("shows with force that they go", async () => {
      const { change } = await pass(
        apt({ deb, force: true }),
        sandbox.system,
        sandbox.context({ check: true }),
      );
      expect(change?.message).toMatch(/^1 to install, \d+ to remove$/);
      const diff = change?.diff as Diff;
      expect(diff.before).toMatch(new RegExp(`^${name} `, "m"));
      expect(diff.after).toBe("volley-test-conflict 1\n");
    });
  },
);

describe("apt's parameters", () => {
  it.each([
    [{ name: "nginx-" }, /"nginx-" is no package name/],
    [{ name: ["git", "--purge"] }, /"--purge" is no package name/],
    [{ name: "git", pkg: "git" }, /give one of them/],
    [{ name: "*" }, /goes with state: "latest"/],
    [{ name: "*,git", state: "latest" as const }, /unable to install additional packages/],
    [{ name: "git", state: "installed" as never }, /"state"/],
    [{ nmae: "git" } as never, /unknown parameter "nmae"; did you mean "name"/],
  ])("refuses %j", (params, message) => expect(() => apt(params)).toThrow(message));

  it("are shown by what is asked for", () => {
    expect(apt({ pkg: "git,unzip" }).title).toBe("git unzip");
    expect(apt({ upgrade: true }).title).toBe("upgrade yes");
    expect(apt({ deb: "/root/x.deb" }).title).toBe("/root/x.deb");
  });
});
