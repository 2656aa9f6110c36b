import { mkdirSync, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { tempfile } from "../../../src/actions/files/tempfile.ts";
import { makeSandbox, pass, type Sandbox, snapshot } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("tmp"));
  mkdirSync(at("srv"));
});
afterEach(() => sandbox[Symbol.dispose]());

it.each(["file", "directory"] as const)(
  "makes a %s with a new name each time, for its user alone",
  async (state) => {
    const call = tempfile({ state, path: "/srv", prefix: "x", suffix: ".y" });
    const before = snapshot(sandbox.root);
    const check = await pass(call, sandbox.system, sandbox.context({ check: true }));
    expect(check.state).toBe("unknown");
    expect(snapshot(sandbox.root)).toEqual(before);
    const [first, second] = [
      await pass(call, sandbox.system, sandbox.context()),
      await pass(call, sandbox.system, sandbox.context()),
    ];
    expect([first.state, second.state]).toEqual(["changed", "changed"]);
    expect(readdirSync(at("srv")).sort()).toEqual(
      [first, second].map(({ data }) => basename(data!.path)).sort(),
    );
    expect(first.data).toMatchObject({
      path: expect.stringMatching(/^\/srv\/x[a-z0-9_]{8}\.y$/),
      state,
      uid: process.getuid!(),
      mode: state === "file" ? "0600" : "0700",
    });
    const made = statSync(at(first.data!.path));
    expect(made.isDirectory()).toBe(state === "directory");
    expect(made.mode & 0o7777).toBe(state === "file" ? 0o600 : 0o700);
  },
);

it("takes the host's directory for temporary files", async () => {
  const { data } = await pass(tempfile({}), sandbox.system, sandbox.context());
  expect(data?.path).toMatch(/^\/tmp\/ansible\.[a-z0-9_]{8}$/);
  expect(readdirSync(at("tmp"))).toEqual([basename(data!.path)]);
});

it("fails without the directory, and refuses names with a slash", async () => {
  const call = tempfile({ path: "/nope" });
  await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow("no directory /nope");
  expect(() => tempfile({ prefix: "../x" })).toThrow('parameter "prefix"');
});
