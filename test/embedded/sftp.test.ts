import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Client, FileEntryWithStats, SFTPWrapper, Stats } from "ssh2";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import type { EmbeddedFleet, EmbeddedHost } from "../../src/embedded/options.ts";
import { until } from "../lib/patience.ts";
import { call, connect, openSftp } from "./client.ts";

const noSuchFile = 2;
const permissionDenied = 3;
const failure = 4;

let fleet: EmbeddedFleet;
let host: EmbeddedHost;
let client: Client;
let sftp: SFTPWrapper;
let home: string;
let turn = 0;

beforeAll(async () => {
  fleet = await startEmbeddedFleet({ count: 1 });
  host = fleet.hosts[0]!;
});
afterAll(() => fleet.stop());
beforeEach(async () => {
  client = await connect(fleet, host);
  sftp = await openSftp(client);
  turn += 1;
  home = join(host.home, `turn${turn}`);
  mkdirSync(home);
});
afterEach(() => {
  client.end();
});

/** A path relative to the host's home, as clients may give it. */
function relative(name: string): string {
  return `turn${turn}/${name}`;
}

test("uploads and downloads 30 MB unchanged, with many requests in flight", async () => {
  const content = randomBytes(30_000_000);
  const local = join(fleet.root, "local");
  writeFileSync(local, content);
  await call((done) => sftp.fastPut(local, relative("big"), { concurrency: 64, mode: 0o640 }, done));
  expect(sha256(join(home, "big"))).toBe(sha256(local));
  expect(statSync(join(home, "big")).mode & 0o777).toBe(0o640);
  expect(host.stats.sftpBytesIn).toBe(content.length);
  await call((done) => sftp.fastGet(relative("big"), `${local}.back`, { concurrency: 64 }, done));
  expect(sha256(`${local}.back`)).toBe(sha256(local));
});

test("carries out requests in the order they came", async () => {
  const handle = await call<Buffer>((done) => sftp.open(relative("part"), "w", 0o600, done));
  const parts = Array.from({ length: 50 }, (_, index) => Buffer.alloc(1000, index));
  const writes = parts.map((part, index) =>
    call((done) => sftp.write(handle, part, 0, part.length, index * 1000, done)),
  );
  const close = call((done) => sftp.close(handle, done));
  const rename = call((done) => sftp.rename(relative("part"), relative("whole"), done));
  await Promise.all([...writes, close, rename]);
  expect(readFileSync(join(home, "whole")).equals(Buffer.concat(parts))).toBe(true);
});

test("knows the ways to open a file", async () => {
  const path = relative("file");
  const write = async (flags: "w" | "wx" | "a" | "r+", data: string, offset: number): Promise<void> => {
    const handle = await call<Buffer>((done) => sftp.open(path, flags, done));
    await call((done) => sftp.write(handle, Buffer.from(data), 0, data.length, offset, done));
    await call((done) => sftp.close(handle, done));
  };
  await expect(write("r+", "x", 0)).rejects.toMatchObject({ code: noSuchFile });
  await write("wx", "hello", 0);
  await expect(write("wx", "x", 0)).rejects.toMatchObject({ code: failure, message: "File already exists" });
  await write("a", " there", 0);
  expect(readFileSync(join(home, "file"), "utf8")).toBe("hello there");
  await write("r+", "HELLO", 0);
  expect(readFileSync(join(home, "file"), "utf8")).toBe("HELLO there");
  await write("w", "new", 0);
  expect(readFileSync(join(home, "file"), "utf8")).toBe("new");
});

test("creates files and directories with the mode asked for", async () => {
  const handle = await call<Buffer>((done) => sftp.open(relative("secret"), "w", 0o600, done));
  await call((done) => sftp.close(handle, done));
  await call((done) => sftp.mkdir(relative("private"), { mode: 0o700 }, done));
  expect(statSync(join(home, "secret")).mode & 0o777).toBe(0o600);
  expect(statSync(join(home, "private")).mode & 0o777).toBe(0o700);
});

test("renames only to a free name, and replaces when asked the POSIX way", async () => {
  for (const name of ["a", "b"]) writeFileSync(join(home, name), name);
  await expect(call((done) => sftp.rename(relative("a"), relative("b"), done))).rejects.toMatchObject({
    code: failure,
  });
  expect(readFileSync(join(home, "b"), "utf8")).toBe("b");
  await call((done) => sftp.rename(relative("a"), relative("c"), done));
  expect(existsSync(join(home, "a"))).toBe(false);
  await call((done) => sftp.ext_openssh_rename(relative("c"), relative("b"), done));
  expect(readFileSync(join(home, "b"), "utf8")).toBe("a");
  for (const name of ["d1", "d2"]) mkdirSync(join(home, name));
  await expect(call((done) => sftp.rename(relative("d1"), relative("d2"), done))).rejects.toMatchObject({
    code: failure,
  });
  await call((done) => sftp.rename(relative("d1"), relative("d3"), done));
  expect(existsSync(join(home, "d3"))).toBe(true);
});

test("tells and sets attributes", async () => {
  writeFileSync(join(home, "file"), "12345");
  symlinkSync("file", join(home, "link"));
  const time = 1_600_000_000;
  await call((done) => sftp.setstat(relative("file"), { mode: 0o604, atime: time, mtime: time }, done));
  const stats = await call<Stats>((done) => sftp.stat(relative("link"), done));
  expect(stats).toMatchObject({ size: 5, mtime: time, atime: time, mode: 0o100604, uid: statSync(home).uid });
  expect((await call<Stats>((done) => sftp.lstat(relative("link"), done))).isSymbolicLink()).toBe(true);
  const handle = await call<Buffer>((done) => sftp.open(relative("file"), "r+", done));
  await call((done) => sftp.fsetstat(handle, { size: 2, mode: 0o600 }, done));
  expect(await call<Stats>((done) => sftp.fstat(handle, done))).toMatchObject({ size: 2, mode: 0o100600 });
  await call((done) => sftp.ext_openssh_fsync(handle, done));
  await call((done) => sftp.close(handle, done));
  expect(readFileSync(join(home, "file"), "utf8")).toBe("12");
});

test("links, resolves and removes", async () => {
  writeFileSync(join(home, "file"), "x");
  await call((done) => sftp.symlink("file", relative("link"), done));
  expect(readlinkSync(join(home, "link"))).toBe("file");
  expect(await call<string>((done) => sftp.readlink(relative("link"), done))).toBe("file");
  await call((done) => sftp.ext_openssh_hardlink(relative("file"), relative("hard"), done));
  expect(lstatSync(join(home, "hard")).nlink).toBe(2);
  expect(await call<string>((done) => sftp.realpath(".", done))).toBe(host.home);
  expect(await call<string>((done) => sftp.realpath(relative("link"), done))).toBe(join(home, "file"));
  expect(await call<string>((done) => sftp.realpath(relative("missing"), done))).toBe(join(home, "missing"));
  await call((done) => sftp.unlink(relative("link"), done));
  await call((done) => sftp.mkdir(relative("sub"), done));
  await expect(call((done) => sftp.rmdir(relative("."), done))).rejects.toMatchObject({
    code: expect.any(Number),
  });
  await call((done) => sftp.rmdir(relative("sub"), done));
  expect([existsSync(join(home, "link")), existsSync(join(home, "sub"))]).toEqual([false, false]);
});

test("lists a large directory, over several replies", async () => {
  for (let index = 0; index < 350; index += 1)
    writeFileSync(join(home, `file${index}`), "x".repeat(index % 7));
  const entries = await call<FileEntryWithStats[]>((done) => sftp.readdir(relative("."), done));
  expect(entries.length).toBe(350);
  const entry = entries.find(({ filename }) => filename === "file5");
  expect(entry?.attrs.size).toBe(5);
  expect(entry?.longname).toMatch(/^-rw.* 5 \w{3} [ \d]\d \d\d:\d\d file5$/);
});

test("reads in parts and says where the end is", async () => {
  writeFileSync(join(home, "file"), "0123456789");
  const handle = await call<Buffer>((done) => sftp.open(relative("file"), "r", done));
  const target = Buffer.alloc(100);
  const read = (offset: number): Promise<number> =>
    call<number>((done) => sftp.read(handle, target, 0, 100, offset, done));
  expect([await read(7), target.subarray(0, 3).toString()]).toEqual([3, "789"]);
  expect(await read(10)).toBe(0);
  await call((done) => sftp.close(handle, done));
  await expect(read(0)).rejects.toMatchObject({ code: noSuchFile });
});

test("reports what the operating system refuses", async () => {
  writeFileSync(join(home, "file"), "x");
  linkSync(join(home, "file"), join(home, "other"));
  const missing = call<unknown>((done) => sftp.open(relative("no/such"), "r", done));
  await expect(missing).rejects.toMatchObject({ code: noSuchFile, message: "No such file or directory" });
  await expect(call<unknown>((done) => sftp.readdir(relative("file"), done))).rejects.toMatchObject({
    code: noSuchFile,
  });
  await expect(call((done) => sftp.mkdir(relative("file"), done))).rejects.toMatchObject({ code: failure });
  // No user, not even root, can unlink a directory or make one in such a place.
  await expect(call((done) => sftp.unlink(relative("."), done))).rejects.toThrow();
  await expect(call<unknown>((done) => sftp.open("/dev/full/x", "w", done))).rejects.toMatchObject({
    code: noSuchFile,
  });
  const full = await call<Buffer>((done) => sftp.open("/dev/full", "w", done));
  const write = call((done) => sftp.write(full, Buffer.from("x"), 0, 1, 0, done));
  await expect(write).rejects.toMatchObject({ code: failure, message: "No space left on device" });
});

test.skipIf(process.getuid?.() === 0)("reports a lack of permission", async () => {
  mkdirSync(join(home, "closed"), { mode: 0o000 });
  const open = call<unknown>((done) => sftp.open(relative("closed/file"), "w", done));
  await expect(open).rejects.toMatchObject({ code: permissionDenied, message: "Permission denied" });
  chmodSync(join(home, "closed"), 0o700);
});

test("tells about the file system", async () => {
  const stats = await call<{ f_blocks: number; f_namemax: number }>((done) =>
    sftp.ext_openssh_statvfs(".", (error, info) => done(error, info as never)),
  );
  expect(stats.f_blocks).toBeGreaterThan(0);
  expect(stats.f_namemax).toBe(255);
});

test("closes a session's files when its connection drops", async () => {
  await call<Buffer>((done) => sftp.open(relative("open"), "w", done));
  const isOpen = (): boolean => openFiles().includes(join(home, "open"));
  if (process.platform === "linux") expect(isOpen()).toBe(true);
  client.on("error", () => {});
  host.dropConnections();
  await until(() => !isOpen());
});

function openFiles(): readonly string[] {
  if (process.platform !== "linux") return [];
  return Array.from({ length: 1000 }, (_, descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`);
    } catch {
      return "";
    }
  });
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
