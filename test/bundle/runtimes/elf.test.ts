import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { readElf, stripElf } from "../../../src/bundle/runtimes/elf.ts";
import { makeElf } from "./elf-file.ts";

const LIBRARY = makeElf({
  arch: "arm64",
  soname: "libthing.so.1",
  needed: ["libc.so.6", "libm.so.6"],
  requires: { "libc.so.6": ["GLIBC_2.17", "GLIBC_2.38?"], "libm.so.6": ["GLIBC_2.29"] },
  defines: ["THING_1", "THING_2"],
});
const PROGRAM = makeElf({ interpreter: "/lib64/ld-linux-x86-64.so.2", needed: ["libc.so.6"] });

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-elf-"));
  return () => rmSync(directory, { recursive: true, force: true });
});

describe("reading", () => {
  it("tells a library's name, needs and versions", () => {
    expect(readElf(LIBRARY, "it")).toEqual({
      arch: "arm64",
      interpreter: undefined,
      soname: "libthing.so.1",
      needed: ["libc.so.6", "libm.so.6"],
      requires: [
        { library: "libc.so.6", version: "GLIBC_2.17" },
        { library: "libm.so.6", version: "GLIBC_2.29" },
      ],
      defines: new Set(["THING_1", "THING_2"]),
    });
  });

  it("tells a program's loader", () => {
    expect(readElf(PROGRAM, "it")).toMatchObject({
      arch: "x64",
      interpreter: "/lib64/ld-linux-x86-64.so.2",
      needed: ["libc.so.6"],
      requires: [],
    });
  });

  it("reads the program that runs this test", () => {
    const { arch, interpreter, needed } = readElf(readFileSync(process.execPath), "node");
    expect(arch).toBe(process.arch);
    expect(existsSync(interpreter!)).toBe(true);
    expect(needed.some((name) => name.startsWith("libc."))).toBe(true);
  });
});

describe("stripping", () => {
  it("cuts what stands behind the segments, and the table of sections out of the header", () => {
    const stripped = stripElf(LIBRARY, "it");
    expect(stripped).toHaveLength(LIBRARY.length - 3 * 64);
    expect(stripped.readBigUInt64LE(40)).toBe(0n);
    expect([stripped.readUInt16LE(60), stripped.readUInt16LE(62)]).toEqual([0, 0]);
    expect(readElf(stripped, "it")).toEqual(readElf(LIBRARY, "it"));
    expect(stripElf(stripped, "it")).toEqual(stripped);
  });

  it("leaves the given bytes as they are", () => {
    const before = Buffer.from(LIBRARY);
    stripElf(LIBRARY, "it");
    expect(LIBRARY).toEqual(before);
  });

  it("makes a program that still runs, and is smaller", () => {
    const node = readFileSync(process.execPath);
    const stripped = stripElf(node, "node");
    expect(stripped.length).toBeLessThan(node.length);
    const file = join(directory, "node");
    writeFileSync(file, stripped, { mode: 0o755 });
    const script =
      "console.log(process.version, JSON.stringify(Intl.DateTimeFormat().resolvedOptions().locale))";
    const said = (program: string): string => execFileSync(program, ["-e", script], { encoding: "utf8" });
    expect(said(file)).toBe(said(process.execPath));
  });
});

describe("a file that is refused", () => {
  const changed = (at: number, ...bytes: readonly number[]): Buffer => {
    const copy = Buffer.from(LIBRARY);
    copy.set(bytes, at);
    return copy;
  };
  it.each<[string, Buffer, RegExp]>([
    ["an empty file", Buffer.alloc(0), /^bin is no program or library of Linux$/],
    ["a script", Buffer.from(`#!/bin/sh\n${"#".repeat(100)}`), /^bin is no program or library of Linux$/],
    ["ELF of 32 bits", changed(4, 1), /^bin is not for a little-endian machine of 64 bits$/],
    ["ELF of a big-endian machine", changed(5, 2), /^bin is not for a little-endian machine of 64 bits$/],
    ["an object file", changed(56, 0, 0), /^bin is nothing that a loader could start$/],
    ["headers of another size", changed(54, 32), /^bin is nothing that a loader could start$/],
    ["headers far away", changed(32, 0xff, 0xff, 0xff, 0xff), /^bin is damaged/],
    ["headers beyond what numbers can tell", changed(39, 0xff), /^bin is damaged/],
  ])("%s", (_name, file, message) => {
    for (const work of [readElf, stripElf])
      expect(() => work(file, "bin")).toThrow(
        expect.objectContaining({ code: "RUNTIME_FAILED", message: expect.stringMatching(message) }),
      );
  });

  it("is one that is cut anywhere", () => {
    for (let length = 0; length < LIBRARY.length; length++)
      for (const work of [readElf, stripElf])
        expect(() => work(LIBRARY.subarray(0, length), "bin")).toThrow(
          expect.objectContaining({ code: "RUNTIME_FAILED" }),
        );
  });

  it("is one that is cut by a byte, and is Node itself", () => {
    const node = readFileSync(process.execPath);
    expect(() => stripElf(node.subarray(0, -1), "node")).toThrow(
      /^node is damaged, or a part of it is missing$/,
    );
  });
});
