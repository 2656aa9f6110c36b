import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createWindow, type TransferContext } from "../../../src/fanout/transfer/context.ts";
import { getTree } from "../../../src/fanout/transfer/get-tree.ts";
import { createLocalHashes } from "../../../src/fanout/transfer/hashes.ts";
import { HERE, openParts, partPath } from "../../../src/fanout/transfer/parts.ts";
import { refusedName, staysInside } from "../../../src/fanout/transfer/remote-tree.ts";
import { createTally, type FileEvent } from "../../../src/fanout/transfer/result.ts";
import type { DirectoryEntry, FileSession } from "../../../src/transport/transport.ts";
import { scratchDirectory } from "./lib.ts";

const scratch = scratchDirectory();
const DIRECTORY = { mode: 0o040755 };
const FILE = { mode: 0o100644, size: 4 };
const LINK = { mode: 0o120777 };

/** A session of a hostile host: its answers are the test's. */
function lying(lists: Readonly<Record<string, readonly DirectoryEntry[]>>, target: string): FileSession {
  const done = async (): Promise<void> => {};
  const never = async (): Promise<never> => {
    throw new Error("not to be called");
  };
  return {
    maxReadBytes: 100,
    maxWriteBytes: 100,
    open: async () => Buffer.from("h"),
    closeHandle: done,
    read: async (_handle, position) => (position === 0 ? Buffer.from("evil") : null),
    write: never,
    stat: async (path) => (path in lists ? DIRECTORY : FILE),
    lstat: async (path) => (path in lists ? DIRECTORY : FILE),
    fstat: async () => FILE,
    setstat: never,
    fsetstat: never,
    lsetstat: never,
    list: async (path) => lists[path] ?? [],
    makeDirectory: never,
    removeDirectory: never,
    remove: never,
    rename: never,
    readLink: async () => target,
    symlink: never,
    link: never,
    realPath: async (path) => (path === "." ? "/home" : path),
    expandPath: never,
    freeSpace: async () => undefined,
    sync: done,
    close: () => {},
    closed: Promise.resolve(),
  };
}

async function getFrom(files: FileSession, root: string): Promise<readonly FileEvent[]> {
  const events: FileEvent[] = [];
  const cannot = async (): Promise<undefined> => undefined;
  const context: TransferContext = {
    host: "web01",
    files,
    remoteHashes: { whole: cannot, prefix: cannot, userId: undefined, cannot: undefined, close: () => {} },
    localHashes: createLocalHashes(),
    localParts: openParts(HERE),
    remoteParts: openParts("web01"),
    window: createWindow(1_000),
    tally: createTally("web01", { file: (_host, event) => void events.push(event) }),
    signal: new AbortController().signal,
    preserve: true,
    checksum: false,
    check: false,
  };
  await getTree(context, { sources: ["/t"], follow: false }, root);
  return events;
}

describe("a host that lies", () => {
  it.each(["..", ".", "", "../x", "a/b", "a\0b", "\x1b]0;x\x07", "\ufffd", "\udce9", "x".repeat(256)])(
    "with the name %j gets nothing written",
    async (name) => {
      const root = join(scratch(), "web01");
      const events = await getFrom(lying({ "/t": [{ name, attributes: FILE }] }, ""), root);
      expect(events.filter(({ action }) => action === "failed")).toHaveLength(1);
      expect(readdirSync(join(root, "t"))).toEqual([]);
    },
  );

  it("and names a link and a directory alike writes through no link", async () => {
    const [base, outside] = [scratch(), scratch()];
    const lists = {
      "/t": [
        { name: "x", attributes: LINK },
        { name: "x", attributes: DIRECTORY },
        { name: "y", attributes: DIRECTORY },
        { name: "y", attributes: LINK },
      ],
      "/t/x": [{ name: "planted", attributes: FILE }],
      "/t/y": [{ name: "fine", attributes: FILE }],
    };
    const root = join(base, "web01");
    const events = await getFrom(lying(lists, outside), root);
    expect(events.map(({ path, action }) => `${action} ${path}`).sort()).toEqual([
      "made /t",
      "made /t/x",
      "made /t/y",
      "sent /t/x/planted",
      "sent /t/y/fine",
      "skipped /t/x",
      "skipped /t/y",
    ]);
    expect(readdirSync(outside)).toEqual([]);
    const inside = await getFrom(lying(lists, "y"), join(base, "web02"));
    expect(inside.filter(({ action }) => action === "failed").map(({ path }) => path)).toEqual([
      "/t/x",
      "/t/y",
    ]);
    expect(existsSync(join(base, "web02/t/x/planted"))).toBe(false);
  });

  it("and never ends its directories is left at some depth", async () => {
    const endless = lying({ "/t": [] }, "");
    const deep: FileSession = { ...endless, list: async () => [{ name: "d", attributes: DIRECTORY }] };
    const events = await getFrom(deep, join(scratch(), "web01"));
    expect(events.find(({ action }) => action === "failed")?.error?.message).toMatch(/go too deep$/);
  });
});

describe("names", () => {
  it("of parts are beside the file, never the same, and never too long", () => {
    expect(partPath("/a/b.txt")).toMatch(/^\/a\/\.b\.txt\.volley-[0-9a-f]{32}$/);
    expect(partPath("/a/b.txt")).not.toBe(partPath("/a/b.txt"));
    expect(Buffer.byteLength(partPath("x".repeat(214)))).toBe(255);
    expect(partPath(`/a/${"é".repeat(127)}`)).toMatch(/^\/a\/\.volley-[0-9a-f]{32}$/);
  });
  it("that are fine are not refused", () => {
    for (const name of ["a", ".hidden", "...", "a b", "ü", "a\\b", "-rf"])
      expect(refusedName(name)).toBeUndefined();
  });
  it.each([
    ["a/b", "c", true],
    ["a/b", "../c", true],
    ["a/b", "../../c", false],
    ["a", "..", false],
    ["a/b", "..", true],
    ["a", "/etc", false],
    ["a", "b/../../c", false],
    ["a", "", false],
    ["a", "..c", true],
  ])("a link at %s to %s stays inside: %s", (path, target, expected) => {
    expect(staysInside(path, target)).toBe(expected);
  });
});
