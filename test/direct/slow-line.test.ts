import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DirectSystem } from "../../src/direct/direct-system.ts";
import { type DirectHost, startDirectHost } from "./lib/host.ts";

let host: DirectHost;
let directory: string;
let system: DirectSystem;
beforeAll(async () => {
  host = await startDirectHost({ faults: () => ({ kind: "slow", delayMs: 10 }) });
  ({ system } = await host.open());
  directory = mkdtempSync(join(tmpdir(), "volley-slow-"));
});
afterAll(async () => {
  await system.close();
  await host.stop();
  rmSync(directory, { recursive: true });
});
const at = (name: string): string => join(directory, name);
/** As actions do: they look before they write. */
const write = async (name: string, content: string | Buffer, options = {}): Promise<void> => {
  await system.lstat(at(name));
  await system.writeFile(at(name), content, options);
};

test("small files are written by a shell, with content, mode and owner as over SFTP", async () => {
  const bytes = Buffer.from([0, 10, 255, 13, 128, 39]);
  await write("new", bytes);
  expect(readFileSync(at("new"))).toEqual(bytes);
  expect(statSync(at("new")).mode & 0o7777).toBe(0o666 & ~process.umask());
  writeFileSync(at("old"), "1", { mode: 0o604 });
  await write("old", "");
  expect(readFileSync(at("old"), "utf8")).toBe("");
  expect(statSync(at("old")).mode & 0o7777).toBe(0o604);
  await write("name with 'quotes'\n", "x", { mode: 0o4750 });
  expect(statSync(at("name with 'quotes'\n")).mode & 0o7777).toBe(0o4750);
  symlinkSync("old", at("link"));
  await write("link", "no link any more");
  expect(readFileSync(at("link"), "utf8")).toBe("no link any more");
  expect(readFileSync(at("old"), "utf8")).toBe("");
  expect(host.fleet.hosts[0]!.stats.sftpBytesIn).toBe(0);
});

test("what cannot be written is refused as over SFTP, and leaves nothing behind", async () => {
  mkdirSync(at("dir"));
  await expect(write("dir", "x")).rejects.toMatchObject({
    message: `cannot write ${at("dir")}: it is a directory`,
  });
  await expect(write("none/file", "x")).rejects.toMatchObject({
    code: "FILE_FAILED",
    message: `cannot write ${at("none/file")}: no such file or directory`,
  });
  expect(readdirSync(at("dir"))).toEqual([]);
  expect(readdirSync(directory).filter((name) => name.startsWith(".volley"))).toEqual([]);
});

test("large files go over SFTP", async () => {
  await write("large", "x".repeat(200_000));
  expect(statSync(at("large")).size).toBe(200_000);
  expect(host.fleet.hosts[0]!.stats.sftpBytesIn).toBeGreaterThanOrEqual(200_000);
});
