import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { git } from "../../../src/actions/source/git.ts";
import { gitEnvironment, hidePassword } from "../../../src/actions/source/git-repository.ts";
import { createLocalSystem } from "../../../src/system/local/local-system.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox, snapshot } from "../harness.ts";

const IDENTITY = {
  GIT_AUTHOR_NAME: "a",
  GIT_AUTHOR_EMAIL: "a@example.org",
  GIT_COMMITTER_NAME: "a",
  GIT_COMMITTER_EMAIL: "a@example.org",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_ALLOW_PROTOCOL: "file",
};
const run = (cwd: string, ...args: string[]): string =>
  execFileSync("git", args, {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...IDENTITY },
  }).trim();

let template: string | undefined;
afterAll(() => {
  if (template !== undefined) rmSync(template, { recursive: true });
});

/** A repository with a first commit, which others are copies of: git would take four processes for each. */
function templateRepository(): string {
  if (template !== undefined) return template;
  template = mkdtempSync(join(tmpdir(), "volley-git-"));
  run(template, "init", "--quiet", "--template=", "--initial-branch", "main");
  commitIn(template, "one");
  return template;
}

function commitIn(path: string, content: string): string {
  writeFileSync(join(path, "file"), content);
  run(path, "add", "file");
  run(path, "commit", "--quiet", "--message", content);
  return run(path, "rev-parse", "HEAD");
}

/** A repository beside the sandbox's root, with a first commit. */
function makeRepository(sandbox: Sandbox, name = "origin") {
  const path = join(sandbox.root, "..", name);
  cpSync(templateRepository(), path, { recursive: true });
  const first = readFileSync(join(path, ".git/refs/heads/main"), "utf8").trim();
  return { path, commit: (content: string) => commitIn(path, content), first };
}

const copied = (sandbox: Sandbox): string => readFileSync(join(sandbox.root, "srv/copy/file"), "utf8");
const state = async (sandbox: Sandbox, call: ReturnType<typeof git>, check = false) =>
  (await pass(call, sandbox.system, sandbox.context({ check }))).state;

describe("git", () => {
  test("clones once, with missing directories on the way", async () => {
    using sandbox = makeSandbox();
    const { path, first } = makeRepository(sandbox);
    const {
      check,
      first: applied,
      second,
    } = await checkApplyAgain(sandbox, git({ repo: path, dest: "/srv/copy" }));
    expect(check.change?.diff).toEqual({ path: "/srv/copy", before: null, after: `${first}\n` });
    expect(applied.data).toEqual({ before: null, after: first });
    expect(second.data).toEqual({ before: first, after: first, remote_url_changed: false });
    expect(check.change?.data).toEqual({ before: null, after: first });
    expect(copied(sandbox)).toBe("one");
    expect(run(join(sandbox.root, "srv/copy"), "branch", "--show-current")).toBe("main");
  });

  test("clones into the home of a user", async () => {
    using sandbox = makeSandbox();
    mkdirSync(join(sandbox.root, "etc"));
    writeFileSync(join(sandbox.root, "etc/passwd"), "kim:x:1:1::/srv:/bin/sh\n");
    const { path, first } = makeRepository(sandbox);
    const call = git({ repo: path, dest: "~kim/copy" });
    const { check } = await checkApplyAgain(sandbox, call);
    expect(check.change?.diff).toEqual({ path: "/srv/copy", before: null, after: `${first}\n` });
    expect(copied(sandbox)).toBe("one");
  });

  test("follows its branch, also when that was rewritten", async () => {
    using sandbox = makeSandbox();
    const { path, commit, first } = makeRepository(sandbox);
    const call = git({ repo: path, dest: "/srv/copy", version: "main" });
    await state(sandbox, call);
    const second = commit("two");
    const { check, first: applied } = await checkApplyAgain(sandbox, call);
    expect(check.change?.diff).toEqual({ path: "/srv/copy", before: `${first}\n`, after: `${second}\n` });
    expect(applied.data).toEqual({ before: first, after: second, remote_url_changed: false });
    expect(copied(sandbox)).toBe("two");
    run(path, "reset", "--quiet", "--hard", first);
    commit("three");
    await checkApplyAgain(sandbox, call);
    expect(copied(sandbox)).toBe("three");
    commit("four");
    expect(await state(sandbox, git({ repo: path, dest: "/srv/copy", update: false }))).toBe("unchanged");
    expect(copied(sandbox)).toBe("three");
  });

  test.each([false, true])("takes a tag and a branch of one name apart, bare: %s", async (bare) => {
    using sandbox = makeSandbox();
    const { path, commit, first } = makeRepository(sandbox);
    run(path, "tag", "--annotate", "dev", "--message", "dev");
    run(path, "checkout", "--quiet", "-b", "dev");
    const second = commit("two");
    expect(second).not.toBe(first);
    const call = (version: string, name: string) => git({ repo: path, dest: `/srv/${name}`, version, bare });
    for (const [version, expected] of [
      ["refs/tags/dev", first],
      ["refs/heads/dev", second],
      ["dev", second],
    ] as const) {
      const name = version.replaceAll("/", "-");
      const { first: applied } = await checkApplyAgain(sandbox, call(version, name));
      expect(applied.data).toMatchObject({ after: expected });
      if (!bare) expect(run(join(sandbox.root, "srv", name), "rev-parse", "HEAD")).toBe(expected);
    }
    if (bare) return;
    // From one to the other, in one copy; and with little of the history.
    expect(await state(sandbox, call("refs/tags/dev", "dev"))).toBe("changed");
    expect(run(join(sandbox.root, "srv/dev"), "rev-parse", "HEAD")).toBe(first);
    const shallow = git({ repo: `file://${path}`, dest: "/srv/shallow", version: "refs/tags/dev", depth: 1 });
    await checkApplyAgain(sandbox, shallow);
    expect(run(join(sandbox.root, "srv/shallow"), "rev-parse", "HEAD")).toBe(first);
  });

  test.skipIf(process.getuid?.() !== 0)("says what to do about another user's copy", async () => {
    using sandbox = makeSandbox();
    const { path } = makeRepository(sandbox);
    const call = git({ repo: path, dest: "/srv/copy" });
    await state(sandbox, call);
    const copy = join(sandbox.root, "srv/copy");
    execFileSync("chown", ["-R", "65534:65534", copy]);
    await expect(state(sandbox, call)).rejects.toMatchObject({
      message: expect.stringContaining("dubious ownership"),
      hint: expect.stringContaining(`git config --global --add safe.directory ${copy}`),
    });
  });

  test("goes to a tag, another branch, a commit and its beginning", async () => {
    using sandbox = makeSandbox();
    const { path, commit, first } = makeRepository(sandbox);
    run(path, "tag", "--annotate", "v1", "--message", "v1");
    run(path, "branch", "side");
    const second = commit("two");
    const at = (version: string) => git({ repo: path, dest: "/srv/copy", version });
    await checkApplyAgain(sandbox, at("v1"));
    expect(copied(sandbox)).toBe("one");
    for (const [version, content, after] of [
      [second, "two", second],
      ["side", "one", first],
      [second.slice(0, 8), "two", second],
      ["v1", "one", first],
      ["HEAD", "two", second],
    ] as const) {
      const { first: applied } = await checkApplyAgain(sandbox, at(version));
      expect(applied.data?.after, version).toBe(after);
      expect(copied(sandbox)).toBe(content);
    }
  });

  test("a commit that is checked out is unchanged without asking the remote", async () => {
    using sandbox = makeSandbox();
    const { path, first } = makeRepository(sandbox);
    const call = git({ repo: path, dest: "/srv/copy", version: first });
    await checkApplyAgain(sandbox, call);
    rmSync(path, { recursive: true });
    expect(await state(sandbox, call)).toBe("unchanged");
  });

  test("local modifications are an error, or thrown away by force; unknown files stay", async () => {
    using sandbox = makeSandbox();
    const { path } = makeRepository(sandbox);
    const call = git({ repo: path, dest: "/srv/copy" });
    await state(sandbox, call);
    writeFileSync(join(sandbox.root, "srv/copy/unknown"), "mine");
    expect(await state(sandbox, call)).toBe("unchanged");
    writeFileSync(join(sandbox.root, "srv/copy/file"), "mine");
    const before = snapshot(sandbox.root);
    await expect(state(sandbox, call)).rejects.toThrow(
      /Local modifications exist in the destination: \/srv\/copy \(force=no\): file; commit them, or say force: true/,
    );
    expect(snapshot(sandbox.root)).toEqual(before);
    const { check } = await checkApplyAgain(sandbox, git({ repo: path, dest: "/srv/copy", force: true }));
    expect(check.change?.message).toBe("throw away changes to file");
    expect(copied(sandbox)).toBe("one");
    expect(existsSync(join(sandbox.root, "srv/copy/unknown"))).toBe(true);
  });

  test("another repository becomes the remote", async () => {
    using sandbox = makeSandbox();
    const [one, two] = [makeRepository(sandbox), makeRepository(sandbox, "moved")];
    two.commit("elsewhere");
    await state(sandbox, git({ repo: one.path, dest: "/srv/copy" }));
    const { first } = await checkApplyAgain(sandbox, git({ repo: two.path, dest: "/srv/copy" }));
    expect(first.data).toMatchObject({ remote_url_changed: true });
    expect(copied(sandbox)).toBe("elsewhere");
    await checkApplyAgain(sandbox, git({ repo: two.path, dest: "/srv/copy", remote: "upstream" }));
  });

  test("fetches no more than its depth, also for a commit on no branch", async () => {
    using sandbox = makeSandbox();
    const { path, commit } = makeRepository(sandbox);
    const second = commit("two");
    commit("three");
    const url = `file://${path}`;
    await checkApplyAgain(sandbox, git({ repo: url, dest: "/srv/copy", depth: 1 }));
    const count = () => run(join(sandbox.root, "srv/copy"), "rev-list", "--count", "HEAD");
    expect(count()).toBe("1");
    commit("four");
    await checkApplyAgain(sandbox, git({ repo: url, dest: "/srv/copy", depth: 1 }));
    expect(copied(sandbox)).toBe("four");
    expect(count()).toBe("1");
    run(path, "config", "uploadpack.allowAnySHA1InWant", "true");
    await checkApplyAgain(sandbox, git({ repo: url, dest: "/srv/copy", version: second, depth: 1 }));
    expect(copied(sandbox)).toBe("two");
  });

  test("a bare repository has no working tree", async () => {
    using sandbox = makeSandbox();
    const { path, commit } = makeRepository(sandbox);
    const call = git({ repo: path, dest: "/srv/copy.git", bare: true });
    await checkApplyAgain(sandbox, call);
    expect(existsSync(join(sandbox.root, "srv/copy.git/HEAD"))).toBe(true);
    commit("two");
    await checkApplyAgain(sandbox, call);
  });

  test("submodules come along, and come back", async () => {
    using sandbox = makeSandbox();
    const [outer, inner] = [makeRepository(sandbox), makeRepository(sandbox, "inner")];
    run(outer.path, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner.path, "sub");
    run(outer.path, "commit", "--quiet", "--message", "sub");
    // Git refuses file submodules by default since CVE-2022-39253.
    process.env.GIT_ALLOW_PROTOCOL = "file";
    try {
      const call = git({ repo: outer.path, dest: "/srv/copy" });
      await checkApplyAgain(sandbox, call);
      expect(readFileSync(join(sandbox.root, "srv/copy/sub/file"), "utf8")).toBe("one");
      inner.commit("newer");
      expect(await state(sandbox, call)).toBe("unchanged");
      const tracking = git({ repo: outer.path, dest: "/srv/copy", track_submodules: true });
      expect(await state(sandbox, tracking, true)).toBe("unknown");
      expect(await state(sandbox, tracking)).toBe("changed");
      expect(readFileSync(join(sandbox.root, "srv/copy/sub/file"), "utf8")).toBe("newer");
      expect(await state(sandbox, tracking)).toBe("unchanged");
      await checkApplyAgain(sandbox, call);
      expect(readFileSync(join(sandbox.root, "srv/copy/sub/file"), "utf8")).toBe("one");
    } finally {
      delete process.env.GIT_ALLOW_PROTOCOL;
    }
  });

  test("without clone nothing is made", async () => {
    using sandbox = makeSandbox();
    const { path, first } = makeRepository(sandbox);
    for (const given of [{ dest: "/srv/copy" }, {}]) {
      const call = git({ repo: path, clone: false, update: false, ...given });
      const done = await pass(call, sandbox.system, sandbox.context());
      expect(done).toMatchObject({ state: "changed", data: { before: null, after: first } });
    }
    expect(existsSync(join(sandbox.root, "srv"))).toBe(false);
    expect(() => git({ repo: path })).toThrow(/dest/);
  });

  test("the repository lies apart from its files, and can be moved", async () => {
    using sandbox = makeSandbox();
    const { path, first } = makeRepository(sandbox);
    // Git takes these paths as arguments: they are those of the machine.
    const local = createLocalSystem();
    const whole = { ...sandbox, system: local };
    const [dest, one, two] = ["copy", "one.git", "two.git"].map((name) => join(sandbox.root, name));
    await checkApplyAgain(whole, git({ repo: path, dest: dest!, separate_git_dir: one!, umask: "077" }));
    expect(readFileSync(join(dest!, ".git"), "utf8")).toBe(`gitdir: ${one}\n`);
    expect(statSync(join(dest!, "file")).mode & 0o777).toBe(0o600);
    const moved = await checkApplyAgain(whole, git({ repo: path, dest: dest!, separate_git_dir: two! }));
    expect(moved.first.data).toEqual({
      before: first,
      after: first,
      remote_url_changed: false,
      git_dir_before: one,
      git_dir_now: two,
    });
    expect(existsSync(one!)).toBe(false);
    local.close();
  });

  test.each(["zip", "tar", "tar.gz"])("an archive of the files is made as %s", async (ending) => {
    using sandbox = makeSandbox();
    const { path, commit } = makeRepository(sandbox);
    const local = createLocalSystem();
    const whole = { ...sandbox, system: local };
    const archive = join(sandbox.root, `files.${ending}`);
    const call = git({ repo: path, dest: join(sandbox.root, "copy"), archive, archive_prefix: "top/" });
    await checkApplyAgain(whole, call);
    commit("two");
    await checkApplyAgain(whole, call);
    rmSync(archive);
    const { first } = await checkApplyAgain(whole, call);
    expect(first.data).toMatchObject({ remote_url_changed: false });
    const listed =
      ending === "zip" ? ["unzip", "-p", archive, "top/file"] : ["tar", "-xOf", archive, "top/file"];
    expect(execFileSync(listed[0]!, listed.slice(1), { encoding: "utf8" })).toBe("two");
    local.close();
  });

  test("a commit without a signature is refused by verify_commit, and objects are borrowed from a reference", async () => {
    using sandbox = makeSandbox();
    const { path } = makeRepository(sandbox);
    const call = git({ repo: path, dest: "/srv/copy", verify_commit: true });
    await expect(state(sandbox, call)).rejects.toThrow(
      /Failed to verify GPG signature of commit\/tag "HEAD"/,
    );
    await state(sandbox, git({ repo: path, dest: "/srv/other", reference: path }));
    const alternates = join(sandbox.root, "srv/other/.git/objects/info/alternates");
    expect(readFileSync(alternates, "utf8")).toContain(join("origin", ".git", "objects"));
  });

  test("what goes wrong is said; check mode says that it cannot know", async () => {
    using sandbox = makeSandbox();
    const { path } = makeRepository(sandbox);
    await expect(state(sandbox, git({ repo: path, dest: "/srv/copy", version: "absent" }))).rejects.toThrow(
      /has no branch or tag "absent"/,
    );
    await expect(state(sandbox, git({ repo: "/nowhere", dest: "/srv/copy" }))).rejects.toThrow(
      /^cannot read \/nowhere: .*does not/,
    );
    const { change } = await pass(
      git({ repo: "/nowhere", dest: "/srv/copy" }),
      sandbox.system,
      sandbox.context({ check: true }),
    );
    expect(change?.unknown).toMatch(/cannot read \/nowhere/);
    mkdirSync(join(sandbox.root, "full/of"), { recursive: true });
    await expect(state(sandbox, git({ repo: path, dest: "/full" }))).rejects.toThrow(
      /neither empty nor a git repository; remove it first/,
    );
    expect(existsSync(join(sandbox.root, "srv"))).toBe(false);
  });

  test("never asks, and reaches servers as told", () => {
    const environment = gitEnvironment({ accept_hostkey: true, key_file: "/k'ey", ssh_opts: "-p 2222" });
    expect(environment).toMatchObject({ GIT_TERMINAL_PROMPT: "0" });
    expect(environment.GIT_SSH_COMMAND).toBe(
      "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new -i '/k'\\''ey' -o IdentitiesOnly=yes -p 2222",
    );
    expect(hidePassword("https://u:secret@h/r")).toBe("https://u:***@h/r");
    expect(hidePassword("git@h:r")).toBe("git@h:r");
  });

  test("wrong parameters are named", () => {
    expect(() => git({ repo: "--upload-pack=x", dest: "/x" })).toThrow(
      /parameter "repo": must not begin with a dash/,
    );
    // @ts-expect-error: a misspelt parameter
    expect(() => git({ repo: "x", dest: "/x", branch: "y" })).toThrow(/unknown parameter "branch"/);
  });
});
