import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, crc32, deflateRawSync } from "node:zlib";
import { build } from "esbuild";
import { afterAll, beforeAll, test } from "vitest";
import { FUZZ_TIMEOUT_MS, fuzz } from "./lib/fuzz.ts";
import { CONTROL, must } from "./lib/judge.ts";

const RUNNER =
  "exports.main = (bundle) => { for (const name of bundle.names) bundle.read(name); console.log('ran'); };";

let directory: string;
let bootstrap: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "volley-fuzz-"));
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "../../src/agent/boot/bootstrap.ts")],
    bundle: true,
    write: false,
    platform: "node",
    format: "cjs",
    target: "node18",
  });
  bootstrap = outputFiles[0]!.text;
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Part {
  readonly name: string;
  readonly method: 0 | 8;
  readonly stored: Buffer;
  readonly plain: Buffer;
}

/** A zip behind a prelude, as bundles are, of parts that may not be what they say. */
function zip(parts: readonly Part[]): Buffer {
  const written: Buffer[] = [Buffer.from("#!/bin/sh\nexit 0\n")];
  const directoryEntries: Buffer[] = [];
  let at = written[0]!.length;
  for (const { name, method, stored, plain } of parts) {
    const [local, central, file] = [Buffer.alloc(30), Buffer.alloc(46), Buffer.from(name)];
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(file.length, 26);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(method, 10);
    central.writeUInt32LE(crc32(plain), 16);
    central.writeUInt32LE(stored.length, 20);
    central.writeUInt32LE(plain.length, 24);
    central.writeUInt16LE(file.length, 28);
    central.writeUInt32LE(at, 42);
    written.push(local, file, stored);
    at += local.length + file.length + stored.length;
    directoryEntries.push(central, file);
  }
  const all = Buffer.concat(directoryEntries);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(parts.length, 8);
  end.writeUInt16LE(parts.length, 10);
  end.writeUInt32LE(all.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...written, all, end]);
}

const stored = (name: string, text: string | Buffer): Part => {
  const plain = Buffer.from(text);
  return { name, method: 0, stored: plain, plain };
};
const deflated = (name: string, text: string | Buffer): Part => ({
  ...stored(name, text),
  method: 8,
  stored: deflateRawSync(text),
});
const packed = stored("runner.js.br", brotliCompressSync(RUNNER));

const SEEDS: readonly Buffer[] = [
  zip([packed, deflated("playbook.js", "x".repeat(5_000)), stored("assets/web/files/a", "a")]),
  zip([
    stored("runner.js", RUNNER),
    deflated("../../../tmp/x", "x"),
    stored("__proto__", "x"),
    stored("/etc/passwd", ""),
  ]),
  // Says that it is small, and is not; and says that it is packed, and is not.
  zip([packed, { ...deflated("bomb", Buffer.alloc(20 << 20)), plain: Buffer.from("small") }]),
  zip([stored("runner.js.br", "no Brotli at all")]),
  zip([]),
];

function start(
  file: string,
): Promise<{ readonly code: number | null; readonly said: string; readonly printed: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--max-old-space-size=128", "-e", bootstrap, file], {
      cwd: directory,
    });
    let [said, printed] = ["", ""];
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    child.stdout.on("data", (chunk: Buffer) => {
      printed += chunk.toString();
    });
    child.once("close", (code) => resolve({ code, said, printed }));
  });
}

test(
  "a damaged bundle: it runs, or says in one line that it is damaged; nothing is unpacked",
  () =>
    fuzz({
      corpus: "bundle",
      seeds: SEEDS,
      inputs: 25,
      tokens: ["PK\u0005\u0006", "PK\u0001\u0002", "PK\u0003\u0004", "runner.js", "runner.js.br", "\0\0\0\0"],
      synchronous: false,
      check: async (bytes) => {
        const file = join(directory, "bundle.run");
        writeFileSync(file, bytes);
        const { code, said, printed } = await start(file);
        must(readdirSync(directory).join() === "bundle.run", "something has been unpacked");
        if (code === 0) return must(printed === "ran\n" && said === "", `it said ${JSON.stringify(said)}`);
        must(code === 1 && printed === "", `exit code ${code}: ${said.slice(0, 500)}`);
        must(
          /^volley: [^\n]+ is damaged or incomplete: send or build it again\n$/.test(said),
          `it said ${JSON.stringify(said.slice(0, 800))}`,
        );
        must(!CONTROL.test(said.trimEnd()), "control characters");
      },
    }),
  FUZZ_TIMEOUT_MS,
);
