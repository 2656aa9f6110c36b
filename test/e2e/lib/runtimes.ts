import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, beforeEach, vi } from "vitest";
import {
  keepRuntime,
  makeWorkspace,
  type Runtime,
  runtimesDirectory,
} from "../../../src/bundle/runtimes/store.ts";

/** Gives the tests of a file one cache, with the parts that are built for it, and each test no runtimes at its beginning. */
export function useCacheWithoutRuntimes(): void {
  beforeAll(() => {
    const cache = mkdtempSync(join(tmpdir(), "volley-cache-"));
    vi.stubEnv("XDG_CACHE_HOME", cache);
    return () => {
      rmSync(cache, { recursive: true });
      vi.unstubAllEnvs();
    };
  });
  beforeEach(() => rmSync(runtimesDirectory(), { recursive: true, force: true }));
}

/** The architecture of this machine, which has runtimes. */
export const ARCH = process.arch === "arm64" ? "arm64" : "x64";

/** Contents of a runtime, where they differ from a program that starts this process's Node. */
export interface RuntimeContent {
  /** The content of `bin/node`. */
  readonly program?: string | Buffer;
  /** The text of `lib/ld.so`. Default: no libraries. */
  readonly loader?: string;
  /** Bytes that do not get smaller, for a longer upload. Default 0. */
  readonly padding?: Buffer;
}

/** Keep a small runtime in this controller's cache: its program starts the Node of this process. */
export async function keepSmallRuntime({ program, loader, padding }: RuntimeContent = {}): Promise<Runtime> {
  const directory = mkdtempSync(join(tmpdir(), "volley-runtime-"));
  const tree = join(directory, "tree");
  const add = (path: string, content: string | Buffer): void => {
    writeFileSync(join(tree, path), content);
    chmodSync(join(tree, path), 0o755);
  };
  try {
    mkdirSync(join(tree, "bin"), { recursive: true });
    add("bin/node", program ?? `#!/bin/sh\nexec '${process.execPath}' "$@"\n`);
    add("LICENSE", "as it is\n");
    if (padding !== undefined) add("bin/padding", padding);
    if (loader !== undefined) {
      mkdirSync(join(tree, "lib"));
      add("lib/ld.so", loader);
    }
    const archive = join(directory, "archive");
    execFileSync("tar", ["-I", "gzip -1", "-cf", archive, "-C", tree, "."]);
    const bytes = readFileSync(archive);
    const workspace = await makeWorkspace();
    renameSync(archive, join(workspace, "archive"));
    return await keepRuntime(workspace, join(workspace, "archive"), {
      id: createHash("sha256").update(bytes).digest("hex"),
      arch: ARCH,
      version: "24.0.0",
      bytes: bytes.length,
      unpackedBytes: 1_000,
      hasLibraries: loader !== undefined,
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
