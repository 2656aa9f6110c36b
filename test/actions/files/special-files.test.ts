import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lineinfile } from "../../../src/actions/edit/lineinfile.ts";
import { copy } from "../../../src/actions/files/copy.ts";
import { file } from "../../../src/actions/files/file.ts";
import { stat } from "../../../src/actions/files/stat.ts";
import { makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = makeSandbox();
});
afterEach(() => sandbox[Symbol.dispose]());

const at = (path: string): string => join(sandbox.root, path);

/** Runs a program; whether it went well. */
function succeeds(...[command, ...args]: readonly string[]): boolean {
  return spawnSync(command!, args).status === 0;
}

describe("a file of more than 2 GiB", () => {
  /** Holes: nothing of it is on the disk. */
  const SIZE = 2_200 * 1024 * 1024;
  const END = "the end";

  function makeLarge(path: string): void {
    writeFileSync(at(path), "");
    truncateSync(at(path), SIZE - END.length);
    writeFileSync(at(path), END, { flag: "a" });
  }

  it("is copied on the host, as a backup too", async () => {
    makeLarge("large");
    const call = copy({ src: "/large", remote_src: true, dest: "/copy" });
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("changed");
    const replace = copy({ content: "small", dest: "/large", backup: true });
    const { data } = await pass(replace, sandbox.system, sandbox.context());
    for (const path of ["copy", data!.backup_file!]) {
      const { size, blocks } = statSync(at(path));
      expect(size).toBe(SIZE);
      // Holes stay holes.
      expect(blocks).toBeLessThan(10_000);
      expect(spawnSync("tail", [`-c${END.length}`, at(path)]).stdout.toString()).toBe(END);
    }
    expect(readdirSync(sandbox.root)).toHaveLength(3);
  });

  it("is named where it would have to be held", async () => {
    makeLarge("large");
    const edit = lineinfile({ path: "/large", line: "x" });
    await expect(pass(edit, sandbox.system, sandbox.context())).rejects.toThrow(
      /^cannot read .*\/large: it is larger than 2 GiB$/,
    );
    const looked = await pass(
      stat({ path: "/large", get_checksum: false }),
      sandbox.system,
      sandbox.context(),
    );
    expect(looked.data?.stat).toMatchObject({ exists: true, size: SIZE });
  });
});

describe("a file with an ACL", () => {
  const aclOf = (path: string): string =>
    spawnSync("getfacl", ["-cnp", at(path)], { encoding: "utf8" }).stdout;

  it("keeps it when it is replaced, below the mode that is given", async ({ skip }) => {
    writeFileSync(at("file"), "old\n", { mode: 0o600 });
    if (!succeeds("setfacl", "-m", "u:65534:rw,g::-,m::rw", at("file")))
      return skip("no setfacl here, or a file system without ACLs");
    const before = aclOf("file");
    expect(before).toContain("user:65534:rw-");
    await pass(copy({ content: "new\n", dest: "/file" }), sandbox.system, sandbox.context());
    expect(readFileSync(at("file"), "utf8")).toBe("new\n");
    expect(aclOf("file")).toBe(before);
    await pass(lineinfile({ path: "/file", line: "more" }), sandbox.system, sandbox.context());
    expect(aclOf("file")).toBe(before);
    await pass(copy({ content: "x", dest: "/file", mode: "0640" }), sandbox.system, sandbox.context());
    expect(aclOf("file").replaceAll(/\s+#.*/g, "")).toBe(
      "user::rw-\nuser:65534:rw-\ngroup::---\nmask::r--\nother::---\n\n",
    );
    // A link that is replaced has none, whatever it leads to.
    symlinkSync("file", at("link"));
    await pass(copy({ content: "y", dest: "/link", follow: false }), sandbox.system, sandbox.context());
    expect(aclOf("link")).not.toContain("65534");
  });
});

const isRoot = process.getuid?.() === 0;

describe.runIf(isRoot)("a file that is a mount", () => {
  const mounted: string[] = [];
  afterEach(() => {
    for (const path of mounted.splice(0)) spawnSync("umount", [path]);
  });

  it.each(["mounted", "with blank"])("is written in place, which the result says: %s", async (name) => {
    writeFileSync(at("source"), "longer than the new content\n", { mode: 0o640 });
    writeFileSync(at(name), "");
    if (!succeeds("mount", "--bind", at("source"), at(name))) return;
    mounted.push(at(name));
    const inode = statSync(at(name)).ino;
    const call = copy({ content: "new\n", dest: `/${name}`, owner: 65534, mode: "0604" });
    const { state, applied } = await pass(call, sandbox.system, sandbox.context());
    expect(state).toBe("changed");
    expect(applied?.message).toBe(`/${name} cannot be replaced, so it was written in place`);
    expect(readFileSync(at("source"), "utf8")).toBe("new\n");
    const { ino, mode, uid } = statSync(at("source"));
    expect({ ino, mode: mode & 0o7777, uid }).toEqual({ ino: inode, mode: 0o604, uid: 65534 });
    expect(readdirSync(sandbox.root).sort()).toEqual([name, "source"].sort());
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("unchanged");

    const edit = lineinfile({ path: `/${name}`, line: "more" });
    const edited = await pass(edit, sandbox.system, sandbox.context());
    expect(edited.applied?.message).toBe(
      `line added; /${name} cannot be replaced, so it was written in place`,
    );
    expect(readFileSync(at("source"), "utf8")).toBe("new\nmore\n");
  });

  it("is nothing else's excuse: a directory that is one stays", async () => {
    mkdirSync(at("source"));
    mkdirSync(at("mounted"));
    if (!succeeds("mount", "--bind", at("source"), at("mounted"))) return;
    mounted.push(at("mounted"));
    await expect(
      pass(file({ path: "/mounted", state: "absent" }), sandbox.system, sandbox.context()),
    ).rejects.toThrow(/cannot remove .*mounted: .*(busy|in use)/);
  });
});
