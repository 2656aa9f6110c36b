import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import {
  applyFile,
  backupPath,
  type FileRequest,
  inspectFile,
  makeBackup,
} from "../../../src/actions/shared/write-file.ts";
import { makeSandbox, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const inspect = (request: Omit<FileRequest, "system">) => inspectFile({ system: sandbox.system, ...request });

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc"));
});
afterEach(() => sandbox[Symbol.dispose]());

it("writes content and mode at once, and finds nothing to do afterwards", async () => {
  const request = { path: "/etc/f", content: "a\n", mode: "0600" };
  const change = await inspect(request);
  expect(change?.diff).toEqual({
    path: "/etc/f",
    before: null,
    after: "a\n",
    attributes: { mode: ["", "0600"] },
  });
  expect(await applyFile(change!, sandbox.system)).toEqual({ data: {} });
  expect([readFileSync(at("etc/f"), "utf8"), statSync(at("etc/f")).mode & 0o7777]).toEqual(["a\n", 0o600]);
  expect(await inspect(request)).toBeNull();
  expect(readdirSync(at("etc"))).toEqual(["f"]);
});

it("keeps secrets out of the diff", async () => {
  writeFileSync(at("etc/f"), "old secret\n");
  const change = await inspect({ path: "/etc/f", content: "new secret\n", secret: true });
  expect(JSON.stringify(change?.diff)).toBe('{"path":"/etc/f","binary":true}');
});

it("does not show what is no text, or too long", async () => {
  writeFileSync(at("etc/f"), "x".repeat(100_001));
  expect((await inspect({ path: "/etc/f", content: "short" }))?.diff).toEqual({
    path: "/etc/f",
    binary: true,
  });
  const bytes = new Uint8Array([0xff]);
  expect((await inspect({ path: "/etc/g", content: bytes }))?.diff).toEqual({
    path: "/etc/g",
    before: null,
    binary: true,
  });
});

it("follows a link, even one that leads nowhere yet, unless told not to", async () => {
  symlinkSync("real", at("etc/f"));
  const change = await inspect({ path: "/etc/f", content: "a\n" });
  expect(change?.path).toBe("/etc/real");
  await applyFile(change!, sandbox.system);
  expect(readFileSync(at("etc/real"), "utf8")).toBe("a\n");
  const replacing = await inspect({ path: "/etc/f", content: "a\n", follow: false });
  expect(replacing?.diff).toEqual({
    path: "/etc/f",
    before: null,
    after: "a\n",
    attributes: { type: ["link", "file"] },
  });
  symlinkSync("loop", at("etc/loop"));
  await expect(inspect({ path: "/etc/loop", content: "" })).rejects.toThrow("a link that leads to itself");
});

it("makes the directories on the way when told to", async () => {
  await expect(inspect({ path: "/etc/a/b/f", content: "a" })).rejects.toThrow("/etc/a/b does not exist");
  const change = await inspect({ path: "/etc/a/b/f", content: "a", parents: "make" });
  expect(change?.directories).toEqual(["/etc/a", "/etc/a/b"]);
  await applyFile(change!, sandbox.system);
  expect(readFileSync(at("etc/a/b/f"), "utf8")).toBe("a");
});

it("takes the content the caller has read", async () => {
  writeFileSync(at("etc/f"), "on disk\n");
  expect(await inspect({ path: "/etc/f", content: "read\n", current: Buffer.from("read\n") })).toBeNull();
});

it("refuses to write over a directory", async () => {
  await expect(inspect({ path: "/etc", content: "" })).rejects.toThrow("/etc is a directory");
});

it("finds a mode from the mode there is", async () => {
  writeFileSync(at("etc/f"), "");
  chmodSync(at("etc/f"), 0o750);
  const change = await inspect({ path: "/etc/f", content: "", mode: "o=g,u-x" });
  expect(change?.diff.attributes).toEqual({ mode: ["0750", "0655"] });
});

it("names backups as Ansible does", () => {
  expect(backupPath("/etc/f", new Date(2026, 0, 2, 3, 4, 5), 17)).toBe("/etc/f.17.2026-01-02@03:04:05~");
});

it("keeps every backup, those of one second too", async () => {
  const contents = ["one", "two", "three"];
  const backups: (string | undefined)[] = [];
  for (const content of contents) {
    writeFileSync(join(sandbox.root, "f"), content);
    backups.push(await makeBackup(sandbox.system, "/f"));
  }
  expect(backups.map((path) => readFileSync(join(sandbox.root, path ?? ""), "utf8"))).toEqual(contents);
});
