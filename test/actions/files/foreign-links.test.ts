import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { authorized_key } from "../../../src/actions/accounts/authorized-key.ts";
import { blockinfile } from "../../../src/actions/edit/blockinfile.ts";
import { lineinfile } from "../../../src/actions/edit/lineinfile.ts";
import { replace } from "../../../src/actions/edit/replace.ts";
import { copy } from "../../../src/actions/files/copy.ts";
import { file } from "../../../src/actions/files/file.ts";
import { stat } from "../../../src/actions/files/stat.ts";
import { template } from "../../../src/actions/files/template.ts";
import { unarchive } from "../../../src/actions/files/unarchive.ts";
import type { ActionCall } from "../../../src/core/action.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

const isRoot = process.getuid?.() === 0;
const USER = 12_345;
const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHh0";
const REFUSED = /root does not follow .* is a link of the user with uid 12345/;

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const run = (call: ActionCall, check = false) => pass(call, sandbox.system, sandbox.context({ check }));
const users = (...paths: string[]): void => {
  for (const path of paths) lchownSync(at(path), USER, USER);
};
const usersLink = (target: string, path: string): void => {
  symlinkSync(target, at(path));
  users(path);
};
const attributes = (path: string) => {
  const { mode, uid, gid } = statSync(at(path));
  return [(mode & 0o7777).toString(8), uid, gid];
};

beforeEach(() => {
  sandbox = makeSandbox();
  for (const path of ["etc", "home", "home/u"]) mkdirSync(at(path), { mode: 0o755 });
  if (isRoot) users("home/u");
  writeFileSync(at("etc/passwd"), `root:x:0:0::/root:/bin/sh\nu:x:${USER}:${USER}::/home/u:/bin/sh\n`);
  writeFileSync(at("etc/group"), `root:x:0:\nu:x:${USER}:\n`);
  writeFileSync(at("etc/shadow"), "root:$6$secret:1::::::\n", { mode: 0o600 });
  mkdirSync(join(sandbox.role, "templates"));
  mkdirSync(join(sandbox.role, "files"));
  writeFileSync(join(sandbox.role, "templates", "t"), "new\n");
});
afterEach(() => sandbox[Symbol.dispose]());

describe.skipIf(!isRoot)("authorized_key as root", () => {
  beforeEach(() => {
    mkdirSync(at("home/u/.ssh"), { mode: 0o700 });
    users("home/u/.ssh");
  });

  it.each([
    ["present", false],
    ["present", true],
    ["absent", false],
  ] as const)("does not read what the user's file leads to (%s, follow %s)", async (state, follow) => {
    usersLink("../../../etc/shadow", "home/u/.ssh/authorized_keys");
    for (const check of [true, false])
      await expect(run(authorized_key({ user: "u", key: KEY, state, follow }), check)).rejects.toThrow(
        REFUSED,
      );
    expect(lstatSync(at("home/u/.ssh/authorized_keys")).isSymbolicLink()).toBe(true);
    expect(readFileSync(at("etc/shadow"), "utf8")).toBe("root:$6$secret:1::::::\n");
  });

  it("leaves the directory alone that the user's .ssh leads to", async () => {
    renameSync(at("home/u/.ssh"), at("home/u/old"));
    usersLink("../../etc", "home/u/.ssh");
    for (const check of [true, false])
      await expect(run(authorized_key({ user: "u", key: KEY }), check)).rejects.toThrow(REFUSED);
    expect(attributes("etc")).toEqual(["755", 0, 0]);
    expect(existsSync(at("etc/authorized_keys"))).toBe(false);
  });

  it("makes no file where the user's dangling link leads", async () => {
    usersLink("../../../etc/nologin", "home/u/.ssh/authorized_keys");
    await expect(run(authorized_key({ user: "u", key: KEY, follow: true }))).rejects.toThrow(REFUSED);
    expect(existsSync(at("etc/nologin"))).toBe(false);
  });

  it("follows the user's links to what is the user's", async () => {
    renameSync(at("home/u/.ssh"), at("home/u/dotfiles"));
    usersLink("dotfiles", "home/u/.ssh");
    await checkApplyAgain(sandbox, authorized_key({ user: "u", key: KEY }));
    expect(readFileSync(at("home/u/dotfiles/authorized_keys"), "utf8")).toBe(`${KEY}\n`);
    expect(attributes("home/u/dotfiles/authorized_keys")).toEqual(["600", USER, USER]);
  });

  it("does not wait for a FIFO", async () => {
    execFileSync("sh", ["-c", `mkfifo "$1"`, "sh", at("home/u/.ssh/authorized_keys")]);
    await expect(run(authorized_key({ user: "u", key: KEY }))).rejects.toThrow("is a fifo");
  });

  it("refuses a directory that became a link after the look", async () => {
    const call = authorized_key({ user: "u", key: KEY });
    const context = sandbox.context();
    const change = await call.inspect(sandbox.system, context);
    renameSync(at("home/u/.ssh"), at("home/u/old"));
    usersLink("../../etc", "home/u/.ssh");
    if (change === null || "unchanged" in change) throw new Error("no change");
    await expect(call.apply(change, sandbox.system, context)).rejects.toThrow(REFUSED);
    expect(existsSync(at("etc/authorized_keys"))).toBe(false);
    expect(attributes("etc")).toEqual(["755", 0, 0]);
  });
});

describe.skipIf(!isRoot)("a link of a user's, for root", () => {
  const calls: readonly (readonly [string, (path: string) => ActionCall])[] = [
    ["copy", (path) => copy({ content: "new\n", dest: path, owner: USER, follow: true })],
    ["template", (path) => template({ src: "t", dest: path, owner: USER, follow: true })],
    ["lineinfile", (path) => lineinfile({ path, line: "new", owner: USER, create: true })],
    ["blockinfile", (path) => blockinfile({ path, block: "new", owner: USER, create: true })],
    ["file touch", (path) => file({ path, state: "touch", owner: USER })],
    ["file directory", (path) => file({ path: `${path}.d`, state: "directory", owner: USER })],
    ["file link", (path) => file({ path: `${path}.l`, state: "link", src: "/etc/passwd" })],
  ];

  it.each(calls)("in place of a directory is refused by %s", async (_name, call) => {
    usersLink("../../etc", "home/u/.config");
    const before = readdirSync(at("etc"));
    await expect(run(call("/home/u/.config/cron"))).rejects.toThrow(REFUSED);
    expect(readdirSync(at("etc"))).toEqual(before);
  });

  const edits: readonly (readonly [string, (path: string) => ActionCall])[] = [
    ...calls.filter(([name]) => !/directory|link/.test(name)),
    ["replace", (path) => replace({ path, regexp: "root", replace: "x" })],
    ["file mode", (path) => file({ path, mode: "0666" })],
    ["file owner", (path) => file({ path, owner: USER })],
  ];

  it.each(edits)("in place of a file is refused by %s", async (_name, call) => {
    usersLink("../../etc/shadow", "home/u/rc");
    for (const check of [true, false]) await expect(run(call("/home/u/rc"), check)).rejects.toThrow(REFUSED);
    expect(readFileSync(at("etc/shadow"), "utf8")).toBe("root:$6$secret:1::::::\n");
    expect(attributes("etc/shadow")).toEqual(["600", 0, 0]);
  });

  it("is replaced, not followed, by copy; and by removing it nothing else is lost", async () => {
    usersLink("../../etc/shadow", "home/u/rc");
    usersLink("../../etc", "home/u/d");
    await run(copy({ content: "new\n", dest: "/home/u/rc" }));
    await run(file({ path: "/home/u/d", state: "absent" }));
    expect(readFileSync(at("home/u/rc"), "utf8")).toBe("new\n");
    expect([existsSync(at("home/u/d")), existsSync(at("etc/shadow"))]).toEqual([false, true]);
  });

  it("does not lead unarchive elsewhere", async () => {
    usersLink("../../etc", "home/u/app");
    writeFileSync(at("f"), "x");
    execFileSync("tar", ["-C", sandbox.root, "-cf", join(sandbox.role, "files", "a.tar"), "f"]);
    await expect(run(unarchive({ src: "a.tar", dest: "/home/u/app" }))).rejects.toThrow(REFUSED);
    expect(existsSync(at("etc/f"))).toBe(false);
  });

  it("made by root is followed, and so is the user's to what is the user's", async () => {
    mkdirSync(at("home/u/real"));
    users("home/u/real");
    usersLink("real", "home/u/own");
    symlinkSync("../../etc", at("home/u/by-root"));
    await checkApplyAgain(sandbox, copy({ content: "new\n", dest: "/home/u/own/f", owner: USER }));
    await checkApplyAgain(sandbox, copy({ content: "new\n", dest: "/home/u/by-root/f" }));
    expect([attributes("home/u/real/f")[1], existsSync(at("etc/f"))]).toEqual([USER, true]);
  });
});

describe("recurse", () => {
  const call = (more: object = {}) =>
    file({ path: "/home/u", state: "directory", recurse: true, mode: "u=rwX,go=", ...more });

  it("leaves alone what links lead to out of the tree, and works on it when told to", async () => {
    symlinkSync("../../etc", at("home/u/x"));
    mkdirSync(at("home/u/in"), { mode: 0o755 });
    symlinkSync("in", at("home/u/y"));
    await checkApplyAgain(sandbox, call());
    expect([attributes("etc")[0], attributes("home/u/in")[0]]).toEqual(["755", "700"]);
    await checkApplyAgain(sandbox, call({ follow: true }));
    expect([attributes("etc")[0], attributes("etc/passwd")[0]]).toEqual(["700", "600"]);
  });

  it.skipIf(!isRoot)("does not give root's files away through a user's link", async () => {
    usersLink("../../etc", "home/u/x");
    await checkApplyAgain(sandbox, call({ owner: USER }));
    expect([attributes("etc"), attributes("etc/shadow")]).toEqual([
      ["755", 0, 0],
      ["600", 0, 0],
    ]);
    await expect(run(call({ owner: USER, follow: true }))).rejects.toThrow(REFUSED);
  });

  it.skipIf(!isRoot)("refuses a directory that became a link after the look", async () => {
    mkdirSync(at("home/u/d"));
    writeFileSync(at("home/u/d/shadow"), "");
    chownSync(at("home/u/d"), USER, USER);
    const context = sandbox.context();
    const owned = call({ owner: USER, mode: "0666" });
    const change = await owned.inspect(sandbox.system, context);
    renameSync(at("home/u/d"), at("home/u/old"));
    usersLink("../../etc", "home/u/d");
    if (change === null || "unchanged" in change) throw new Error("no change");
    await expect(owned.apply(change, sandbox.system, context)).rejects.toThrow();
    expect([attributes("etc"), attributes("etc/shadow")]).toEqual([
      ["755", 0, 0],
      ["600", 0, 0],
    ]);
  });
});

it.skipIf(!isRoot)(
  "a process of root's that became a user follows that user's links as any process does",
  async () => {
    writeFileSync(at("etc/readable"), "x\n", { mode: 0o644 });
    usersLink("../../etc/readable", "home/u/rc");
    usersLink("../../etc", "home/u/d");
    chmodSync(join(sandbox.root, ".."), 0o755);
    const module = join(sandbox.root, "../local-system.cjs");
    buildSync({
      entryPoints: [fileURLToPath(new URL("../../../src/system/local/local-system.ts", import.meta.url))],
      ...{ bundle: true, platform: "node", format: "cjs", outfile: module },
    });
    const script = `
    const { createLocalSystem } = require(${JSON.stringify(module)});
    process.setgid(${USER}); process.setuid(${USER});
    const system = createLocalSystem({ root: ${JSON.stringify(sandbox.root)} });
    (async () => {
      for (const path of ["/home/u/rc", "/home/u/d/readable"]) process.stdout.write(await system.readText(path));
      await system.writeFile("/home/u/own", "y");
    })();`;
    expect(execFileSync(process.execPath, ["-e", script], { encoding: "utf8" })).toBe("x\nx\n");
    expect(attributes("home/u/own")[1]).toBe(USER);
  },
);

it.runIf(isRoot)("that leads to what is not the user's is described by stat", async () => {
  usersLink("../../etc/passwd", "home/u/link");
  expect((await run(stat({ path: "/home/u/link" }))).data).toMatchObject({
    stat: { islnk: true, lnk_target: "../../etc/passwd", lnk_source: "/etc/passwd" },
  });
});
