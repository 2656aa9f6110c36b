import { describe, expect, test } from "vitest";
import { group } from "../../src/actions/accounts/group.ts";
import { user } from "../../src/actions/accounts/user.ts";
import { apt } from "../../src/actions/debian/apt.ts";
import { copy } from "../../src/actions/files/copy.ts";
import { file } from "../../src/actions/files/file.ts";
import { template } from "../../src/actions/files/template.ts";
import { unarchive } from "../../src/actions/files/unarchive.ts";
import { assert } from "../../src/actions/flow/assert.ts";
import { debug } from "../../src/actions/flow/debug.ts";
import { fail } from "../../src/actions/flow/fail.ts";
import { noop } from "../../src/actions/flow/noop.ts";
import { failureData } from "../../src/core/action.ts";
import { makeSandbox, pass } from "./harness.ts";

describe("debug", () => {
  const show = async (call: ReturnType<typeof debug>, vars: Record<string, unknown> = {}) => {
    using sandbox = makeSandbox();
    const { state, inspected, data } = await pass(
      call,
      sandbox.system,
      sandbox.context({ vars, check: true }),
    );
    return { state, message: inspected?.message, data, output: sandbox.output.join("") };
  };

  test("shows a message", async () => {
    expect(await show(debug({ msg: "hello" }))).toEqual({
      state: "unchanged",
      message: "hello",
      data: { msg: "hello" },
      output: "",
    });
    expect(await show(debug("short"))).toMatchObject({ data: { msg: "short" } });
    expect(await show(debug({}))).toMatchObject({ message: "Hello world!" });
  });

  test("shows what is longer than a line as output", async () => {
    const shown = await show(debug({ msg: { a: 1 } }));
    expect(shown).toMatchObject({ message: "{ …", data: { msg: { a: 1 } } });
    expect(shown.output).toBe('{\n  "a": 1\n}\n');
  });

  test("shows a variable, by a path", async () => {
    const vars = { users: [{ name: "alice", "the home": "/h" }] };
    expect(await show(debug({ var: "users[0].name" }), vars)).toMatchObject({
      message: "users[0].name: alice",
      data: { "users[0].name": "alice" },
    });
    expect(await show(debug({ var: "users[0]['the home']" }), vars)).toMatchObject({
      message: expect.stringContaining("/h"),
    });
    expect(await show(debug({ var: "users[1].name" }), vars)).toMatchObject({
      message: "users[1].name: VARIABLE IS NOT DEFINED!",
    });
    expect(await show(debug({ var: "constructor" }), vars)).toMatchObject({
      message: expect.stringContaining("NOT DEFINED"),
    });
  });

  test("is skipped below its verbosity", async () => {
    expect(await show(debug({ msg: "x", verbosity: 2 }))).toMatchObject({ state: "skipped" });
    expect(await show(debug({ msg: "x", verbosity: 2 }), { ansible_verbosity: 3 })).toMatchObject({
      state: "unchanged",
    });
  });

  test("takes msg or var", () => {
    expect(() => debug({ msg: "x", var: "y" })).toThrow("'msg' and 'var' are incompatible options");
    // @ts-expect-error: a misspelt parameter
    expect(() => debug({ mgs: "x" })).toThrow(/unknown parameter "mgs"; did you mean "msg"\?/);
  });
});

describe("wrong parameters", () => {
  const dest = "/etc/x";
  // As from plain JavaScript, or from vars: the types would not let most of these through.
  const untyped = (call: unknown, params: unknown) => () => (call as (params: unknown) => unknown)(params);

  test.each([
    [
      file,
      { path: dest, state: "dir" },
      'file: parameter "state": must be "file", "directory", "touch", "link", "hard", "absent", not "dir"',
    ],
    [copy, { content: 5, dest }, 'copy: parameter "content": must be string, Array, Object, not 5'],
    [copy, "x", 'copy: must be Object, not "x"'],
    [
      template,
      { src: "x", dest, newline_sequence: "\t" },
      'template: parameter "newline_sequence": must be "\\n", "\\r", "\\r\\n", not "\t"',
    ],
  ])("are told on one line (%#)", (call, params, message) => {
    expect(untyped(call, params)).toThrow(expect.objectContaining({ code: "PARAMS_INVALID", message }));
  });

  test.each([
    [
      644,
      'copy: parameter "mode": mode 644 is a decimal number, not octal; write "0644" (in TypeScript also 0o644), or "1204" if the number itself is meant',
    ],
    [0o10000, 'copy: parameter "mode": mode 4096 is out of range; it goes from 0 to 0o7777'],
    [
      "rw-r--r--",
      'copy: parameter "mode": mode "rw-r--r--" is not one chmod knows; write "0644" or "u=rw,g=r,o="',
    ],
  ])("a mode that is none is found when the task is declared (%j)", (mode, message) => {
    expect(() => copy({ content: "", dest, mode })).toThrow(
      expect.objectContaining({ code: "PARAMS_INVALID", message }),
    );
    expect(() => copy({ src: "tree/", dest, directory_mode: mode })).toThrow(/parameter "directory_mode"/);
  });

  test("preserve is a mode only where something has one to preserve", () => {
    expect(copy({ src: "x", dest, mode: "preserve" }).params.mode).toBe("preserve");
    expect(() => file({ path: dest, mode: "preserve" })).toThrow(/parameter "mode"/);
  });

  test("no name is taken for an option", () => {
    expect(() => group({ name: "-f" })).toThrow('group: parameter "name": must not begin with a dash');
    expect(() => user({ name: "--root=/srv" })).toThrow('user: parameter "name": must not begin with a dash');
  });

  test("what excludes each other is not given together", () => {
    expect(() => unarchive({ src: "x.tar", dest, include: ["a"], exclude: ["b"] })).toThrow(
      "unarchive: parameters are mutually exclusive: include|exclude",
    );
    expect(() => apt({ name: "a", deb: "/x.deb" })).toThrow(
      "apt: parameters are mutually exclusive: deb|package|upgrade",
    );
    expect(() => apt({ name: "a", upgrade: "dist" })).toThrow(
      "apt: parameters are mutually exclusive: deb|package|upgrade",
    );
  });
});

describe("fail", () => {
  test.each([true, false])("fails with its message, also in check mode (%s)", async (check) => {
    using sandbox = makeSandbox();
    for (const call of [fail({ msg: "no luck" }), fail("no luck")]) {
      await expect(pass(call, sandbox.system, sandbox.context({ check }))).rejects.toMatchObject({
        code: "ACTION_FAILED",
        message: "no luck",
      });
    }
  });
});

describe("assert", () => {
  const tryOut = (call: ReturnType<typeof assert>) => {
    const sandbox = makeSandbox();
    return pass(call, sandbox.system, sandbox.context()).finally(() => sandbox[Symbol.dispose]());
  };

  test("passes when all hold, functions asked only then", async () => {
    let ready = false;
    const call = assert({ that: [true, [() => ready, "it is ready"], async () => true] });
    ready = true;
    expect(await tryOut(call)).toMatchObject({
      state: "unchanged",
      inspected: { message: "All assertions passed" },
    });
    expect((await tryOut(assert({ that: true, quiet: true }))).inspected).toBeNull();
    expect(await tryOut(assert({ that: () => true, success_msg: "good" }))).toMatchObject({
      data: { msg: "good" },
    });
  });

  test("says which does not hold", async () => {
    const thrown = await tryOut(assert({ that: [true, [() => false, "it is ready"]] })).catch(
      (error: unknown) => error,
    );
    expect(thrown).toMatchObject({
      code: "ACTION_FAILED",
      message: "assertion failed: it is ready does not hold",
    });
    expect(failureData(thrown)).toEqual({ assertion: "it is ready", evaluated_to: false });
    await expect(tryOut(assert({ that: [true, false] }))).rejects.toThrow("condition 2 of 2 does not hold");
    await expect(tryOut(assert({ that: false, fail_msg: "too small" }))).rejects.toThrow(/^too small$/);
    await expect(tryOut(assert({ that: false, msg: "too small" }))).rejects.toThrow(/^too small$/);
  });

  test("takes no strings for conditions", () => {
    // @ts-expect-error: an expression of Ansible's
    expect(() => assert({ that: ["x is defined"] })).toThrow(/assert: parameter "that/);
  });
});

test("noop changes only when told", async () => {
  using sandbox = makeSandbox();
  expect(await pass(noop({}), sandbox.system, sandbox.context())).toMatchObject({ state: "unchanged" });
  const call = noop({ changed: true, message: "moved" });
  expect(await pass(call, sandbox.system, sandbox.context({ check: true }))).toMatchObject({
    state: "changed",
  });
  expect(await pass(call, sandbox.system, sandbox.context())).toMatchObject({
    state: "changed",
    applied: { message: "moved" },
  });
});
