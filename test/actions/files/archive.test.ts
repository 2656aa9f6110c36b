import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { beforeEach, describe, expect, it } from "vitest";
import { archive } from "../../../src/actions/files/archive.ts";
import { createLocalSystem } from "../../../src/system/local/local-system.ts";
import { checkApplyAgain, makeSandbox, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
let src: string;

beforeEach(() => {
  sandbox = makeSandbox();
  // Programs know nothing of the sandbox: paths are those of the machine.
  sandbox = { ...sandbox, system: createLocalSystem(), [Symbol.dispose]: sandbox[Symbol.dispose] };
  src = join(sandbox.root, "src");
  mkdirSync(join(src, "sub dir"), { recursive: true });
  writeFileSync(join(src, "a.txt"), "a\n");
  writeFileSync(join(src, "c.log"), "c\n");
  writeFileSync(join(src, "sub dir/b.log"), "b\n");
  return () => sandbox[Symbol.dispose]();
});

const list = (file: string): readonly string[] =>
  execFileSync("tar", ["tf", file], { encoding: "utf8" }).trim().split("\n");

describe("archive", () => {
  it("packs a directory, and leaves an archive alone that holds the same", async () => {
    const dest = join(sandbox.root, "o.tgz");
    const { first } = await checkApplyAgain(sandbox, archive({ path: [src], dest, mode: "0600" }));
    expect(list(dest)).toEqual(["src/", "src/a.txt", "src/c.log", "src/sub dir/", "src/sub dir/b.log"]);
    expect(first.data).toMatchObject({
      arcroot: `${sandbox.root}/`,
      dest_state: "archive",
      mode: "0600",
      missing: [],
      archived: ["a.txt", "c.log", "sub dir", "sub dir/b.log"].map((name) => join(src, name)),
    });
  });

  it("leaves out what patterns and paths say, and tells of what is missing", async () => {
    const dest = join(sandbox.root, "o.tar");
    const call = archive({
      path: [`${src}/*`, join(sandbox.root, "nope")],
      exclude_path: [join(src, "c.*")],
      exclusion_patterns: ["*/sub*/b.*"],
      format: "tar",
      dest,
    });
    const { first } = await checkApplyAgain(sandbox, call);
    expect(list(dest)).toEqual(["src/a.txt", "src/sub dir/"]);
    expect(first.data).toMatchObject({ dest_state: "incomplete", missing: [join(sandbox.root, "nope")] });
  });

  it("compresses a single file beside it, and removes the file", async () => {
    const path = join(src, "a.txt");
    const { first } = await checkApplyAgain(sandbox, archive({ path: [path], remove: true }));
    expect(gunzipSync(readFileSync(`${path}.gz`)).toString()).toBe("a\n");
    expect(existsSync(path)).toBe(false);
    expect(first.data).toMatchObject({ dest: `${path}.gz`, dest_state: "compress", archived: [path] });
  });

  it("needs dest for a tree, and a path that is there", async () => {
    await expect(checkApplyAgain(sandbox, archive({ path: [src] }))).rejects.toThrow(/must specify "dest"/);
    const none = archive({ path: [`${src}/zz*`], dest: join(sandbox.root, "o.tgz") });
    await expect(checkApplyAgain(sandbox, none)).rejects.toThrow(/no source paths were found/);
  });
});
