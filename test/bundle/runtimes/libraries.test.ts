import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { type Elf, readElf, stripElf } from "../../../src/bundle/runtimes/elf.ts";
import { findLibraries, type LibrarySearch } from "../../../src/bundle/runtimes/libraries.ts";
import type { RuntimeArch } from "../../../src/core/runtimes.ts";
import { type ElfParts, makeElf } from "./elf-file.ts";

const LOADER = "ld-linux-aarch64.so.1";
const program = (parts: ElfParts = {}): Elf =>
  readElf(makeElf({ interpreter: `/lib/${LOADER}`, needed: ["libthing.so.1", "libc.so.6"], ...parts }), "it");

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "volley-root-"));
  return () => rmSync(root, { recursive: true, force: true });
});

function write(path: string, parts: ElfParts): Buffer {
  const bytes = makeElf({ arch: "arm64", ...parts });
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), bytes);
  return bytes;
}

function link(path: string, target: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  symlinkSync(target, join(root, path));
}

/** The usual libraries of arm64, in one directory. */
function writeUsual(directory: string, versions: readonly string[] = ["GLIBC_2.17", "GLIBC_2.36"]): void {
  write(`${directory}/${LOADER}`, { soname: LOADER, defines: ["GLIBC_PRIVATE"] });
  write(`${directory}/libc.so.6`, {
    needed: [LOADER],
    requires: { [LOADER]: ["GLIBC_PRIVATE"] },
    defines: [...versions, "GLIBC_PRIVATE"],
  });
  write(`${directory}/libthing.so.1`, { needed: ["libdeep.so.3", "libc.so.6"] });
  write(`${directory}/libdeep.so.3`, { needed: ["libc.so.6", "libthing.so.1"] });
}

const namesOf = (search: LibrarySearch): readonly string[] =>
  "missing" in search ? [search.missing] : [...search.libraries.files.keys()].sort();
const find = (elf: Elf = program(), arch: RuntimeArch = "arm64"): LibrarySearch =>
  findLibraries(elf, arch, root);
const ALL = ["ld.so", "libc.so.6", "libdeep.so.3", "libthing.so.1"];

describe("libraries of a system", () => {
  it.each([
    "lib/aarch64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "lib64",
    "usr/lib64",
    "usr/aarch64-linux-gnu/lib",
    "lib",
    "usr/lib",
  ])("are found in %s, with what they need themselves", (directory) => {
    writeUsual(directory);
    const search = find();
    expect(namesOf(search)).toEqual(ALL);
    expect(search).toMatchObject({ libraries: { glibc: "2.36" } });
  });

  it("are stripped", () => {
    writeUsual("lib");
    const bytes = readFileSync(join(root, "lib/libc.so.6"));
    const search = find();
    expect("libraries" in search && search.libraries.files.get("libc.so.6")).toEqual(stripElf(bytes, "it"));
  });

  it("are passed over where they are for another machine, or no libraries", () => {
    writeUsual("usr/lib");
    write("lib64/libc.so.6", { arch: "x64", defines: ["GLIBC_2.99"] });
    write("lib/aarch64-linux-gnu/x", {});
    writeFileSync(join(root, "lib/aarch64-linux-gnu/libthing.so.1"), "GROUP ( /lib/libthing.so.1 )");
    expect(find()).toMatchObject({ libraries: { glibc: "2.36" } });
    expect(namesOf(find())).toEqual(ALL);
    expect(namesOf(find(program(), "x64"))[0]).toMatch(/^ld-linux-aarch64\.so\.1 for x64 is in none of /);
  });

  it("are found through links, which lead nowhere outside of the root", () => {
    writeUsual("opt/real");
    const outside = mkdtempSync(join(tmpdir(), "volley-outside-"));
    try {
      writeFileSync(join(outside, "libdeep.so.3"), makeElf({ arch: "arm64" }));
      link(`lib/${LOADER}`, `/opt/real/${LOADER}`);
      link("lib/libc.so.6", "libc.so");
      link("lib/libc.so", "../opt/real/libc.so.6");
      link("lib/libthing.so.1", "../../../../../../../opt/real/libthing.so.1");
      link("lib/libdeep.so.3", join(outside, "libdeep.so.3"));
      expect(namesOf(find())[0]).toMatch(/^libdeep\.so\.3 for arm64 is in none of /);
      rmSync(join(root, "lib/libdeep.so.3"));
      link("lib/libdeep.so.3", "libdeep.so.3");
      expect(namesOf(find())[0]).toMatch(/^libdeep\.so\.3 for arm64 is in none of /);
      rmSync(join(root, "lib"), { recursive: true });
      link("lib", "/opt/real");
      expect(namesOf(find())).toEqual(ALL);
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  it("are named where one is missing", () => {
    expect(namesOf(find())[0]).toBe(
      `${LOADER} for arm64 is in none of ${[
        ...["lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu", "lib64", "usr/lib64"],
        ...["usr/aarch64-linux-gnu/lib", "lib", "usr/lib"],
      ]
        .map((directory) => join(root, directory))
        .join(", ")}`,
    );
    writeUsual("lib");
    rmSync(join(root, "lib/libdeep.so.3"));
    expect(namesOf(find())[0]).toMatch(/^libdeep\.so\.3 for arm64 is in none of /);
    expect(namesOf(find(program({ needed: ["../../etc/libthing.so.1"] })))[0]).toMatch(
      /^\.\.\/\.\.\/etc\/libthing/,
    );
  });

  it("are refused where a version is missing that the program or a library needs", () => {
    writeUsual("lib");
    const needs = (version: string): Elf => program({ requires: { "libc.so.6": ["GLIBC_2.17", version] } });
    expect(namesOf(find(needs("GLIBC_2.36")))).toEqual(ALL);
    expect(namesOf(find(needs("GLIBC_2.39?")))).toEqual(ALL);
    expect(namesOf(find(needs("GLIBC_2.39")))).toEqual([
      `${join(root, "lib/libc.so.6")} is too old: Node needs its version GLIBC_2.39`,
    ]);
    write("lib/libdeep.so.3", { requires: { "libthing.so.1": ["THING_9"] } });
    expect(namesOf(find())).toEqual([
      `${join(root, "lib/libthing.so.1")} is too old: Node needs its version THING_9`,
    ]);
  });

  it("are refused where the libc is not glibc", () => {
    writeUsual("lib", ["MUSL_1"]);
    expect(namesOf(find())).toEqual(["there is no glibc for arm64"]);
  });

  it("include the name services that glibc before 2.34 loads by itself", () => {
    writeUsual("lib", ["GLIBC_2.4", "GLIBC_2.28", "GLIBC_2.9"]);
    expect(find()).toMatchObject({ libraries: { glibc: "2.28" } });
    expect(namesOf(find())).toEqual(ALL);
    write("lib/libnss_dns.so.2", { needed: ["libresolv.so.2"] });
    write("lib/libresolv.so.2", {});
    expect(namesOf(find())).toEqual([...ALL, "libnss_dns.so.2", "libresolv.so.2"].sort());
    writeUsual("lib", ["GLIBC_2.28", "GLIBC_2.34"]);
    expect(namesOf(find())).toEqual(ALL);
  });

  it("are not looked for where the program needs no loader", () => {
    expect(find(readElf(makeElf({}), "it"))).toEqual({ missing: "the program needs no loader" });
  });
});

const shell = realpathSync("/bin/sh");
const { interpreter = "" } = readElf(readFileSync(shell), shell);

describe.skipIf(!/^ld-linux/.test(interpreter.split("/").at(-1)!))("the libraries of this machine", () => {
  it("start a program of it, stripped, without the machine's own", () => {
    const elf = readElf(readFileSync(shell), shell);
    const search = findLibraries(elf, elf.arch!);
    if ("missing" in search) throw new Error(search.missing);
    expect(search.libraries.glibc).toMatch(/^2\.\d+$/);
    for (const directory of ["bin", "lib"]) mkdirSync(join(root, directory));
    writeFileSync(join(root, "bin/sh"), stripElf(readFileSync(shell), shell), { mode: 0o755 });
    for (const [name, bytes] of search.libraries.files)
      writeFileSync(join(root, "lib", name), bytes, { mode: 0o755 });
    const maps = execFileSync(
      join(root, "lib", "ld.so"),
      ["--library-path", "lib", "bin/sh", "-c", 'while read -r line; do echo "$line"; done </proc/self/maps'],
      { cwd: root, encoding: "utf8", env: {} },
    );
    const libraries = maps.split("\n").flatMap((line) => /\/\S+\.so\S*/.exec(line)?.[0] ?? []);
    expect(new Set(libraries)).toEqual(
      new Set([...search.libraries.files.keys()].map((name) => join(realpathSync(root), "lib", name))),
    );
  });

  it("go along with the texts of their licences, as the system has them", () => {
    const text = (path: string): void => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), path);
    };
    const namesOfTexts = (): readonly string[] => {
      const search = find();
      return "libraries" in search ? [...search.libraries.licenses.keys()] : [];
    };
    writeUsual("lib");
    text("usr/share/common-licenses/GPL-3");
    expect(namesOfTexts()).toEqual(["NOTICE"]);
    for (const name of ["libc6-arm64-cross", "libstdc++6", "gcc-12-base", "bash", "libc6-amd64-cross"])
      text(`usr/share/doc/${name}/copyright`);
    link("usr/share/doc/libgcc-s1", "gcc-12-base");
    text("usr/share/licenses/glibc/COPYING");
    expect(namesOfTexts()).toEqual([
      "NOTICE",
      ...["libc6-arm64-cross", "libgcc-s1", "libstdc++6", "GPL-3", "glibc.COPYING"].map(
        (name) => `licenses/${name}`,
      ),
    ]);
    const search = find();
    expect("libraries" in search && search.libraries.licenses.get("licenses/libgcc-s1")?.toString()).toBe(
      "usr/share/doc/gcc-12-base/copyright",
    );
  });
});
