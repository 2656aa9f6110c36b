import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { System } from "../../src/core/system.ts";
import type { DirectSystem } from "../../src/direct/direct-system.ts";
import { createLocalSystem } from "../../src/system/local/local-system.ts";
import { underLimit, until } from "../lib/patience.ts";
import { type DirectHost, startDirectHost } from "./lib/host.ts";

let host: DirectHost;
let directory: string;
let system: DirectSystem;
beforeAll(async () => {
  host = await startDirectHost();
});
afterAll(() => host.stop());
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "volley-direct-"));
  ({ system } = await host.open());
});
afterEach(async () => {
  await system.close();
  rmSync(directory, { recursive: true });
});
const at = (name: string): string => join(directory, name);
const local = createLocalSystem();

test("it is who is logged in", () => {
  expect([system.uid, system.gid]).toEqual([process.getuid!(), process.getgid!()]);
  expect(system.user.home).toBe(host.fleet.hosts[0]!.home);
  expect(system.user.env.VOLLEY_EMBEDDED_HOST).toBe("web01");
});

test("files: written, read, looked at, and gone", async () => {
  const bytes = Buffer.from([0, 1, 255, 10, 13, 128]);
  await system.writeFile(at("bytes"), bytes, { mode: 0o640 });
  expect(await system.readFile(at("bytes"))).toEqual(bytes);
  expect(await system.stat(at("bytes"))).toMatchObject({ type: "file", size: 6, mode: 0o640 });
  expect(await system.stat(at("none"))).toBeNull();
  expect(await system.lstat(at("bytes/below"))).toBeNull();
  expect(await system.readIfExists(at("none"))).toBeNull();
  await system.makeDirectory(at("dir"), 0o2750);
  expect(await system.stat(at("dir"))).toMatchObject({ type: "directory", mode: 0o2750 });
  await system.makeDirectory(at("plain"));
  await system.symlink("bytes", at("link"));
  expect(await system.lstat(at("link"))).toMatchObject({ type: "link" });
  expect(await system.readLink(at("link"))).toBe("bytes");
  await system.link(at("bytes"), at("hard"));
  await system.chmod(at("hard"), 0o600);
  await system.chown(at("hard"), -1, -1);
  await system.setTimes(at("hard"), 1_000_000, 2_000_000);
  expect(await system.stat(at("bytes"), true)).toMatchObject({ links: 2, mode: 0o600, mtimeMs: 2_000_000 });
  await system.rename(at("hard"), at("moved"));
  await system.remove(at("link"));
  await system.remove(at("none"));
  expect(await system.list(directory)).toEqual(["bytes", "dir", "moved", "plain"]);
  await system.writeFile(at("dir/below"), "x");
  await system.remove(at("dir"));
  expect(existsSync(at("dir"))).toBe(false);
  expect(await system.realPath(at("plain/../bytes"))).toBe(await local.realPath(at("bytes")));
  for (const algorithm of ["sha256", "md5", "blake2b512"]) {
    expect(await system.checksum(at("bytes"), algorithm)).toBe(
      createHash(algorithm).update(bytes).digest("hex"),
    );
  }
  expect(await system.which("sh")).toMatch(/\/sh$/);
  expect(await system.which("no-such-command")).toBeNull();
});

test("an exact look tells what a look on the machine itself does", async () => {
  writeFileSync(at("file"), "text", { mode: 0o4711 });
  symlinkSync("file", at("link"));
  for (const path of [at("file"), at("link"), directory, "/dev/null", "/proc/1"]) {
    // Following a link is a use of it: the time of that may be another by now.
    const { atimeMs: _atimeMs, ...lasting } = (await local.lstat(path))!;
    expect(await system.lstat(path, true)).toMatchObject(lasting);
    const exact = (await local.stat(path))!;
    const { inode, device, links, mtimeMs, atimeMs, ctimeMs, blocks, blockSize, rdev, ...plain } = exact;
    expect(await system.stat(path)).toMatchObject(plain);
    expect(await system.stat(path, true)).toMatchObject({
      inode,
      device,
      links,
      ctimeMs,
      blocks,
      blockSize,
      rdev,
    });
    expect(Math.floor(mtimeMs / 1000)).toBe((await system.stat(path))!.mtimeMs / 1000);
    expect(Number.isFinite(atimeMs)).toBe(true);
  }
});

test("a file keeps mode and owner of the one it replaces; a new one has what the umask leaves", async () => {
  writeFileSync(at("old"), "1", { mode: 0o604 });
  await system.writeFile(at("old"), "2");
  expect(statSync(at("old")).mode & 0o7777).toBe(0o604);
  await system.writeFile(at("new"), "3");
  expect(statSync(at("new")).mode & 0o7777).toBe(0o666 & ~process.umask());
  await system.writeFile(at("private"), "4", { mode: 0o4600 });
  expect(statSync(at("private")).mode & 0o7777).toBe(0o4600);
});

test("text of every kind and length arrives as it is", async () => {
  for (const text of ["", "ä ✓ 😀\u2028\u0000\n", "x".repeat(3_000_000)]) {
    await system.writeFile(at("text"), text);
    expect(readFileSync(at("text"), "utf8")).toBe(text);
    expect(await system.readText(at("text"))).toBe(text);
  }
  expect(await system.readText("/proc/self/mounts")).toContain("/proc");
});

test("a file that comes piece by piece; one that breaks off is not written", async () => {
  async function* pieces(fail: boolean): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < 40; index++) yield Buffer.alloc(100_000, index);
    if (fail) throw new Error("the source is gone");
  }
  await system.writeFile(at("large"), pieces(false));
  const whole = Buffer.concat(Array.from({ length: 40 }, (_, index) => Buffer.alloc(100_000, index)));
  expect(readFileSync(at("large")).equals(whole)).toBe(true);
  expect((await system.readFile(at("large"))).equals(whole)).toBe(true);
  await expect(system.writeFile(at("broken"), pieces(true))).rejects.toThrow("the source is gone");
  expect(await system.list(directory)).toEqual(["large"]);
});

test.runIf(process.getuid?.() === 0)(
  "an attribute that keeps even root from changing a file is named",
  async () => {
    await system.makeDirectory(at("dir"));
    await system.makeDirectory(at("dir/sub"));
    for (const name of ["file", "log", "dir/sub/file"]) await system.writeFile(at(name), "");
    const set = (change: string, name: string): number | null =>
      spawnSync("chattr", [change, at(name)]).status;
    // Not every file system has them, nor every container the right.
    if (set("+i", "file") !== 0) return;
    try {
      set("+a", "log");
      set("+i", "dir/sub");
      for (const [doing, attribute, name] of [
        [(on: System) => on.writeFile(at("file"), "x"), "i", "file"],
        [(on: System) => on.remove(at("file")), "i", "file"],
        [(on: System) => on.chmod(at("file"), 0o600), "i", "file"],
        [(on: System) => on.chown(at("file"), 1, 1), "i", "file"],
        [(on: System) => on.rename(at("dir"), at("file")), "i", "file"],
        [(on: System) => on.writeFile(at("log"), "x"), "a", "log"],
        [(on: System) => on.writeFile(at("dir/sub/file"), "x"), "i", "dir/sub"],
        [(on: System) => on.makeDirectory(at("dir/sub/new")), "i", "dir/sub"],
        [(on: System) => on.remove(at("dir/sub/file")), "i", "dir/sub"],
        [(on: System) => on.remove(at("dir")), "i", "dir/sub"],
      ] as const) {
        for (const on of [system, local]) {
          await expect(doing(on), String(doing)).rejects.toMatchObject({
            message: expect.stringContaining(
              `has the ${attribute === "i" ? "immutable" : "append-only"} attribute`,
            ),
            hint: `take it away first: chattr -${attribute} ${at(name)}`,
          });
        }
      }
    } finally {
      for (const name of ["file", "log", "dir/sub"]) set("-ia", name);
    }
  },
);

test("errors are those of a System on the machine itself", async () => {
  await system.makeDirectory(at("dir"));
  await system.writeFile(at("file"), "");
  const failing: readonly ((on: typeof system | typeof local) => Promise<unknown>)[] = [
    (on) => on.readText(at("none")),
    (on) => on.readFile(at("dir")),
    (on) => on.makeDirectory(at("dir")),
    (on) => on.makeDirectory(at("none/dir")),
    (on) => on.symlink("x", at("file")),
    (on) => on.link(at("none"), at("hard")),
    (on) => on.list(at("none")),
    (on) => on.realPath(at("none")),
    (on) => on.chmod(at("none"), 0o600),
    (on) => on.writeFile(at("none/file"), ""),
    (on) => on.writeFile(at("dir"), ""),
    (on) => on.stat("relative"),
    // A directory of PATH that may not be entered would make it another error.
    (on) => on.run(["no-such-command"], { env: { PATH: "/usr/bin:/bin" } }),
    (on) => on.run([at("none")]),
    (on) => on.run([at("file")]),
    (on) => on.run([at("dir")]),
    (on) => on.run(["true"], { cwd: at("none") }),
    (on) => on.run(["sleep", "60"], { timeoutMs: 50 }),
    (on) => on.run([]),
  ];
  for (const fail of failing) {
    const expected = await (async () => fail(local))().then(
      () => "none",
      (thrown: Error) => ({ code: (thrown as { code?: unknown }).code, message: thrown.message }),
    );
    expect(expected).not.toBe("none");
    await expect(fail(system)).rejects.toMatchObject(expected as object);
  }
});

/** Does the same with the machine itself and over a connection, each in a directory of its own. */
const onBoth = (check: (on: typeof system | typeof local, pidFile: string, cwd: string) => Promise<void>) =>
  Promise.all(
    [local, system].map(async (on, index) => {
      const cwd = mkdtempSync(at(`on-${index}-`));
      await check(on, join(cwd, "pid"), cwd);
    }),
  );

test("a child that holds the output is left alone, whether it has a session of its own or prints", async () => {
  await onBoth(async (on, pidFile, cwd) => {
    for (const begin of ["sleep 60 &", "setsid sleep 60 &"]) {
      const { code, stdout } = await on.run(["sh", "-c", `${begin} echo $!`]);
      expect([code, process.kill(Number(stdout), "SIGKILL")], begin).toEqual([0, true]);
    }
    const prints = await on.run([
      "sh",
      "-c",
      "for i in $(seq 300); do sleep 0.2; echo more; done & echo begun",
    ]);
    expect(prints).toMatchObject({ code: 0, stdout: expect.stringMatching(/^begun\n(more\n)*$/) });
    // Neither a time limit nor cancelling waits for it.
    const held = ["sh", "-c", 'setsid -w sh -c "echo \\$\\$ > pid; exec sleep 60"'];
    const begun = (): boolean => existsSync(pidFile) && readFileSync(pidFile, "utf8").endsWith("\n");
    const stop = new AbortController();
    const cancelling = on.run(held, { cwd, signal: stop.signal });
    cancelling.catch(() => {});
    await until(begun);
    stop.abort();
    await expect(cancelling).rejects.toMatchObject({ code: "CANCELLED" });
    expect(process.kill(Number(readFileSync(pidFile, "utf8")), "SIGKILL")).toBe(true);
    rmSync(pidFile);
    await underLimit(1, async (seconds) => {
      await expect(on.run(held, { cwd, timeoutMs: seconds * 1_000 })).rejects.toMatchObject({
        code: "TIMEOUT",
      });
      return begun() || undefined;
    });
    expect(process.kill(Number(readFileSync(pidFile, "utf8")), "SIGKILL")).toBe(true);
  });
});

test("of a group that is ended nothing is left, though its leader has gone", async () => {
  await onBoth(async (on, pidFile, cwd) => {
    const script = 'sh -c "trap : TERM; echo \\$\\$ > pid; while :; do sleep 1; done" & wait';
    await underLimit(1, async (seconds) => {
      const running = on.run(["sh", "-c", script], { cwd, timeoutMs: seconds * 1_000 });
      await expect(running).rejects.toMatchObject({ code: "TIMEOUT" });
      return existsSync(pidFile) || undefined;
    });
    await until(() => !isThere(Number(readFileSync(pidFile, "utf8"))));
  });
});

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("processes: input, environment, live output, exit code, signal", async () => {
  const live: string[] = [];
  const result = await system.run(["sh", "-c", 'cat; echo "$A-$B" >&2; pwd; exit 3'], {
    cwd: directory,
    input: Buffer.from("in\n"),
    env: { A: "a'\"$x\nÁ", B: undefined, "odd-name": "x" },
    onOutput: (stream, text) => live.push(`${stream} ${text}`),
  });
  expect(result).toMatchObject({ code: 3, stdout: `in\n${directory}\n`, stderr: "a'\"$x\nÁ-\n" });
  expect(live.join("")).toContain("stderr a'");
  expect(await system.run(["sh", "-c", "kill -TERM $$"])).toMatchObject({ code: 143, signal: "SIGTERM" });
  const odd = ["", "a b", "*", "\n", "'", '"', "\\", "$HOME", "Á\u0081", "-n", "x\n\ny\n"];
  expect((await system.run(["printf", "%s|", ...odd])).stdout).toBe(odd.map((word) => `${word}|`).join(""));
  expect((await system.run(["cat"])).stdout).toBe("");
  expect((await system.run(["sh", "-c", "pwd; echo $PATH"])).stdout).toBe(
    `${system.user.home}\n${(await system.run(["printenv", "PATH"])).stdout}`,
  );
  const long = await system.run(["sh", "-c", "yes | head -c 3000000"], { maxOutput: 1_000 });
  expect(long).toMatchObject({ truncated: true, stdout: "y\n".repeat(500) });
  const large = Buffer.alloc(2_000_000, "z");
  expect((await system.run(["sh", "-c", "wc -c"], { input: large })).stdout.trim()).toBe("2000000");
});

test("an abort ends the whole process group over there", async () => {
  const abort = new AbortController();
  const running = system.run(["sh", "-c", "sleep 600 & echo $!; wait"], {
    signal: abort.signal,
    onOutput: (_stream, text) => {
      writeFileSync(at("pid"), text.trim());
      abort.abort();
    },
  });
  await expect(running).rejects.toMatchObject({ code: "CANCELLED" });
  const pid = readFileSync(at("pid"), "utf8");
  await expect.poll(() => existsSync(`/proc/${pid}/cwd`)).toBe(false);
  await expect(system.run(["true"], { signal: abort.signal })).rejects.toMatchObject({ code: "CANCELLED" });
});

test("many processes at a time are given to the host a few at a time", async () => {
  const results = await Promise.all(
    Array.from({ length: 30 }, (_, index) => system.run(["sh", "-c", `sleep 0.05; echo ${index}`])),
  );
  expect(results.map(({ stdout }) => Number(stdout))).toEqual(
    Array.from({ length: 30 }, (_, index) => index),
  );
});

test("closed: what is temporary is removed", async () => {
  const made = await system.temporaryDirectory();
  expect(statSync(made).mode & 0o7777).toBe(0o700);
  await system.close();
  expect(existsSync(made)).toBe(false);
  ({ system } = await host.open());
});
