import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { listScript, parseKept, removeScript } from "../../src/fanout/clean.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "volley-clean-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const ID = "a".repeat(64);
const add = (path: string, content = "x"): void => {
  mkdirSync(join(home, path, ".."), { recursive: true });
  writeFileSync(join(home, path), content);
};
const sh = (script: string): string => {
  const { stdout, stderr, status } = spawnSync("/bin/sh", ["-c", script], {
    env: { HOME: home, PATH: process.env.PATH },
    encoding: "utf8",
  });
  expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
  return stdout;
};
const counts = (directories: readonly string[] = []): unknown =>
  parseKept(sh(listScript(directories)))?.map(({ kind, count }) => `${count} ${kind}`);

test("an account without files", () => {
  expect(counts()).toEqual([]);
  expect(parseKept(sh(removeScript([])))).toEqual([]);
  expect(readdirSync(home)).toEqual([]);
});

test("lists bundles, code, journals and runtimes, and removes them all", () => {
  add(`.cache/volley/bundles/${ID}.run`);
  add(".cache/volley/bundles/.part.tmp");
  const before = Date.now() / 1_000 - 120;
  utimesSync(join(home, ".cache/volley/bundles/.part.tmp"), before, before);
  add(".cache/volley/compiled/code");
  add(".cache/volley/pull/0123456789abcdef/bundle.run");
  add(".cache/volley/runs/r1/web1/journal.ndjson");
  add(".cache/volley/runs/r2/web1/journal.ndjson");
  add(`.cache/volley/runtimes/${ID}/node`, "x".repeat(200_000));
  add(".cache/volley/lock-1");
  expect(counts()).toEqual(["2 bundles", "1 compiled", "1 pull", "2 runs", "1 runtimes"]);
  expect(parseKept(sh(listScript([])))?.find(({ kind }) => kind === "runtimes")?.kib).toBeGreaterThan(190);
  sh(removeScript([]));
  expect(counts()).toEqual([]);
  expect(readdirSync(join(home, ".cache"))).toEqual([]);
});

test("leaves handlers of failed runs, and a Node that people put there", () => {
  add(".cache/volley/handlers-1.json");
  add(".cache/volley/node/bin/node");
  add(`.cache/volley/bundles/${ID}.run`);
  sh(removeScript([]));
  expect(readdirSync(join(home, ".cache/volley")).sort()).toEqual(["handlers-1.json", "node"]);
});

test("of another directory it takes runtimes alone", () => {
  const other = join(home, "it's elsewhere");
  for (const path of [`${ID}/node`, `.${ID}.part`, "mine/file", "b".repeat(63), `${"B".repeat(64)}`])
    add(join("it's elsewhere", path));
  expect(counts([other, join(home, "missing")])).toEqual(["2 runtimes"]);
  sh(removeScript([other]));
  expect(readdirSync(other).sort()).toEqual(["B".repeat(64), "b".repeat(63), "mine"].sort());
});

test.runIf(existsSync("/proc/self/cmdline"))("leaves an account alone whose bundle is at work", async () => {
  const bundle = join(home, `.cache/volley/bundles/${ID}.run`);
  add(`.cache/volley/bundles/${ID}.run`, "echo up; read -r line\n");
  const running = spawn("sh", [bundle, "--target", ID], { stdio: ["pipe", "pipe", "inherit"] });
  await once(running.stdout, "data");
  expect(parseKept(sh(listScript([])))).toBeUndefined();
  expect(parseKept(sh(removeScript([])))).toBeUndefined();
  expect(existsSync(bundle)).toBe(true);
  running.stdin.end();
  await once(running, "close");
  expect(counts()).toEqual(["1 bundles"]);
});

test.each([`bundles/.${ID}.n.tmp`, `runtimes/.${ID}.part`])(
  "leaves an account alone that is being sent a file: %s",
  (part) => {
    add(`.cache/volley/${part}`);
    expect(parseKept(sh(listScript([])))).toBeUndefined();
    expect(parseKept(sh(removeScript([])))).toBeUndefined();
    expect(existsSync(join(home, ".cache/volley", part))).toBe(true);
  },
);

test("text that is no list is passed over", () => {
  expect(parseKept("motd\nbundles many 3\nbundles 2 8\r\nsecrets 1 4\n")).toEqual([
    { kind: "bundles", count: 2, kib: 8 },
  ]);
});
