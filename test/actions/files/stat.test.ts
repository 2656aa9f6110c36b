import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { accessOf, stat } from "../../../src/actions/files/stat.ts";
import { createLocalSystem } from "../../../src/system/local/local-system.ts";
import { withTools } from "../fake-tools.ts";
import { makeSandbox, pass, type Sandbox, snapshot } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const ask = async (params: Parameters<typeof stat>[0]) => {
  const before = snapshot(sandbox.root);
  const { state, data } = await pass(stat(params), sandbox.system, sandbox.context());
  expect(state).toBe("unchanged");
  expect(snapshot(sandbox.root)).toEqual(before);
  return data?.stat;
};

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc"));
  writeFileSync(at("etc/passwd"), `me:x:${process.getuid!()}:0::/:/bin/sh\n`);
  writeFileSync(at("etc/group"), `us:x:${process.getgid!()}:\n`);
});
afterEach(() => sandbox[Symbol.dispose]());

it("tells all about a file", async () => {
  writeFileSync(at("etc/f"), "text\n");
  chmodSync(at("etc/f"), 0o4640);
  utimesSync(at("etc/f"), 1_000, 2_000.5);
  expect(await ask({ path: "/etc/f" })).toMatchObject({
    ...{
      exists: true,
      path: "/etc/f",
      mode: "4640",
      isreg: true,
      isdir: false,
      islnk: false,
      isuid: true,
      isgid: false,
    },
    ...{ uid: process.getuid!(), gid: process.getgid!(), pw_name: "me", gr_name: "us", size: 5, nlink: 1 },
    ...{ mtime: 2_000.5, rusr: true, wgrp: false, roth: false },
    checksum: createHash("sha1").update("text\n").digest("hex"),
  });
  const other = await ask({ path: "/etc/f", checksum_algorithm: "sha256" });
  expect(other?.checksum).toBe(createHash("sha256").update("text\n").digest("hex"));
  expect(await ask({ path: "/etc/f", get_checksum: false })).not.toHaveProperty("checksum");
});

it("tells of a link, or of what it leads to", async () => {
  symlinkSync("../etc/passwd", at("etc/link"));
  expect(await ask({ path: "/etc/link" })).toMatchObject({
    islnk: true,
    lnk_target: "../etc/passwd",
    lnk_source: "/etc/passwd",
  });
  expect(await ask({ path: "/etc/link", follow: true })).toMatchObject({ islnk: false, isreg: true });
});

it("tells where a chain of links ends, and where one that leads to nothing would", async () => {
  symlinkSync("passwd", at("etc/one"));
  symlinkSync("one", at("etc/two"));
  expect(await ask({ path: "/etc/two" })).toMatchObject({ lnk_target: "one", lnk_source: "/etc/passwd" });
  symlinkSync("gone", at("etc/dangling"));
  expect(await ask({ path: "/etc/dangling" })).toMatchObject({
    lnk_source: "/etc/gone",
    readable: false,
    executable: false,
  });
});

it("tells what may be done with it", async () => {
  writeFileSync(at("etc/f"), "");
  symlinkSync("f", at("etc/link"));
  const isRoot = process.getuid!() === 0;
  for (const [mode, readable, writeable, executable] of [
    [0o640, true, true, false],
    [0o500, true, isRoot, true],
    [0o177, isRoot, isRoot, true],
  ] as const) {
    chmodSync(at("etc/f"), mode);
    for (const path of ["/etc/f", "/etc/link"])
      expect(await ask({ path, get_checksum: false })).toMatchObject({ readable, writeable, executable });
  }
  expect(await ask({ path: "/etc" })).toMatchObject({ readable: true, writeable: true, executable: true });
});

it("tells that there is nothing", async () => {
  expect(await ask({ path: "/no/such" })).toEqual({ exists: false });
  expect(await ask({ path: "/etc" })).toMatchObject({ exists: true, isdir: true });
});

it("names wrong parameters", () => {
  // @ts-expect-error an algorithm that does not exist
  expect(() => stat({ path: "/x", checksum_algorithm: "crc" })).toThrow('parameter "checksum_algorithm"');
});

const file = { type: "file", mode: 0o751, uid: 7, gid: 70 } as const;

it.each([
  ["root", { uid: 0, groups: [0] }, "rwx"],
  ["the owner", { uid: 7, groups: [7] }, "rwx"],
  ["a member of its group", { uid: 8, groups: [8, 70] }, "r-x"],
  ["others", { uid: 8, groups: [8] }, "--x"],
] as const)("%s", (_who, user, expected) => {
  const { readable, writeable, executable } = accessOf(file, user);
  expect(`${readable ? "r" : "-"}${writeable ? "w" : "-"}${executable ? "x" : "-"}`).toBe(expected);
});

it("the owner has no more than the owner's bits, even where the group has", () => {
  expect(accessOf({ ...file, mode: 0o070 }, { uid: 7, groups: [70] }).readable).toBe(false);
});

it("root runs nothing that nobody may run, and enters every directory", () => {
  const root = { uid: 0, groups: [0] };
  expect(accessOf({ ...file, mode: 0o600 }, root).executable).toBe(false);
  expect(accessOf({ ...file, mode: 0o600, type: "directory" }, root).executable).toBe(true);
});

it("asks file and lsattr, where the host has them", async () => {
  const directory = mkdtempSync(join(tmpdir(), "volley-stat-"));
  try {
    const path = join(directory, "-f: x");
    writeFileSync(path, "text\n");
    const look = async (params: object) =>
      (await pass(stat({ path, ...params }), createLocalSystem(), sandbox.context())).data?.stat;
    const facts = await look({});
    const hasFile = (await createLocalSystem().which("file")) !== null;
    const unknown = { mimetype: "unknown", charset: "unknown" };
    expect(facts).toMatchObject(hasFile ? { mimetype: "text/plain", charset: "us-ascii" } : unknown);
    expect(facts?.attr_flags).toMatch(/^[A-Za-z]*$/);
    expect(facts?.attributes?.length).toBeLessThanOrEqual(facts!.attr_flags!.length);
    expect(facts).toMatchObject({ device_type: 0, blocks: expect.any(Number), ctime: expect.any(Number) });
    const less = await look({ get_mime: false, get_attributes: false });
    for (const key of ["mimetype", "charset", "attr_flags", "attributes", "version"])
      expect(less).not.toHaveProperty(key);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

it("says unknown where these tools are missing", async () => {
  const { system } = withTools(sandbox, { file: null, lsattr: null });
  const { data } = await pass(stat({ path: "/" }), system, sandbox.context());
  expect(data?.stat).toMatchObject({ mimetype: "unknown", charset: "unknown" });
  expect(data?.stat).toMatchObject({ attr_flags: "", attributes: [], version: null });
});
