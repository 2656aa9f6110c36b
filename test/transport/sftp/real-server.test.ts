import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { OPEN } from "../../../src/transport/sftp/codec.ts";
import { sftpStatus } from "../../../src/transport/sftp/requests.ts";
import { realSessions, scratchDirectory, sftpServer } from "./server.ts";

const open = realSessions();
const scratch = scratchDirectory();
const isRoot = process.getuid?.() === 0;

describe.skipIf(sftpServer === undefined)("a session with OpenSSH's sftp-server", () => {
  it("writes and reads with all requests in flight together", async () => {
    const files = await open();
    const path = join(scratch(), "file with 'quotes' and ü");
    const bytes = randomBytes(3_000_000);
    const size = files.maxWriteBytes;
    expect(size).toBe(255 << 10);
    const handle = await files.open(path, OPEN.write | OPEN.create | OPEN.exclusive, { mode: 0o600 });
    const offsets = Array.from({ length: Math.ceil(bytes.length / size) }, (_none, index) => index * size);
    await Promise.all([
      ...offsets.map((at) => files.write(handle, at, bytes.subarray(at, at + size))),
      files.sync(handle),
      files.fsetstat(handle, { mtime: 1_000_000_000 }),
    ]);
    expect(await files.fstat(handle)).toMatchObject({ size: bytes.length, mtime: 1_000_000_000 });
    await files.closeHandle(handle);
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(statSync(path).mode & 0o7777).toBe(0o600);

    const again = await files.open(path, OPEN.read);
    const read = await Promise.all(offsets.map((at) => files.read(again, at, size)));
    expect(Buffer.concat(read.map((part) => part!)).equals(bytes)).toBe(true);
    expect(await files.read(again, bytes.length, 10)).toBeNull();
    await files.closeHandle(again);
    files.close();
  });

  it("writes beyond 4 GiB and tells such sizes", async () => {
    const files = await open();
    const path = join(scratch(), "sparse");
    const handle = await files.open(path, OPEN.write | OPEN.create);
    await files.write(handle, 5 * 2 ** 30 + 7, Buffer.from("end"));
    await files.closeHandle(handle);
    expect((await files.stat(path))?.size).toBe(5 * 2 ** 30 + 10);
    expect(statSync(path).size).toBe(5 * 2 ** 30 + 10);
  });

  it("lists, makes, links, renames over, and removes", async () => {
    const files = await open();
    const root = scratch();
    for (let index = 0; index < 250; index++) writeFileSync(join(root, `f${index}`), String(index));
    symlinkSync("f1", join(root, "link"));
    const entries = await files.list(root);
    expect(entries.map(({ name }) => name).sort()).toEqual(
      [...Array.from({ length: 250 }, (_none, index) => `f${index}`), "link"].sort(),
    );
    expect(entries.find(({ name }) => name === "link")?.attributes.mode).toBe(
      lstatSync(join(root, "link")).mode,
    );

    await files.makeDirectory(join(root, "d"), { mode: 0o750 });
    expect(statSync(join(root, "d")).isDirectory()).toBe(true);
    expect(await files.list(join(root, "d"))).toEqual([]);
    await files.symlink("../f2", join(root, "d/link"));
    expect(readlinkSync(join(root, "d/link"))).toBe("../f2");
    expect(await files.readLink(join(root, "d/link"))).toBe("../f2");
    await files.lsetstat(join(root, "d/link"), { mtime: 86_400, atime: 0 });
    expect(lstatSync(join(root, "d/link")).mtimeMs).toBe(86_400_000);
    await files.link(join(root, "f3"), join(root, "d/hard"));
    expect(statSync(join(root, "d/hard")).ino).toBe(statSync(join(root, "f3")).ino);
    await files.rename(join(root, "f4"), join(root, "d/hard"));
    expect(readFileSync(join(root, "d/hard"), "utf8")).toBe("4");
    await files.setstat(join(root, "f5"), { mode: 0o640, mtime: 5, size: 0 });
    expect(statSync(join(root, "f5"))).toMatchObject({ size: 0, mtimeMs: 5_000 });
    expect(await files.realPath(join(root, "d/../d/link"))).toBe(
      execFileSync("realpath", [join(root, "f2")], { encoding: "utf8" }).trim(),
    );
    await files.remove(join(root, "d/link"));
    await files.remove(join(root, "d/hard"));
    await files.removeDirectory(join(root, "d"));
    expect(existsSync(join(root, "d"))).toBe(false);
    const free = await files.freeSpace(root);
    const available = Number(
      execFileSync("stat", ["-f", "-c", "%a*%S", root], { encoding: "utf8" })
        .split("*")
        .reduce((product, text) => product * Number(text), 1),
    );
    expect(Math.abs((free?.freeBytes ?? 0) - available)).toBeLessThan(2 ** 30);
  });

  it("says what could not be done, to what, and why", async () => {
    const files = await open();
    const root = scratch();
    expect(await files.stat(join(root, "none"))).toBeNull();
    expect(await files.lstat(join(root, "none/below"))).toBeNull();
    await expect(files.open(join(root, "none"), OPEN.read)).rejects.toMatchObject({
      code: "SFTP_FAILED",
      status: 2,
      message: `web01: cannot read ${root}/none: no such file or directory`,
    });
    const error = await files.makeDirectory(join(root, "a/b")).catch((thrown: unknown) => thrown);
    expect(sftpStatus(error)).toBe(2);
    mkdirSync(join(root, "full"));
    linkSync(new URL(import.meta.url).pathname, join(root, "full/x"));
    await expect(files.removeDirectory(join(root, "full"))).rejects.toMatchObject({ status: 4 });
    // A session continues after a refusal.
    expect(await files.realPath(root)).toBe(root);
  });

  it.skipIf(isRoot)("tells permission denied, and what to do", async () => {
    const files = await open();
    await expect(files.open("/etc/volley-test", OPEN.write | OPEN.create)).rejects.toMatchObject({
      status: 3,
      hint: expect.stringContaining("--become"),
    });
  });

  it("that is read-only refuses to write", async () => {
    const files = await open(["-R"]);
    await expect(files.open(join(scratch(), "x"), OPEN.write | OPEN.create)).rejects.toMatchObject({
      code: "SFTP_FAILED",
      status: 3,
    });
  });

  it("fails what is in flight when it is ended, and everything after that", async () => {
    const files = await open();
    const flying = files.stat("/");
    files.close();
    await expect(flying).rejects.toMatchObject({ code: "CONNECTION_LOST" });
    await expect(files.stat("/")).rejects.toMatchObject({ code: "CONNECTION_LOST" });
  });

  it("replaces without posix-rename too, also when others replace the same file, and loses nothing", async () => {
    const directory = scratch();
    const to = join(directory, "f");
    const replaceBy = async (content: string): Promise<void> => {
      const files = await open(["-P", "posix-rename"]);
      for (let round = 0; round < 10; round++) {
        const from = join(directory, `.${content}${round}`);
        writeFileSync(from, content);
        await files.rename(from, to);
      }
    };
    await Promise.all(["a", "b", "c"].map(replaceBy));
    expect(readFileSync(to, "utf8")).toMatch(/^[abc]$/);
    expect(readdirSync(directory)).toEqual(["f"]);
    const files = await open(["-P", "posix-rename"]);
    await expect(files.rename(join(directory, "none"), to)).rejects.toThrow();
    expect(readFileSync(to, "utf8")).toMatch(/^[abc]$/);
    expect(readdirSync(directory)).toEqual(["f"]);
  });
});
