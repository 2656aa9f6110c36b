import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { blockinfile } from "../../../src/actions/edit/blockinfile.ts";
import { lineinfile } from "../../../src/actions/edit/lineinfile.ts";
import { replace } from "../../../src/actions/edit/replace.ts";
import { copy } from "../../../src/actions/files/copy.ts";
import { file } from "../../../src/actions/files/file.ts";
import { template } from "../../../src/actions/files/template.ts";
import { unarchive } from "../../../src/actions/files/unarchive.ts";
import { get_url } from "../../../src/actions/network/get-url.ts";
import type { ActionCall } from "../../../src/core/action.ts";
import type { Diff } from "../../../src/core/result.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

const isRoot = process.getuid?.() === 0;
const USER = 12_345;

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const attributes = (path: string) => {
  const { mode, uid, gid } = statSync(at(path));
  return [(mode & 0o7777).toString(8), uid, gid];
};
/** A user's program: ids are nobody's, so that no account is needed. */
const program = (path: string, mode: number, content = "old\n"): void => {
  writeFileSync(at(path), content);
  chownSync(at(path), USER, USER);
  chmodSync(at(path), mode);
};
const run = (call: ActionCall) => pass(call, sandbox.system, sandbox.context());
const predicted = (change: { readonly diff?: Diff | readonly Diff[] } | null | undefined) =>
  [change?.diff ?? []].flat().map((diff) => diff.attributes?.mode);

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("srv"));
  mkdirSync(join(sandbox.role, "templates"));
  writeFileSync(join(sandbox.role, "templates", "t"), "new\n");
});
afterEach(() => sandbox[Symbol.dispose]());

describe.skipIf(!isRoot)("a file that is given to another owner", () => {
  const path = "/srv/f";
  const calls: readonly (readonly [string, (mode?: string) => ActionCall])[] = [
    ["file", (mode) => file({ path, owner: 0, ...(mode && { mode }) })],
    [
      "file touch",
      (mode) =>
        file({
          path,
          state: "touch",
          modification_time: "preserve",
          access_time: "preserve",
          owner: 0,
          ...(mode && { mode }),
        }),
    ],
    [
      "copy of the same content",
      (mode) => copy({ content: "old\n", dest: path, owner: 0, ...(mode && { mode }) }),
    ],
    [
      "copy of other content",
      (mode) => copy({ content: "new\n", dest: path, owner: 0, ...(mode && { mode }) }),
    ],
    ["template", (mode) => template({ src: "t", dest: path, owner: 0, ...(mode && { mode }) })],
    ["lineinfile", (mode) => lineinfile({ path, line: "new", owner: 0, ...(mode && { mode }) })],
    [
      "lineinfile of a line that is there",
      (mode) => lineinfile({ path, line: "old", owner: 0, ...(mode && { mode }) }),
    ],
    ["blockinfile", (mode) => blockinfile({ path, block: "new", owner: 0, ...(mode && { mode }) })],
    ["replace", (mode) => replace({ path, regexp: "old", replace: "new", owner: 0, ...(mode && { mode }) })],
  ];

  it.each(calls)("loses setuid and setgid without a mode: %s", async (_name, call) => {
    program(path, 0o6755);
    const { check } = await checkApplyAgain(sandbox, call());
    expect(predicted(check.change)).toEqual([["6755", "0755"]]);
    expect(attributes(path)).toEqual(["755", 0, USER]);
  });

  it.each(calls)("has the mode that is given: %s", async (_name, call) => {
    program(path, 0o6755);
    const { check } = await checkApplyAgain(sandbox, call("6755"));
    expect(predicted(check.change)).toEqual([undefined]);
    expect(attributes(path)).toEqual(["6755", 0, USER]);
  });

  it("loses them with the group alone, and a symbolic mode starts from what is left", async () => {
    program("/srv/f", 0o6755);
    program("/srv/g", 0o6755);
    await checkApplyAgain(sandbox, file({ path: "/srv/f", group: 0 }));
    await checkApplyAgain(sandbox, file({ path: "/srv/g", owner: 0, mode: "g+w" }));
    expect([attributes("/srv/f"), attributes("/srv/g")]).toEqual([
      ["755", USER, 0],
      ["775", 0, USER],
    ]);
  });

  it("keeps what chown(2) keeps: a directory's bits, the sticky bit, and setgid without execution", async () => {
    program("/srv/locked", 0o2644);
    program("/srv/sticky", 0o1755);
    mkdirSync(at("srv/d"));
    chmodSync(at("srv/d"), 0o6775);
    await checkApplyAgain(sandbox, file({ path: "/srv", recurse: true, owner: USER + 1 }));
    expect(["locked", "sticky", "d"].map((name) => attributes(`srv/${name}`)[0])).toEqual([
      "2644",
      "1755",
      "6775",
    ]);
  });

  it("is found below a directory by recurse", async () => {
    mkdirSync(at("srv/deep/er"), { recursive: true });
    program("/srv/deep/er/su", 0o6755);
    await checkApplyAgain(
      sandbox,
      file({ path: "/srv", state: "directory", recurse: true, owner: 0, group: 0 }),
    );
    expect(attributes("srv/deep/er/su")).toEqual(["755", 0, 0]);
  });

  it("keeps its bits when only its content changes", async () => {
    program("/srv/f", 0o4755);
    await checkApplyAgain(sandbox, copy({ content: "new\n", dest: "/srv/f" }));
    expect(attributes("srv/f")).toEqual(["4755", USER, USER]);
  });

  it("leaves no setuid program behind as a backup", async () => {
    program("/srv/f", 0o6755);
    await run(copy({ content: "new\n", dest: "/srv/f", backup: true }));
    const backup = readdirSync(at("srv")).find((name) => name.endsWith("~"));
    expect(attributes(`srv/${backup}`)).toEqual(["755", USER, USER]);
  });

  it("is not copied from a user's tree with them", async () => {
    mkdirSync(at("srv/from"));
    program("/srv/from/su", 0o6755);
    await checkApplyAgain(sandbox, copy({ src: "/srv/from/", dest: "/srv/to", remote_src: true }));
    await checkApplyAgain(
      sandbox,
      copy({
        src: "/srv/from/su",
        dest: "/srv/own",
        remote_src: true,
        mode: "preserve",
        owner: USER,
        group: USER,
      }),
    );
    expect([attributes("srv/to/su"), attributes("srv/own")]).toEqual([
      ["755", 0, 0],
      ["6755", USER, USER],
    ]);
  });

  it("is unpacked by unarchive without them, once", async () => {
    mkdirSync(at("srv/to"));
    program("/srv/su", 0o6755);
    execFileSync("tar", ["-C", at("srv"), "-czf", join(at("srv"), "a.tgz"), "su"]);
    const call = (mode?: string) =>
      unarchive({ src: "/srv/a.tgz", dest: "/srv/to", remote_src: true, owner: 0, ...(mode && { mode }) });
    expect((await run(call())).state).toBe("changed");
    expect(attributes("srv/to/su")).toEqual(["755", 0, USER]);
    expect((await run(call())).state).toBe("unchanged");
    expect((await run(call("4755"))).state).toBe("changed");
    expect(attributes("srv/to/su")).toEqual(["4755", 0, USER]);
    chmodSync(at("srv/to/su"), 0o700);
    expect((await run(call())).state).toBe("changed");
    expect(attributes("srv/to/su")).toEqual(["755", 0, USER]);
  });

  it("is replaced by get_url without them", async () => {
    const server = createServer((_request, response) => response.end("new\n"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/f`;
      program("/srv/f", 0o6755);
      await run(get_url({ url, dest: "/srv/f", owner: 0, force: true }));
      expect(attributes("srv/f")).toEqual(["755", 0, USER]);
      program("/srv/g", 0o6755, "new\n");
      await run(get_url({ url, dest: "/srv/g", owner: 0, force: true }));
      expect(attributes("srv/g")).toEqual(["755", 0, USER]);
    } finally {
      server.close();
    }
  });
});
