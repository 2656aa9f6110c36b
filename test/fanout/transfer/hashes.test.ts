import { execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createRemoteHasher, HASH_SCRIPT } from "../../../src/fanout/transfer/hashes.ts";
import type { RemoteExit, RemoteProcess } from "../../../src/transport/transport.ts";
import { makeTree, scratchDirectory } from "./lib.ts";

const scratch = scratchDirectory();

function start(script: string, env: NodeJS.ProcessEnv = process.env): RemoteProcess {
  const child = spawn("/bin/sh", ["-c", script], { env });
  const exit = new Promise<RemoteExit>((resolve) => {
    child.once("close", (code) => resolve({ kind: "exited", code: code ?? -1 }));
  });
  return { stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, exit };
}

function sum(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A directory with only these programs, for `PATH`. */
function only(...programs: readonly string[]): string {
  const bin = join(scratch(), "bin");
  mkdirSync(bin);
  for (const program of programs) {
    const path = execFileSync("/bin/sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
    writeFileSync(join(bin, program), `#!/bin/sh\nexec ${path} "$@"\n`);
    chmodSync(join(bin, program), 0o755);
  }
  return bin;
}

describe("hashes on a host", () => {
  it.each([
    ["as it is", undefined],
    ["without openssl", ["sha256sum", "head", "wc"]],
  ])("are those of many files, of large ones and of beginnings, %s", async (_name, programs) => {
    const env = programs === undefined ? process.env : { PATH: only(...programs) };
    let starts = 0;
    const hasher = createRemoteHasher(async () => {
      starts++;
      return start(HASH_SCRIPT, env);
    });
    const big = randomBytes(5 << 20);
    const small = Object.fromEntries(
      Array.from({ length: 300 }, (_none, index) => [`f${index}`, `${index}`]),
    );
    const root = makeTree(scratch(), {
      ...small,
      big,
      "a 'b' $c": "odd",
      "back\\slash": "bs",
      "new\nli\\ne": "nl",
      "e\n": "end",
    });
    const asked = await Promise.all([
      ...Object.keys(small).map((name) => hasher.whole(join(root, name), 3)),
      hasher.whole(join(root, "big"), big.length),
      hasher.prefix(join(root, "big"), 1_000_001),
      hasher.whole(join(root, "none"), 1),
      hasher.whole(join(root, "a 'b' $c"), 3),
      hasher.whole(join(root, "back\\slash"), 2),
      hasher.whole(join(root, "new\nli\\ne"), 2),
      hasher.whole(join(root, "e\n"), 3),
      hasher.whole(join(root, "no\nne"), 3),
      hasher.whole(join(root, "none"), 1 << 30),
      hasher.prefix(join(root, "none"), 1),
    ]);
    expect(asked).toEqual([
      ...Object.values(small).map(sum),
      sum(big),
      sum(big.subarray(0, 1_000_001)),
      undefined,
      sum("odd"),
      sum("bs"),
      sum("nl"),
      sum("end"),
      undefined,
      undefined,
      undefined,
    ]);
    expect(starts).toBe(1);
    hasher.close();
    expect(await hasher.whole(join(root, "f1"), 1)).toBeUndefined();
  });

  it.each([
    ["nothing that hashes", HASH_SCRIPT, { PATH: "/nonexistent" }],
    ["no such program", "exit 127", undefined],
    ["something else on stdout", "echo Welcome", undefined],
    ["noise without an end", "yes Welcome", undefined],
    ["more than was asked for", "echo volley-hash 0; yes . | head -c 5000000", undefined],
    ["one line without an end", "echo volley-hash 0; head -c 5000000 /dev/zero", undefined],
  ])("cannot be had where there is %s", async (_name, script, env) => {
    const hasher = createRemoteHasher(async () => start(script, env));
    expect(await Promise.all([hasher.whole("/etc/passwd", 1), hasher.prefix("/etc/passwd", 1)])).toEqual([
      undefined,
      undefined,
    ]);
    hasher.close();
  });

  it("are had behind what a profile or ~/.ssh/rc prints, with an end or without", async () => {
    const root = makeTree(scratch(), { f: "x" });
    for (const noise of ["echo Welcome", "echo; printf Welcome", "printf 'none\\n.\\n'"]) {
      const hasher = createRemoteHasher(async () => start(`${noise}; ${HASH_SCRIPT}`));
      expect(await hasher.whole(join(root, "f"), 1), noise).toBe(sum("x"));
      hasher.close();
    }
  });

  it("cannot be had where the process cannot be started", async () => {
    const hasher = createRemoteHasher(async () => {
      throw new Error("no");
    });
    expect(await hasher.whole("/etc/passwd", 1)).toBeUndefined();
  });
});
