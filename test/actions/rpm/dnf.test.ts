import { describe, expect, it } from "vitest";
import { dnf } from "../../../src/actions/rpm/dnf.ts";
import { parseTransaction } from "../../../src/actions/rpm/dnf-plan.ts";
import { isNamed, nevra, parseRpmLines } from "../../../src/actions/rpm/rpm-database.ts";

describe("the table of a transaction", () => {
  it("is read with its sections, wrapped names included", () => {
    const table = `Last metadata expiration check: 0:00:02 ago.
Dependencies resolved.
================================================================================
 Package         Architecture       Version             Repository         Size
================================================================================
Installing:
 bar             noarch             1.0-1               local             5.9 k
 a-name-longer-than-its-column-is-wide
                 x86_64             1:2.0-3.el9         local             1.2 M
     replacing  old.noarch 1-1
Installing dependencies:
 foo             noarch             1.1-1               local             5.9 k
Upgrading:
 baz             noarch             2.0-1               local             5.9 k
Removing dependent packages:
 qux             noarch             1.0-1               @local              4
Skipping packages with conflicts:
(add '--best --allowerasing' to command line to force their upgrade):
 never           noarch             3-1                 local             5.9 k

Transaction Summary
================================================================================
Install  3 Packages

Total size: 12 k
Operation aborted.
`;
    expect(parseTransaction(table)).toEqual([
      { section: "Installing", name: "bar", arch: "noarch", version: "1.0-1" },
      {
        section: "Installing",
        name: "a-name-longer-than-its-column-is-wide",
        arch: "x86_64",
        version: "1:2.0-3.el9",
      },
      { section: "Installing dependencies", name: "foo", arch: "noarch", version: "1.1-1" },
      { section: "Upgrading", name: "baz", arch: "noarch", version: "2.0-1" },
      { section: "Removing dependent packages", name: "qux", arch: "noarch", version: "1.0-1" },
    ]);
  });

  it("is not there when there is nothing to do", () => {
    expect(parseTransaction("Dependencies resolved.\nNothing to do.\nComplete!\n")).toEqual([]);
    expect(parseTransaction("Error: Unable to find a match: x y z a b\n")).toEqual([]);
  });
});

describe("an installed package", () => {
  const [entry] = parseRpmLines("bind-utils\t32\t9.16.23\t1.el9\tx86_64\n");

  it.each([
    ["bind-utils", true],
    ["bind-utils.x86_64", true],
    ["bind-utils-9.16.23", true],
    ["bind-utils-9.16.23-1.el9", true],
    ["bind-utils-32:9.16.23-1.el9.x86_64", true],
    ["32:bind-utils-9.16.23-1.el9", true],
    ["bind", false],
    ["bind-utils.i686", false],
    ["bind-utils-9.16", false],
  ])("is meant by %s: %s", (spec, expected) => expect(isNamed(entry!, spec)).toBe(expected));

  it("is named with its epoch", () => {
    expect(nevra(entry!)).toBe("bind-utils-32:9.16.23-1.el9.x86_64");
    expect(nevra({ ...entry!, epoch: "0" })).toBe("bind-utils-9.16.23-1.el9.x86_64");
  });
});

describe("dnf's parameters", () => {
  it.each([
    [{ name: "x", list: "installed" }, /mutually exclusive: list\|name/],
    [{ name: "x", autoremove: true, state: "present" as const }, /autoremove goes with/],
    [{ name: "x", installroot: "srv" }, /must be an absolute path/],
  ])("refuse %j", (given, message) => expect(() => dnf(given)).toThrow(message));
});
