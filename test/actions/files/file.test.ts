import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { file } from "../../../src/actions/files/file.ts";
import { failureData } from "../../../src/core/action.ts";
import { VolleyError } from "../../../src/core/errors.ts";
import { createLocalSystem } from "../../../src/system/local/local-system.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox, snapshot } from "../harness.ts";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const mode = (path: string): number => statSync(at(path)).mode & 0o7777;
const run = (params: Parameters<typeof file>[0], check = false) =>
  pass(file(params), sandbox.system, sandbox.context({ check }));

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("srv"));
});
afterEach(() => sandbox[Symbol.dispose]());

describe("directory", () => {
  it("is made with all above it, which get the same mode", async () => {
    const { check, first } = await checkApplyAgain(
      sandbox,
      file({ path: "/srv/a/b/", state: "directory", mode: "2750" }),
    );
    expect([mode("srv/a"), mode("srv/a/b")]).toEqual([0o2750, 0o2750]);
    expect(check.change?.diff).toEqual([
      { path: "/srv/a", attributes: { state: ["absent", "directory"], mode: ["", "2750"] } },
      { path: "/srv/a/b", attributes: { state: ["absent", "directory"], mode: ["", "2750"] } },
    ]);
    expect(first.data).toMatchObject({
      path: "/srv/a/b/",
      state: "directory",
      mode: "02750",
      uid: process.getuid!(),
    });
    expect(check.change?.data).toEqual({ path: "/srv/a/b/" });
  });

  it("gets its mode, and with recurse everything below it", async () => {
    mkdirSync(at("srv/a/b"), { recursive: true });
    writeFileSync(at("srv/a/b/f"), "");
    for (const path of ["srv/a", "srv/a/b"]) chmodSync(at(path), 0o700);
    chmodSync(at("srv/a/b/f"), 0o600);
    writeFileSync(at("outside"), "", { mode: 0o600 });
    symlinkSync("../../outside", at("srv/a/out"));
    symlinkSync(".", at("srv/a/loop"));
    const call = file({
      path: "/srv/a",
      state: "directory",
      recurse: true,
      mode: "u=rwX,go=rX",
      follow: false,
    });
    const { check } = await checkApplyAgain(sandbox, call);
    expect([mode("srv/a"), mode("srv/a/b"), mode("srv/a/b/f"), mode("outside")]).toEqual([
      0o755, 0o755, 0o644, 0o600,
    ]);
    expect(check.change?.diff).toHaveLength(3);
    await checkApplyAgain(sandbox, file({ path: "/srv/a", recurse: true, mode: "go=" }));
    expect([mode("srv/a/b/f"), mode("outside")]).toEqual([0o600, 0o600]);
    chmodSync(at("outside"), 0o644);
    expect((await run({ path: "/srv/a", recurse: true, mode: "go=", follow: false })).state).toBe(
      "unchanged",
    );
    expect((await run({ path: "/srv/a", recurse: true, mode: "go=" })).state).toBe("unchanged");
    await checkApplyAgain(sandbox, file({ path: "/srv/a", recurse: true, mode: "go=", follow: true }));
    expect(mode("outside")).toBe(0o600);
  });

  it("follows a link to one, unless told not to", async () => {
    mkdirSync(at("srv/real"), { mode: 0o700 });
    symlinkSync("real", at("srv/link"));
    await checkApplyAgain(sandbox, file({ path: "/srv/link", state: "directory", mode: "0711" }));
    expect(mode("srv/real")).toBe(0o711);
    await expect(run({ path: "/srv/link", state: "directory", follow: false })).rejects.toThrow(
      "/srv/link already exists as a link",
    );
  });

  it("does not take the place of a file", async () => {
    writeFileSync(at("srv/f"), "");
    await expect(run({ path: "/srv/f", state: "directory" })).rejects.toThrow(
      "/srv/f already exists as a file",
    );
    await expect(run({ path: "/srv/f/sub", state: "directory" })).rejects.toThrow("not a directory");
  });
});

describe("file", () => {
  it("sets attributes of what is there, also without a state", async () => {
    writeFileSync(at("srv/f"), "text\n", { mode: 0o600 });
    const { check } = await checkApplyAgain(
      sandbox,
      file({ path: "/srv/f", mode: 0o644, owner: process.getuid!() }),
    );
    expect(check.change?.diff).toEqual([{ path: "/srv/f", attributes: { mode: ["0600", "0644"] } }]);
    expect(readFileSync(at("srv/f"), "utf8")).toBe("text\n");
  });

  it("is not made", async () => {
    await expect(run({ path: "/srv/f", mode: "0644" })).rejects.toThrow(
      "file (/srv/f) is absent, cannot continue; make it",
    );
    expect((await run({ path: "/srv/f", mode: "0644" }, true)).state).toBe("unknown");
    await expect(run({ path: "/srv", state: "file" })).rejects.toThrow(
      "file (/srv) is directory, cannot continue",
    );
  });

  it("gets a time, to the second", async () => {
    writeFileSync(at("srv/f"), "");
    await checkApplyAgain(sandbox, file({ path: "/srv/f", modification_time: "202601021530.45" }));
    expect(statSync(at("srv/f")).mtime).toEqual(new Date(2026, 0, 2, 15, 30, 45));
    await expect(run({ path: "/srv/f", modification_time: "yesterday" })).rejects.toThrow(
      '"yesterday" is not a time',
    );
  });
});

describe("what Ansible returns", () => {
  it("is dest of links and touched files, path of others, and what is there", async () => {
    expect((await run({ path: "/srv/f", state: "touch", mode: "0640" })).data).toMatchObject({
      ...{ dest: "/srv/f", state: "file", mode: "0640", size: 0 },
    });
    expect((await run({ path: "/srv/l", state: "link", src: "f" })).data).toMatchObject({
      ...{ dest: "/srv/l", src: "f", state: "link", mode: "0777" },
    });
    expect((await run({ path: "/srv/l", mode: "0600" })).data).toMatchObject({
      dest: "/srv/l",
      state: "link",
    });
    expect((await run({ path: "/srv/l", state: "file" })).data).toMatchObject({
      path: "/srv/f",
      mode: "0600",
    });
    expect((await run({ path: "/srv/h", state: "hard", src: "/srv/f" })).data).toMatchObject({
      ...{ dest: "/srv/h", src: "/srv/f", state: "hard" },
    });
    const absent = file({ path: "/srv/l", state: "absent" });
    const { check, first, second } = await checkApplyAgain(sandbox, absent);
    expect(check.change?.data).toMatchObject({ path: "/srv/l", state: "link" });
    expect([first.data, second.data]).toEqual(Array(2).fill({ path: "/srv/l", state: "absent" }));
  });

  it("is told of failures, too", async () => {
    mkdirSync(at("srv/d"));
    const failure = await run({ path: "/srv/d", state: "file" }).catch((thrown: unknown) => thrown);
    expect(failureData(failure)).toMatchObject({ path: "/srv/d", state: "directory", mode: "0755" });
    const missing = await run({ path: "/srv/none" }).catch((thrown: unknown) => thrown);
    expect(failureData(missing)).toEqual({ path: "/srv/none", state: "absent" });
  });
});

describe("times", () => {
  it.each([
    ["2020-01-02", "%Y-%m-%d", new Date(2020, 0, 2)],
    ["Mar 5 21, 1:30:05 PM", "%b %d %y, %I:%M:%S %p", new Date(2021, 2, 5, 13, 30, 5)],
    ["2020.060 12", "%Y.%j %H", new Date(2020, 1, 29, 12)],
    ["100% 2001", "100%% %Y", new Date(2001, 0, 1)],
  ])("%s has the format %s", async (time, format, expected) => {
    writeFileSync(at("srv/f"), "");
    const call = file({ path: "/srv/f", modification_time: time, modification_time_format: format });
    await checkApplyAgain(sandbox, call);
    expect(statSync(at("srv/f")).mtimeMs).toBe(expected.getTime());
  });

  it("of another format are refused, with the reason", async () => {
    writeFileSync(at("srv/f"), "");
    const look = (time: string, format: string) =>
      run({ path: "/srv/f", modification_time: time, modification_time_format: format });
    await expect(look("2020", "%Q")).rejects.toThrow("%Q, which is not known");
    await expect(look("x", "%Y")).rejects.toThrow('"x" is not a time; write preserve, now, or %Y');
  });
});

/** True where the file system of temporary files has flags, and this user may set them. */
function hasFlags(): boolean {
  using probe = makeSandbox();
  writeFileSync(join(probe.root, "f"), "");
  return spawnSync("chattr", ["+d", join(probe.root, "f")]).status === 0;
}

describe("attributes of the file system", () => {
  it.skipIf(!hasFlags())("are set, added and removed", async () => {
    writeFileSync(at("srv/f"), "");
    // chattr knows no root but the machine's.
    const system = createLocalSystem();
    const look = (attributes: string) =>
      pass(file({ path: at("srv/f"), attributes }), system, sandbox.context());
    const flags = (): string =>
      spawnSync("lsattr", ["-d", at("srv/f")])
        .stdout.toString()
        .split(" ")[0]!;
    for (const [attributes, has] of [
      ["+d", "d"],
      ["A", "A"],
      ["+d", "Ad"],
      ["-A", "d"],
      ["=", ""],
    ] as const) {
      expect((await look(attributes)).state).toBe("changed");
      expect([...flags().replace(/[-e]/g, "")].sort().join("")).toBe(has);
      expect((await look(attributes)).state).toBe("unchanged");
    }
  });

  it("are refused where SELinux is on and would have to be set", async () => {
    writeFileSync(at("srv/f"), "");
    expect((await run({ path: "/srv/f", setype: "etc_t", unsafe_writes: true })).state).toBe("unchanged");
    mkdirSync(at("sys/fs/selinux"), { recursive: true });
    writeFileSync(at("sys/fs/selinux/enforce"), "1");
    await expect(run({ path: "/srv/f", setype: "etc_t" })).rejects.toThrow('the SELinux context "etc_t"');
  });
});

describe("what would be ignored is refused", () => {
  it("src of what is no link", async () => {
    expect(() => file({ path: "/srv/f", src: "g", state: "file" })).toThrow(
      "src option requires state to be 'link' or 'hard'",
    );
    writeFileSync(at("srv/f"), "");
    await expect(run({ path: "/srv/f", src: "g" })).rejects.toThrow("src option requires state to be");
  });

  it("a link where a file should be, unless it is followed", async () => {
    symlinkSync("f", at("srv/link"));
    const params = { path: "/srv/link", state: "file", mode: "0600" } as const;
    await expect(run({ ...params, follow: false })).rejects.toThrow(
      "file (/srv/link) is link, cannot continue",
    );
    writeFileSync(at("srv/f"), "");
    await checkApplyAgain(sandbox, file(params));
  });
});

describe("touch", () => {
  it("makes an empty file, and then only changes its times", async () => {
    const call = file({ path: "/srv/f", state: "touch", mode: "0640" });
    const before = snapshot(sandbox.root);
    expect((await run({ path: "/srv/f", state: "touch" }, true)).state).toBe("changed");
    expect(snapshot(sandbox.root)).toEqual(before);
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("changed");
    expect([mode("srv/f"), statSync(at("srv/f")).size]).toEqual([0o640, 0]);
    writeFileSync(at("srv/f"), "text\n");
    utimesSync(at("srv/f"), 1000, 1000);
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("changed");
    expect(statSync(at("srv/f")).mtimeMs).toBeGreaterThan(1_000_000);
    expect(readFileSync(at("srv/f"), "utf8")).toBe("text\n");
  });

  // Not the access time: looking at what was made may set it.
  it.each(["touch", "directory"] as const)(
    "gives what it makes the time it should have (%s)",
    async (state) => {
      const times = { modification_time: "202601021530.45", access_time: "preserve" };
      await checkApplyAgain(sandbox, file({ path: "/srv/new", state, ...times }));
      expect(statSync(at("srv/new")).mtime).toEqual(new Date(2026, 0, 2, 15, 30, 45));
    },
  );

  it("changes nothing the second time when both times are preserved", async () => {
    await checkApplyAgain(
      sandbox,
      file({ path: "/srv/f", state: "touch", modification_time: "preserve", access_time: "preserve" }),
    );
  });

  it("needs its directory", async () => {
    await expect(run({ path: "/no/f", state: "touch" })).rejects.toThrow("/no does not exist");
  });
});

describe("link", () => {
  it("is made, and led elsewhere", async () => {
    writeFileSync(at("srv/one"), "", { mode: 0o600 });
    writeFileSync(at("srv/two"), "");
    await checkApplyAgain(sandbox, file({ path: "/srv/link", state: "link", src: "one", mode: "0644" }));
    expect(readlinkSync(at("srv/link"))).toBe("one");
    expect(mode("srv/one")).toBe(0o644);
    const { check } = await checkApplyAgain(
      sandbox,
      file({ path: "/srv/link", state: "link", src: "/srv/two" }),
    );
    expect(check.change?.diff).toEqual([
      { path: "/srv/link", attributes: { state: ["link to one", "link to /srv/two"] } },
    ]);
    expect(readlinkSync(at("srv/link"))).toBe("/srv/two");
  });

  it("leads nowhere only with force", async () => {
    await expect(run({ path: "/srv/link", state: "link", src: "gone" })).rejects.toThrow(
      "src file does not exist",
    );
    await checkApplyAgain(sandbox, file({ path: "/srv/link", state: "link", src: "gone", force: true }));
    expect(readlinkSync(at("srv/link"))).toBe("gone");
  });

  it("takes the place of a file or an empty directory only with force", async () => {
    writeFileSync(at("srv/target"), "");
    writeFileSync(at("srv/f"), "");
    mkdirSync(at("srv/d"));
    for (const path of ["/srv/f", "/srv/d"]) {
      await expect(run({ path, state: "link", src: "target" })).rejects.toThrow("set force: true");
      await checkApplyAgain(sandbox, file({ path, state: "link", src: "target", force: true }));
      expect(lstatSync(at(path)).isSymbolicLink()).toBe(true);
    }
    mkdirSync(at("srv/full"));
    writeFileSync(at("srv/full/x"), "");
    await expect(run({ path: "/srv/full", state: "link", src: "target", force: true })).rejects.toThrow(
      "not empty",
    );
    expect(existsSync(at("srv/full/x"))).toBe(true);
  });

  it("that leads to nothing may stay where nothing else is asked for", async () => {
    symlinkSync("gone", at("srv/link"));
    expect((await run({ path: "/srv/link" })).state).toBe("unchanged");
    expect((await run({ path: "/srv/link", state: "link" })).state).toBe("unchanged");
  });

  it("needs src, and a directory to be in", async () => {
    await expect(run({ path: "/srv/link", state: "link" })).rejects.toThrow(
      "src is required for creating new symlinks",
    );
    await expect(run({ path: "/no/link", state: "link", src: "/srv" })).rejects.toThrow("/no does not exist");
    expect((await run({ path: "/no/link", state: "link", src: "/srv/later" }, true)).state).toBe("changed");
  });
});

it.runIf(process.getuid?.() === 0)("touches a file of another user that may be written", async () => {
  writeFileSync(at("srv/f"), "");
  chmodSync(at("srv/f"), 0o666);
  utimesSync(at("srv/f"), 1, 1);
  for (const path of ["", "srv"]) chmodSync(at(path), 0o755);
  chmodSync(dirname(sandbox.root), 0o755);
  const { setTimes: _, ...rest } = sandbox.system;
  const system = {
    ...rest,
    // The kernel's answer to a user who does not own the file.
    setTimes: () => Promise.reject(new VolleyError("FILE_FAILED", "cannot set the times: permission denied")),
    run: (argv: readonly string[]) =>
      sandbox.system.run(["setpriv", "--reuid=65534", "--clear-groups", ...argv.slice(0, -1), at("srv/f")]),
  };
  await pass(file({ path: "/srv/f", state: "touch" }), system, sandbox.context());
  expect(statSync(at("srv/f")).mtimeMs).toBeGreaterThan(1_000_000);
});

describe("hard link", () => {
  it("is another name of the file", async () => {
    writeFileSync(at("srv/f"), "");
    await checkApplyAgain(sandbox, file({ path: "/srv/g", state: "hard", src: "/srv/f" }));
    expect(statSync(at("srv/g")).ino).toBe(statSync(at("srv/f")).ino);
  });

  it("replaces another file only with force", async () => {
    writeFileSync(at("srv/f"), "");
    writeFileSync(at("srv/g"), "mine");
    await expect(run({ path: "/srv/g", state: "hard", src: "/srv/f" })).rejects.toThrow("set force: true");
    await checkApplyAgain(sandbox, file({ path: "/srv/g", state: "hard", src: "/srv/f", force: true }));
    symlinkSync("nowhere", at("srv/l"));
    await checkApplyAgain(sandbox, file({ path: "/srv/l", state: "hard", src: "/srv/f" }));
    await expect(run({ path: "/srv/h", state: "hard", src: "/srv/none" })).rejects.toThrow(
      "src does not exist",
    );
    await expect(run({ path: "/srv/h", state: "hard", src: "/srv" })).rejects.toThrow("/srv is a directory");
  });
});

describe("absent", () => {
  it("removes files, links and whole directories", async () => {
    mkdirSync(at("srv/d/e"), { recursive: true });
    writeFileSync(at("srv/keep"), "x");
    linkSync(at("srv/keep"), at("srv/d/e/f"));
    symlinkSync("keep", at("srv/link"));
    const { check } = await checkApplyAgain(sandbox, file({ path: "/srv/d", state: "absent" }));
    expect(check.change?.diff).toEqual([{ path: "/srv/d", attributes: { state: ["directory", "absent"] } }]);
    await checkApplyAgain(sandbox, file({ path: "/srv/link", state: "absent" }));
    expect(readFileSync(at("srv/keep"), "utf8")).toBe("x");
    expect((await run({ path: "/no/such", state: "absent" })).state).toBe("unchanged");
  });

  it("tells a registered result what was below a directory", async () => {
    mkdirSync(at("srv/d e/f"), { recursive: true });
    for (const name of ["srv/d e/a\nb", "srv/d e/f/g"]) writeFileSync(at(name), "");
    symlinkSync("f", at("srv/d e/to-f"));
    symlinkSync("none", at("srv/d e/dangling"));
    // find(1) knows no root but the machine's.
    const remove = async (path: string) => {
      const context = { ...sandbox.context(), registered: true };
      const { data } = await pass(file({ path: at(path), state: "absent" }), createLocalSystem(), context);
      return data?.diff?.before.path_content as Record<string, readonly string[]> | undefined;
    };
    expect(await remove("srv/d e/f/g")).toBeUndefined();
    const content = await remove("srv/d e");
    expect(content?.directories?.toSorted()).toEqual([at("srv/d e/f"), at("srv/d e/to-f")]);
    expect(content?.files?.toSorted()).toEqual([at("srv/d e/a\nb"), at("srv/d e/dangling")]);
    expect(existsSync(at("srv/d e"))).toBe(false);
  });
});

it("names a wrong parameter", async () => {
  // @ts-expect-error a state that does not exist
  expect(() => file({ path: "/srv", state: "dir" })).toThrow('parameter "state"');
  // @ts-expect-error a parameter that does not exist
  expect(() => file({ path: "/srv", recursive: true })).toThrow(
    'unknown parameter "recursive"; did you mean "recurse"?',
  );
  expect(() => file({ path: "/srv/x", state: "absent", recurse: true })).toThrow(
    "recurse option requires state to be 'directory'",
  );
});
