import { randomBytes } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fleetStarter } from "../fleet.ts";
import { get, makeTree, partsIn, put, scratchDirectory } from "./lib.ts";

const start = fleetStarter();
const scratch = scratchDirectory();

describe("a tree", () => {
  it("is got from every host into a directory of its own, and not again", async () => {
    const { hosts, fleet } = await start({ count: 2 });
    for (const { home, name } of fleet.hosts)
      makeTree(home, { "log/a/one": name, "log/empty": "", "log/link": "->a/one" });
    const out = scratch();
    const first = await get(hosts, ["log"], out);
    expect(first.results.map(({ outcome, verifiedBy }) => [outcome, verifiedBy])).toEqual([
      ["ok", "sha256"],
      ["ok", "sha256"],
    ]);
    expect(readFileSync(join(out, "web02/log/a/one"), "utf8")).toBe("web02");
    expect(readlinkSync(join(out, "web01/log/link"))).toBe("a/one");
    expect(statSync(join(out, "web01/log/empty")).size).toBe(0);
    const again = await get(hosts, ["log"], out);
    expect(again.results[0]).toMatchObject({ sentBytes: 0, keptBytes: 5, files: { unchanged: 3, sent: 0 } });
    makeTree(fleet.hosts[0]!.home, { "log/a/one": "other" });
    const changed = await get(hosts, ["log/"], join(out));
    expect(changed.results[0]?.files).toMatchObject({ sent: 2 });
    expect(readFileSync(join(out, "web01/a/one"), "utf8")).toBe("other");
  });

  it("keeps modes and times when asked to, but no set-user-id", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const { home } = fleet.hosts[0]!;
    makeTree(home, { "d/f": "x" });
    chmodSync(join(home, "d/f"), 0o4751);
    utimesSync(join(home, "d/f"), 1_000, 2_000);
    chmodSync(join(home, "d"), 0o711);
    utimesSync(join(home, "d"), 1_000, 3_000);
    const out = scratch();
    await get(hosts, ["d"], out, { preserve: true });
    expect(statSync(join(out, "web01/d/f")).mode & 0o7777).toBe(0o751);
    expect(statSync(join(out, "web01/d/f")).mtimeMs).toBe(2_000_000);
    expect(statSync(join(out, "web01/d")).mode & 0o7777).toBe(0o711);
    expect(statSync(join(out, "web01/d")).mtimeMs).toBe(3_000_000);
  });

  it("is what links lead to when that is asked for", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    makeTree(fleet.hosts[0]!.home, { real: "content", "d/link": "->../real", "d/gone": "->nowhere" });
    const out = scratch();
    const { results } = await get(hosts, ["d"], out, { follow: true });
    expect(readFileSync(join(out, "web01/d/link"), "utf8")).toBe("content");
    expect(results[0]?.files).toMatchObject({ sent: 1, skipped: 1 });
  });

  it("that is only to be looked at makes nothing here", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    makeTree(fleet.hosts[0]!.home, { "d/f": "x" });
    const out = join(scratch(), "out");
    const { events } = await get(hosts, ["d"], out, { check: true });
    expect(events.web01?.map(({ action }) => action)).toEqual(["made", "sent"]);
    expect(existsSync(out)).toBe(false);
  });

  it("that is not there, or may not be read, is told by its path", async () => {
    const { hosts } = await start({ count: 1 });
    const { results } = await get(hosts, ["none"], scratch());
    expect(results[0]).toMatchObject({
      outcome: "failed",
      error: { code: "SFTP_FAILED", message: "web01: cannot get none: there is no such file" },
    });
  });
});

describe("a file", () => {
  const BYTES = 6_000_000;
  it("goes on where it was cut", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const { home } = fleet.hosts[0]!;
    makeTree(home, { big: randomBytes(BYTES) });
    const out = scratch();
    let isCut = false;
    const cut = await get(hosts, ["big"], out, {
      onProgress: (_host, bytes) => {
        if (bytes > BYTES / 2 && !isCut) {
          isCut = true;
          fleet.hosts[0]!.dropConnections();
        }
      },
    });
    expect(cut.results[0]?.outcome).toBe("lost");
    const held = statSync(partsIn(join(out, "web01"))[0]!).size;
    expect(held).toBeGreaterThan(BYTES / 2);
    // A part left over by one transfer is no file for another transfer.
    await put(hosts, [`${out}/web01`], "back");
    expect(readdirSync(join(home, "back"))).toEqual([]);
    const again = await get(hosts, ["big"], out);
    expect(again.results[0]).toMatchObject({ outcome: "ok", keptBytes: held, sentBytes: BYTES - held });
    expect(readFileSync(join(out, "web01/big")).equals(readFileSync(join(home, "big")))).toBe(true);
    expect(readdirSync(join(out, "web01"))).toEqual(["big"]);
  });

  it("beside what looks like its temporary name is got, in two runs at once", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const tree = {
      "d/f": randomBytes(BYTES),
      "d/.f.volley-part": "part",
      [`d/.f.volley-${"0".repeat(32)}`]: "x",
    };
    makeTree(fleet.hosts[0]!.home, { ...tree, "d/sub/g": "g", "d/l": "->f" });
    const out = scratch();
    const both = await Promise.all([get(hosts, ["d"], out), get(hosts, ["d"], out)]);
    for (const { results } of both) expect(results[0]).toMatchObject({ outcome: "ok", error: undefined });
    expect(readdirSync(join(out, "web01/d")).sort()).toEqual(
      [`.f.volley-${"0".repeat(32)}`, ".f.volley-part", "f", "l", "sub"].sort(),
    );
    for (const [path, content] of Object.entries(tree))
      expect(readFileSync(join(out, "web01", path)).equals(Buffer.from(content)), path).toBe(true);
  });

  it("that grows meanwhile is got as it was when it was opened", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const log = join(fleet.hosts[0]!.home, "log");
    makeTree(fleet.hosts[0]!.home, { log: randomBytes(BYTES) });
    const before = readFileSync(log);
    const out = scratch();
    let hasGrown = false;
    const { results } = await get(hosts, ["log"], out, {
      onProgress: () => {
        if (!hasGrown) appendFileSync(log, "one more line\n");
        hasGrown = true;
      },
    });
    expect(results[0]).toMatchObject({ outcome: "ok", verifiedBy: "sha256" });
    expect(readFileSync(join(out, "web01/log")).equals(before)).toBe(true);
  });
});

describe("nothing is written outside of the host's directory", () => {
  it("through a link that the host has, now or before", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const { home } = fleet.hosts[0]!;
    const [out, outside] = [scratch(), scratch()];
    makeTree(home, { "d/abs": `->${outside}`, "d/up": "->../../..", "d/in": "->sub", "d/sub/f": "x" });
    const first = await get(hosts, ["d"], out);
    expect(first.results[0]?.files).toMatchObject({ skipped: 2, linked: 1 });
    expect(readdirSync(join(out, "web01/d")).sort()).toEqual(["in", "sub"]);
    // The link on the host is now a directory; the local entry is still a link.
    symlinkSync(outside, join(out, "web01/d/later"));
    makeTree(home, { "d/later/planted": "evil" });
    const second = await get(hosts, ["d"], out);
    expect(second.results[0]).toMatchObject({
      outcome: "failed",
      error: { code: "FILE_FAILED", message: expect.stringContaining("is there and is no directory") },
    });
    expect(readdirSync(outside)).toEqual([]);
  });

  it("through a link under the file's name", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const [out, outside] = [scratch(), scratch()];
    makeTree(outside, { victim: "untouched" });
    makeTree(fleet.hosts[0]!.home, { f: "new" });
    mkdirSync(join(out, "web01"));
    symlinkSync(join(outside, "victim"), join(out, "web01/f"));
    const { results } = await get(hosts, ["f"], out);
    expect(results[0]?.outcome).toBe("ok");
    expect(readFileSync(join(outside, "victim"), "utf8")).toBe("untouched");
    expect(lstatSync(join(out, "web01/f")).isFile()).toBe(true);
  });

  it("under names with control characters", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    makeTree(fleet.hosts[0]!.home, { "d/\x1b[2Jx": "x", "d/a\nb": "x", "d/fine": "x" });
    const out = scratch();
    const { results, events } = await get(hosts, ["d"], out);
    expect(results[0]?.files).toMatchObject({ sent: 1, failed: 2 });
    const failures = events.web01?.filter(({ action }) => action === "failed") ?? [];
    expect(failures.map(({ error }) => error?.message.replace(/.*\/d\//, "")).sort()).toEqual([
      "\\u001b[2Jx: there is a control character in its name",
      "a\\u000ab: there is a control character in its name",
    ]);
    expect(failures[0]?.error?.message).toMatch(/there is a control character in its name$/);
    expect(readdirSync(join(out, "web01/d"))).toEqual(["fine"]);
  });

  it("by a source that leads up", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    makeTree(fleet.hosts[0]!.home, { "a/f": "x" });
    const out = scratch();
    const { results } = await get(hosts, ["a/../a/.."], out);
    expect(results[0]?.outcome).toBe("ok");
    expect(readdirSync(out)).toEqual(["web01"]);
    expect(readdirSync(join(out, "web01"))).toEqual(["web01"]);
  });
});
