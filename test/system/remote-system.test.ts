import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { serveSystem } from "../../src/agent/users.ts";
import { SYSTEM_CALLS, type System } from "../../src/core/system.ts";
import { createLocalSystem } from "../../src/system/local/local-system.ts";
import {
  connectSystem,
  createLateSystem,
  decodeMessage,
  encodeMessage,
  type RemoteSystem,
  type SystemRequest,
} from "../../src/system/remote-system.ts";

let directory: string;
let remote: RemoteSystem;
let system: System;
let kill: () => void;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "volley-remote-"));
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const served = serveSystem(undefined, stdin, stdout).then(() => "its process ended");
  let die!: (reason: string) => void;
  const died = new Promise<string>((resolve) => {
    die = resolve;
  });
  kill = () => die("it was killed");
  remote = await connectSystem({ stdin, stdout, ended: Promise.race([served, died]) });
  system = remote.system;
});
afterEach(async () => {
  await remote.close();
  rmSync(directory, { recursive: true });
});
const at = (name: string): string => join(directory, name);

test("it is who serves it, and has all that a System has", () => {
  expect(system.uid).toBe(process.getuid!());
  expect(system.gid).toBe(process.getgid!());
  expect(remote.env.PATH).toBe(process.env.PATH);
  const local = createLocalSystem();
  const names = Object.keys(local).filter((name) => name !== "close" && name !== "uid" && name !== "gid");
  expect([...SYSTEM_CALLS].sort()).toEqual(names.sort());
  local.close();
});

test("files: written, read, looked at, and gone", async () => {
  const bytes = Buffer.from([0, 1, 255, 10, 13, 128]);
  await system.writeFile(at("bytes"), bytes, { mode: 0o640 });
  expect(await system.readFile(at("bytes"))).toEqual(bytes);
  expect(await system.stat(at("bytes"))).toMatchObject({ type: "file", size: 6, mode: 0o640 });
  expect(await system.writeFile(at("copy"), { copyOf: at("bytes") })).toBe("replaced");
  expect(readFileSync(at("copy"))).toEqual(bytes);
  await system.remove(at("copy"));
  expect(await system.stat(at("none"))).toBeNull();
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
  expect(await system.stat(at("bytes"))).toMatchObject({ links: 2, mode: 0o600, mtimeMs: 2_000_000 });
  await system.rename(at("hard"), at("moved"));
  await system.remove(at("link"));
  expect(await system.list(directory)).toEqual(["bytes", "dir", "moved", "plain"]);
  expect(await system.realPath(at("dir/../bytes"))).toBe(await system.realPath(at("bytes")));
  expect(await system.checksum(at("bytes"), "sha256")).toBe(createHash("sha256").update(bytes).digest("hex"));
  expect(await system.which("sh")).toMatch(/\/sh$/);
  expect(await system.which("no-such-command")).toBeNull();
});

test("text of every kind arrives as it is", async () => {
  for (const text of ["", "ä ✓ 😀\u2028\u0000\n", '{"$bytes":"AA=="}', "x".repeat(3_000_000)]) {
    await system.writeFile(at("text"), text);
    expect(await system.readText(at("text"))).toBe(text);
  }
});

test("a file that comes piece by piece; one that breaks off is not written", async () => {
  async function* pieces(fail: boolean): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < 40; index++) yield Buffer.alloc(100_000, index);
    if (fail) throw new Error("the source is gone");
  }
  await system.writeFile(at("large"), pieces(false));
  expect(readFileSync(at("large")).length).toBe(4_000_000);
  await expect(system.writeFile(at("broken"), pieces(true))).rejects.toThrow("the source is gone");
  await expect(system.writeFile("/proc/none/there", pieces(false))).rejects.toMatchObject({
    code: "FILE_FAILED",
  });
  expect(await system.list(directory)).toEqual(["large"]);
});

test("errors keep code, message and hint", async () => {
  await expect(system.readText(at("none"))).rejects.toMatchObject({
    name: "VolleyError",
    code: "FILE_FAILED",
    message: `cannot read ${at("none")}: no such file or directory`,
  });
  await expect(system.run(["no-such-command"])).rejects.toMatchObject({ code: "PROCESS_FAILED" });
});

test("processes: input, environment, live output, exit code", async () => {
  const live: string[] = [];
  const result = await system.run(["sh", "-c", 'cat; echo "$A-$B" >&2; pwd; exit 3'], {
    cwd: directory,
    input: Buffer.from("in\n"),
    env: { A: "a", B: undefined },
    onOutput: (stream, text) => live.push(`${stream} ${text}`),
    maxOutput: 1_000,
  });
  expect(result).toMatchObject({ code: 3, stdout: `in\n${directory}\n`, stderr: "a-\n" });
  expect(live.join("")).toContain("stderr a-");
  await expect(system.query(["sleep", "60"], { timeoutMs: 50 })).rejects.toMatchObject({ code: "TIMEOUT" });
});

test("an abort ends the process over there", async () => {
  const abort = new AbortController();
  const running = system.run(["sh", "-c", "echo $$; exec sleep 600"], {
    signal: abort.signal,
    onOutput: (_stream, text) => {
      writeFileSync(at("pid"), text.trim());
      abort.abort();
    },
  });
  await expect(running).rejects.toMatchObject({ code: "CANCELLED" });
  const pid = Number(readFileSync(at("pid"), "utf8"));
  expect(() => process.kill(pid, 0)).toThrow();
  await expect(system.run(["true"], { signal: abort.signal })).rejects.toMatchObject({ code: "CANCELLED" });
});

test("a process that is gone fails what is waited for, and what is asked afterwards", async () => {
  const waiting = system.run(["sleep", "0.2"]);
  kill();
  await expect(waiting).rejects.toMatchObject({ code: "BECOME_FAILED", message: "it was killed" });
  await expect(system.stat("/")).rejects.toMatchObject({ code: "BECOME_FAILED" });
});

test("closed: what is temporary is removed, what runs is ended", async () => {
  const made = await system.temporaryDirectory();
  expect(await system.stat(made)).toMatchObject({ type: "directory", mode: 0o700 });
  const running = system.run(["sleep", "600"]);
  running.catch(() => {});
  await remote.close();
  await expect(running).rejects.toMatchObject({ code: expect.stringMatching(/CANCELLED|BECOME_FAILED/) });
  await expect(createLocalSystem().stat(made)).resolves.toBeNull();
});

test("a late System begins when it is used, and says who it is before", async () => {
  let begun = 0;
  const late = createLateSystem(
    async () => {
      begun++;
      return system;
    },
    () => ({ uid: 12, gid: 34 }),
  );
  expect([late.uid, late.gid, begun]).toEqual([12, 34, 0]);
  expect(await late.stat("/")).toMatchObject({ type: "directory" });
  expect(begun).toBe(1);
});

test("messages: undefined, bytes and nesting survive; what is no message is none", () => {
  const request = {
    id: 1,
    call: "writeFile",
    args: [undefined, { env: { A: undefined, B: "b" }, input: Buffer.from("x") }, [null]],
  } as const;
  const line = encodeMessage(request);
  expect(line.indexOf("\n")).toBe(line.length - 1);
  expect(decodeMessage(line)).toEqual(request);
  const { args } = decodeMessage<SystemRequest>(line) as Extract<SystemRequest, { call: string }>;
  expect(Object.keys((args[1] as { readonly env: object }).env)).toEqual(["A", "B"]);
  expect(decodeMessage("a banner")).toBeUndefined();
  expect(decodeMessage("3")).toBeUndefined();
});
