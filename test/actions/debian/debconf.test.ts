import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { debconf, parseAnswers } from "../../../src/actions/debian/debconf.ts";
import { dpkg_selections } from "../../../src/actions/debian/dpkg-selections.ts";
import { makeSandbox, pass } from "../harness.ts";

describe("debconf", () => {
  it("reads answers, and whether their questions were asked", () => {
    expect(parseAnswers("* foo/bool: true\n  foo/text: a: b  c\n* foo/empty:\n")).toEqual([
      { question: "foo/bool", value: "true", seen: true },
      { question: "foo/text", value: "a: b  c", seen: false },
      { question: "foo/empty", value: "", seen: true },
    ]);
  });

  it.each([
    [
      { name: "tzdata", question: "tzdata/Areas", value: "Asia" },
      /required together: question, vtype, value/,
    ],
    [{ name: "tzdata", vtype: "select" as const }, /required together/],
    [{ name: "x", question: "x/y", vtype: "string" as const, value: "a\nb" }, /must be one line/],
  ])("refuses %j", (given, message) => expect(() => debconf(given)).toThrow(message));
});

const isDebian = existsSync("/usr/bin/debconf-show");

// These read the answers and selections of the machine itself, which has its own dpkg and debconf.
describe.runIf(isDebian)("on a Debian machine", () => {
  it("debconf returns the answers, and a change with the one before", async () => {
    using sandbox = makeSandbox();
    const unknown = await pass(debconf({ name: "volley-nothing" }), sandbox.system, sandbox.context());
    expect(unknown).toMatchObject({ state: "unchanged", data: { current: {} } });
    const call = debconf({ name: "volley-nothing", question: "volley/q", vtype: "boolean", value: "True" });
    const { state, change } = await pass(call, sandbox.system, sandbox.context({ check: true }));
    expect(state).toBe("changed");
    expect(change).toMatchObject({
      line: "volley-nothing volley/q boolean true\n",
      data: { current: { "volley/q": "True" }, previous: { "volley/q": "" } },
    });
  });

  it("debconf shows no password", async () => {
    using sandbox = makeSandbox();
    mkdirSync(join(sandbox.root, "var/cache/debconf"), { recursive: true });
    writeFileSync(join(sandbox.root, "var/cache/debconf/passwords.dat"), "");
    const call = debconf({
      name: "volley-nothing",
      question: "volley/p",
      vtype: "password",
      value: "s3cret",
    });
    const { change } = await pass(call, sandbox.system, sandbox.context({ check: true }));
    const { line: _line, ...shown } = change as { readonly line: string } & object;
    expect(JSON.stringify(shown)).not.toContain("s3cret");
  });

  it("dpkg_selections compares with dpkg's own", async () => {
    using sandbox = makeSandbox();
    const found = await pass(
      dpkg_selections({ name: "dpkg", selection: "purge" }),
      sandbox.system,
      sandbox.context({ check: true }),
    );
    expect(found).toMatchObject({
      state: "changed",
      change: { data: { before: "install", after: "purge" } },
    });
    const known = dpkg_selections({ name: "dpkg", selection: "install" });
    expect((await pass(known, sandbox.system, sandbox.context())).state).toBe("unchanged");
  });
});
