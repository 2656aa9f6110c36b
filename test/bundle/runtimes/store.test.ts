import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import {
  keepRuntime,
  listRuntimes,
  makeWorkspace,
  type Runtime,
  readRuntime,
  removeRuntimes,
  runtimesDirectory,
} from "../../../src/bundle/runtimes/store.ts";
import type { RuntimeArch } from "../../../src/core/runtimes.ts";

let cache: string;

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "volley-runtimes-"));
  vi.stubEnv("XDG_CACHE_HOME", cache);
  return () => {
    vi.unstubAllEnvs();
    rmSync(cache, { recursive: true, force: true });
  };
});

/** Keep an archive with these bytes. */
async function keep(arch: RuntimeArch, version: string, content: string): Promise<Runtime> {
  const workspace = await makeWorkspace();
  const archive = join(workspace, "archive");
  writeFileSync(archive, content, { mode: 0o600 });
  const id = createHash("sha256").update(content).digest("hex");
  const runtime = await keepRuntime(workspace, archive, {
    id,
    arch,
    version,
    bytes: content.length,
    unpackedBytes: 3 * content.length,
    hasLibraries: arch === "x64",
  });
  rmSync(workspace, { recursive: true });
  return runtime;
}

describe("a runtime that was kept", () => {
  it("is listed and read, in a directory for this user alone", async () => {
    expect(listRuntimes()).toEqual([]);
    const arm64 = await keep("arm64", "24.1.0", "arm");
    const x64 = await keep("x64", "24.1.0", "intel");
    expect(listRuntimes()).toEqual([arm64, x64]);
    expect(x64).toMatchObject({ arch: "x64", version: "24.1.0", bytes: 5, unpackedBytes: 15 });
    expect((await readRuntime(x64)).toString()).toBe("intel");
    expect(statSync(runtimesDirectory()).mode & 0o777).toBe(0o700);
    expect(readdirSync(runtimesDirectory())).toHaveLength(4);
  });

  it("takes the place of an older one of its architecture", async () => {
    const old = await keep("x64", "22.9.9", "old");
    const other = await keep("arm64", "22.9.9", "other");
    const now = await keep("x64", "24.10.0", "new");
    expect(listRuntimes()).toEqual([other, now]);
    expect(existsSync(old.file)).toBe(false);
    expect(await keep("x64", "24.10.0", "new")).toEqual(now);
    const again = await keep("x64", "24.10.0", "again");
    expect(listRuntimes()).toEqual([other, again]);
    expect(readdirSync(runtimesDirectory())).toHaveLength(4);
  });

  it("is refused when a byte of it was changed", async () => {
    const runtime = await keep("x64", "24.1.0", "intel");
    writeFileSync(runtime.file, "intem");
    expect(listRuntimes()).toEqual([runtime]);
    await expect(readRuntime(runtime)).rejects.toMatchObject({
      code: "RUNTIME_FAILED",
      message: `the runtime x64 (Node 24.1.0) in ${runtime.file} is damaged`,
      hint: "volley runtime fetch --arch x64 brings it anew",
    });
    rmSync(runtime.file);
    await expect(readRuntime(runtime)).rejects.toThrow(/cannot be read: there is no such file/);
  });

  it.each<[string, (runtime: Runtime) => void]>([
    ["is cut", ({ file }) => writeFileSync(file, "inte")],
    ["is missing", ({ file }) => rmSync(file)],
    ["is writable for others", ({ file }) => chmodSync(file, 0o666)],
    [
      "is a directory",
      ({ file }) => {
        rmSync(file);
        mkdirSync(file);
      },
    ],
    [
      "is a link",
      ({ file }) => {
        renameSync(file, join(cache, "real"));
        symlinkSync(join(cache, "real"), file);
      },
    ],
    ["lies in a directory of everybody's", () => chmodSync(runtimesDirectory(), 0o777)],
    ["has a record that is cut", () => writeFileSync(recordOf("x64-24.1.0"), '{"id":"')],
    ["has a record of another's name", () => renameSync(recordOf("x64-24.1.0"), recordOf("x64-24.1.1"))],
    ["has a record with a path for an id", () => changeRecord({ id: "../../secret" })],
    ["has a record of an unknown architecture", () => changeRecord({ arch: "mips" })],
    ["has a record without a size", () => changeRecord({ bytes: "5" })],
  ])("is not listed when its archive %s", async (_name, damage) => {
    const runtime = await keep("x64", "24.1.0", "intel");
    damage(runtime);
    expect(listRuntimes()).toEqual([]);
  });

  it("is not read through a link, nor from a file that others can write", async () => {
    const runtime = await keep("x64", "24.1.0", "intel");
    chmodSync(runtime.file, 0o622);
    await expect(readRuntime(runtime)).rejects.toThrow(/another account/);
    chmodSync(runtime.file, 0o600);
    renameSync(runtime.file, join(cache, "real"));
    symlinkSync(join(cache, "real"), runtime.file);
    await expect(readRuntime(runtime)).rejects.toMatchObject({ code: "RUNTIME_FAILED" });
  });
});

describe("removing", () => {
  it("takes away what was asked for, also what is damaged", async () => {
    const x64 = await keep("x64", "24.1.0", "intel");
    const arm64 = await keep("arm64", "24.1.0", "arm");
    writeFileSync(recordOf("x64-1.0.0"), "damaged");
    expect(removeRuntimes(["x64"])).toEqual(new Map([["x64", 5]]));
    expect(listRuntimes()).toEqual([arm64]);
    expect(existsSync(x64.file)).toBe(false);
    expect(existsSync(recordOf("x64-1.0.0"))).toBe(false);
    expect(removeRuntimes(["x64"])).toEqual(new Map());
  });

  it("is sound where there has never been one", () => {
    expect(removeRuntimes(["x64", "arm64"])).toEqual(new Map());
    expect(existsSync(cache)).toBe(true);
  });
});

describe("a workspace", () => {
  it("is not made where others can write", async () => {
    mkdirSync(join(cache, "volley"));
    chmodSync(join(cache, "volley"), 0o777);
    await expect(makeWorkspace()).rejects.toMatchObject({
      code: "RUNTIME_FAILED",
      message: `${join(cache, "volley")} is not used: another account can write to it`,
    });
    expect(readdirSync(runtimesDirectory())).toEqual([]);
  });

  it("is not made below a file", async () => {
    writeFileSync(join(cache, "volley"), "");
    await expect(makeWorkspace()).rejects.toMatchObject({
      code: "RUNTIME_FAILED",
      message: expect.stringMatching(/^cannot keep a runtime in .*: .* leads through a file$/),
    });
  });

  it("takes away what ended processes left, and archives without a record", async () => {
    const kept = await keep("x64", "24.1.0", "intel");
    const mine = await makeWorkspace();
    const left = mine.replace(`-${process.pid}-`, "-999999999-");
    mkdirSync(left);
    writeFileSync(join(left, "half"), "half");
    const orphan = join(runtimesDirectory(), `${"0".repeat(64)}.tar.gz`);
    const young = join(runtimesDirectory(), `${"1".repeat(64)}.tar.gz`);
    for (const path of [orphan, young]) writeFileSync(path, "");
    for (const path of [orphan, kept.file]) utimesSync(path, 1, 1);
    await makeWorkspace();
    expect([kept.file, mine, young].map((path) => existsSync(path))).toEqual([true, true, true]);
    expect([left, orphan].map((path) => existsSync(path))).toEqual([false, false]);
  });
});

function recordOf(name: string): string {
  return join(runtimesDirectory(), `${name}.json`);
}

/** Change fields of the record of x64. */
function changeRecord(fields: Readonly<Record<string, unknown>>): void {
  const file = recordOf("x64-24.1.0");
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...fields }));
}
