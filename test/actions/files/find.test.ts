import { chmodSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { find } from "../../../src/actions/files/find.ts";
import { makeSandbox, pass, type Sandbox, snapshot } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);

beforeEach(() => {
  sandbox = makeSandbox();
  for (const path of ["t", "t/.hid", "t/sub", "t/sub/deep"]) mkdirSync(at(path));
  for (const [path, content] of Object.entries({
    "t/a.txt": "aaa\n",
    "t/b.conf": "one\ntwo foo\nthree\n",
    "t/.dot": "",
    "t/.hid/z.txt": "z\n",
    "t/sub/x.txt": "x\n",
    "t/sub/deep/y.txt": "y\n",
  }))
    writeFileSync(at(path), content);
  symlinkSync("a.txt", at("t/la"));
  symlinkSync("sub", at("t/lsub"));
  symlinkSync("nope", at("t/dang"));
});
afterEach(() => sandbox[Symbol.dispose]());

const search = async (params: Parameters<typeof find>[0]) => {
  const before = snapshot(sandbox.root);
  const { state, data, inspected } = await pass(find(params), sandbox.system, sandbox.context());
  expect(state).toBe("unchanged");
  expect(snapshot(sandbox.root)).toEqual(before);
  return { ...data!, message: inspected?.message };
};
const names = async (params: Omit<Parameters<typeof find>[0], "paths">): Promise<string> =>
  (await search({ ...params, paths: "/t" })).files.map(({ path }) => path.slice(3)).join(" ");

it("tells what it finds, and how much it looked at", async () => {
  const { files, ...rest } = await search({ paths: "/t", get_checksum: true });
  expect(rest).toEqual({ matched: 2, examined: 8, skipped_paths: {}, message: "All paths examined" });
  expect(files[0]).toMatchObject({
    ...{ path: "/t/a.txt", size: 4, mode: "0644", isreg: true, islnk: false, nlink: 1 },
    checksum: "972a1a11f19934401291cc99117ec614933374ce",
  });
  expect(files[0]?.ctime).toBeGreaterThan(0);
});

it.each([
  [{}, "a.txt b.conf"],
  [{ hidden: true }, ".dot a.txt b.conf"],
  [{ recurse: true }, "a.txt b.conf .hid/z.txt sub/x.txt sub/deep/y.txt"],
  [{ recurse: true, depth: 1 }, "a.txt b.conf"],
  [{ recurse: true, depth: 2 }, "a.txt b.conf .hid/z.txt sub/x.txt"],
  [{ recurse: true, follow: true, patterns: "y*" }, "lsub/deep/y.txt sub/deep/y.txt"],
  [{ file_type: "link" }, "dang la lsub"],
  [{ file_type: "directory", hidden: true }, ".hid sub"],
  [{ file_type: "any" }, "a.txt b.conf dang la lsub sub"],
  [{ patterns: ["*.txt", "b*"], excludes: "a*" }, "b.conf"],
  [{ patterns: "[!a]*" }, "b.conf"],
  [{ patterns: "B*" }, ""],
  // As Ansible does, though its documentation says that the whole name has to match.
  [{ patterns: "a.t", use_regex: true }, "a.txt"],
  [{ patterns: "txt", use_regex: true }, ""],
  [{ size: "5" }, "b.conf"],
  [{ size: "-4" }, "a.txt"],
  [{ size: "1k" }, ""],
  [{ file_type: "any", size: "1k" }, "dang la lsub sub"],
  [{ file_type: "any", size: "-4", contains: "none" }, "a.txt dang la lsub sub"],
  [{ contains: "a" }, "a.txt"],
  [{ contains: "foo" }, ""],
  [{ contains: ".*foo$" }, "b.conf"],
  [{ contains: "foo\\nth", read_whole_file: true }, "b.conf"],
  [{ contains: "^two", read_whole_file: true }, ""],
  [{ recurse: true, limit: 3 }, "a.txt b.conf .hid/z.txt"],
] as const)("%j", async (params, expected) => {
  expect(await names(params as Omit<Parameters<typeof find>[0], "paths">)).toBe(expected);
});

it("counts what is one level too deep", async () => {
  const { examined } = await search({ paths: "/t", recurse: true, depth: 1 });
  expect(examined).toBe(8 + 1 + 2);
});

it("goes by age", async () => {
  const old = Date.now() / 1000 - 7_200;
  utimesSync(at("t/a.txt"), old, old);
  expect(await names({ age: "1h" })).toBe("a.txt");
  expect(await names({ age: "-1H" })).toBe("b.conf");
  expect(await names({ age: 7_000 })).toBe("a.txt");
  // Reading the file, as the search before did for its snapshot, has made it young again.
  expect(await names({ age: 7_000, age_stamp: "atime" })).toBe("");
  expect(await names({ age: "1h", age_stamp: "ctime" })).toBe("");
});

it("goes by mode", async () => {
  chmodSync(at("t/a.txt"), 0o755);
  expect(await names({ mode: "0755" })).toBe("a.txt");
  expect(await names({ mode: "u=x", exact_mode: false })).toBe("a.txt");
  expect(await names({ mode: "0644", exact_mode: false })).toBe("a.txt b.conf");
});

it("says what it could not search", async () => {
  const { skipped_paths, matched, message } = await search({ paths: ["/nope", "/t/a.txt", "/t"] });
  expect(skipped_paths).toEqual({
    "/nope": "'/nope' is not a directory",
    "/t/a.txt": "'/t/a.txt' is not a directory",
  });
  expect(matched).toBe(2);
  expect(message).toBe("Not all paths examined, check warnings for details");
  const broken = await search({ paths: "/t", patterns: "(", use_regex: true });
  expect(broken.matched).toBe(0);
  expect(broken.skipped_paths["/t"]).toMatch(/\(/);
});

it("ends where links go in circles", async () => {
  symlinkSync("..", at("t/sub/up"));
  expect(await names({ recurse: true, follow: true, patterns: "a.txt" })).toBe("a.txt");
});

it("names wrong parameters", () => {
  expect(() => find({ paths: "/t", age: "1x" })).toThrow("failed to process age");
  expect(() => find({ paths: "/t", size: "1kb" })).toThrow("failed to process size");
});
