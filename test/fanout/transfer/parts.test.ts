import { randomBytes } from "node:crypto";
import { chownSync, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { exitCodeOf } from "../../../src/fanout/exec/fan-out.ts";
import { fleetStarter } from "../fleet.ts";
import { BYTES, cutPut, makeTree, partsIn, put, scratchDirectory } from "./lib.ts";

const start = fleetStarter();
const scratch = scratchDirectory();

describe("temporary files", () => {
  it("are never somebody's: a tree may hold what looks like one", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const tree = {
      f: "f",
      ".f.volley-part": "part",
      [`.f.volley-${"0".repeat(32)}`]: "nonce",
      big: randomBytes(300_000),
      ".big.volley-part": "other",
      "link.volley-part": "->f",
    };
    const source = makeTree(scratch(), tree);
    const first = await put(hosts, [source], "d");
    const second = await put(hosts, [source], "d", { checksum: true });
    expect(first.results[0]).toMatchObject({ outcome: "ok", files: { sent: 5, linked: 1 } });
    expect(second.results[0]).toMatchObject({ outcome: "ok", files: { unchanged: 6 } });
    const root = join(fleet.hosts[0]!.home, "d");
    expect(readdirSync(root).sort()).toEqual(Object.keys(tree).sort());
    for (const name of readdirSync(source))
      expect(readFileSync(join(root, name)).equals(readFileSync(join(source, name))), name).toBe(true);
  });

  it("of two transfers to one place, under two names or in two runs, do not meet", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const [host] = hosts;
    const names = ["app1", "app2"].map((name) => ({ ...host!, name }));
    const sources = [1, 2, 3].map((byte) => {
      const content = {
        "new/big": Buffer.alloc(BYTES, byte),
        "new/small": `${byte}`,
        "new/l": `->to${byte}`,
      };
      return makeTree(scratch(), content);
    });
    const all = await Promise.all(sources.map((source) => put(names, [source], "d")));
    for (const { results } of all)
      expect(results.map(({ outcome, error }) => [outcome, error])).toEqual(Array(2).fill(["ok", undefined]));
    const root = join(fleet.hosts[0]!.home, "d/new");
    expect(readdirSync(root).sort()).toEqual(["big", "l", "small"]);
    const big = readFileSync(join(root, "big"));
    expect(big.equals(Buffer.alloc(BYTES, big[0]))).toBe(true);
  });

  it("that others left, or that another run writes to, are not gone on with", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const { home } = fleet.hosts[0]!;
    const source = makeTree(scratch(), { big: randomBytes(BYTES) });
    const beginning = readFileSync(join(source, "big")).subarray(0, BYTES / 2);
    const foreign = { ".big.volley-part": beginning, [`.big.volley-${"a".repeat(32)}`]: beginning };
    makeTree(home, foreign);
    const { results } = await put(hosts, [`${source}/big`], "big");
    expect(results[0]).toMatchObject({ outcome: "ok", keptBytes: 0, sentBytes: BYTES });
    for (const name of Object.keys(foreign))
      expect(readFileSync(join(home, name)).equals(beginning)).toBe(true);
  });

  it("go when a later transfer needs them no more", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const { home } = fleet.hosts[0]!;
    const source = makeTree(scratch(), { big: randomBytes(BYTES), other: "o" });
    await cutPut(hosts, `${source}/big`, fleet.hosts[0]!);
    makeTree(home, { big: readFileSync(join(source, "big")) });
    const { results } = await put(hosts, [`${source}/big`], "big");
    expect(results[0]?.files).toMatchObject({ unchanged: 1, sent: 0 });
    expect(partsIn(home)).toEqual([]);
  });
});

describe("a transfer that is cut", () => {
  it("goes on where it stopped, having verified what is there", async () => {
    const { hosts, fleet } = await start({ count: 2 });
    const source = makeTree(scratch(), { big: randomBytes(BYTES) });
    let isCut = false;
    const cut = await put(hosts, [`${source}/big`], "big", {
      onProgress: (host, bytes) => {
        if (host === "web01" && bytes > BYTES / 2 && !isCut) {
          isCut = true;
          fleet.hosts[0]!.dropConnections();
        }
      },
    });
    expect(cut.results.map(({ outcome }) => outcome)).toEqual(["lost", "ok"]);
    expect(exitCodeOf(cut.results)).toBe(4);
    const { home } = fleet.hosts[0]!;
    const held = statSync(partsIn(home)[0]!).size;
    expect(held).toBeGreaterThan(BYTES / 2);
    expect(existsSync(join(home, "big"))).toBe(false);

    const again = await put(hosts, [`${source}/big`], "big");
    expect(again.results.map(({ outcome }) => outcome)).toEqual(["ok", "ok"]);
    expect(again.results[0]).toMatchObject({
      keptBytes: held,
      sentBytes: BYTES - held,
      verifiedBy: "sha256",
    });
    expect(again.results[0]?.files.resumed).toBe(1);
    expect(again.progress).toEqual({ web01: BYTES, web02: BYTES });
    expect(readFileSync(join(home, "big")).equals(readFileSync(join(source, "big")))).toBe(true);
    expect(partsIn(home)).toEqual([]);
  });

  it("begins anew when what is there is not the beginning", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const source = makeTree(scratch(), { big: randomBytes(BYTES) });
    await cutPut(hosts, `${source}/big`, fleet.hosts[0]!);
    makeTree(source, { big: randomBytes(BYTES) });
    const { results } = await put(hosts, [`${source}/big`], "big");
    expect(partsIn(fleet.hosts[0]!.home)).toEqual([]);
    expect(results[0]).toMatchObject({ outcome: "ok", sentBytes: BYTES, keptBytes: 0 });
    expect(readFileSync(join(fleet.hosts[0]!.home, "big")).equals(readFileSync(join(source, "big")))).toBe(
      true,
    );
  });

  it.runIf(process.getuid?.() === 0)("is not gone on with where another user left it", async () => {
    const { hosts, fleet } = await start({ count: 1 });
    const { home } = fleet.hosts[0]!;
    const source = makeTree(scratch(), { big: randomBytes(BYTES) });
    chownSync(await cutPut(hosts, `${source}/big`, fleet.hosts[0]!), 12_345, 12_345);
    const { results } = await put(hosts, [`${source}/big`], "big");
    expect(results[0]).toMatchObject({ outcome: "ok", sentBytes: BYTES });
    expect(statSync(join(home, "big")).uid).toBe(0);
  });

  it("by cancelling leaves what has arrived", async () => {
    const { hosts, fleet } = await start({ count: 2 });
    const source = makeTree(scratch(), { big: randomBytes(BYTES) });
    const stop = new AbortController();
    const { results } = await put(hosts, [`${source}/big`], "big", {
      forks: 1,
      signal: stop.signal,
      onProgress: (_host, bytes) => {
        if (bytes > BYTES / 2) stop.abort();
      },
    });
    expect(results.map(({ outcome }) => outcome)).toEqual(["cancelled", "cancelled"]);
    expect(exitCodeOf(results)).toBe(130);
    expect(statSync(partsIn(fleet.hosts[0]!.home)[0]!).size).toBeGreaterThan(BYTES / 2);
    expect(fleet.hosts[1]!.stats.connections).toBe(0);
  });
});
