import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type IsoFile, makeIso } from "../../src/image/iso.ts";
import { readIso } from "./read-iso.ts";

const files: readonly IsoFile[] = [
  { name: "user-data", content: Buffer.from("#cloud-config\n") },
  { name: "meta-data", content: Buffer.from("instance-id: one\n") },
  { name: "site.run", content: Buffer.alloc(5_000, "abc") },
  { name: "exactly-one-sector", content: Buffer.alloc(2_048, 7) },
  { name: "empty", content: Buffer.alloc(0) },
];

describe("an ISO image", () => {
  it("has its label and its files, with their names, in both directories", () => {
    const { primary, joliet } = readIso(makeIso("cidata", files));
    expect([primary.label, joliet.label]).toEqual(["cidata", "cidata"]);
    const byName = (all: readonly IsoFile[]): readonly IsoFile[] =>
      all.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    expect(joliet.files).toEqual(byName(files));
    expect(primary.files).toEqual(files.map(({ content }, at) => ({ name: `FILE${at}.;1`, content })));
  });

  it("has equal bytes for equal files, and consists of whole sectors", () => {
    const image = makeIso("cidata", files);
    expect(image.equals(makeIso("cidata", files))).toBe(true);
    expect(image.length % 2_048).toBe(0);
  });

  it("takes some twenty files, and says so when there are more", () => {
    const many = (count: number): readonly IsoFile[] =>
      Array.from({ length: count }, (_none, at) => ({
        name: `a-name-of-25-characters-${String.fromCharCode(97 + at)}`,
        content: Buffer.from([at]),
      }));
    expect(readIso(makeIso("cidata", many(20))).joliet.files).toEqual(many(20));
    expect(() => makeIso("cidata", many(26))).toThrow("do not fit");
  });

  describe("read by a program", () => {
    let folder: string;
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), "volley-iso-"));
    });
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    it.skipIf(spawnSync("bsdtar", ["--version"]).error !== undefined)("gives its files to bsdtar", () => {
      const image = join(folder, "seed.iso");
      writeFileSync(image, makeIso("cidata", files));
      const { status, stderr } = spawnSync("bsdtar", ["-xf", image, "-C", folder], { encoding: "utf8" });
      expect(stderr).toBe("");
      expect(status).toBe(0);
      expect(readdirSync(folder).sort()).toEqual([...files.map(({ name }) => name), "seed.iso"].sort());
      for (const { name, content } of files) expect(readFileSync(join(folder, name))).toEqual(content);
    });

    it.skipIf(spawnSync("blkid", ["--version"]).error !== undefined)("is a volume cidata to blkid", () => {
      const image = join(folder, "label.iso");
      writeFileSync(image, makeIso("cidata", files));
      const { stdout } = spawnSync("blkid", ["-p", "-o", "export", image], { encoding: "utf8" });
      expect(stdout).toMatch(/^LABEL=cidata$/m);
      expect(stdout).toMatch(/^TYPE=iso9660$/m);
    });
  });
});
