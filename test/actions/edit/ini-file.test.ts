import { existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ini_file } from "../../../src/actions/edit/ini-file.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

type Given = Omit<Parameters<typeof ini_file>[0], "path">;

const path = "/etc/f.ini";
let sandbox: Sandbox;
const at = (name: string): string => join(sandbox.root, name);
const content = (): string => readFileSync(at("etc/f.ini"), "utf8");

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc"));
});
afterEach(() => sandbox[Symbol.dispose]());

/** Return the text after an edit, or null when nothing was to be done. */
const edit = async (before: string, given: Given): Promise<string | null> => {
  writeFileSync(at("etc/f.ini"), before);
  const call = ini_file({ path, ...given });
  const first = await pass(call, sandbox.system, sandbox.context());
  const second = await pass(call, sandbox.system, sandbox.context());
  expect(second.state).toBe("unchanged");
  return first.state === "unchanged" ? null : content();
};
const drinks = { section: "drinks", option: "fav" } as const;

it("makes the file with its directory, section and option, once", async () => {
  const call = ini_file({ path: "/etc/new/f.ini", ...drinks, value: "lemonade", mode: "0600" });
  const { check, first, second } = await checkApplyAgain(sandbox, call);
  expect(check.change?.diff).toMatchObject({ before: null, after: "\n[drinks]\nfav = lemonade\n" });
  expect(check.change?.data).toEqual({ path: "/etc/new/f.ini", msg: "section and option added" });
  expect(first.data).toMatchObject({ path: "/etc/new/f.ini", mode: "0600", state: "file" });
  expect(first.applied?.message).toBe("section and option added");
  expect(second.data).toEqual(first.data);
});

describe("one value", () => {
  it.each([
    ["changed", "[drinks]\nfav = coke\n[x]\nfav = y\n", {}, "[drinks]\nfav = lemonade\n[x]\nfav = y\n"],
    ["as wanted", "[drinks]\nfav = lemonade\n", {}, null],
    ["spaces are mended", "[drinks]\n fav=lemonade\n", {}, "[drinks]\nfav = lemonade\n"],
    ["spaces are left", "[drinks]\n fav=lemonade\n", { ignore_spaces: true }, null],
    ["no spaces", "[drinks]\nfav = lemonade\n", { no_extra_spaces: true }, "[drinks]\nfav=lemonade\n"],
    ["a comment becomes it", "[drinks]\n# fav = x\n", {}, "[drinks]\nfav = lemonade\n"],
    [
      "a comment stays",
      "[drinks]\n#fav = x\n",
      { modify_inactive_option: false },
      "[drinks]\nfav = lemonade\n#fav = x\n",
    ],
    ["the active line wins", "[drinks]\n;fav = lemonade\nfav = lemonade\n", {}, null],
    ["others go", "[drinks]\nfav = a\nfav = lemonade\nfav = b\n", {}, "[drinks]\nfav = lemonade\n"],
    [
      "behind the last option",
      "[drinks]\na = b\n# c\n\n[x]\n",
      {},
      "[drinks]\na = b\nfav = lemonade\n# c\n\n[x]\n",
    ],
    ["a section is added", "[x]\na = b\n", {}, "[x]\na = b\n[drinks]\nfav = lemonade\n"],
    ["no newline at the end", "[drinks]\nfav = lemonade", {}, "[drinks]\nfav = lemonade\n"],
    ["CR LF stays", "[drinks]\r\na = b\r\n", {}, "[drinks]\r\na = b\r\nfav = lemonade\r\n"],
    ["a mark goes with a change", "\ufeff[drinks]\n", {}, "[drinks]\nfav = lemonade\n"],
    ["a mark alone is nothing", "\ufeff[drinks]\nfav = lemonade\n", {}, null],
    ["spaces in the header", "[ drinks ]\n", {}, "[ drinks ]\nfav = lemonade\n"],
    [
      "an option's name is no pattern",
      "[drinks]\nfaX = 1\n",
      { option: "fa." },
      "[drinks]\nfaX = 1\nfa. = lemonade\n",
    ],
    ["before the first section", "[x]\n", { section: undefined }, "fav = lemonade\n[x]\n"],
  ] as const)("%s", async (_name, before, given, after) => {
    expect(await edit(before, { ...drinks, value: "lemonade", ...given } as Given)).toBe(after);
  });
});

describe("several values", () => {
  const values = ["a", "b"];
  it.each([
    ["", {}, "\n[drinks]\nfav = a\nfav = b\n"],
    ["[drinks]\nfav = b\n", {}, "[drinks]\nfav = b\nfav = a\n"],
    ["[drinks]\nfav = x\nfav = b\nfav = y\n", {}, "[drinks]\nfav = a\nfav = b\n"],
    ["[drinks]\nfav = x\n#fav = b\n", { exclusive: false }, "[drinks]\nfav = x\nfav = b\nfav = a\n"],
    ["[drinks]\nfav = x\nfav = b\n", { exclusive: false, state: "absent" }, "[drinks]\nfav = x\n"],
  ] as const)("%j %j", async (before, given, after) => {
    expect(await edit(before, { ...drinks, values, ...given })).toBe(after);
  });
});

describe("without a value", () => {
  it.each([
    ["[drinks]\n", { allow_no_value: true }, "[drinks]\nfav\n"],
    ["[drinks]\nfav = x\n", { allow_no_value: true }, "[drinks]\nfav\n"],
    ["[drinks]\nfav = x\n", { value: "" }, "[drinks]\nfav = \n"],
    ["[drinks]\n", { option: undefined }, null],
    ["[x]\n", { option: undefined }, "[x]\n[drinks]\n"],
  ] as const)("%j %j", async (before, given, after) => {
    expect(await edit(before, { ...drinks, ...given } as Given)).toBe(after);
  });

  it("is refused where a value is needed", () => {
    expect(() => ini_file({ path, ...drinks })).toThrow("'value(s)' must be defined if state=present");
    expect(() => ini_file({ path, ...drinks, value: "a", values: ["b"] })).toThrow("mutually exclusive");
  });
});

describe("removal", () => {
  it.each([
    ["[drinks]\nfav = a\n#fav = c\nx = y\nfav = b\n", {}, "[drinks]\n#fav = c\nx = y\n"],
    ["[drinks]\nx = y\n", {}, null],
    ["[x]\nfav = a\n", {}, null],
    ["[x]\n[drinks]\nfav = a\n\n[y]\n", { option: undefined }, "[x]\n[y]\n"],
    ["[x]\n", { option: undefined }, null],
  ] as const)("%j %j", async (before, given, after) => {
    expect(await edit(before, { ...drinks, state: "absent", ...given } as Given)).toBe(after);
  });

  it("makes no file", async () => {
    const call = ini_file({ path, ...drinks, state: "absent" });
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("unchanged");
    expect(existsSync(at("etc/f.ini"))).toBe(false);
  });
});

describe("sections of the same name", () => {
  const before = "[peer]\nkey = 1\nip = a\n[peer]\nkey = 2\nip = b\n";
  const given = { section: "peer", section_has_values: [{ option: "key", value: "2" }] };
  it.each([
    [{ ...given, option: "ip", value: "c" }, "[peer]\nkey = 1\nip = a\n[peer]\nkey = 2\nip = c\n"],
    [{ ...given, state: "absent" }, "[peer]\nkey = 1\nip = a\n"],
    [{ ...given, option: "ip", state: "absent" }, "[peer]\nkey = 1\nip = a\n[peer]\nkey = 2\n"],
    [
      { section: "peer", section_has_values: [{ option: "key", values: ["3"] }], option: "ip", value: "c" },
      `${before}[peer]\nkey = 3\nip = c\n`,
    ],
    [{ section: "peer", section_has_values: [{ option: "key", value: "3" }], state: "absent" }, null],
  ] as const)("%j", async (params, after) => {
    expect(await edit(before, params as unknown as Given)).toBe(after);
  });
});

it("replaces a link, or follows it", async () => {
  writeFileSync(at("etc/target"), "[drinks]\nfav = a\n");
  symlinkSync("target", at("etc/f.ini"));
  await checkApplyAgain(sandbox, ini_file({ path, ...drinks, value: "b", follow: true, backup: true }));
  expect(lstatSync(at("etc/f.ini")).isSymbolicLink()).toBe(true);
  expect(readFileSync(at("etc/target"), "utf8")).toBe("[drinks]\nfav = b\n");
  const kept = await pass(ini_file({ path, ...drinks, value: "b" }), sandbox.system, sandbox.context());
  expect(kept.state).toBe("unchanged");
  await checkApplyAgain(sandbox, ini_file({ path, ...drinks, value: "c" }));
  expect(lstatSync(at("etc/f.ini")).isSymbolicLink()).toBe(false);
  expect(readFileSync(at("etc/target"), "utf8")).toBe("[drinks]\nfav = b\n");
});

it("fails without the file where it may not make one", async () => {
  const call = ini_file({ path, ...drinks, value: "x", create: false });
  await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow(
    "Path /etc/f.ini does not exist",
  );
});
