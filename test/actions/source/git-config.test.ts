import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { git_config } from "../../../src/actions/source/git-config.ts";
import { withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;

beforeEach(() => {
  sandbox = makeSandbox();
  return () => sandbox[Symbol.dispose]();
});

/** git itself, on a file of the sandbox. */
const GIT = {
  git: `cd /; for word; do shift; case $word in /settings) word=$ROOT/settings;; esac; set -- "$@" "$word"; done; exec /usr/bin/git "$@"`,
};

describe("git_config", () => {
  it("sets, adds to and removes a setting of a file", async () => {
    const { system } = withTools(sandbox, GIT);
    const host = { ...sandbox, system };
    const given = { name: "remote.origin.push", scope: "file", file: "/settings" } as const;
    const { check, first } = await checkApplyAgain(host, git_config({ ...given, value: "one" }));
    expect(check.change?.data).toEqual({ msg: "setting changed" });
    expect(first.data).toEqual({ msg: "setting changed" });
    expect(check.change?.diff).toEqual({
      path: "git setting remote.origin.push",
      before: null,
      after: "one\n",
    });
    await checkApplyAgain(host, git_config({ ...given, value: "two", add_mode: "add" }));
    expect(readFileSync(join(sandbox.root, "settings"), "utf8")).toMatch(/push = one\n\s+push = two\n/);
    const read = await pass(
      git_config({ name: given.name, scope: "file", file: "/settings" }),
      system,
      sandbox.context(),
    );
    expect(read.data).toEqual({ config_value: "two", msg: "" });
    const all = await pass(
      git_config({ list_all: true, scope: "file", file: "/settings" }),
      system,
      sandbox.context(),
    );
    expect(all.data).toEqual({ config_values: { "remote.origin.push": "two" }, msg: "" });
    await checkApplyAgain(host, git_config({ ...given, value: "three" }));
    await checkApplyAgain(host, git_config({ ...given, state: "absent" }));
    expect(readFileSync(join(sandbox.root, "settings"), "utf8")).not.toContain("push");
  });

  it("reads nothing as an empty value, and tells what git says of a broken file", async () => {
    const { system } = withTools(sandbox, GIT);
    const read = () =>
      pass(git_config({ name: "user.name", scope: "file", file: "/settings" }), system, sandbox.context());
    expect((await read()).data).toEqual({ config_value: "", msg: "" });
    mkdirSync(join(sandbox.root, "etc"), { recursive: true });
    writeFileSync(join(sandbox.root, "settings"), "[broken\n");
    await expect(read()).rejects.toThrow(/cannot read git's settings: .*bad config/);
  });

  it("needs a scope to set, and the place that the scope is of", () => {
    expect(() => git_config({ name: "a.b", value: "c" })).toThrow("give scope");
    expect(() => git_config({ name: "a.b", scope: "local" })).toThrow('scope "local" needs repo');
    expect(() => git_config({ scope: "global" })).toThrow("give either name or list_all");
  });
});
