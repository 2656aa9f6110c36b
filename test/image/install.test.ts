import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { STATE, STATE_DIRECTORY } from "../../src/image/first-boot.ts";
import { findInit, findRunner } from "../../src/image/init.ts";
import { inspectRoot, installPayload, runtimesFor } from "../../src/image/install.ts";
import { archOfRoot, findNode } from "../../src/image/node.ts";
import type { Payload } from "../../src/image/payload.ts";
import { readResult } from "../../src/image/result.ts";
import { type ImageRoot, openRoot } from "../../src/image/root.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";
import { ARCH } from "../e2e/lib/runtimes.ts";

const scratch = scratchDirectory();
let directory: string;
let root: ImageRoot;

beforeEach(() => {
  directory = mkdtempSync(join(scratch(), "root-"));
  put({ "etc/os-release": "ID=debian\n" });
  root = openRoot(directory);
});

/** Write files into the root; a text that begins with `->` becomes a link. */
function put(files: Readonly<Record<string, string | Buffer>>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    if (typeof content === "string" && content.startsWith("->")) symlinkSync(content.slice(2), path);
    else writeFileSync(path, content);
  }
}

const systemd = { "sbin/init": "->/lib/systemd/systemd", "lib/systemd/systemd": "" };

const payload = (id: string, ...names: readonly string[]): Payload => ({
  ...{ host: "web1", playbook: "site.ts", bundle: { id, bytes: Buffer.from(id) } },
  ...{ runtimes: [], signers: undefined },
  files: ["site.run", "run.sh", ...names].map((name) => ({
    ...{ name, content: Buffer.from(`${name} of ${id}`) },
    mode: name === "run.sh" ? 0o700 : 0o600,
  })),
});
const install = (
  given: Payload,
  init: "systemd" | "OpenRC" | "sysvinit" = "systemd",
  waitsForNetwork = false,
) => installPayload(root, given, { init, waitsForNetwork, signal: new AbortController().signal });
const at = (path: string): string => join(directory, path);
const makeFifo = (path: string): Buffer => execFileSync("sh", ["-c", 'mkfifo "$1"', "sh", path]);
/** The path of a file beside the runner that the root's service starts. */
const state = (name = ""): string => at(join(findRunner(root) ?? STATE_DIRECTORY, name));

describe("links of a root", () => {
  test("lead to files of the root, and never out of it", async () => {
    put({
      "real/file": "inside",
      "etc/absolute": "->/real/file",
      "etc/upwards": "->../../../../../../real/file",
      "etc/circle": "->circle",
      srv: "->/real",
    });
    expect([root.read("/etc/absolute"), root.read("/etc/upwards")]).toEqual(["inside", "inside"]);
    expect([root.read("/etc/circle"), root.exists("/etc/circle")]).toEqual([undefined, false]);
    await root.write("/srv/new/file", "written", 0o640);
    expect(readFileSync(at("real/new/file"), "utf8")).toBe("written");
    expect(statSync(at("real/new/file")).mode & 0o777).toBe(0o640);
    // The link itself is replaced.
    await root.write("/etc/absolute", "its own", 0o644);
    expect([lstatSync(at("etc/absolute")).isFile(), root.read("/real/file")]).toEqual([true, "inside"]);
  });

  test("that lead to the state's directory elsewhere stay within the root", async () => {
    const outside = mkdtempSync(join(scratch(), "outside-"));
    put({ ...systemd, var: `->${outside}`, etc2: "->/etc" });
    await install(payload("one"));
    expect(readdirSync(outside)).toEqual([]);
    const [installed] = readdirSync(join(directory, outside, "lib/volley/first-boot"));
    const file = join(directory, outside, "lib/volley/first-boot", installed!, "site.run");
    expect(readFileSync(file, "utf8")).toBe("site.run of one");
  });
});

describe("the init system", () => {
  test("systemd: a unit with a stamp, enabled by a link", async () => {
    put(systemd);
    expect(findInit(root)).toBe("systemd");
    await install(payload("one"));
    const unit = readFileSync(at("etc/systemd/system/volley-first-boot.service"), "utf8");
    expect(unit).toMatch(
      /\nConditionPathExists=!(\/var\/lib\/volley\/first-boot\/[0-9a-f]{16})\/done\n(?:.*\n)*ExecStart=\/bin\/sh \1\/run\.sh\n/,
    );
    expect(unit).not.toContain("network-online");
    expect(readlinkSync(at("etc/systemd/system/multi-user.target.wants/volley-first-boot.service"))).toBe(
      "/etc/systemd/system/volley-first-boot.service",
    );
    await install(payload("one"), "systemd", true);
    expect(readFileSync(at("etc/systemd/system/volley-first-boot.service"), "utf8")).toContain(
      "Wants=network-online.target\nAfter=network-online.target\n",
    );
  });

  test("OpenRC: a service of the runlevel default", async () => {
    put({ "sbin/init": "", "sbin/openrc-run": "", "etc/runlevels/default/keep": "", "etc/inittab": "" });
    expect(findInit(root)).toBe("OpenRC");
    await install(payload("one"), "OpenRC", true);
    expect(readlinkSync(at("etc/runlevels/default/volley-first-boot"))).toBe("/etc/init.d/volley-first-boot");
    expect(readFileSync(at("etc/init.d/volley-first-boot"), "utf8")).toMatch(
      /^#!\/sbin\/openrc-run\n(?:.*\n)* {2}use net/,
    );
    expect(statSync(at("etc/init.d/volley-first-boot")).mode & 0o777).toBe(0o755);
  });

  test("sysvinit: a script of the runlevels that there are", async () => {
    put({
      "sbin/init": "",
      "etc/inittab": "",
      "etc/init.d/rc": "",
      "etc/rc2.d/README": "",
      "etc/rc5.d/README": "",
    });
    expect(findInit(root)).toBe("sysvinit");
    await install(payload("one"), "sysvinit");
    expect(
      ["etc/rc2.d", "etc/rc5.d"].map((path) => readlinkSync(at(`${path}/S99volley-first-boot`))),
    ).toEqual(["../init.d/volley-first-boot", "../init.d/volley-first-boot"]);
    expect(existsSync(at("etc/rc3.d"))).toBe(false);
    expect(existsSync(at("etc/init.d/.depend.start"))).toBe(false);
  });

  test("sysvinit with the order of Debian's scripts: behind all others, once", async () => {
    put({
      "etc/init.d/.depend.start": "TARGETS = killprocs cron single\nINTERACTIVE =\nsingle: killprocs\n",
    });
    await install(payload("one"), "sysvinit");
    await install(payload("two"), "sysvinit");
    expect(readFileSync(at("etc/init.d/.depend.start"), "utf8")).toBe(
      "TARGETS = killprocs cron single volley-first-boot\nINTERACTIVE =\nsingle: killprocs\nvolley-first-boot: cron\n",
    );
  });

  test("none: a line says so, and nothing is written", () => {
    put({ "sbin/init": "#!/bin/sh\n" });
    expect(() => inspectRoot(root, "the root", false)).toThrow(
      "the root has no init system that Volley knows: systemd, OpenRC or sysvinit",
    );
    expect(existsSync(state())).toBe(false);
  });

  test("a root without ssh-keygen gets no signed bundle", () => {
    put(systemd);
    expect(() => inspectRoot(root, "the root", true)).toThrow(
      expect.objectContaining({
        message: "the root has no ssh-keygen, which verifies the signature",
        hint: "install OpenSSH's client in it, or give --unsigned instead of --sign",
      }),
    );
    put({ "usr/bin/ssh-keygen": "" });
    expect(inspectRoot(root, "the root", true).init).toBe("systemd");
  });
});

describe("Node", () => {
  const header =
    "#define NODE_MAJOR_VERSION 22\n#define NODE_MINOR_VERSION 1\n#define NODE_PATCH_VERSION 3\n";
  test.each([
    [
      "its headers",
      { "usr/local/bin/node": "", "usr/local/include/node/node_version.h": header },
      "22.1.3",
      true,
    ],
    [
      "dpkg",
      {
        "usr/bin/nodejs": "",
        "var/lib/dpkg/status":
          "Package: nodejs\nStatus: install ok installed\nPriority: optional\nVersion: 12.22.12~dfsg-1\nDepends: x\n\nPackage: other\nStatus: install ok installed\nVersion: 99.0.0\n",
      },
      "12.22.12",
      false,
    ],
    [
      "apk",
      { "usr/bin/node": "", "lib/apk/db/installed": "C:Q1\nP:nodejs\nV:20.15.1-r0\n" },
      "20.15.1",
      true,
    ],
    [
      "the program itself",
      { "opt/node/bin/node": "\0…/v24.2.0/node-v24.2.0-headers.tar.gz\0" },
      "24.2.0",
      true,
    ],
    ["nothing", { "usr/bin/node": "" }, undefined, false],
  ])("its version is known by %s", (_by, files, version, isUsable) => {
    put(files);
    expect(findNode(root)).toMatchObject({ version, isUsable });
  });

  test("a runtime goes along where there is none that can be used", () => {
    put({ ...systemd, "bin/sh": "->/usr/bin/node-of-this-machine" });
    put({ "usr/bin/node-of-this-machine": readFileSync(process.execPath) });
    const traits = inspectRoot(root, "the root", false);
    expect(traits).toEqual({ init: "systemd", arch: ARCH, node: undefined });
    expect(runtimesFor(traits, "the root", "where needed", undefined)).toEqual([ARCH]);
    expect(() => runtimesFor(traits, "the root", "without", undefined)).toThrow(
      "the root has no Node, and bundles need 18 or newer",
    );
    const other = ARCH === "x64" ? "arm64" : "x64";
    expect(() => runtimesFor(traits, "the root", "where needed", [other])).toThrow(
      `the programs of the root are for ${ARCH}, not for ${other}`,
    );
    const usable = { ...traits, node: { path: "/usr/bin/node", version: "20.1.0", isUsable: true } };
    expect(runtimesFor(usable, "the root", "where needed", undefined)).toEqual([]);
    expect(runtimesFor(usable, "the root", "with", undefined)).toEqual([ARCH]);
  });

  test("what is no regular file is no program, and nothing waits for it", () => {
    put(systemd);
    mkdirSync(at("usr/bin/node"), { recursive: true });
    mkdirSync(at("bin"));
    for (const path of ["bin/sh", "usr/bin/nodejs", "usr/bin/ssh-keygen"]) makeFifo(at(path));
    expect(inspectRoot(root, "root", false)).toEqual({ init: "systemd", arch: undefined, node: undefined });
    expect(() => inspectRoot(root, "root", true)).toThrow("root has no ssh-keygen");
  });

  test("a machine without runtimes is told of", () => {
    put({ ...systemd, "bin/sh": Buffer.from("\x7fELF\x01\x01", "latin1") });
    expect(archOfRoot(root)).toBeUndefined();
    expect(() =>
      runtimesFor(inspectRoot(root, "the root", false), "the root", "where needed", undefined),
    ).toThrow("the root has no Node, and there is no runtime for its processor");
  });
});

describe("installing", () => {
  beforeEach(() => put(systemd));

  test("puts files there for the owner alone, and leaves nothing else", async () => {
    chmodSync(directory, 0o755);
    await install(payload("one", "verify.sh", "allowed_signers"));
    const modes = (): object =>
      Object.fromEntries(readdirSync(state()).map((name) => [name, statSync(state(name)).mode & 0o777]));
    for (const path of [state(), at(STATE_DIRECTORY)]) expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(modes()).toEqual({
      "run.sh": 0o700,
      "site.run": 0o600,
      "verify.sh": 0o600,
      allowed_signers: 0o600,
    });
    await install(payload("one", "verify.sh", "allowed_signers"));
    expect(Object.keys(modes())).toHaveLength(4);
    // Without a signature now.
    await install(payload("two"));
    expect(modes()).toEqual({ "run.sh": 0o700, "site.run": 0o600 });
    expect(readFileSync(state("site.run"), "utf8")).toBe("site.run of two");
    expect(readdirSync(at(STATE_DIRECTORY))).toHaveLength(1);
  });

  test("again keeps the stamp of the same bundle, and removes that of another", async () => {
    await install(payload("one"));
    const stamp = (): void => {
      writeFileSync(state(STATE.done), "one\n");
      writeFileSync(state(STATE.attempts), "1\n");
    };
    stamp();
    await install(payload("one"));
    expect(readFileSync(state(STATE.done), "utf8")).toBe("one\n");
    await install(payload("two"));
    expect([existsSync(state(STATE.done)), existsSync(state(STATE.attempts))]).toEqual([false, false]);
  });

  test("is refused where the bundle, or Node at the first boot, has no room, before anything is written", async () => {
    const runtime = {
      ...({ id: "a".repeat(64), arch: ARCH, version: "24.0.0", hasLibraries: false } as const),
      ...{ bytes: 7 << 20, unpackedBytes: 2 ** 53 - 2 ** 40 },
    };
    const files = (): readonly string[] => readdirSync(directory, { recursive: true, encoding: "utf8" });
    const before = files();
    await expect(install({ ...payload("one"), runtimes: [runtime] })).rejects.toMatchObject({
      code: "FILE_FAILED",
      message: expect.stringMatching(
        /^\S+ has no room: it needs 2 MiB for the bundle and 8588886023 MiB to unpack Node at the first boot; \d+ MiB are free$/,
      ),
    });
    expect(files()).toEqual(before);
    // Unpacked already, at an earlier boot.
    put({ [`root/.cache/volley/runtimes/${runtime.id}/node`]: "" });
    await install({ ...payload("one"), runtimes: [runtime] });
    expect(existsSync(state("run.sh"))).toBe(true);
  });

  test("names the image, and not the directory where it is mounted", async () => {
    mkdirSync(join(directory, "etc/systemd/system/multi-user.target.wants/volley-first-boot.service"), {
      recursive: true,
    });
    root = openRoot(directory, "disk.img");
    await expect(install(payload("aaaa"))).rejects.toThrow(
      "cannot write /etc/systemd/system/multi-user.target.wants/volley-first-boot.service in disk.img: it is a directory",
    );
  });

  test("interrupted leaves the service out", async () => {
    const signal = AbortSignal.abort();
    await expect(
      installPayload(root, payload("one"), { init: "systemd", waitsForNetwork: false, signal }),
    ).rejects.toMatchObject({ code: "CANCELLED" });
    expect(existsSync(at("etc/systemd/system"))).toBe(false);
  });

  test("into a directory without etc is refused", () => {
    const empty = mkdtempSync(join(scratch(), "empty-"));
    expect(() => openRoot(empty)).toThrow(`${empty} is no root of a system: it has no etc/`);
  });
});

describe("the result", () => {
  const event = (rest: object): string => `${JSON.stringify({ seq: 1, time: 1_000, ...rest })}\n`;
  const task = { task: 0, play: "P", role: "R", name: "T", action: "copy" };
  const tally = { unchanged: 1, changed: 0, skipped: 0, failed: 1, ignored: 0, rescued: 0, notExecuted: 3 };
  const write = (files: Readonly<Record<string, string>>): void =>
    put(Object.fromEntries(Object.entries(files).map(([name, text]) => [join(STATE_DIRECTORY, name), text])));

  test("of a root without a bundle, and of one that was not booted", async () => {
    put(systemd);
    expect(() => readResult(root, "disk.img")).toThrow("disk.img has no bundle for its first boot");
    await install(payload("one"));
    expect(() => readResult(root, "disk.img")).toThrow("disk.img has not been booted with its bundle yet");
  });

  test("of a root whose state is no regular file", () => {
    mkdirSync(at(STATE_DIRECTORY), { recursive: true });
    makeFifo(at(join(STATE_DIRECTORY, STATE.attempts)));
    expect(() => readResult(root, "root")).toThrow("root has no bundle for its first boot");
  });

  test.skipIf(process.getuid?.() === 0)("of a root whose state is for root alone", () => {
    mkdirSync(at(STATE_DIRECTORY), { recursive: true });
    put({ [join(STATE_DIRECTORY, STATE.attempts)]: "1\n" });
    chmodSync(at(STATE_DIRECTORY), 0);
    expect(() => readResult(root, "root")).toThrow(/cannot read .*attempts in .*: permission denied/);
    chmodSync(at(STATE_DIRECTORY), 0o700);
  });

  test("of a provisioned machine", () => {
    const bye = event({ type: "bye", tally: { ...tally, failed: 0 }, elapsedMs: 5, time: 1_007 });
    write({ done: "one\n", attempts: "2\n", host: "web1\n", "result.jsonl": `${bye}{"half` });
    expect(readResult(root, "disk.img")).toMatchObject({
      ...{ host: "web1", attempt: 2, bundle: "one" },
      events: [
        { type: "run:start" },
        { type: "bye" },
        { type: "host:end", outcome: "ok" },
        { type: "run:end" },
      ],
      summary: { exitCode: 0, tally: { unchanged: 1, notExecuted: 3 }, outcomes: { ok: 1 } },
    });
  });

  test("of a machine on which an action failed", () => {
    const error = { code: "ACTION_FAILED", message: "no room" };
    const events = `${event({ type: "task:end", ...task, elapsedMs: 1, result: { state: "failed", error } })}${event({ type: "bye", tally, elapsedMs: 5 })}`;
    write({ failed: "2\n", attempts: "3\n", host: "web1\n", "result.jsonl": events });
    expect(readResult(root, "disk.img").summary).toMatchObject({
      exitCode: 2,
      hosts: [{ host: "web1", outcome: "failed", failures: [{ name: "T", error }], tally: { failed: 1 } }],
    });
  });

  test("of a machine that refused its bundle, and of one that was turned off meanwhile", () => {
    write({
      failed: "1\nvolley: site.run was changed after it was signed\n",
      attempts: "1\n",
      host: "web1\n",
    });
    expect(readResult(root, "disk.img").summary).toMatchObject({
      exitCode: 2,
      hosts: [{ outcome: "failed", error: { message: "site.run was changed after it was signed" } }],
    });
    root.remove(`${STATE_DIRECTORY}/failed`);
    expect(readResult(root, "disk.img").summary).toMatchObject({
      exitCode: 2,
      hosts: [{ outcome: "lost", error: { message: expect.stringContaining("provisioning has not ended") } }],
    });
  });

  test("leaves out lines that are no events", () => {
    write({
      done: "one\n",
      attempts: "1\n",
      "result.jsonl": `7\n{}\n${event({ type: "run:end" })}${event({ type: "log", level: "info" })}`,
    });
    expect(readResult(root, "disk.img").events.map(({ type }) => type)).toEqual([
      "run:start",
      "host:end",
      "run:end",
    ]);
  });
});
