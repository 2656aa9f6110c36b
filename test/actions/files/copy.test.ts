import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { copy } from "../../../src/actions/files/copy.ts";
import { failureData } from "../../../src/core/action.ts";
import { createLocalSystem } from "../../../src/system/local/local-system.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const read = (path: string): string => readFileSync(at(path), "utf8");
const mode = (path: string): number => statSync(at(path)).mode & 0o7777;
const asset = (path: string, content: string | Buffer): void => {
  mkdirSync(join(sandbox.role, "files", path, ".."), { recursive: true });
  writeFileSync(join(sandbox.role, "files", path), content);
};
const run = (params: Parameters<typeof copy>[0], check = false) =>
  pass(copy(params), sandbox.system, sandbox.context({ check }));

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc"));
});
afterEach(() => sandbox[Symbol.dispose]());

describe("one file", () => {
  it("writes content with its mode", async () => {
    const { check, second } = await checkApplyAgain(
      sandbox,
      copy({ content: "hello\n", dest: "/etc/motd", mode: "0600" }),
    );
    expect(read("etc/motd")).toBe("hello\n");
    expect(mode("etc/motd")).toBe(0o600);
    expect(check.change?.diff).toEqual([
      { path: "/etc/motd", before: null, after: "hello\n", attributes: { mode: ["", "0600"] } },
    ]);
    expect(second.data).toEqual({
      ...{ dest: "/etc/motd", path: "/etc/motd", size: 6, mode: "0600", state: "file" },
      ...{ uid: process.getuid!(), gid: process.getgid!() },
      ...{ owner: String(process.getuid!()), group: String(process.getgid!()) },
      checksum: "f572d396fae9206628714fb2ce00f72e94f2258f",
    });
  });

  it("changes only the mode when only that differs", async () => {
    writeFileSync(at("etc/motd"), "hello\n", { mode: 0o600 });
    const inode = statSync(at("etc/motd")).ino;
    const { check } = await checkApplyAgain(
      sandbox,
      copy({ content: "hello\n", dest: "/etc/motd", mode: "u=rw,go=r" }),
    );
    expect(check.change?.diff).toEqual([{ path: "/etc/motd", attributes: { mode: ["0600", "0644"] } }]);
    expect(mode("etc/motd")).toBe(0o644);
    expect(statSync(at("etc/motd")).ino).toBe(inode);
  });

  it("changes only the content when only that differs, and keeps the mode", async () => {
    writeFileSync(at("etc/motd"), "old\n", { mode: 0o640 });
    chmodSync(at("etc/motd"), 0o2640);
    const { check } = await checkApplyAgain(sandbox, copy({ content: "new\n", dest: "/etc/motd" }));
    expect(check.change?.diff).toEqual([{ path: "/etc/motd", before: "old\n", after: "new\n" }]);
    expect(mode("etc/motd")).toBe(0o2640);
  });

  it("copies an asset below a directory under its own name", async () => {
    asset("motd", "asset\n");
    await checkApplyAgain(sandbox, copy({ src: "motd", dest: "/etc" }));
    expect(read("etc/motd")).toBe("asset\n");
  });

  it("makes the directories of a dest that ends with /", async () => {
    asset("sub/motd", "asset\n");
    const { check } = await checkApplyAgain(
      sandbox,
      copy({ src: "sub/motd", dest: "/etc/a/b/", mode: "0640", directory_mode: "0750" }),
    );
    expect(read("etc/a/b/motd")).toBe("asset\n");
    expect([mode("etc/a"), mode("etc/a/b"), mode("etc/a/b/motd")]).toEqual([0o750, 0o750, 0o640]);
    expect(check.change?.diff).toMatchObject([
      { path: "/etc/a" },
      { path: "/etc/a/b" },
      { path: "/etc/a/b/motd" },
    ]);
  });

  it("is safe for bytes that are not text", async () => {
    const bytes = Buffer.from([0, 255, 254, 10, 13, 128]);
    asset("blob", bytes);
    const { check } = await checkApplyAgain(sandbox, copy({ src: "blob", dest: "/etc/blob" }));
    expect(readFileSync(at("etc/blob"))).toEqual(bytes);
    expect(check.change?.diff).toEqual([{ path: "/etc/blob", before: null, binary: true }]);
  });

  it("compares and writes large assets", async () => {
    const large = Buffer.alloc(300_000, "0123456789\n");
    asset("large", large);
    const { check } = await checkApplyAgain(sandbox, copy({ src: "large", dest: "/etc/large" }));
    expect(readFileSync(at("etc/large")).equals(large)).toBe(true);
    expect(check.change?.diff).toEqual([{ path: "/etc/large", before: null, binary: true }]);
    const sameSize = Buffer.from(large);
    sameSize[200_000] = 120;
    writeFileSync(at("etc/large"), sameSize);
    await checkApplyAgain(sandbox, copy({ src: "large", dest: "/etc/large" }));
    expect(readFileSync(at("etc/large")).equals(large)).toBe(true);
  });

  it("shows the text of an asset that is streamed but short enough", async () => {
    const text = "line\n".repeat(5_000);
    asset("medium", text);
    const { check } = await checkApplyAgain(sandbox, copy({ src: "medium", dest: "/etc/medium" }));
    expect(check.change?.diff).toEqual([{ path: "/etc/medium", before: null, after: text }]);
  });

  it.each([
    [0o600, 0o600],
    [0o640, 0o640],
    [0o700, 0o700],
    [0o664, 0o644],
    [0o4775, 0o755],
  ])("gives an asset of mode %o no wider mode with preserve: %o", async (given, kept) => {
    asset("tool", "#!/bin/sh\n");
    chmodSync(join(sandbox.role, "files/tool"), given);
    await checkApplyAgain(sandbox, copy({ src: "tool", dest: "/etc/tool", mode: "preserve" }));
    expect(mode("etc/tool")).toBe(kept);
  });

  it("writes an array as JSON", async () => {
    await checkApplyAgain(sandbox, copy({ content: ["a", { b: ["ü"] }, null], dest: "/etc/c.json" }));
    expect(read("etc/c.json")).toBe('["a", {"b": ["\\u00fc"]}, null]');
  });

  it("writes an object as JSON, as Ansible does", async () => {
    await checkApplyAgain(sandbox, copy({ content: { a: [1, true, null], ü: "x" }, dest: "/etc/c.json" }));
    expect(read("etc/c.json")).toBe('{"a": [1, true, null], "\\u00fc": "x"}');
  });

  it("leaves a file alone without force", async () => {
    writeFileSync(at("etc/motd"), "mine\n");
    expect((await run({ content: "theirs\n", dest: "/etc/motd", force: false })).state).toBe("unchanged");
    await checkApplyAgain(sandbox, copy({ content: "theirs\n", dest: "/etc/new", force: false }));
    expect(read("etc/motd")).toBe("mine\n");
  });

  it("keeps a backup of what it replaces", async () => {
    writeFileSync(at("etc/motd"), "old\n", { mode: 0o640 });
    const { first } = await checkApplyAgain(
      sandbox,
      copy({ content: "new\n", dest: "/etc/motd", backup: true }),
    );
    const name = readdirSync(at("etc")).find((entry) => entry.startsWith("motd."))!;
    expect(name).toMatch(/^motd\.\d+\.\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d~$/);
    expect(first.data).toMatchObject({
      ...{ dest: "/etc/motd", src: "/etc/motd", backup_file: `/etc/${name}`, size: 4, mode: "0640" },
      ...{ md5sum: "9cd599a3523898e6a12e13ec787da50a", checksum: "389cc6b7ae5a659383eab5dfc253764eccf84732" },
    });
    expect(read(`etc/${name}`)).toBe("old\n");
    expect(mode(`etc/${name}`)).toBe(0o640);
  });

  it("replaces a link, or with follow the file it leads to", async () => {
    writeFileSync(at("etc/real"), "old\n");
    symlinkSync("real", at("etc/link"));
    await checkApplyAgain(sandbox, copy({ content: "new\n", dest: "/etc/link", follow: true }));
    expect(lstatSync(at("etc/link")).isSymbolicLink()).toBe(true);
    expect(read("etc/real")).toBe("new\n");
    await checkApplyAgain(sandbox, copy({ content: "new\n", dest: "/etc/link" }));
    expect(lstatSync(at("etc/link")).isFile()).toBe(true);
  });

  it("predicts in check mode what stands on an earlier task", async () => {
    expect((await run({ content: "x", dest: "/srv/app/x" }, true)).state).toBe("changed");
    await expect(run({ content: "x", dest: "/srv/app/x" })).rejects.toThrow(
      "/srv/app does not exist; make it first",
    );
    const owned = await run({ content: "x", dest: "/etc/x", owner: "no-such-volley" }, true);
    expect(owned.state).toBe("changed");
    expect(owned.change?.message).toBe('there is no user "no-such-volley" yet');
    await expect(run({ content: "x", dest: "/etc/x", owner: "no-such-volley" })).rejects.toThrow(
      "failed to look up user no-such-volley; make it first",
    );
    expect(existsSync(at("etc/x"))).toBe(false);
  });

  it("refuses what cannot be", async () => {
    mkdirSync(at("etc/dir"));
    await expect(run({ content: "x", dest: "/etc/dir" })).rejects.toThrow(
      "can not use content with a dir as dest",
    );
    await expect(run({ src: "no", dest: "/etc/x" })).rejects.toThrow('role "test" has no file files/no');
    expect(() => copy({ content: "x", dest: "/etc/x", mode: "nonsense" })).toThrow("not one chmod knows");
    expect(() => copy({ dest: "/etc/x" })).toThrow("src (or content) is required");
    expect(() => copy({ dest: "/etc/x", src: "a", content: "b" })).toThrow(
      "src and content are mutually exclusive",
    );
    expect(() => copy({ dest: "/etc/x", content: "b", validate: "true" })).toThrow(
      '"validate": must contain %s',
    );
    // @ts-expect-error a parameter that does not exist
    expect(() => copy({ dest: "/etc/x", content: "b", ownr: "root" })).toThrow(
      'unknown parameter "ownr"; did you mean "owner"?',
    );
  });
});

describe("what Ansible's playbooks rely on", () => {
  it("compares a checksum with the content's", async () => {
    const params = { content: "hello\n", dest: "/etc/motd" };
    await checkApplyAgain(sandbox, copy({ ...params, checksum: "f572d396fae9206628714fb2ce00f72e94f2258f" }));
    const failure = await run({ ...params, checksum: "1111" }).catch((thrown: unknown) => thrown);
    expect(failureData(failure)).toEqual({
      checksum: "f572d396fae9206628714fb2ce00f72e94f2258f",
      expected_checksum: "1111",
    });
  });

  it("names the file that a link leads to, and in check mode nothing that is not known", async () => {
    writeFileSync(at("etc/real"), "old");
    symlinkSync("real", at("etc/motd"));
    const { check, first } = await checkApplyAgain(
      sandbox,
      copy({ content: "new", dest: "/etc/motd", follow: true }),
    );
    expect(first.data).toMatchObject({ dest: "/etc/real", state: "file", size: 3 });
    expect(check.change?.data).toBeUndefined();
  });

  it("describes a directory with one file by that file, others by their place", async () => {
    mkdirSync(join(sandbox.role, "files/one"), { recursive: true });
    writeFileSync(join(sandbox.role, "files/one/a"), "a");
    const one = await checkApplyAgain(sandbox, copy({ src: "one", dest: "/srv" }));
    expect(one.first.data).toMatchObject({ dest: "/srv/one/a", size: 1, state: "file" });
    writeFileSync(join(sandbox.role, "files/one/b"), "b");
    const two = await checkApplyAgain(sandbox, copy({ src: "one", dest: "/srv" }));
    expect(two.first.data).toEqual({ dest: "/srv/", src: "one" });
    expect(two.second.data).toEqual({ dest: "/srv/", src: "one" });
  });

  it("gives the mode to the topmost directory of a tree on the host, and the owner to all of it", async () => {
    mkdirSync(at("etc/tree/sub"), { recursive: true });
    chmodSync(at("etc/tree/sub"), 0o711);
    writeFileSync(at("etc/tree/sub/f"), "f", { mode: 0o640 });
    const call = copy({ src: "/etc/tree", dest: "/etc/new/", remote_src: true, mode: "0700" });
    const { first } = await checkApplyAgain(sandbox, call);
    expect([mode("etc/new"), mode("etc/new/tree"), mode("etc/new/tree/sub")]).toEqual([0o755, 0o700, 0o711]);
    expect(mode("etc/new/tree/sub/f")).toBe(0o640);
    expect(first.data).toMatchObject({
      src: "/etc/tree",
      dest: "/etc/new/tree",
      checksum: null,
      mode: "0700",
    });
    // A file that is the same already keeps its mode.
    chmodSync(at("etc/new/tree/sub/f"), 0o600);
    expect((await run({ src: "/etc/tree", dest: "/etc/new", remote_src: true })).state).toBe("unchanged");
    expect(mode("etc/new/tree/sub/f")).toBe(0o600);
  });
});

describe("validate", () => {
  it("keeps the file when the command rejects the new content", async () => {
    // A command cannot see below the sandbox's root, so this is the machine itself, under a name of the test's own.
    const system = createLocalSystem();
    const dest = at("etc/checked");
    writeFileSync(dest, "good\n");
    const call = (content: string) => copy({ content, dest, validate: "grep -q 'good' %s" });
    try {
      await expect(pass(call("bad\n"), system, sandbox.context())).rejects.toThrow(
        `${dest} was left as it is: \`grep -q 'good' %s\` rejects the new content with exit code 1`,
      );
      expect(readFileSync(dest, "utf8")).toBe("good\n");
      expect((await pass(call("good too\n"), system, sandbox.context())).state).toBe("changed");
      expect(readFileSync(dest, "utf8")).toBe("good too\n");
      expect(readdirSync(at("etc"))).toEqual(["checked"]);
    } finally {
      system.close();
    }
  });
});

describe("a directory", () => {
  beforeEach(() => {
    asset("site/index.html", "<p>\n");
    asset("site/css/a.css", "a {}\n");
    asset("site/css/deep/b.css", "b {}\n");
  });

  it("copies itself below dest", async () => {
    await checkApplyAgain(
      sandbox,
      copy({ src: "site", dest: "/srv/www", mode: "0640", directory_mode: "0750" }),
    );
    expect(read("srv/www/site/css/deep/b.css")).toBe("b {}\n");
    expect(mode("srv/www/site/css/a.css")).toBe(0o640);
    expect([mode("srv"), mode("srv/www/site/css/deep")]).toEqual([0o750, 0o750]);
  });

  it("copies what is in it when src ends with /, and deletes nothing", async () => {
    mkdirSync(at("srv/www/css"), { recursive: true, mode: 0o700 });
    writeFileSync(at("srv/www/mine"), "mine\n");
    const { check } = await checkApplyAgain(
      sandbox,
      copy({ src: "site/", dest: "/srv/www", directory_mode: "0755" }),
    );
    expect(read("srv/www/index.html")).toBe("<p>\n");
    expect(read("srv/www/mine")).toBe("mine\n");
    expect(mode("srv/www/css")).toBe(0o700);
    expect(check.change?.diff).toHaveLength(4);
  });

  it("writes only the file that differs", async () => {
    await run({ src: "site/", dest: "/srv/www" });
    writeFileSync(at("srv/www/css/a.css"), "other\n");
    const { check } = await checkApplyAgain(sandbox, copy({ src: "site/", dest: "/srv/www" }));
    expect(check.change?.diff).toEqual([{ path: "/srv/www/css/a.css", before: "other\n", after: "a {}\n" }]);
  });
});

describe("remote_src", () => {
  it("copies a file of the host, with its mode when asked to", async () => {
    writeFileSync(at("etc/source"), "here\n");
    chmodSync(at("etc/source"), 0o751);
    await checkApplyAgain(
      sandbox,
      copy({ src: "/etc/source", dest: "/etc/copy", remote_src: true, mode: "preserve" }),
    );
    expect(read("etc/copy")).toBe("here\n");
    expect(mode("etc/copy")).toBe(0o751);
  });

  it("copies a large file and a directory, empty ones included", async () => {
    mkdirSync(at("etc/tree/empty"), { recursive: true });
    for (const path of ["etc/tree", "etc/tree/empty"]) chmodSync(at(path), 0o700);
    writeFileSync(at("etc/tree/private"), "x", { mode: 0o600 });
    writeFileSync(at("etc/tree/large"), Buffer.alloc(200_000, "x"));
    await checkApplyAgain(sandbox, copy({ src: "/etc/tree/", dest: "/etc/copied", remote_src: true }));
    expect(statSync(at("etc/copied/large")).size).toBe(200_000);
    expect(statSync(at("etc/copied/empty")).isDirectory()).toBe(true);
    expect([mode("etc/copied"), mode("etc/copied/empty"), mode("etc/copied/private")]).toEqual([
      0o700, 0o700, 0o600,
    ]);
  });

  it("copies links of a tree as what they lead to, with local_follow", async () => {
    mkdirSync(at("etc/tree/real/deep"), { recursive: true });
    mkdirSync(at("etc/outside"));
    writeFileSync(at("etc/tree/real/file"), "x\n", { mode: 0o640 });
    writeFileSync(at("etc/outside/other"), "y\n");
    const followed = { "to-directory": "real", "to-file": "real/file", "to-outside": "../outside" };
    const kept = { "to-nothing": "gone", "to-itself": ".", "real/deep/up": "../.." };
    for (const [name, target] of Object.entries({ ...followed, ...kept }))
      symlinkSync(target, at(`etc/tree/${name}`));
    const call = copy({ src: "/etc/tree/", dest: "/etc/copied", remote_src: true, local_follow: true });
    await checkApplyAgain(sandbox, call);
    expect(readdirSync(at("etc/copied/to-directory")).sort()).toEqual(["deep", "file"]);
    expect(read("etc/copied/to-file")).toBe("x\n");
    expect(read("etc/copied/to-outside/other")).toBe("y\n");
    for (const name of Object.keys(followed))
      expect(lstatSync(at(`etc/copied/${name}`)).isSymbolicLink()).toBe(false);
    for (const [name, target] of Object.entries(kept))
      expect(readlinkSync(at(`etc/copied/${name}`))).toBe(target);
    // Through the followed link the directory above is reached once more, and not a third time.
    expect(readlinkSync(at("etc/copied/to-directory/deep/up"))).toBe("../..");
  });

  it("copies links of a tree as they are, wherever they lead", async () => {
    mkdirSync(at("etc/tree/real"), { recursive: true });
    writeFileSync(at("etc/tree/real/file"), "x\n");
    const links = { "to-directory": "real", "to-file": "real/file", "to-nothing": "gone/../gone" };
    for (const [name, target] of Object.entries(links)) symlinkSync(target, at(`etc/tree/${name}`));
    const call = copy({ src: "/etc/tree/", dest: "/etc/copied", remote_src: true });
    await checkApplyAgain(sandbox, call);
    const copied = () => Object.keys(links).map((name) => readlinkSync(at(`etc/copied/${name}`)));
    expect(copied()).toEqual(Object.values(links));
    unlinkSync(at("etc/copied/to-file"));
    writeFileSync(at("etc/copied/to-file"), "in the way\n");
    expect(
      (await run({ src: "/etc/tree/", dest: "/etc/copied", remote_src: true, force: false })).state,
    ).toBe("unchanged");
    await checkApplyAgain(sandbox, call);
    expect(copied()).toEqual(Object.values(links));
    unlinkSync(at("etc/copied/to-file"));
    mkdirSync(at("etc/copied/to-file"));
    await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow(
      "is a directory where there should be a link",
    );
  });

  it("does not know in check mode what a missing file will hold", async () => {
    const params = { src: "/etc/later", dest: "/etc/copy", remote_src: true };
    expect((await run(params, true)).state).toBe("unknown");
    await expect(run(params)).rejects.toThrow("Source /etc/later not found on this host");
  });
});

it("refuses to copy a directory into itself, also through a link, and copies it onto itself", async () => {
  mkdirSync(at("srv/a"), { recursive: true });
  writeFileSync(at("srv/a/f"), "x\n");
  symlinkSync("srv/a", at("b"));
  for (const [src, dest] of [
    ["/srv/a", "/srv/a"],
    ["/srv/a/", "/srv/a/new/deep"],
    ["/srv/a", "/b/c"],
    ["/b/", "/srv/a/c"],
  ] as const)
    for (const check of [true, false])
      await expect(run({ src, dest, remote_src: true }, check)).rejects.toThrow(
        "cannot be copied into itself",
      );
  expect(readdirSync(at("srv/a"))).toEqual(["f"]);
  for (const [src, dest] of [
    ["/srv/a/", "/srv/a"],
    ["/srv/a", "/srv"],
  ] as const)
    expect((await run({ src, dest, remote_src: true })).state).toBe("unchanged");
});
