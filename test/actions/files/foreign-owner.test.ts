import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lineinfile } from "../../../src/actions/edit/lineinfile.ts";
import { copy } from "../../../src/actions/files/copy.ts";
import type { ActionCall } from "../../../src/core/action.ts";
import { makeSandbox, type Pass, pass, type Sandbox, testsWorkDirectly } from "../harness.ts";

const NOBODY = 65534;

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = makeSandbox();
  for (const path of [dirname(sandbox.root), sandbox.root]) chmodSync(path, 0o755);
  // Directories of root's: the first lets everybody replace its files, the second nobody.
  mkdirSync(at("open"));
  chmodSync(at("open"), 0o777);
  mkdirSync(at("closed"), { mode: 0o755 });
  for (const path of ["open/file", "closed/file"]) {
    writeFileSync(at(path), "root's\n");
    chmodSync(at(path), 0o666);
  }
});
afterEach(() => sandbox[Symbol.dispose]());

const at = (path: string): string => join(sandbox.root, path);

function look(path: string): { readonly uid: number; readonly mode: number; readonly ino: number } {
  const { uid, mode, ino } = statSync(at(path));
  return { uid, mode: mode & 0o7777, ino };
}

/** Carries an action out as a user who owns nothing. */
async function asNobody<D>(call: ActionCall<D>): Promise<Pass<D>> {
  const context = sandbox.context();
  process.setegid!(NOBODY);
  process.seteuid!(NOBODY);
  try {
    return await pass(call, sandbox.system, context);
  } finally {
    process.seteuid!(0);
    process.setegid!(0);
  }
}

// The shells of a connection would stay root's.
describe.runIf(process.getuid?.() === 0 && !testsWorkDirectly())("a file of another user", () => {
  it("is replaced by one of the user's own, for nobody else, where its directory lets it", async () => {
    const call = copy({ content: "mine\n", dest: "/open/file" });
    expect((await asNobody(call)).state).toBe("changed");
    expect(readFileSync(at("open/file"), "utf8")).toBe("mine\n");
    expect(look("open/file")).toMatchObject({ uid: NOBODY, mode: 0o600 });
    expect((await asNobody(call)).state).toBe("unchanged");
  });

  it("gets the mode that is asked for", async () => {
    await asNobody(copy({ content: "mine\n", dest: "/open/file", mode: "0640" }));
    expect(look("open/file")).toMatchObject({ uid: NOBODY, mode: 0o640 });
  });

  it("is not replaced where its owner is asked for, and cannot be given", async () => {
    const wanted = copy({ content: "mine\n", dest: "/open/file", group: 1 });
    await expect(asNobody(wanted)).rejects.toThrow(
      /cannot write .*: (operation not permitted|permission denied)/,
    );
    expect(readFileSync(at("open/file"), "utf8")).toBe("root's\n");
    expect(readdirSync(at("open"))).toEqual(["file"]);
  });

  it("stays as it is where its directory lets nobody replace it", async () => {
    const call = copy({ content: "mine\n", dest: "/closed/file" });
    await expect(asNobody(call)).rejects.toThrow(/cannot write .*: permission denied/);
    expect(readFileSync(at("closed/file"), "utf8")).toBe("root's\n");
  });

  it("is written in place there with unsafe_writes, and keeps owner and mode", async () => {
    const before = look("closed/file");
    const call = copy({ content: "mine\n", dest: "/closed/file", unsafe_writes: true });
    const { state, applied } = await asNobody(call);
    expect(state).toBe("changed");
    expect(applied?.message).toBe("/closed/file cannot be replaced, so it was written in place");
    expect(readFileSync(at("closed/file"), "utf8")).toBe("mine\n");
    expect(look("closed/file")).toEqual(before);
    await asNobody(lineinfile({ path: "/closed/file", line: "more", unsafe_writes: true }));
    expect(readFileSync(at("closed/file"), "utf8")).toBe("mine\nmore\n");
    chmodSync(at("closed/file"), 0o644);
    const closed = copy({ content: "x", dest: "/closed/file", unsafe_writes: true });
    await expect(asNobody(closed)).rejects.toThrow(/cannot write .*: permission denied/);
    expect(readFileSync(at("closed/file"), "utf8")).toBe("mine\nmore\n");
  });
});
