import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { assemble } from "../../../src/actions/files/assemble.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("fr/sub"), { recursive: true });
  mkdirSync(join(sandbox.role, "files/fr/sub"), { recursive: true });
  for (const directory of [at("fr"), join(sandbox.role, "files/fr")])
    for (const [path, content] of Object.entries({
      ...{ a: "one", b: "two\n", "c.conf": "three", ".h": "hid\n", "sub/x": "four\n" },
    }))
      writeFileSync(join(directory, path), content);
});
afterEach(() => sandbox[Symbol.dispose]());

const result = async (params: Omit<Parameters<typeof assemble>[0], "src" | "dest">): Promise<string> => {
  await pass(assemble({ src: "/fr", dest: "/out", ...params }), sandbox.system, sandbox.context());
  return readFileSync(at("out"), "utf8");
};

it("joins the fragments, once", async () => {
  const { check, first, second } = await checkApplyAgain(
    sandbox,
    assemble({ src: "/fr", dest: "/out", mode: "0600" }),
  );
  expect(readFileSync(at("out"), "utf8")).toBe("hid\none\ntwo\nthree");
  expect(check.change?.diff).toMatchObject({ path: "/out", before: null, after: "hid\none\ntwo\nthree" });
  const sum = (algorithm: string): string =>
    createHash(algorithm).update("hid\none\ntwo\nthree").digest("hex");
  expect(first.data).toMatchObject({
    ...{ src: "/fr", dest: "/out", mode: "0600", state: "file", size: 17, uid: process.getuid!() },
    ...{ checksum: sum("sha1"), md5sum: sum("md5") },
  });
  expect(second.data).toEqual(first.data);
});

it.each([
  [{ ignore_hidden: true }, "one\ntwo\nthree"],
  [{ regexp: "[ab]$", delimiter: "--" }, "one\n--\ntwo\n"],
  [{ regexp: "^[ab]$", delimiter: "#\\tq\\x41\\q\\n" }, "one\n#\tqA\\q\ntwo\n"],
  [{ regexp: "nothing" }, ""],
] as const)("%j", async (params, expected) => {
  expect(await result(params)).toBe(expected);
});

it("gives an empty fragment a line of its own", async () => {
  writeFileSync(at("fr/a"), "");
  expect(await result({ ignore_hidden: true, delimiter: "#" })).toBe("\n#\ntwo\n#\nthree");
});

it("takes the fragments of the role", async () => {
  await checkApplyAgain(sandbox, assemble({ src: "fr", dest: "/out", remote_src: false, regexp: "[^h]$" }));
  expect(readFileSync(at("out"), "utf8")).toBe("one\ntwo\nthree");
});

it("replaces a link, and keeps a backup", async () => {
  writeFileSync(at("target"), "old");
  symlinkSync("target", at("out"));
  await result({});
  expect(lstatSync(at("out")).isSymbolicLink()).toBe(false);
  expect(readFileSync(at("target"), "utf8")).toBe("old");
  writeFileSync(at("out"), "changed");
  const { data } = await pass(
    assemble({ src: "/fr", dest: "/out", backup: true }),
    sandbox.system,
    sandbox.context(),
  );
  expect(readFileSync(at(data!.backup_file!), "utf8")).toBe("changed");
});

it("leaves the file where its command rejects the content", async () => {
  const call = assemble({ src: "/fr", dest: "/out", validate: "false %s" });
  await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow("rejects the new content");
  expect(existsSync(at("out"))).toBe(false);
  expect(readdirSync(sandbox.root)).toContain("fr");
});

it.each([
  ["/nope", true, "Source (/nope) does not exist"],
  ["/fr/a", true, "Source (/fr/a) is not a directory"],
  ["fr/a", false, "is not a directory"],
  ["nope", false, "nope"],
])("fails without a directory: %s", async (src, remote_src, message) => {
  const call = assemble({ src, dest: "/out", remote_src });
  await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow(message);
});
