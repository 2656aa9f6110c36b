import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OPEN, STATUS } from "../../../src/transport/sftp/codec.ts";
import { openFileSession } from "../../../src/transport/sftp/open-file-session.ts";
import { SHELL_FILES_SCRIPT } from "../../../src/transport/shell-files/server.ts";
import type { FileSession, RemoteExit } from "../../../src/transport/transport.ts";
import { duplexOf } from "../sftp/server.ts";

/** The shells and the tools that serve: those of Debian, bash in the place of sh, and BusyBox's own. */
const SERVERS = [
  { name: "sh", shell: ["/bin/sh"] as const },
  { name: "bash", shell: ["/bin/bash", "--posix"] as const },
  { name: "BusyBox", shell: ["/bin/busybox", "sh"] as const, toolbox: "/bin/busybox" },
];
const NEW = OPEN.write | OPEN.create | OPEN.exclusive;
const signal = new AbortController().signal;
const isRoot = process.getuid?.() === 0;

describe.each(SERVERS)("files served by a script of $name", ({ shell, toolbox }) => {
  if (!existsSync(shell[0])) return it.skip(`${shell[0]} is not there`);
  let home: string;
  let files: FileSession;
  let exit: Promise<RemoteExit>;
  const at = (path: string): string => join(home, path);
  const write = async (path: string, bytes: Uint8Array, flags = NEW): Promise<void> => {
    const handle = await files.open(path, flags, { mode: 0o640 });
    const size = 70_000;
    for (let from = 0; from < bytes.length; from += size)
      void files.write(handle, from, bytes.subarray(from, from + size));
    await files.closeHandle(handle);
  };

  beforeEach(async () => {
    home = realpathSync(mkdtempSync(join(tmpdir(), "volley-shell-files-")));
    let path = process.env.PATH;
    if (toolbox !== undefined) {
      path = at(".bin");
      mkdirSync(path);
      for (const name of execFileSync(toolbox, ["--list"], { encoding: "utf8" }).trim().split("\n"))
        symlinkSync(toolbox, join(path, name));
    }
    const child = spawn(shell[0], [...shell.slice(1), "-c", `umask 022; ${SHELL_FILES_SCRIPT}`], {
      cwd: home,
      env: { PATH: path, HOME: home },
    });
    child.stdin.on("error", () => {});
    const duplex = duplexOf(child);
    ({ exit } = duplex);
    files = await openFileSession(duplex, { host: "box", signal });
  });
  afterEach(async () => {
    files.close();
    expect(await exit).toEqual({ kind: "exited", code: 0 });
    rmSync(home, { recursive: true, force: true });
  });

  it("arrive and come back byte by byte, whatever is in them", async () => {
    const bytes = Buffer.concat([randomBytes(600_000), Buffer.from("\nvolley!\n\n\0")]);
    await write("big", bytes);
    expect(readFileSync(at("big")).equals(bytes)).toBe(true);
    expect(statSync(at("big")).mode & 0o777).toBe(0o640);
    const handle = await files.open("big", OPEN.read);
    const pieces: Buffer[] = [];
    for (let from = 0; ; ) {
      const piece = await files.read(handle, from, 1 << 20);
      if (piece === null) break;
      pieces.push(piece);
      from += piece.length;
    }
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
    expect((await files.read(handle, 10, 20))!.equals(bytes.subarray(10, 30))).toBe(true);
    expect((await files.read(handle, 400_000, 20))!.equals(bytes.subarray(400_000, 400_020))).toBe(true);
    expect(await files.fstat(handle)).toMatchObject({ size: bytes.length });
    await files.closeHandle(handle);
    await expect(files.read(handle, 0, 1)).rejects.toMatchObject({ code: "SFTP_FAILED" });
  });

  it("are continued where a transfer ended", async () => {
    writeFileSync(at("part"), "0123456789");
    const handle = await files.open("part", OPEN.write);
    await files.write(handle, 8, Buffer.from("abc"));
    await files.sync(handle);
    await files.closeHandle(handle);
    expect(readFileSync(at("part"), "latin1")).toBe("01234567abc");
  });

  it("keep their attributes", async () => {
    writeFileSync(at("a"), "12345");
    await files.setstat("a", { mode: 0o4711, mtime: 1_000_000_000, atime: 1_100_000_000 });
    expect(await files.stat("a")).toEqual(
      expect.objectContaining({ mode: 0o104711, size: 5, mtime: 1_000_000_000, uid: process.getuid!() }),
    );
    expect(statSync(at("a")).mtimeMs).toBe(1_000_000_000_000);
    if (isRoot) {
      await files.setstat("a", { uid: 12, gid: 34 });
      expect(statSync(at("a"))).toMatchObject({ uid: 12, gid: 34 });
    }
    await files.setstat("a", { size: 2 });
    expect(readFileSync(at("a"), "latin1")).toBe("12");
    const handle = await files.open("a", OPEN.write);
    // Another file may take the place of an open one: its attributes stay.
    await files.rename("a", "b");
    symlinkSync("/etc/passwd", at("a"));
    await files.fsetstat(handle, { mode: 0o600 });
    await files.closeHandle(handle);
    expect(statSync(at("b")).mode & 0o7777).toBe(0o600);
    symlinkSync("b", at("link"));
    await files.lsetstat("link", { mtime: 1_200_000_000 });
    expect(lstatSync(at("link")).mtimeMs).toBe(1_200_000_000_000);
    expect(statSync(at("b")).mtimeMs).not.toBe(1_200_000_000_000);
  });

  it("are listed under any name", async () => {
    const odd = ["-n", "a b", "a\nb", ".hidden", "..two", "it's", '"$HOME"', "ü", "*"];
    mkdirSync(at("d"));
    for (const name of odd) await write(`d/${name}`, Buffer.from(name));
    await files.makeDirectory("d/sub", { mode: 0o750 });
    const listed = await files.list("d");
    expect(listed.map(({ name }) => name).sort()).toEqual([...odd, "sub"].sort());
    for (const name of odd) expect(readFileSync(at(`d/${name}`), "utf8")).toBe(name);
    expect(listed.find(({ name }) => name === "sub")?.attributes.mode).toBe(0o040750);
    expect(await files.list("d/sub")).toEqual([]);
    for (const { name } of listed) if (name !== "sub") await files.remove(`d/${name}`);
    await files.removeDirectory("d/sub");
    expect(await files.list("d")).toEqual([]);
    for (let each = 0; each < 450; each++) writeFileSync(at(`d/${each}`), "");
    expect(await files.list(at("d"))).toHaveLength(450);
  });

  it("are renamed over others, and linked", async () => {
    writeFileSync(at("new"), "new");
    writeFileSync(at("old"), "old");
    await files.rename("new", "old");
    expect(readFileSync(at("old"), "utf8")).toBe("new");
    mkdirSync(at("dir"));
    symlinkSync("dir", at("to-dir"));
    await files.rename("old", "to-dir");
    expect(readFileSync(at("to-dir"), "utf8")).toBe("new");
    await expect(files.rename("to-dir", "dir")).rejects.toMatchObject({ code: "SFTP_FAILED" });
    await files.symlink("some\nwhere", "s");
    expect(readlinkSync(at("s"))).toBe("some\nwhere");
    expect(await files.readLink("s")).toBe("some\nwhere");
    await expect(files.symlink("x", "dir")).rejects.toThrow("File exists".toLowerCase());
    await files.link("to-dir", "hard");
    expect(statSync(at("hard")).ino).toBe(statSync(at("to-dir")).ino);
    expect(await files.realPath("dir/../hard")).toBe(at("hard"));
    expect(await files.realPath(".")).toBe(home);
    expect(await files.expandPath("~/dir")).toBe(at("dir"));
    expect((await files.freeSpace("."))?.freeBytes).toBeGreaterThan(0);
  });

  it("are refused with the host's reason", async () => {
    expect(await files.stat("nothing")).toBeNull();
    expect(await files.lstat("nothing/more")).toBeNull();
    writeFileSync(at("there"), "kept");
    symlinkSync("nowhere", at("dangling"));
    const cases: readonly (readonly [number, Promise<unknown>])[] = [
      [STATUS.noSuchFile, files.open("nothing", OPEN.read)],
      [STATUS.noSuchFile, files.open("nothing", OPEN.write)],
      [STATUS.noSuchFile, files.open("no/where", NEW)],
      [STATUS.noSuchFile, files.list("nothing")],
      [STATUS.noSuchFile, files.remove("nothing")],
      [STATUS.noSuchFile, files.readLink("nothing")],
      [STATUS.failure, files.open("there", NEW)],
      [STATUS.failure, files.open("dangling", NEW)],
      [STATUS.failure, files.makeDirectory("there")],
      ...(isRoot ? [] : [[STATUS.permissionDenied, files.open("/etc/volley-new", NEW)] as const]),
    ];
    for (const [status, wanted] of cases) await expect(wanted).rejects.toMatchObject({ status });
    expect(readFileSync(at("there"), "utf8")).toBe("kept");
    expect(existsSync(at("nowhere"))).toBe(false);
    linkSync(at("there"), at("still-served"));
    expect(await files.stat("still-served")).toMatchObject({ size: 4 });
  });

  it("may be open in any number", async () => {
    const names = Array.from({ length: 20 }, (_, index) => `f${index}`);
    await Promise.all(names.map((name) => write(name, Buffer.from(name))));
    const handles = await Promise.all(names.map((name) => files.open(name, OPEN.read)));
    const writing = await files.open("last", NEW);
    const sizes = () => Promise.allSettled(handles.map(async (handle) => (await files.fstat(handle)).size));
    expect(await sizes()).toEqual(names.map(({ length: value }) => ({ status: "fulfilled", value })));
    // The first has lent its descriptor, and is looked at by its name.
    renameSync(at("f0"), at("gone"));
    const [first, ...others] = await sizes();
    expect(first).toMatchObject({ reason: { status: STATUS.noSuchFile } });
    expect(others.every(({ status }) => status === "fulfilled")).toBe(true);
    renameSync(at("gone"), at("f0"));
    await Promise.all([...handles, writing].map((handle) => files.sync(handle)));
    for (const half of [0, 1])
      for (const [index, handle] of handles.entries()) {
        const text = names[index]!.slice(half, half + 1);
        expect((await files.read(handle, half, 1))?.toString()).toBe(text);
      }
    await files.write(writing, 0, Buffer.from("x"));
    await Promise.all([...handles, writing].map((handle) => files.closeHandle(handle)));
    expect(readFileSync(at("last"), "utf8")).toBe("x");
  });
});

it("a file server that cannot serve says so", async () => {
  const child = spawn("/bin/sh", ["-c", SHELL_FILES_SCRIPT], { env: { PATH: "/nowhere" } });
  child.stdin.on("error", () => {});
  await expect(openFileSession(duplexOf(child), { host: "box", signal })).rejects.toMatchObject({
    code: "SFTP_UNAVAILABLE",
  });
});
