import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { exitCodeOf } from "../../../src/fanout/exec/fan-out.ts";
import { fleetStarter } from "../fleet.ts";
import { BYTES, cutPut, get, makeTree, partsIn, put, scratchDirectory } from "./lib.ts";

const start = fleetStarter();
const scratch = scratchDirectory();

const TREE = {
  "app/conf/a.conf": "a\n",
  "app/conf/empty": "",
  "app/bin/run": "#!/bin/sh\n",
  "app/name with ' and ü": "x",
  "app/link": "->conf/a.conf",
  "app/dangling": "->../nowhere",
};

describe("a tree", () => {
  it("comes to stand on every host, and is not sent again", async () => {
    const { hosts, fleet } = await start({ count: 3 });
    const source = join(makeTree(scratch(), TREE), "app");
    chmodSync(join(source, "bin/run"), 0o755);
    const first = await put(hosts, [source], "srv/app");
    expect(first.results.map(({ outcome, error }) => [outcome, error])).toEqual(
      Array(3).fill(["ok", undefined]),
    );
    expect(first.results[0]).toMatchObject({ verifiedBy: "sha256", sentBytes: 13, keptBytes: 0 });
    expect(first.results[0]?.files).toMatchObject({ sent: 4, linked: 2, made: 4, failed: 0 });
    for (const { home } of fleet.hosts) {
      const root = join(home, "srv/app");
      expect(readdirSync(root).sort()).toEqual(["bin", "conf", "dangling", "link", "name with ' and ü"]);
      expect(readFileSync(join(root, "conf/a.conf"), "utf8")).toBe("a\n");
      expect(statSync(join(root, "conf/empty")).size).toBe(0);
      expect(readlinkSync(join(root, "dangling"))).toBe("../nowhere");
      expect(statSync(join(root, "bin/run")).mode & 0o111).not.toBe(0);
      expect(readdirSync(join(root, "conf")).sort()).toEqual(["a.conf", "empty"]);
    }
    const before = fleet.hosts.map(({ stats }) => stats.sftpBytesIn);
    const again = await put(hosts, [source], "srv/app");
    expect(again.results[0]?.files).toMatchObject({ unchanged: 6, sent: 0, made: 0 });
    expect(again.results[0]).toMatchObject({ sentBytes: 0, keptBytes: 13 });
    writeFileSync(join(source, "conf/a.conf"), "b\n");
    const changed = await put(hosts, [source], "srv/app");
    expect(changed.results[0]?.files).toMatchObject({ unchanged: 5, sent: 1 });
    expect(fleet.hosts.map(({ stats }, index) => stats.sftpBytesIn - before[index]!)).toEqual([2, 2, 2]);
    expect(readFileSync(join(fleet.hosts[2]!.home, "srv/app/conf/a.conf"), "utf8")).toBe("b\n");
  });

  it("keeps modes and times when asked to, also of directories and of what is unchanged", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const source = join(makeTree(scratch(), TREE), "app");
    const [file, directory] = [join(source, "conf/a.conf"), join(source, "conf")];
    chmodSync(file, 0o604);
    utimesSync(file, 1_000, 2_000);
    chmodSync(directory, 0o711);
    utimesSync(directory, 3_000, 4_000);
    await put(hosts, [source], "app", { preserve: true });
    const there = join(fleet.hosts[0]!.home, "app/conf");
    expect(statSync(join(there, "a.conf"))).toMatchObject({ mtimeMs: 2_000_000 });
    expect(statSync(join(there, "a.conf")).mode & 0o7777).toBe(0o604);
    expect(statSync(there)).toMatchObject({ mtimeMs: 4_000_000 });
    expect(statSync(there).mode & 0o7777).toBe(0o711);
    chmodSync(file, 0o640);
    utimesSync(file, 1_000, 9_000);
    const again = await put(hosts, [source], "app", { preserve: true });
    expect(again.results[0]?.files).toMatchObject({ sent: 0, unchanged: 6 });
    expect(statSync(join(there, "a.conf"))).toMatchObject({ mtimeMs: 9_000_000 });
    expect(statSync(join(there, "a.conf")).mode & 0o7777).toBe(0o640);
  });

  it("of many small files is sent whole", async () => {
    const { hosts, fleet } = await start({ count: 2 });
    const files = Object.fromEntries(
      Array.from({ length: 400 }, (_none, index) => [`t/d${index % 7}/f${index}`, `${index}`.repeat(index)]),
    );
    const source = join(makeTree(scratch(), files), "t");
    const { results, progress } = await put(hosts, [source], "t");
    expect(results.map(({ files: { sent } }) => sent)).toEqual([400, 400]);
    const bytes = Object.values(files).reduce((sum, text) => sum + text.length, 0);
    expect(progress).toEqual({ web01: bytes, web02: bytes });
    expect(readFileSync(join(fleet.hosts[1]!.home, "t/d0/f399"), "utf8")).toBe("399".repeat(399));
  });

  it("that is only to be looked at changes nothing", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const source = join(makeTree(scratch(), TREE), "app");
    const { results, events } = await put(hosts, [source], "srv/app", { check: true });
    expect(results[0]).toMatchObject({ outcome: "ok", sentBytes: 0 });
    expect(events.web01?.filter(({ action }) => action === "sent").map(({ path }) => path)).toEqual(
      expect.arrayContaining([`${fleet.hosts[0]!.home}/srv/app/conf/a.conf`]),
    );
    expect(existsSync(join(fleet.hosts[0]!.home, "srv"))).toBe(false);
  });
});

describe("a destination", () => {
  it.each([
    ["a file by its new name", ["app/conf/a.conf"], "b.conf", "b.conf"],
    ["a file into a directory to be made", ["app/conf/a.conf"], "new/", "new/a.conf"],
    ["a file into a directory that is there", ["app/conf/a.conf"], "there", "there/a.conf"],
    ["a directory's content", ["app/conf"], "there", "there/a.conf"],
    ["a directory by its name", ["app/conf"], "there/", "there/conf/a.conf"],
    ["what is in a directory", ["app/conf/"], "there/", "there/a.conf"],
    ["several", ["app/conf", "app/bin/run"], "there", "there/conf/a.conf"],
    ["one below the home", ["app/conf/a.conf"], "~/x", "x"],
  ])("of %s", async (_name, sources, destination, expected) => {
    const { hosts, fleet } = await start({ count: 1 });
    const root = makeTree(scratch(), TREE);
    mkdirSync(join(fleet.hosts[0]!.home, "there"));
    const full = sources.map((source) => `${root}/${source}`);
    const { results } = await put(hosts, full, destination);
    expect(results[0]?.error).toBeUndefined();
    expect(readFileSync(join(fleet.hosts[0]!.home, expected), "utf8")).toBe("a\n");
  });

  it("below another user's home is there, and nowhere else", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const source = makeTree(scratch(), { f: "x" });
    const { homedir: theirs, username } = userInfo();
    const seen = await put(hosts, [`${source}/f`], `~${username}/no-such-directory/x`, { check: true });
    expect(seen.events.web01?.at(-1)?.path).toBe(`${realpathSync(theirs)}/no-such-directory/x`);
    const nobody = await put(hosts, [`${source}/f`], "~no-such-user/x");
    expect(nobody.results[0]?.error).toMatchObject({
      code: "SFTP_FAILED",
      message: "web01: ~no-such-user/x: there is no user no-such-user there",
      hint: "a file of that name in the home is ./~no-such-user/x",
    });
    expect(readdirSync(fleet.hosts[0]!.home)).toEqual([]);
    await put(hosts, [`${source}/f`], "./~no-such-user/x");
    expect(readFileSync(join(fleet.hosts[0]!.home, "~no-such-user/x"), "utf8")).toBe("x");
    const got = await get(hosts, [`~no-such-user/x`], scratch());
    expect(got.results[0]?.error?.message).toMatch(/there is no user no-such-user there$/);
    await put(hosts, [`${source}/f`], "~//y");
    expect(readFileSync(join(fleet.hosts[0]!.home, "y"), "utf8")).toBe("x");
  });

  it("that is a link is replaced; the mode of a file that is replaced stays", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const { home } = fleet.hosts[0]!;
    const source = makeTree(scratch(), { f: "new" });
    makeTree(home, { real: "old", other: "older" });
    symlinkSync("real", join(home, "f"));
    chmodSync(join(home, "other"), 0o600);
    await put(hosts, [`${source}/f`], "f");
    await put(hosts, [`${source}/f`], "other");
    expect([lstatSync(join(home, "f")).isFile(), readFileSync(join(home, "real"), "utf8")]).toEqual([
      true,
      "old",
    ]);
    expect(statSync(join(home, "other")).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(home, "other"), "utf8")).toBe("new");
  });

  it("is never written through a link that was put in a part's place", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const { home } = fleet.hosts[0]!;
    const source = makeTree(scratch(), { f: randomBytes(BYTES) });
    const part = await cutPut(hosts, `${source}/f`, fleet.hosts[0]!);
    makeTree(home, { victim: readFileSync(part) });
    unlinkSync(part);
    symlinkSync("victim", part);
    const { results } = await put(hosts, [`${source}/f`], "big");
    expect(results[0]).toMatchObject({ outcome: "ok", sentBytes: BYTES });
    expect(statSync(join(home, "victim")).size).toBeLessThan(BYTES);
    expect(readFileSync(join(home, "big")).equals(readFileSync(join(source, "f")))).toBe(true);
    expect(partsIn(home)).toEqual([]);
  });
});

describe("what goes wrong on a host", () => {
  it("is that its disk is full: nothing is left over, and other hosts go on", async () => {
    const { hosts, fleet } = await start({
      count: 2,
      faults: (index) => (index === 0 ? { kind: "diskFull", afterBytes: 1_000_000 } : undefined),
    });
    const source = makeTree(scratch(), { big: randomBytes(3_000_000), small: "s" });
    const { results } = await put(hosts, [source], "d");
    expect(results.map(({ outcome }) => outcome)).toEqual(["failed", "ok"]);
    expect(results[0]?.error).toMatchObject({
      code: "SFTP_FAILED",
      message: `web01: cannot write ${fleet.hosts[0]!.home}/d/big: no space left on the host`,
      hint: "free some room on the host, or put it elsewhere",
    });
    expect(exitCodeOf(results)).toBe(2);
    expect(partsIn(join(fleet.hosts[0]!.home, "d"))).toEqual([]);
  });

  it("is that nothing may be written there", async () => {
    const { hosts } = await start({ count: 1, faults: () => ({ kind: "readOnlyHome" }) });
    const source = makeTree(scratch(), { f: "x" });
    const { results } = await put(hosts, [`${source}/f`], "f");
    expect(results[0]).toMatchObject({
      outcome: "failed",
      error: {
        code: "SFTP_FAILED",
        message: expect.stringMatching(/^web01: cannot write \/.*\/f: permission denied$/),
        hint: expect.stringContaining("--become"),
      },
    });
  });

  it("is one file of many: the others arrive", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const { home } = fleet.hosts[0]!;
    mkdirSync(join(home, "d/a"), { recursive: true });
    writeFileSync(join(home, "d/sub"), "in the way");
    const source = makeTree(scratch(), { a: "1", b: "2", "sub/c": "3" });
    const { results, events } = await put(hosts, [source], "d");
    expect(results[0]).toMatchObject({ outcome: "failed", files: { sent: 1, failed: 3 } });
    expect(
      events.web01?.flatMap(({ action, error }) => (action === "failed" ? [error?.message] : [])).sort(),
    ).toEqual([
      `web01: ${home}/d/sub is there and is no directory`,
      `web01: cannot write ${home}/d/a: it is a directory`,
      `web01: cannot write ${home}/d/sub/c: its directory could not be made`,
    ]);
    expect(readFileSync(join(home, "d/b"), "utf8")).toBe("2");
  });

  it("is that what arrives is damaged", async () => {
    const { hosts, fleet } = await start({ count: 1, faults: () => ({ kind: "corruptUpload" }) });
    const source = makeTree(scratch(), { f: "0123456789" });
    const { results } = await put(hosts, [`${source}/f`], "f");
    expect(results[0]?.error?.message).toBe(`web01: ${fleet.hosts[0]!.home}/f arrived damaged 2 times`);
    expect(readdirSync(fleet.hosts[0]!.home).filter((name) => /^\.?f/.test(name))).toEqual([]);
  });

  it("is that it has no SFTP, or cannot be reached", async () => {
    const { hosts } = await start({
      count: 2,
      faults: (index) => (index === 0 ? { kind: "noSftp" } : { kind: "refuse" }),
    });
    const source = makeTree(scratch(), { f: "x" });
    const { results } = await put(hosts, [`${source}/f`], "f");
    expect(results.map(({ outcome, error }) => [outcome, error?.code])).toEqual([
      ["failed", "SFTP_UNAVAILABLE"],
      ["unreachable", "CONNECT_FAILED"],
    ]);
  });
});

describe("a host that cannot tell a hash", () => {
  it("is verified by size, and resumed by reading back", async () => {
    const { hosts, fleet } = await start({ count: 1, env: { PATH: "/nonexistent" } });
    const source = makeTree(scratch(), { big: randomBytes(BYTES) });
    const { home } = fleet.hosts[0]!;
    const held = statSync(await cutPut(hosts, `${source}/big`, fleet.hosts[0]!)).size;
    const { results } = await put(hosts, [`${source}/big`], "big");
    expect(results[0]).toMatchObject({
      outcome: "ok",
      verifiedBy: "size",
      noHashes: "program",
      keptBytes: held,
      sentBytes: BYTES - held,
    });
    expect(readFileSync(join(home, "big")).equals(readFileSync(join(source, "big")))).toBe(true);
  });
});

describe("a host", () => {
  it("whose ~/.ssh/rc prints is verified all the same", async () => {
    const faults = () => ({ kind: "noisyBanner", stdout: "Welcome!\nno newline" }) as const;
    const { hosts } = await start({ count: 1, faults });
    const source = makeTree(scratch(), { f: "x" });
    const { results } = await put(hosts, [`${source}/f`], "f");
    expect(results[0]).toMatchObject({ outcome: "ok", verifiedBy: "sha256" });
  });

  it("that grants one session is verified by reading back what was written", async () => {
    const faults = () => [{ kind: "maxSessions", sessions: 1 }, { kind: "corruptUpload" }] as const;
    const { hosts, fleet } = await start({ count: 2, faults: (index) => faults().slice(0, index + 1) });
    const source = makeTree(scratch(), { big: randomBytes(1_000_000), f: "x" });
    const { results } = await put(hosts, [source], "d");
    expect(results[0]).toMatchObject({ outcome: "ok", verifiedBy: "sha256", files: { sent: 2 } });
    expect(results[1]).toMatchObject({ outcome: "failed", files: { failed: 2 } });
    expect(readdirSync(join(fleet.hosts[1]!.home, "d"))).toEqual([]);
    const got = await get([hosts[0]!], ["d"], scratch());
    expect(got.results[0]).toMatchObject({ outcome: "ok", verifiedBy: "size", noHashes: "sessions" });
  });

  it("whose profile prints before SFTP begins is not said to have none", async () => {
    const faults = () => ({ kind: "noisyBanner", stdout: "Welcome!\n", inSftp: true }) as const;
    const { hosts } = await start({ count: 1, faults });
    const source = makeTree(scratch(), { f: "x" });
    const { results } = await put(hosts, [`${source}/f`], "f");
    expect(results[0]?.error).toMatchObject({
      code: "SFTP_UNAVAILABLE",
      message: 'web01: the answer is not SFTP: it begins with "Welcome!"',
      hint: expect.stringContaining("~/.bashrc"),
    });
  });
});

describe("what is to be put", () => {
  it("is refused before any host is touched when it is not there, or goes round in circles", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const source = makeTree(scratch(), { "a/b/up": "->../.." });
    await expect(put(hosts, [`${source}/none`], "x")).rejects.toMatchObject({ code: "USAGE" });
    await expect(put(hosts, [source], "x", { follow: true })).rejects.toMatchObject({
      code: "USAGE",
      message: expect.stringContaining("goes round in a circle"),
    });
    await expect(put(hosts, [`${source}/a/b/up`, `${source}/a/b/up`], "x")).rejects.toBeDefined();
    expect(fleet.hosts[0]!.stats.connections).toBe(0);
  });

  it("is what links lead to when that is asked for", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const source = makeTree(scratch(), { "t/link": "->../real", real: "content" });
    await put(hosts, [`${source}/t`], "t", { follow: true });
    expect(lstatSync(join(fleet.hosts[0]!.home, "t/link")).isFile()).toBe(true);
    expect(readFileSync(join(fleet.hosts[0]!.home, "t/link"), "utf8")).toBe("content");
  });
});

it("a file that changes while it is sent is not taken for the one that was looked at", async () => {
  const { hosts, fleet } = await start({ count: 1 });
  const source = makeTree(scratch(), { f: randomBytes(6_000_000) });
  let hasChanged = false;
  const { results } = await put(hosts, [`${source}/f`], "f", {
    onProgress: () => {
      if (!hasChanged) writeFileSync(join(source, "f"), randomBytes(6_000_000));
      hasChanged = true;
    },
  });
  expect(results[0]?.error).toMatchObject({
    code: "FILE_FAILED",
    message: `${source}/f changed while it was read`,
    hint: "try again",
  });
  expect(existsSync(join(fleet.hosts[0]!.home, "f"))).toBe(false);
});
