import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  package_facts,
  parseApkNames,
  parsePacmanInfo,
  parsePolicies,
  parseReleases,
  parseRpms,
} from "../../../src/actions/packages/package-facts.ts";
import { makeSandbox, pass } from "../harness.ts";

const STATUS = `Package: dpkg
Status: install ok installed
Section: admin
Architecture: amd64
Version: 1.21.22

Package: libx
Status: install ok installed
Section: libs
Architecture: i386
Version: 0.0.1-volley1

Package: half
Status: install ok half-configured
Architecture: all
Version: 2

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0-1
`;

afterEach(() => void vi.unstubAllEnvs());

describe("package_facts", () => {
  it("lists what dpkg has unpacked, other architectures under their own names", async () => {
    using sandbox = makeSandbox();
    mkdirSync(join(sandbox.root, "var/lib/dpkg"), { recursive: true });
    writeFileSync(join(sandbox.root, "var/lib/dpkg/status"), STATUS);
    // Reading the lists of available packages would take a second each time.
    writeFileSync(join(sandbox.root, "apt.conf"), 'Dir::State::lists "/nonexistent/";\n');
    vi.stubEnv("APT_CONFIG", join(sandbox.root, "apt.conf"));
    for (const manager of ["apt", "auto", "apk, apt"]) {
      const context = sandbox.context({ facts: { pkg_mgr: "apt" } });
      const { state, data } = await pass(package_facts({ manager }), sandbox.system, context);
      expect(state).toBe("unchanged");
      const { packages } = data!.ansible_facts;
      expect(Object.keys(packages)).toEqual(["dpkg", "libx:i386", "half"]);
      expect(packages["libx:i386"]).toEqual([
        {
          name: "libx:i386",
          version: "0.0.1-volley1",
          arch: "i386",
          category: "libs",
          origin: "",
          source: "apt",
        },
      ]);
      expect(packages.half).toMatchObject([{ category: "", version: "2" }]);
    }
  });

  it.each([
    [{ manager: "yast" }, /Unsupported package managers requested: yast/],
    [{ manager: ["pkg", "apt"] }, /Could not detect a supported package manager/],
  ])("refuses %j where it finds nothing", async (given, message) => {
    using sandbox = makeSandbox();
    await expect(pass(package_facts(given), sandbox.system, sandbox.context())).rejects.toThrow(message);
  });
});

describe("the tables of apt-cache policy", () => {
  const RELEASES = `Package files:
 100 /var/lib/dpkg/status
     release a=now
 500 http://deb.example.org/debian bookworm/main amd64 Packages
     release v=12.15,o=Debian,a=stable,n=bookworm,l=Debian,c=main,b=amd64
     origin deb.example.org
Pinned packages:
`;

  it("tell the origin of the installed version", () => {
    const tables = `bash:
  Installed: 5.2.15-2
  Candidate: 5.3-1
  Version table:
     5.3-1 500
        500 http://deb.example.org/debian bookworm/main amd64 Packages
 *** 5.2.15-2 500
        500 http://deb.example.org/debian bookworm/main amd64 Packages
        100 /var/lib/dpkg/status
own:
  Installed: 1
  Candidate: 2
  Version table:
     2 500
        500 http://deb.example.org/debian bookworm/main amd64 Packages
 *** 1 100
        100 /var/lib/dpkg/status
`;
    expect([...parsePolicies(tables, parseReleases(RELEASES))]).toEqual([["bash 5.2.15-2", "Debian"]]);
  });
});

describe("the lists of other package managers", () => {
  it("are read from rpm", () => {
    expect(parseRpms("bash\t5.1.8\t9.el9\t(none)\tx86_64\ngpg-pubkey\t350d\t61\t3\t(none)\n")).toEqual([
      { arch: "x86_64", epoch: null, name: "bash", release: "9.el9", source: "rpm", version: "5.1.8" },
      { arch: null, epoch: 3, name: "gpg-pubkey", release: "61", source: "rpm", version: "350d" },
    ]);
  });

  it("are read from pacman", () => {
    const info = `Name            : linux
Version         : 6.8.1.arch1-1
Architecture    : x86_64
Provides        : WIREGUARD-MODULE=1  KSMBD-MODULE

Name            : which
Version         : 2.21-6
Architecture    : x86_64
Provides        : None

`;
    expect(parsePacmanInfo(info)).toEqual([
      {
        arch: "x86_64",
        name: "linux",
        provides: ["WIREGUARD-MODULE", "KSMBD-MODULE"],
        source: "pacman",
        version: "6.8.1.arch1-1",
      },
      { arch: "x86_64", name: "which", provides: [], source: "pacman", version: "2.21-6" },
    ]);
  });

  it("are read from apk", () => {
    expect(
      parseApkNames("ca-certificates-bundle-20230506-r0\nWARNING: no index\nmusl-1.2.4_git2-r2\n"),
    ).toEqual([
      { name: "ca-certificates-bundle", release: "r0", source: "apk", version: "20230506" },
      { name: "musl", release: "r2", source: "apk", version: "1.2.4_git2" },
    ]);
  });
});
