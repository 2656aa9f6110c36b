import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { subversion } from "../../../src/actions/source/subversion.ts";
import { createLocalSystem } from "../../../src/system/local/local-system.ts";
import { withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;

beforeEach(() => {
  sandbox = makeSandbox();
  return () => sandbox[Symbol.dispose]();
});

describe.runIf(spawnSync("svnadmin", ["--version"]).status === 0)("subversion", () => {
  // Svn takes paths as arguments: they are those of the machine.
  const system = createLocalSystem();
  let repo: string;
  let dest: string;
  const svn = (...args: string[]): void => {
    const { status, stderr } = spawnSync("svn", ["--non-interactive", ...args], { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(status).toBe(0);
  };
  const commit = (content: string): void => {
    const work = join(sandbox.root, "..", "work");
    rmSync(work, { recursive: true, force: true });
    svn("checkout", "--quiet", `${repo}/trunk`, work);
    const isNew = !existsSync(join(work, "file"));
    writeFileSync(join(work, "file"), content);
    if (isNew) svn("add", "--quiet", join(work, "file"));
    svn("commit", "--quiet", "-m", content, work);
  };
  const whole = () => ({ ...sandbox, system });
  const file = (): string => readFileSync(join(dest, "file"), "utf8");

  beforeEach(() => {
    const path = join(sandbox.root, "..", "repository");
    spawnSync("svnadmin", ["create", path]);
    repo = `file://${path}`;
    dest = join(sandbox.root, "copy");
    svn("mkdir", "--quiet", "-m", "begin", `${repo}/trunk`, `${repo}/branch`);
    commit("one");
  });

  it("checks out once, and follows", async () => {
    const call = subversion({ repo: `${repo}/trunk`, dest });
    const { first } = await checkApplyAgain(whole(), call);
    expect(first.data).toEqual({ before: null, after: ["Revision: 2", `URL: ${repo}/trunk`] });
    commit("two");
    const { first: updated } = await checkApplyAgain(whole(), call);
    expect(updated.data).toEqual({
      before: ["Revision: 2", `URL: ${repo}/trunk`],
      after: ["Revision: 3", `URL: ${repo}/trunk`],
    });
    expect(file()).toBe("two");
    await checkApplyAgain(whole(), subversion({ repo: `${repo}/trunk`, dest, revision: "2" }));
    expect(file()).toBe("one");
    await checkApplyAgain(whole(), subversion({ repo: `${repo}/branch`, dest }));
    expect(existsSync(join(dest, "file"))).toBe(false);
  });

  it("keeps local modifications, unless forced", async () => {
    await pass(subversion({ repo: `${repo}/trunk`, dest }), system, sandbox.context());
    writeFileSync(join(dest, "file"), "mine");
    const call = subversion({ repo: `${repo}/trunk`, dest });
    await expect(pass(call, system, sandbox.context())).rejects.toThrow(
      "modified files exist in the repository",
    );
    await checkApplyAgain(whole(), subversion({ repo: `${repo}/trunk`, dest, force: true }));
    expect(file()).toBe("one");
  });

  it("exports, and tells of a remote revision", async () => {
    const exported = subversion({ repo: `${repo}/trunk`, dest, export: true });
    expect((await pass(exported, system, sandbox.context())).state).toBe("changed");
    expect(existsSync(join(dest, ".svn"))).toBe(false);
    await expect(pass(exported, system, sandbox.context())).rejects.toThrow(/exists already/);
    const remote = subversion({ repo: `${repo}/trunk`, checkout: false, update: false });
    expect((await pass(remote, system, sandbox.context())).data).toEqual({
      after: `Revision: 2\nURL: ${repo}/trunk`,
    });
    await expect(
      pass(subversion({ repo: `${repo}/trunk`, dest }), system, sandbox.context()),
    ).rejects.toThrow(/not a subversion repository/);
  });
});

describe("subversion without svn", () => {
  it("is refused, and unknown in check mode", async () => {
    const { system } = withTools(sandbox, { svn: null });
    const call = subversion({ repo: "https://x.example/y", dest: "/z" });
    await expect(pass(call, system, sandbox.context())).rejects.toThrow(/subversion is not installed/);
    expect((await pass(call, system, sandbox.context({ check: true }))).change?.unknown).toMatch(
      /not installed/,
    );
  });

  it("gives the password on standard input", async () => {
    mkdirSync(join(sandbox.root, "copy"));
    const tools = withTools(sandbox, {
      svn: 'cat >"$ROOT/../stdin"; echo "Revision: 1"; echo "URL: https://x.example/y"',
    });
    const call = subversion({
      repo: "https://x.example/y",
      dest: "/copy",
      username: "ann",
      password: "s3cret",
    });
    await pass(call, tools.system, sandbox.context());
    expect(readFileSync(join(sandbox.root, "..", "stdin"), "utf8")).toBe("s3cret");
    expect(tools.calls().join("\n")).toContain("--username=ann --password-from-stdin");
    expect(tools.calls().join("\n")).not.toContain("s3cret");
  });

  it("needs dest", () => {
    expect(() => subversion({ repo: "https://x.example/y" })).toThrow(
      /the destination directory must be specified/,
    );
  });
});
