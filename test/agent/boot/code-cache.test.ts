import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { Script } from "node:vm";
import { brotliDecompressSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { loadOwnParts } from "../../../src/bundle/own-parts.ts";
import { type BundledProject, bundleProject, jobFor, runBundle, startTarget } from "../bundle-fixture.ts";

const FILES = {
  "site.ts": `
import { debug, definePlaybook } from "volley";
export default definePlaybook([{ name: "P", hosts: "all", tasks: ({ task }) => void task("T", debug({ msg: "x" })) }]);
`,
};

let project: BundledProject;
let source: string;
/** V8's cached data of other code. V8 accepts it as the runner's, because both sources have the same length. */
let planted: Buffer;
let marker: string;
let compiled: string;
let name: string;

beforeAll(async () => {
  project = await bundleProject(FILES);
  source = brotliDecompressSync((await loadOwnParts()).parts.runner!)
    .toString("utf8")
    .split("\0")[0]!;
  marker = project.path("planted-code-was-run");
  compiled = project.path("home/.cache/volley/compiled");
  const suffix = `${process.version}-${process.arch}`;
  name = `${createHash("sha256").update(source).digest("hex")}.${suffix}`;
  const body = `require("fs").writeFileSync(${JSON.stringify(marker)},"");exports.main=()=>process.exit(0);`;
  const text = (code: string): string => `(function(exports,require,module){${code}\n})`;
  const { length } = text(source);
  const script = new Script(text(body.padEnd(length - text("").length)), {});
  const fs = { writeFileSync: () => {} };
  (script.runInThisContext() as (exports: object, require: () => object) => void)({}, () => fs);
  planted = script.createCachedData();
});
afterAll(() => project[Symbol.dispose]());
beforeEach(() => {
  for (const path of [project.path("home"), marker]) rmSync(path, { recursive: true, force: true });
  mkdirSync(compiled, { recursive: true, mode: 0o700 });
});

/** Starts the bundle as a controller does, and runs it to its end. */
async function runTarget(): Promise<void> {
  const target = startTarget(project);
  target.say(jobFor(1));
  await target.ended;
}

describe("code that V8 has kept", () => {
  test("is run where only this account can have written it", async () => {
    writeFileSync(`${compiled}/${name}`, planted, { mode: 0o600 });
    await runTarget();
    // So the plants of the other tests are good.
    expect(existsSync(marker)).toBe(true);
  });

  test.each<[string, (file: string) => void]>([
    ["in a file others may write to", (file) => chmodSync(file, 0o666)],
    ["in a file its group may write to", (file) => chmodSync(file, 0o620)],
    ["in a directory others may write to", () => chmodSync(compiled, 0o777)],
    ["below a directory its group may write to", () => chmodSync(`${compiled}/..`, 0o770)],
  ])("is not run %s", async (_where, open) => {
    const file = `${compiled}/${name}`;
    writeFileSync(file, planted, { mode: 0o600 });
    open(file);
    await runTarget();
    expect(existsSync(marker)).toBe(false);
  });

  test("is not run through a link, of a file or of its directory", async () => {
    const elsewhere = project.path("elsewhere");
    mkdirSync(elsewhere, { recursive: true, mode: 0o700 });
    writeFileSync(`${elsewhere}/${name}`, planted, { mode: 0o600 });
    symlinkSync(`${elsewhere}/${name}`, `${compiled}/${name}`);
    await runTarget();
    expect(existsSync(marker)).toBe(false);
    rmSync(compiled, { recursive: true });
    symlinkSync(elsewhere, compiled);
    await runTarget();
    expect(existsSync(marker)).toBe(false);
    expect(readdirSync(elsewhere)).toEqual([name]);
  });

  test.runIf(process.getuid?.() === 0)("is not run when it is another account's", async () => {
    const { chownSync } = await import("node:fs");
    writeFileSync(`${compiled}/${name}`, planted, { mode: 0o600 });
    chownSync(`${compiled}/${name}`, 65_534, 65_534);
    await runTarget();
    expect(existsSync(marker)).toBe(false);
    rmSync(`${compiled}/${name}`);
    writeFileSync(`${compiled}/${name}`, planted, { mode: 0o600 });
    chownSync(compiled, 65_534, 65_534);
    await runTarget();
    expect(existsSync(marker)).toBe(false);
  });

  test("is kept by a run for its own account, not beside the bundle, and starts it again", async () => {
    await runTarget();
    const kept = readdirSync(compiled);
    const bytes = kept.map((file) => readFileSync(`${compiled}/${file}`));
    await runTarget();
    // Equal bytes mean that V8 accepted the cached data: a refused file would have been written again.
    expect(readdirSync(compiled).map((file) => readFileSync(`${compiled}/${file}`))).toEqual(bytes);
    expect(kept).toContain(name);
    for (const file of kept) expect(statSync(`${compiled}/${file}`).mode & 0o777).toBe(0o600);
    expect(readdirSync(project.directory).filter((file) => file.startsWith("site.run."))).toEqual([]);
  });

  test("is neither read nor kept by a bundle that is carried about", async () => {
    const suffix = `${process.version}-${process.arch}`;
    writeFileSync(`${project.file}.runner.js.${suffix}`, planted, { mode: 0o600 });
    writeFileSync(`${compiled}/${name}`, planted, { mode: 0o600 });
    const { code, stdout } = await runBundle(project.file, ["--local", "here"]);
    expect(code).toBe(0);
    expect(stdout).toContain("1 total actions");
    expect(existsSync(marker)).toBe(false);
    rmSync(`${project.file}.runner.js.${suffix}`);
  });
});
