import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { blockinfile } from "../../../src/actions/edit/blockinfile.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

type Params = Omit<Parameters<typeof blockinfile>[0], "path"> & { readonly path?: string };

const BEGIN = "# BEGIN ANSIBLE MANAGED BLOCK\n";
const END = "# END ANSIBLE MANAGED BLOCK\n";
const path = "/etc/conf";

let sandbox: Sandbox;
const at = (below: string): string => join(sandbox.root, below);
const run = (params: Params, check = false) =>
  pass(blockinfile({ path, ...params }), sandbox.system, sandbox.context({ check }));

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc"));
});
afterEach(() => sandbox[Symbol.dispose]());

describe("changes", () => {
  const cases: readonly (readonly [name: string, before: string, params: Params, after: string])[] = [
    ["adds at the end", "a\n", { block: "x\ny" }, `a\n${BEGIN}x\ny\n${END}`],
    ["gives the last line its newline first", "a", { block: "x\n" }, `a\n${BEGIN}x\n${END}`],
    ["updates in place", `a\n${BEGIN}old\nolder\n${END}b\n`, { block: "new" }, `a\n${BEGIN}new\n${END}b\n`],
    ["removes with absent", `a\n${BEGIN}old\n${END}b\n`, { block: "x", state: "absent" }, "a\nb\n"],
    ["removes when empty", `a\n${BEGIN}old\n${END}`, { block: "" }, "a\n"],
    ["inserts after a match", "a\nb\n", { block: "x", insertafter: "^a" }, `a\n${BEGIN}x\n${END}b\n`],
    [
      "inserts after the last match",
      "a\na\nb\n",
      { block: "x", insertafter: "^a" },
      `a\na\n${BEGIN}x\n${END}b\n`,
    ],
    ["inserts before a match", "a\nb\n", { block: "x", insertbefore: "^b" }, `a\n${BEGIN}x\n${END}b\n`],
    ["inserts at the beginning", "a\n", { block: "x", insertbefore: "BOF" }, `${BEGIN}x\n${END}a\n`],
    ["appends when nothing matches", "a\n", { block: "x", insertafter: "zz" }, `a\n${BEGIN}x\n${END}`],
    [
      "ignores insertafter for a block that is there",
      `${BEGIN}o\n${END}a\n`,
      { block: "x", insertafter: "^a" },
      `${BEGIN}x\n${END}a\n`,
    ],
    [
      "uses its own markers",
      "a\n",
      { block: "x", marker: "<!-- {mark} one -->", marker_begin: "<", marker_end: ">" },
      "a\n<!-- < one -->\nx\n<!-- > one -->\n",
    ],
    [
      "leaves other blocks alone",
      `${BEGIN}o\n${END}`,
      { block: "x", marker: "# {mark} b" },
      `${BEGIN}o\n${END}# BEGIN b\nx\n# END b\n`,
    ],
    [
      "keeps empty lines around it",
      "a\nb\n",
      { block: "x", insertafter: "^a", prepend_newline: true, append_newline: true },
      `a\n\n${BEGIN}x\n${END}\nb\n`,
    ],
    [
      "adds no second empty line, nor one at the end",
      "a\n\n",
      { block: "x", prepend_newline: true, append_newline: true },
      `a\n\n${BEGIN}x\n${END}`,
    ],
    [
      "finds a place of several lines",
      "a\nb\na\nc\na\nc\n",
      { block: "x", insertafter: "(?m)a\nc" },
      `a\nb\na\nc\n${BEGIN}x\n${END}a\nc\n`,
    ],
    [
      "goes before several lines",
      "a\nb\na\nc\n",
      { block: "x", insertbefore: "(?im)^A\nc" },
      `a\nb\n${BEGIN}x\n${END}a\nc\n`,
    ],
    [
      "finds no several lines in a single one",
      "a\nb\nc\n",
      { block: "x", insertafter: "a\nb" },
      `a\nb\nc\n${BEGIN}x\n${END}`,
    ],
    ["keeps indentation and $", "", { block: "  $1 \\1\n\n  y" }, `${BEGIN}  $1 \\1\n\n  y\n${END}`],
  ];
  it.each(cases)("%s", async (_name, before, params, after) => {
    writeFileSync(at("etc/conf"), before);
    const { check } = await checkApplyAgain(sandbox, blockinfile({ path, ...params }));
    expect(readFileSync(at("etc/conf"), "utf8")).toBe(after);
    expect(check.change?.diff).toEqual({ path, before, after });
  });
});

it("changes nothing when there is nothing to remove", async () => {
  expect((await run({ state: "absent" })).state).toBe("unchanged");
  writeFileSync(at("etc/conf"), "a");
  expect((await run({ state: "absent" })).state).toBe("unchanged");
  expect(readFileSync(at("etc/conf"), "utf8")).toBe("a");
});

it("makes the file and its directories when told to", async () => {
  await checkApplyAgain(sandbox, blockinfile({ path: "/etc/a/conf", block: "x", create: true }));
  expect(readFileSync(at("etc/a/conf"), "utf8")).toBe(`${BEGIN}x\n${END}`);
  await expect(run({ block: "x" })).rejects.toThrow("Path /etc/conf does not exist !");
  expect((await run({ block: "x" }, true)).state).toBe("unknown");
});

// As Ansible 2.14 does it.
it.each([
  [
    { marker: "# {mark}\n# mine" },
    "a\n# BEGIN\n# mine\nx\n# END\n# mine\n".repeat(2).replace(/(?!^)a\n/g, ""),
  ],
  [{ marker: "# mine" }, "a\n# mine\nx\n# mine\nx\n# mine\n"],
  [{ block: "# BEGIN ANSIBLE MANAGED BLOCK\nq" }, `a\n${BEGIN}${BEGIN}${BEGIN}q\n${END}`],
])("adds a block that it cannot find again once more: %j", async (params, after) => {
  writeFileSync(at("etc/conf"), "a\n");
  for (let times = 0; times < 2; times++)
    expect((await run({ block: "x", ...params })).state).toBe("changed");
  expect(readFileSync(at("etc/conf"), "utf8")).toBe(after);
});

it("says what Ansible says", async () => {
  writeFileSync(at("etc/conf"), "a\n");
  const first = await checkApplyAgain(sandbox, blockinfile({ path, block: "x", mode: "0600", backup: true }));
  expect(first.check.change?.data).toEqual({
    msg: "Block inserted and ownership, perms or SE linux context changed",
  });
  expect(first.first.data).toMatchObject({ backup_file: expect.stringMatching(/^\/etc\/conf\..*~$/) });
  expect(first.second.data).toEqual({ msg: "" });
  const gone = await checkApplyAgain(sandbox, blockinfile({ path, block: "" }));
  expect([gone.first.data, gone.second.data]).toEqual([{ msg: "Block removed" }, { msg: "" }]);
  expect((await run({ path: "/etc/new", block: "x", create: true })).data).toEqual({ msg: "File created" });
});

it("names wrong parameters", () => {
  expect(() => blockinfile({ path, block: "x", insertafter: "a", insertbefore: "b" })).toThrow(
    "mutually exclusive",
  );
  // @ts-expect-error a parameter that does not exist
  expect(() => blockinfile({ path, content: "x" })).toThrow('unknown parameter "content"');
});
