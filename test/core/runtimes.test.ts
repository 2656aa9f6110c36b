import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  answerFaults,
  archOfMachine,
  type BareHost,
  chooseRuntime,
  parseBareHost,
  type RuntimeTraits,
  unpackRuntimeScript,
} from "../../src/core/runtimes.ts";

const runtime = (more: Partial<RuntimeTraits> = {}): RuntimeTraits => ({
  id: "a".repeat(64),
  arch: "x64",
  version: "24.0.0",
  bytes: 40 << 20,
  unpackedBytes: 110 << 20,
  hasLibraries: true,
  ...more,
});
const host = (more: Partial<BareHost> = {}): BareHost => ({
  machine: "x86_64",
  kernel: "6.1.0-18-amd64",
  libc: "glibc-2.36",
  freeKib: 1 << 20,
  hasBundle: false,
  ...more,
});
const alone = runtime({ hasLibraries: false });

test.each([
  ["x86_64", "x64"],
  ["amd64", "x64"],
  ["aarch64", "arm64"],
  ["arm64", "arm64"],
  ["armv7l", undefined],
  ["", undefined],
])("uname says %j: %s", (machine, arch) => {
  expect(archOfMachine(machine)).toBe(arch);
});

describe("a description of a host", () => {
  test.each<[string, BareHost | undefined]>([
    ["x86_64 6.1.0-18-amd64 glibc-2.36 900 absent", { ...host(), freeKib: 900 }],
    ["x86_64 6.1.0-18-amd64 - - -", { ...host(), libc: "", freeKib: undefined, hasBundle: true }],
    [
      "aarch64 5.10 musl lots absent",
      host({ machine: "aarch64", kernel: "5.10", libc: "musl", freeKib: undefined }),
    ],
    ["x86_64 6.1.0", undefined],
    ["", undefined],
  ])("%j", (words, described) => {
    expect(parseBareHost(words.split(" ").filter((word) => word !== ""))).toEqual(described);
  });
});

describe("the runtime for a host", () => {
  const arm = runtime({ arch: "arm64", id: "b".repeat(64) });
  test.each<[string, readonly RuntimeTraits[], Partial<BareHost>, RuntimeTraits]>([
    ["its processor's", [arm, runtime()], {}, runtime()],
    ["the other processor's", [arm, runtime()], { machine: "aarch64" }, arm],
    ["with libraries for musl", [alone, runtime()], { libc: "musl" }, runtime()],
    ["with libraries for an old glibc", [alone, runtime()], { libc: "glibc-2.17" }, runtime()],
    ["any for the oldest glibc that does", [alone], { libc: "glibc-2.28" }, alone],
    ["any for a C library that cannot be told", [alone], { libc: "" }, alone],
    ["where free room cannot be told", [alone], { freeKib: undefined }, alone],
    ["for the oldest kernel that does", [alone], { kernel: "4.18.0-553.el8" }, alone],
  ])("%s", (_name, runtimes, more, chosen) => {
    expect(chooseRuntime(runtimes, host(more))).toEqual({ runtime: chosen });
  });

  test.each<[string, readonly RuntimeTraits[], Partial<BareHost>, RegExp, RegExp]>([
    [
      "another processor",
      [runtime()],
      { machine: "riscv64" },
      /its architecture, riscv64/,
      /install Node 18/,
    ],
    [
      "an old kernel",
      [runtime()],
      { kernel: "3.10.0-1160.el7" },
      /its kernel, 3\.10\.0.*4\.18/,
      /made for it/,
    ],
    ["none of its processor", [arm], {}, /no runtime for x64 was fetched/, /volley runtime fetch --arch x64/],
    ["musl, and no libraries", [alone], { libc: "musl" }, /C library is musl/, /--libc musl/],
    [
      "an old glibc, and no libraries",
      [alone],
      { libc: "glibc-2.9" },
      /glibc 2\.9, is older than 2\.28/,
      /--libc musl/,
    ],
    [
      "no room",
      [runtime()],
      { freeKib: 150 << 10 },
      /Node needs 166 MiB there, of which 150 MiB are free/,
      /make room/,
    ],
  ])("none: %s", (_name, runtimes, more, why, hint) => {
    const choice = chooseRuntime(runtimes, host(more));
    expect(choice).toEqual({ why: expect.stringMatching(why), hint: expect.stringMatching(hint) });
  });
});

test.each([
  ["while it is unpacked", "gzip"],
  ["before it is verified", "sha256sum"],
])("an archive that another script has unpacked and removed %s is no fault", (_name, program) => {
  const directory = mkdtempSync(join(tmpdir(), "volley-unpack-"));
  try {
    const archive = Buffer.from("not read at all");
    const id = createHash("sha256").update(archive).digest("hex");
    const place = join(directory, "runtimes", id);
    // The other script is done at the moment when this one reads the archive.
    writeFileSync(
      join(directory, program),
      `#!/bin/sh\nmkdir -p '${place}'; printf '#!/bin/sh\\n' >'${place}/node'; chmod 700 '${place}/node'; rm -f "$a"; exit 1\n`,
    );
    chmodSync(join(directory, program), 0o700);
    const script = `PATH='${directory}':$PATH; mkdir '${directory}/runtimes'; r='${directory}/runtimes'; i=${id}; export a="$r/.$i.part"
printf %s '${archive.toString()}' >"$a"
${unpackRuntimeScript(answerFaults("damaged"))}
echo "$n"`;
    expect(
      execFileSync("sh", ["-c", script], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }),
    ).toBe(`${place}/node\n`);
    expect(readdirSync(join(directory, "runtimes"))).toEqual([id]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
