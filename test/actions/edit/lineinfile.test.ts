import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lineinfile } from "../../../src/actions/edit/lineinfile.ts";
import { failureData } from "../../../src/core/action.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

type Params = Omit<Parameters<typeof lineinfile>[0], "path"> & { readonly path?: string };

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const path = "/etc/conf";
const run = (params: Params, check = false) =>
  pass(lineinfile({ path, ...params }), sandbox.system, sandbox.context({ check }));

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc"));
});
afterEach(() => sandbox[Symbol.dispose]());

describe("changes", () => {
  const cases: readonly (readonly [name: string, before: string, params: Params, after: string])[] = [
    ["adds at the end", "a\nb\n", { line: "c" }, "a\nb\nc\n"],
    ["gives the last line its newline first", "a\nb", { line: "c" }, "a\nb\nc\n"],
    ["fills an empty file", "", { line: "c" }, "c\n"],
    ["replaces the last match", "x=1\ny\nx=2\n", { regexp: "^x=", line: "x=3" }, "x=1\ny\nx=3\n"],
    [
      "replaces the first match",
      "x=1\ny\nx=2\n",
      { regexp: "^x=", line: "x=3", firstmatch: true },
      "x=3\ny\nx=2\n",
    ],
    ["replaces a last line without newline", "a\nx=1", { regexp: "^x=", line: "x=3" }, "a\nx=3\n"],
    ["adds when nothing matches", "a\n", { regexp: "^x=", line: "x=3" }, "a\nx=3\n"],
    ["finds plain text", "a.c\nabc\n", { search_string: "a.c", line: "z" }, "z\nabc\n"],
    [
      "uses groups",
      "a = 1 # n\n",
      { regexp: "^(?P<k>a) = (\\d+)(.*)$", line: "\\g<k> = 9\\3", backrefs: true },
      "a = 9 # n\n",
    ],
    ["takes backslashes as they are without backrefs", "a\n", { regexp: "^a", line: "\\1" }, "\\1\n"],
    [
      "inserts after the last match",
      "[s]\na\n[s]\nb\n",
      { line: "n", insertafter: "^\\[s\\]" },
      "[s]\na\n[s]\nn\nb\n",
    ],
    [
      "inserts after the first match",
      "[s]\na\n[s]\nb\n",
      { line: "n", insertafter: "^\\[s\\]", firstmatch: true },
      "[s]\nn\na\n[s]\nb\n",
    ],
    ["inserts before a match", "a\nb\n", { line: "n", insertbefore: "^b$" }, "a\nn\nb\n"],
    ["inserts at the beginning", "a\nb\n", { line: "n", insertbefore: "BOF" }, "n\na\nb\n"],
    ["appends when insertbefore matches nothing", "a\n", { line: "n", insertbefore: "zzz" }, "a\nn\n"],
    [
      "matches regardless of insertafter",
      "x=1\na\n",
      { regexp: "^x=", line: "x=2", insertafter: "^a" },
      "x=2\na\n",
    ],
    ["keeps CR LF", "x=1\r\ny\r\n", { regexp: "^x=1$", line: "x=2" }, "x=2\r\ny\r\n"],
    ["adds with CR LF where lines end so", "x\r\n", { line: "y" }, "x\r\ny\r\n"],
    ["takes the newline as part of a line", "a b\n", { regexp: "a\\sb\\s", line: "z" }, "z\n"],
    ["removes every match", "a\nx1\nb\nx2\n", { regexp: "^x", state: "absent" }, "a\nb\n"],
    ["removes the very same line", "ab\na\n", { line: "a", state: "absent" }, "ab\n"],
    ["removes by plain text", "a.c\nabc\n", { search_string: "a.", state: "absent" }, "abc\n"],
  ];
  it.each(cases)("%s", async (_name, before, params, after) => {
    writeFileSync(at("etc/conf"), before);
    const { check } = await checkApplyAgain(sandbox, lineinfile({ path, ...params }));
    expect(readFileSync(at("etc/conf"), "utf8")).toBe(after);
    expect(check.change?.diff).toEqual({ path, before, after });
  });
});

describe("changes nothing", () => {
  const cases: readonly (readonly [name: string, before: string, params: Params])[] = [
    ["when the line is there", "a\nb", { line: "b" }],
    ["when no match but the line is there", "b\na\n", { regexp: "^x", line: "b" }],
    ["with backrefs and no match", "a\n", { regexp: "^x(.)", line: "\\1", backrefs: true }],
    ["when the match is the line", "x=1\n", { regexp: "^x=", line: "x=1" }],
    ["when there is nothing to remove", "a\n", { regexp: "^x", state: "absent" }],
  ];
  it.each(cases)("%s", async (_name, before, params) => {
    writeFileSync(at("etc/conf"), before);
    expect((await run(params)).state).toBe("unchanged");
    expect(readFileSync(at("etc/conf"), "utf8")).toBe(before);
  });
});

it("makes the file and its directories when told to", async () => {
  await checkApplyAgain(
    sandbox,
    lineinfile({ path: "/etc/a/b/conf", line: "x", create: true, mode: "0600" }),
  );
  expect(readFileSync(at("etc/a/b/conf"), "utf8")).toBe("x\n");
  expect(statSync(at("etc/a/b/conf")).mode & 0o777).toBe(0o600);
});

it("fails for a missing file, and in check mode does not know", async () => {
  await expect(run({ line: "x" })).rejects.toThrow("Destination /etc/conf does not exist !");
  expect((await run({ line: "x" }, true)).state).toBe("unknown");
  expect((await run({ line: "x", state: "absent" })).state).toBe("unchanged");
  expect(existsSync(at("etc/conf"))).toBe(false);
});

it("sets only the mode when the line is there", async () => {
  writeFileSync(at("etc/conf"), "x\n", { mode: 0o600 });
  const { check } = await checkApplyAgain(sandbox, lineinfile({ path, line: "x", mode: "0640" }));
  expect(check.change?.diff).toEqual({ path, attributes: { mode: ["0600", "0640"] } });
});

it("edits the file a link leads to", async () => {
  writeFileSync(at("etc/real"), "a\n");
  symlinkSync("real", at("etc/conf"));
  await checkApplyAgain(sandbox, lineinfile({ path, line: "b", backup: true }));
  expect(lstatSync(at("etc/conf")).isSymbolicLink()).toBe(true);
  expect(readFileSync(at("etc/real"), "utf8")).toBe("a\nb\n");
});

it("keeps bytes that are not UTF-8", async () => {
  writeFileSync(at("etc/conf"), Buffer.from([0x61, 0xe9, 0x0a, 0x78, 0x0a]));
  await checkApplyAgain(sandbox, lineinfile({ path, regexp: "^x$", line: "ü" }));
  expect(readFileSync(at("etc/conf"))).toEqual(Buffer.from([0x61, 0xe9, 0x0a, 0xc3, 0xbc, 0x0a]));
});

it("names wrong parameters", () => {
  expect(() => lineinfile({ path })).toThrow("line is required with state=present");
  expect(() => lineinfile({ path, state: "absent" })).toThrow(
    "one of line, search_string, or regexp is required",
  );
  expect(() => lineinfile({ path, line: "x", regexp: "a", search_string: "b" })).toThrow(
    "mutually exclusive",
  );
  expect(() => lineinfile({ path, line: "x", insertafter: "a", insertbefore: "b" })).toThrow(
    "mutually exclusive",
  );
  expect(() => lineinfile({ path, line: "x", backrefs: true })).toThrow(
    "regexp is required with backrefs=true",
  );
  // @ts-expect-error a parameter that does not exist
  expect(() => lineinfile({ path, line: "x", regex: "a" })).toThrow(
    'unknown parameter "regex"; did you mean "regexp"?',
  );
});

// As Ansible 2.14 does it.
it("adds several lines, and a newline of their own, again every time", async () => {
  writeFileSync(at("etc/conf"), "a\n");
  for (const line of ["x\ny", "x\ny", "tail\n"])
    expect((await run({ line })).data).toMatchObject({ msg: "line added" });
  expect(readFileSync(at("etc/conf"), "utf8")).toBe("a\nx\ny\nx\ny\ntail\n\n");
  await run({ regexp: "^(a)", line: "\\1\\nb", backrefs: true });
  expect(readFileSync(at("etc/conf"), "utf8")).toMatch(/^a\nb\nx\n/);
});

it("returns what Ansible returns", async () => {
  writeFileSync(at("etc/conf"), "a\nb\n");
  const added = await checkApplyAgain(sandbox, lineinfile({ path, line: "c", backup: true }));
  expect(added.check.change?.data).toEqual({ msg: "line added", backup: "" });
  expect(added.first.data).toEqual({
    msg: "line added",
    backup: expect.stringMatching(/^\/etc\/conf\..*~$/),
  });
  expect(added.second.data).toEqual({ msg: "", backup: "" });
  const removed = await checkApplyAgain(sandbox, lineinfile({ path, regexp: "^[ab]", state: "absent" }));
  expect(removed.first.data).toEqual({ msg: "2 line(s) removed", backup: "", found: 2 });
  expect(removed.second.data).toEqual({ msg: "", backup: "", found: 0 });
  const mode = await checkApplyAgain(sandbox, lineinfile({ path, line: "c", mode: "0600" }));
  expect(mode.first.data).toEqual({ msg: "ownership, perms or SE linux context changed", backup: "" });
  expect((await run({ path: "/etc/none", line: "x", state: "absent" })).data).toEqual({
    msg: "file not present",
  });
  const failure = await run({ path: "/etc/none", line: "x" }).catch((thrown: unknown) => thrown);
  expect(failureData(failure)).toEqual({ rc: 257 });
});

it("says what is wrong with an expression", async () => {
  writeFileSync(at("etc/conf"), "");
  await expect(run({ line: "x", regexp: "(a" })).rejects.toThrow("the regular expression (a cannot be used");
});
