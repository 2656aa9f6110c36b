import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { listZip } from "../../../src/actions/files/archive-kinds.ts";
import { unarchive } from "../../../src/actions/files/unarchive.ts";
import { crc32 } from "../../../src/core/values/bytes.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox, snapshot, testsWorkDirectly } from "../harness.ts";

const has = (command: string): boolean => spawnSync(command, ["--help"]).error === undefined;

/** A tree packed as an asset of the role, in any format; gives the asset's name. */
function pack(sandbox: Sandbox, format: string, directory = join(sandbox.role, "files")): string {
  const tree = join(sandbox.root, "..", `tree-${format}`);
  mkdirSync(join(tree, "app/bin"), { recursive: true });
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(tree, "app/bin/run"), "#!/bin/sh\n", { mode: 0o755 });
  writeFileSync(join(tree, "app/read me.txt"), "hello\n", { mode: 0o644 });
  for (const path of ["app/bin/run", "app/read me.txt"]) utimesSync(join(tree, path), 1e9, 1e9);
  symlinkSync("bin/run", join(tree, "app/start"));
  for (const path of ["app", "app/bin"]) chmodSync(join(tree, path), 0o755);
  chmodSync(join(tree, "app/bin/run"), 0o775);
  const name = `app.${format}`;
  const archive = join(directory, name);
  if (format === "zip")
    execFileSync("zip", ["--quiet", "--symlinks", "--recurse-paths", archive, "app"], { cwd: tree });
  else execFileSync("tar", ["--create", "--auto-compress", `--file=${archive}`, "app"], { cwd: tree });
  return name;
}

const COMPRESSORS: Readonly<Record<string, string>> = {
  tar: "tar",
  "tar.gz": "gzip",
  "tar.bz2": "bzip2",
  "tar.xz": "xz",
  "tar.zst": "zstd",
  zip: "zip",
};
/** True for one format of each kind of archive. */
const isOfEachKind = (format: string): boolean => format === "tar.gz" || format === "zip";
const FORMATS = Object.keys(COMPRESSORS)
  .filter((format) => has(COMPRESSORS[format]!) && (format !== "zip" || has("unzip")))
  // The connection does not know the compressors apart.
  .filter((format) => !testsWorkDirectly() || isOfEachKind(format));

const HANDLERS: Readonly<Record<string, string>> = {
  ...{ "tar.gz": "TgzArchive", "tar.bz2": "TarBzipArchive", "tar.xz": "TarXzArchive" },
  ...{ "tar.zst": "TarZstdArchive", zip: "ZipArchive" },
};

describe.each(FORMATS)("unarchive of .%s", (format) => {
  test("unpacks once", async () => {
    using sandbox = makeSandbox();
    const src = pack(sandbox, format);
    mkdirSync(join(sandbox.root, "srv"));
    const { check, first, second } = await checkApplyAgain(
      sandbox,
      unarchive({ src, dest: "/srv", list_files: true }),
    );
    const at = (path: string) => join(sandbox.root, "srv/app", path);
    expect(readFileSync(at("read me.txt"), "utf8")).toBe("hello\n");
    expect(statSync(at("bin/run")).mode & 0o777).toBe(0o775);
    expect(lstatSync(at("start")).isSymbolicLink()).toBe(true);
    expect(check.change?.diff).toMatchObject({
      path: "/srv",
      after: expect.stringContaining("app/read me.txt\n"),
    });
    const files = ["app/", "app/bin/", "app/bin/run", "app/read me.txt", "app/start"];
    expect([...(first.data?.files ?? [])].sort()).toEqual(files);
    expect([...(second.data?.files ?? [])].sort()).toEqual(files);
    const described = {
      handler: expect.stringMatching(/^(T|Zip).*Archive$/),
      state: "directory",
      mode: "0755",
    };
    expect(first.data).toMatchObject({ ...described, src, dest: "/srv", extract_results: { rc: 0 } });
    expect(check.change?.data).toMatchObject(described);
    expect(second.data).not.toHaveProperty("extract_results");
  });

  test("from the host also where copy is false, as older playbooks have it", async () => {
    using sandbox = makeSandbox();
    mkdirSync(join(sandbox.root, "srv"));
    const src = `/${pack(sandbox, format, sandbox.root)}`;
    const { first } = await checkApplyAgain(sandbox, unarchive({ src, dest: "/srv", copy: false }));
    expect(first.data?.handler).toBe(HANDLERS[format] ?? "TarArchive");
  });
});

// All of tar's formats are unpacked by the same commands, with an option that the tests above see at work.
describe.each(FORMATS.filter(isOfEachKind))("every part of an archive, .%s", (format) => {
  test("from the host; what is changed, lost or has other permissions comes back, another time is left alone", async () => {
    using sandbox = makeSandbox();
    const name = pack(sandbox, format, join(sandbox.root, "in/coming"));
    mkdirSync(join(sandbox.root, "srv"));
    const call = unarchive({ src: `/in/coming/${name}`, dest: "/srv", remote_src: true });
    await checkApplyAgain(sandbox, call);
    const at = (path: string) => join(sandbox.root, "srv/app", path);
    for (const [spoil, path] of [
      [() => writeFileSync(at("read me.txt"), "HELLO\n"), "app/read me.txt"],
      [() => rmSync(at("bin/run")), "app/bin/run"],
      [() => chmodSync(at("bin/run"), 0o600), "app/bin/run"],
      [() => rmSync(at("start")), "app/start"],
    ] as const) {
      spoil();
      const { check } = await checkApplyAgain(sandbox, call);
      expect(check.change?.diff).toMatchObject({ after: `${path}\n` });
    }
    utimesSync(at("read me.txt"), 5, 5);
    const before = snapshot(sandbox.root);
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("unchanged");
    expect(snapshot(sandbox.root)).toEqual(before);
  });

  test("sets the mode of everything unpacked", async () => {
    using sandbox = makeSandbox();
    const src = pack(sandbox, format);
    mkdirSync(join(sandbox.root, "srv"));
    await checkApplyAgain(sandbox, unarchive({ src, dest: "/srv", mode: "u=rwX,go=" }));
    expect(statSync(join(sandbox.root, "srv/app/bin")).mode & 0o777).toBe(0o700);
    expect(statSync(join(sandbox.root, "srv/app/read me.txt")).mode & 0o777).toBe(0o600);
    chmodSync(join(sandbox.root, "srv/app/read me.txt"), 0o644);
    await checkApplyAgain(sandbox, unarchive({ src, dest: "/srv", mode: "u=rwX,go=" }));
  });
});

// These options are words for tar and unzip, which take them the same over a connection.
describe.skipIf(testsWorkDirectly()).each(FORMATS.filter(isOfEachKind))(
  "what unarchive of .%s is told",
  (format) => {
    test("names that begin with a dash are no options", async () => {
      using sandbox = makeSandbox();
      const tree = join(sandbox.root, "..", `dashes-${format}`);
      mkdirSync(tree);
      for (const name of ["-d", "-x", "-y", "z"]) writeFileSync(join(tree, name), name);
      mkdirSync(join(sandbox.role, "files"), { recursive: true });
      const src = join(sandbox.role, "files", `dashes.${format}`);
      if (format === "zip") execFileSync("zip", ["--quiet", "--recurse-paths", src, "."], { cwd: tree });
      else execFileSync("tar", ["--create", "--auto-compress", "--file", src, "."], { cwd: tree });
      const only = format === "zip" ? ["-d", "-x"] : ["./-d", "./-x"];
      for (const dest of ["only", "rest"]) mkdirSync(join(sandbox.root, dest));
      await checkApplyAgain(sandbox, unarchive({ src: `dashes.${format}`, dest: "/only", include: only }));
      expect(readdirSync(join(sandbox.root, "only")).sort()).toEqual(["-d", "-x"]);
      await checkApplyAgain(sandbox, unarchive({ src: `dashes.${format}`, dest: "/rest", exclude: only }));
      expect(readdirSync(join(sandbox.root, "rest")).sort()).toEqual(["-y", "z"]);
    });

    test("leaves out what is excluded, or takes only what is included", async () => {
      using sandbox = makeSandbox();
      const src = pack(sandbox, format);
      for (const name of ["without", "only"]) mkdirSync(join(sandbox.root, name));
      await checkApplyAgain(sandbox, unarchive({ src, dest: "/without", exclude: "*.txt" }));
      expect(existsSync(join(sandbox.root, "without/app/bin/run"))).toBe(true);
      expect(existsSync(join(sandbox.root, "without/app/read me.txt"))).toBe(false);
      await checkApplyAgain(sandbox, unarchive({ src, dest: "/only", include: ["app/read*"] }));
      expect(existsSync(join(sandbox.root, "only/app/read me.txt"))).toBe(true);
      expect(existsSync(join(sandbox.root, "only/app/bin"))).toBe(false);
    });

    test("keeps newer files when told", async () => {
      using sandbox = makeSandbox();
      const src = pack(sandbox, format);
      mkdirSync(join(sandbox.root, "srv"));
      const call = unarchive({ src, dest: "/srv", keep_newer: true });
      await checkApplyAgain(sandbox, call);
      const file = join(sandbox.root, "srv/app/read me.txt");
      writeFileSync(file, "mine, and newer\n");
      // As in Ansible, a newer file of a tar archive counts as a change each time.
      const [checked, ended] = format === "zip" ? ["unknown", "unchanged"] : ["changed", "changed"];
      expect((await pass(call, sandbox.system, sandbox.context({ check: true }))).state).toBe(checked);
      expect((await pass(call, sandbox.system, sandbox.context())).state).toBe(ended);
      expect(readFileSync(file, "utf8")).toBe("mine, and newer\n");
    });
  },
);

describe("unarchive", () => {
  test("takes more options of tar", async () => {
    using sandbox = makeSandbox();
    const src = pack(sandbox, "tar.gz");
    mkdirSync(join(sandbox.root, "srv"));
    await checkApplyAgain(sandbox, unarchive({ src, dest: "/srv", extra_opts: "--strip-components=1" }));
    expect(existsSync(join(sandbox.root, "srv/bin/run"))).toBe(true);
  });

  test("of a whole directory sets the mode of dest as well", async () => {
    using sandbox = makeSandbox();
    pack(sandbox, "tar");
    const tree = join(sandbox.root, "../tree-tar/app");
    execFileSync("tar", ["--create", `--file=${join(sandbox.role, "files/dot.tar")}`, "."], { cwd: tree });
    mkdirSync(join(sandbox.root, "srv"));
    symlinkSync("srv", join(sandbox.root, "link"));
    await checkApplyAgain(sandbox, unarchive({ src: "dot.tar", dest: "/link", mode: "u=rwX,go=" }));
    expect(statSync(join(sandbox.root, "srv")).mode & 0o777).toBe(0o700);
    expect(statSync(join(sandbox.root, "srv/bin/run")).mode & 0o777).toBe(0o700);
    expect(lstatSync(join(sandbox.root, "link")).isSymbolicLink()).toBe(true);
  });

  test("knows names of any letters, and says which it cannot handle", async () => {
    using sandbox = makeSandbox();
    const tree = join(sandbox.root, "../tree");
    const names = ["two\nlines", "back\\slash", "größe", "tab\t", "\\101"];
    for (const name of names) {
      mkdirSync(join(tree, "t"), { recursive: true });
      writeFileSync(join(tree, "t", name), "x\n");
    }
    mkdirSync(join(sandbox.role, "files"));
    const pack = () =>
      execFileSync("tar", ["--create", `--file=${join(sandbox.role, "files/t.tar")}`, "t"], { cwd: tree });
    pack();
    mkdirSync(join(sandbox.root, "srv"));
    const call = unarchive({ src: "t.tar", dest: "/srv", mode: "u=rwX,go=", list_files: true });
    const { second } = await checkApplyAgain(sandbox, call);
    expect([...(second.data?.files ?? [])].sort()).toEqual(
      ["t/", ...names.map((name) => `t/${name}`)].sort(),
    );
    for (const name of names) expect(statSync(join(sandbox.root, "srv/t", name)).mode & 0o777).toBe(0o600);
    chmodSync(join(sandbox.root, "srv/t/two\nlines"), 0o644);
    await checkApplyAgain(sandbox, call);
  });

  test("is held back by creates", async () => {
    using sandbox = makeSandbox();
    mkdirSync(join(sandbox.root, "opt/tool-1.2"), { recursive: true });
    const call = unarchive({
      src: "http://127.0.0.1:1/x.zip",
      dest: "/opt",
      remote_src: true,
      creates: "/opt/tool-*",
    });
    const { state, inspected } = await pass(call, sandbox.system, sandbox.context());
    expect([state, inspected?.message]).toEqual(["skipped", "skipped, since /opt/tool-* exists"]);
  });

  test("downloads a URL, and is unchanged when nothing in it differs", async () => {
    using sandbox = makeSandbox();
    const name = pack(sandbox, "tar.gz");
    const archive = readFileSync(join(sandbox.role, "files", name));
    const server = createServer((request, response) =>
      request.url === "/a" ? response.end(archive) : response.writeHead(404).end(),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      mkdirSync(join(sandbox.root, "srv"));
      const call = unarchive({ src: `${url}/a`, dest: "/srv", remote_src: true });
      expect((await pass(call, sandbox.system, sandbox.context({ check: true }))).state).toBe("unknown");
      expect(existsSync(join(sandbox.root, "srv/app"))).toBe(false);
      expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("changed");
      expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("unchanged");
      const absent = unarchive({ src: `${url}/b`, dest: "/srv", remote_src: true });
      await expect(pass(absent, sandbox.system, sandbox.context())).rejects.toThrow(/the server answers 404/);
    } finally {
      server.close();
    }
  });

  test("what goes wrong is said; check mode predicts what an earlier task would have made", async () => {
    using sandbox = makeSandbox();
    const src = pack(sandbox, "tar.gz");
    const run = (call: ReturnType<typeof unarchive>, check = false) =>
      pass(call, sandbox.system, sandbox.context({ check }));
    const nowhere = unarchive({ src, dest: "/srv" });
    await expect(run(nowhere)).rejects.toThrow(/dest '\/srv' must be an existing dir; make it first/);
    expect((await run(nowhere, true)).state).toBe("changed");
    mkdirSync(join(sandbox.root, "srv"));
    const absent = unarchive({ src: "/no.tar", dest: "/srv", remote_src: true });
    await expect(run(absent)).rejects.toThrow("Source '/no.tar' does not exist on the host");
    expect((await run(absent, true)).change?.unknown).toBe("/no.tar is not there yet");
    await expect(run(unarchive({ src: "/no.tar", dest: "/srv" }))).rejects.toThrow(/say remote_src: true/);
    await expect(run(unarchive({ src: "other.tar", dest: "/srv" }))).rejects.toMatchObject({
      code: "ASSET_MISSING",
    });
    writeFileSync(join(sandbox.role, "files/broken.tar"), "no archive at all");
    writeFileSync(join(sandbox.role, "files/broken.zip"), "PK no archive at all");
    await expect(run(unarchive({ src: "broken.tar", dest: "/srv" }))).rejects.toThrow(
      /cannot unpack broken.tar: .*not look like a tar archive/,
    );
    await expect(run(unarchive({ src: "broken.zip", dest: "/srv" }))).rejects.toThrow(
      "broken.zip is not a zip archive, or is incomplete",
    );
    await expect(run(unarchive({ src, dest: "/srv", include: ["absent"] }))).rejects.toThrow(
      /Not found in archive/,
    );
    writeFileSync(join(sandbox.root, "file"), "");
    await expect(run(unarchive({ src, dest: "/file" }))).rejects.toThrow(
      "dest '/file' must be an existing dir; it is a file",
    );
  });

  test("wrong parameters are named", () => {
    // @ts-expect-error: a misspelt parameter
    expect(() => unarchive({ src: "a", dest: "/b", strip: 1 })).toThrow(/unknown parameter "strip"/);
  });
});

test("crc32 is that of zip", () => {
  expect(crc32(Buffer.from("123456789"))).toBe(0xcbf43926);
  expect(() => listZip(Buffer.alloc(100), "x.zip")).toThrow("x.zip is not a zip archive");
});

describe("an archive", () => {
  test.each([
    ["a few bytes", "hello", "gz"],
    ["no bytes", "", "gz"],
    ["a few bytes", "hello", "xz"],
    ["zeros", "\0".repeat(2048), "gz"],
  ])("that is no tar or holds nothing is refused (%s)", async (_what, content, format) => {
    using sandbox = makeSandbox();
    mkdirSync(join(sandbox.root, "srv"));
    mkdirSync(join(sandbox.role, "files"));
    const bytes = execFileSync(format === "gz" ? "gzip" : "xz", ["-c"], { input: content });
    writeFileSync(join(sandbox.role, "files", `x.${format}`), bytes);
    writeFileSync(join(sandbox.root, `x.${format}`), bytes);
    for (const [src, remote_src] of [
      [`x.${format}`, false],
      [`/x.${format}`, true],
    ] as const)
      await expect(
        pass(unarchive({ src, dest: "/srv", remote_src }), sandbox.system, sandbox.context()),
      ).rejects.toThrow(`${src} holds no files`);
  });

  test("that holds a name twice is unpacked once", async () => {
    using sandbox = makeSandbox();
    const tree = join(sandbox.root, "../tree");
    const tar = join(sandbox.role, "files/t.tar");
    for (const path of [join(tree, "d"), join(sandbox.role, "files"), join(sandbox.root, "srv")])
      mkdirSync(path, { recursive: true });
    writeFileSync(join(tree, "d/f"), "first\n", { mode: 0o600 });
    execFileSync("tar", ["-C", tree, "-cf", tar, "d/f"]);
    writeFileSync(join(tree, "d/f"), "second one\n");
    chmodSync(join(tree, "d/f"), 0o644);
    execFileSync("tar", ["-C", tree, "-rf", tar, "./d/f"]);
    await checkApplyAgain(sandbox, unarchive({ src: "t.tar", dest: "/srv" }));
    expect(readFileSync(join(sandbox.root, "srv/d/f"), "utf8")).toBe("second one\n");
    writeFileSync(join(sandbox.root, "srv/d/f"), "first\n");
    await checkApplyAgain(sandbox, unarchive({ src: "t.tar", dest: "/srv" }));
  });

  test("of which directories are only implied gives those it makes their owner and mode", async () => {
    using sandbox = makeSandbox();
    const tree = join(sandbox.root, "../tree");
    mkdirSync(join(tree, "a/b/c"), { recursive: true });
    mkdirSync(join(sandbox.role, "files"));
    mkdirSync(join(sandbox.root, "srv/a"), { recursive: true });
    chmodSync(join(sandbox.root, "srv/a"), 0o755);
    writeFileSync(join(tree, "a/b/c/f"), "");
    execFileSync("tar", ["-C", tree, "-cf", join(sandbox.role, "files/t.tar"), "a/b/c/f"]);
    const isRoot = process.getuid?.() === 0;
    const owner = isRoot ? { owner: 12_345, group: 12_345 } : {};
    await checkApplyAgain(sandbox, unarchive({ src: "t.tar", dest: "/srv", mode: "u=rwX,go=", ...owner }));
    const seen = ["a", "a/b", "a/b/c", "a/b/c/f"].map((path) => {
      const { mode, uid } = statSync(join(sandbox.root, "srv", path));
      return [(mode & 0o777).toString(8), uid];
    });
    const [own, given] = [process.getuid?.(), isRoot ? 12_345 : process.getuid?.()];
    // The archive does not own the directory that existed before, so it keeps its mode and owner.
    expect(seen).toEqual([
      ["755", own],
      ["700", given],
      ["700", given],
      ["600", given],
    ]);
  });
});
