import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compareDebianVersions, openDpkgStatus, readDpkg } from "../../../src/actions/debian/dpkg.ts";
import { createMemo } from "../../../src/core/action.ts";
import { makeSandbox } from "../harness.ts";

const STATUS = `Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1.21.22
Description: Package manager
 Package: not-a-field
 .
 Status: neither

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.35-1

Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9
Provides: libc6-2.36 (= 2.36-9), libc

Package: postfix
Status: hold ok installed
Architecture: amd64
Version: 3.7.11-0
Provides: mail-transport-agent

Package: exim4
Status: deinstall ok config-files
Architecture: all
Version: 4.96-15
Provides: default-mta`;

describe("openDpkgStatus", () => {
  const dpkg = openDpkgStatus(STATUS);

  it("finds a package with its version and status, wherever it stands in the file", () => {
    expect(dpkg.find("dpkg")).toEqual({
      name: "dpkg",
      architecture: "amd64",
      version: "1.21.22",
      status: "installed",
      held: false,
      section: "",
    });
    expect(dpkg.find("exim4")).toMatchObject({ status: "config-files", version: "4.96-15" });
    expect(dpkg.find("postfix")).toMatchObject({ held: true });
  });

  it("knows nothing of parts of names, and of what a description says", () => {
    for (const name of ["dpk", "pkg", "not-a-field", "libc", ""]) expect(dpkg.find(name), name).toBeNull();
  });

  it("prefers the native architecture, and finds another when asked", () => {
    expect(dpkg.find("libc6")?.version).toBe("2.36-9");
    expect(dpkg.find("libc6:i386")?.version).toBe("2.35-1");
    expect(dpkg.find("libc6:arm64")).toBeNull();
    expect(dpkg.find("exim4:arm64")?.version).toBe("4.96-15");
  });

  it("tells which installed packages provide a virtual one", () => {
    expect(dpkg.providers("mail-transport-agent")).toEqual(["postfix"]);
    expect(dpkg.providers("libc6-2.36")).toEqual(["libc6"]);
    expect(dpkg.providers("default-mta")).toEqual([]);
    expect(dpkg.providers("mail")).toEqual([]);
  });

  it("lists what is installed", () => {
    expect(dpkg.installedNames()).toEqual(["dpkg", "libc6", "postfix"]);
  });

  it("takes an empty file for a system without packages", () => {
    expect(openDpkgStatus("").find("dpkg")).toBeNull();
    expect(openDpkgStatus("").installedNames()).toEqual([]);
  });
});

describe("readDpkg", () => {
  it("reads the file once, and again when another has taken its place", async () => {
    using sandbox = makeSandbox();
    const memo = createMemo();
    mkdirSync(join(sandbox.root, "var/lib/dpkg"), { recursive: true });
    const path = join(sandbox.root, "var/lib/dpkg/status");
    writeFileSync(path, STATUS);
    const first = await readDpkg(sandbox.system, memo);
    expect(await readDpkg(sandbox.system, memo)).toBe(first);
    writeFileSync(`${path}-new`, STATUS.replace("1.21.22", "1.22.1"));
    renameSync(`${path}-new`, path);
    expect((await readDpkg(sandbox.system, memo)).find("dpkg")?.version).toBe("1.22.1");
  });

  it("finds nothing where there is no dpkg", async () => {
    using sandbox = makeSandbox();
    expect((await readDpkg(sandbox.system, createMemo())).installedNames()).toEqual([]);
  });
});

// Oldest first; those in one line are equal. By deb-version(7).
const ORDER = [
  ["0.9~~"],
  ["0.9~rc1", "0.9~rc01"],
  ["0.9", "0.9-0", "0:0.9", "00.9"],
  ["0.9-1~bpo12+1"],
  ["0.9-1"],
  ["0.9-1+b1"],
  ["0.9a"],
  ["0.9+git1"],
  ["0.9.1"],
  ["0.10"],
  ["2.36-9+deb12u7"],
  ["2.36-9+deb12u10"],
  ["1:0.1"],
  ["2:0.1-1-1"],
];

describe("compareDebianVersions", () => {
  const all = ORDER.flatMap((versions, rank) => versions.map((version) => ({ version, rank })));
  it.each(all)("puts $version where dpkg does", ({ version, rank }) => {
    for (const other of all) {
      expect(Math.sign(compareDebianVersions(version, other.version)), `against ${other.version}`).toBe(
        Math.sign(rank - other.rank),
      );
    }
  });
});
