import { describe, expect, it } from "vitest";
import { compareDebianVersions } from "../../../src/actions/packages/dpkg.ts";

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
