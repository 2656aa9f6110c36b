import { describe, expect, it } from "vitest";
import { packageDiff, parseSimulation } from "../../../src/actions/debian/apt-get.ts";
import { parsePackageSpec, versionSatisfies } from "../../../src/actions/debian/dpkg.ts";

describe("parseSimulation", () => {
  it("reads what is installed, upgraded, configured, removed and purged", () => {
    const steps = parseSimulation(`Reading package lists...
The following NEW packages will be installed:
  hello
Remv sl [5.02-1+b1]
Purg logrotate [3.21.0-1]
Purg cron []
Inst hello (2.10-3 Debian:12.15/oldstable [amd64])
Inst base-files [12.4+deb12u10] (12.4+deb12u11 Debian:12.11/stable [amd64]) []
Inst libc6:i386 (2.36-9 Debian:12.15/oldstable [i386])
Conf hello (2.10-3 Debian:12.15/oldstable [amd64])
Conf base-files (12.4+deb12u11 Debian:12.11/stable [amd64])
Conf nginx (1.22.1-9 Debian:12.15/oldstable [amd64])
`);
    expect(steps).toEqual([
      { name: "sl", before: "5.02-1+b1", after: null },
      { name: "logrotate", before: "3.21.0-1", after: null },
      { name: "cron", before: "configuration files", after: null },
      { name: "hello", before: null, after: "2.10-3" },
      { name: "base-files", before: "12.4+deb12u10", after: "12.4+deb12u11" },
      { name: "libc6:i386", before: null, after: "2.36-9" },
      { name: "nginx", before: "unconfigured", after: "1.22.1-9" },
    ]);
  });

  it("becomes a diff with one line a package", () => {
    const diff = packageDiff([
      { name: "nginx", before: "1.22.1-9", after: "1.24.0-1" },
      { name: "hello", before: null, after: "2.10-3" },
      { name: "sl", before: "5.02-1", after: null },
    ]);
    expect(diff).toEqual({
      path: "packages",
      before: "nginx 1.22.1-9\nsl 5.02-1\n",
      after: "hello 2.10-3\nnginx 1.24.0-1\n",
    });
  });
});

describe("parsePackageSpec", () => {
  it.each([
    ["nginx", { name: "nginx" }],
    ["g++", { name: "g++" }],
    ["libc6:i386", { name: "libc6:i386" }],
    ["nginx=1.22*", { name: "nginx", relation: "=", version: "1.22*" }],
    ["libc6:i386>=2:2.36~rc1-1", { name: "libc6:i386", relation: ">=", version: "2:2.36~rc1-1" }],
    ["php8.?-[cf]*", { name: "php8.?-[cf]*" }],
  ])("reads %s", (text, spec) => expect(parsePackageSpec(text)).toEqual(spec));

  it.each(["", "-y", "--purge", "nginx-", "two words", "a;b", "$(x)", "nginx=", "./x.deb"])(
    "refuses %j",
    (text) => {
      expect(parsePackageSpec(text)).toBeNull();
    },
  );

  it("compares versions by glob, by order, or not at all", () => {
    expect(versionSatisfies("1.22.1-9", { name: "n", relation: "=", version: "1.22*" })).toBe(true);
    expect(versionSatisfies("1.220", { name: "n", relation: "=", version: "1.22" })).toBe(false);
    expect(versionSatisfies("1.22", { name: "n", relation: "=", version: "1?22" })).toBe(true);
    expect(versionSatisfies("1.10", { name: "n", relation: ">=", version: "1.9" })).toBe(true);
    expect(versionSatisfies("1.9~rc1", { name: "n", relation: ">=", version: "1.9" })).toBe(false);
    expect(versionSatisfies("0", { name: "n" })).toBe(true);
  });
});
