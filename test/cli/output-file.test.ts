import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { beforeEach, expect, it } from "vitest";
import { writeOutput } from "../../src/cli/output-file.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-output-file-"));
  return () => rmSync(directory, { recursive: true });
});

const at = (name: string): string => join(directory, name);
const modeOf = (name: string): number => statSync(at(name)).mode & 0o777;

it("writes a new file and replaces one that is there, without a trace of the temporary one", () => {
  writeOutput(at("new"), "1", { mode: 0o600 });
  const before = statSync(at("new")).ino;
  writeOutput(at("new"), "2", { mode: 0o700 });
  expect(readFileSync(at("new"), "utf8")).toBe("2");
  expect(statSync(at("new")).ino).not.toBe(before);
  expect(modeOf("new")).toBe(0o600);
  writeOutput(at("new"), "3", { mode: 0o700, replacesMode: true });
  expect(modeOf("new")).toBe(0o700);
  expect(readdirSync(directory)).toEqual(["new"]);
});

it("follows links, also to where nothing is yet", () => {
  mkdirSync(at("below"));
  writeFileSync(at("below/old"), "old");
  for (const name of ["old", "new"]) {
    symlinkSync(`below/${name}`, at(`link-${name}`));
    writeOutput(at(`link-${name}`), "whole", { mode: 0o600 });
    expect(lstatSync(at(`link-${name}`)).isSymbolicLink()).toBe(true);
  }
  expect(readdirSync(at("below")).map((name) => readFileSync(at(`below/${name}`), "utf8"))).toEqual([
    "whole",
    "whole",
  ]);
  symlinkSync("circle", at("circle"));
  expect(() => writeOutput(at("circle"), "", { mode: 0o600 })).toThrow(/circle: its links lead in a circle$/);
});

it("writes to a FIFO, and leaves it", async () => {
  execFileSync("/bin/sh", ["-c", `mkfifo "$1"`, "sh", at("fifo")]);
  symlinkSync("fifo", at("link"));
  for (const name of ["fifo", "link"]) {
    const reader = spawn("cat", [at("fifo")], { stdio: ["ignore", "pipe", "inherit"] });
    await once(reader, "spawn");
    const read = text(reader.stdout);
    writeOutput(at(name), "through", { mode: 0o600 });
    expect(await read).toBe("through");
  }
  expect(lstatSync(at("fifo")).isFIFO()).toBe(true);
  expect(readdirSync(directory).sort()).toEqual(["fifo", "link"]);
});

it.skipIf(process.getuid?.() === 0)("writes in place where the directory takes no new file", () => {
  mkdirSync(at("locked"));
  writeFileSync(at("locked/page"), "old");
  chmodSync(at("locked"), 0o555);
  writeOutput(at("locked/page"), "new", { mode: 0o600 });
  expect(readFileSync(at("locked/page"), "utf8")).toBe("new");
  expect(() => writeOutput(at("locked/page"), "", { mode: 0o700, replacesMode: true })).toThrow(
    /: permission denied$/,
  );
  expect(() => writeOutput(at("locked/other"), "", { mode: 0o600 })).toThrow(/: permission denied$/);
  chmodSync(at("locked"), 0o755);
});

it("says why a file cannot be written", () => {
  writeFileSync(at("file"), "");
  const write = (name: string) => () => writeOutput(at(name), "", { mode: 0o600 });
  expect(write(".")).toThrow(/: it is a directory$/);
  expect(write("no/where")).toThrow(/: there is no such directory$/);
  expect(write("file/below")).toThrow(/: its path leads through a file$/);
});
