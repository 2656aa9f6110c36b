import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { type HostLock, LOCK_PREFIX, takeLock } from "../../src/agent/lock.ts";
import { takeDirectLock } from "../../src/direct/lock.ts";
import { createShells } from "../../src/direct/shell.ts";
import { bootId, machineId, processStart } from "../../src/system/this-process.ts";
import { createSessions } from "../../src/transport/sessions.ts";
import type { RemoteExit, RemoteProcess } from "../../src/transport/transport.ts";
import { until } from "../lib/patience.ts";

const SHELLS = ["/bin/dash", "/bin/bash", "/bin/ksh93", "/bin/busybox"].filter((path) => existsSync(path));
const file = (): string => join(process.env.HOME!, ".cache/volley", `${LOCK_PREFIX}${machineId()}`);
const directory = (): string => join(process.env.HOME!, ".cache/volley");

beforeEach(() => {
  const before = process.env.HOME;
  const home = mkdtempSync(join(tmpdir(), "volley-lock-"));
  process.env.HOME = home;
  return () => {
    process.env.HOME = before;
    rmSync(home, { recursive: true, force: true });
  };
});

/** Starts a script as a connection would, with this shell as `sh`. */
function startWith(shell: string): (script: string) => Promise<RemoteProcess> {
  return async (script) => {
    const child = spawn(shell, [...(shell.endsWith("busybox") ? ["sh"] : []), "-c", script], {
      stdio: "pipe",
    });
    const exit = new Promise<RemoteExit>((resolve) =>
      child.once("close", (code) => resolve({ kind: "exited", code: code ?? -1 })),
    );
    return { stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, exit };
  };
}

interface Asked {
  readonly lock: Promise<HostLock | undefined>;
  readonly told: readonly string[];
  readonly over: AbortController;
}

/** Takes the lock as a bundle does, in this process; of those there can be one at a time. */
function asBundle(host: string, run = "r1", waitMs = 0): Asked {
  const told: string[] = [];
  const over = new AbortController();
  const options = {
    run,
    host,
    controller: "ann@laptop",
    waitMs,
    onWait: (text: string) => void told.push(text),
  };
  return { lock: takeLock({ ...options, isOver: () => over.signal.aborted }), told, over };
}

/** Takes it as is done over a connection. */
function directly(shell: string, host: string, run = "r1", waitMs = 0): Asked {
  const told: string[] = [];
  const over = new AbortController();
  const shells = createShells(startWith(shell), createSessions("web1"));
  const options = {
    run,
    host,
    controller: "ann@laptop",
    waitMs,
    onWait: (text: string) => void told.push(text),
  };
  const lock = takeDirectLock(shells, { ...options, signal: over.signal }).finally(() => shells.close());
  return { lock, told, over };
}

const isTaken = async (asked: Asked): Promise<boolean> =>
  Promise.race([
    asked.lock.then(() => true),
    new Promise<boolean>((resolve) => setImmediate(resolve, false)),
  ]);

/** Lines of others, which are not in anybody's way. */
const GONE = JSON.stringify({
  run: "x",
  host: "h",
  controller: "a@b",
  pid: 1,
  start: "0",
  boot: bootId(),
  since: "",
  turn: true,
});
const EARLIER = JSON.stringify({
  ...{ run: "x", host: "h", controller: "a@b", pid: process.ppid, start: processStart(process.ppid) },
  ...{ boot: "before", since: "", turn: true },
});
const FORMER = JSON.stringify({ run: "x", controller: "a@b", pid: 1, start: "0", boot: "b", since: "" });

describe.each(SHELLS)("the lock in %s and in a bundle", (shell) => {
  const ways = [
    ["a bundle", "a shell", (host: string) => asBundle(host), (host: string) => directly(shell, host)],
    ["a shell", "a bundle", (host: string) => directly(shell, host), (host: string) => asBundle(host)],
    ["a shell", "a shell", (host: string) => directly(shell, host), (host: string) => directly(shell, host)],
  ] as const;

  test.each(ways)(
    "%s and %s of one run take turns, lend, and leave nothing",
    async (_a, _b, first, second) => {
      const one = first("app1");
      const mine = (await one.lock)!;
      const two = second('a"p$p`2');
      await until(() => two.told.length > 0);
      expect(two.told[0]).toMatch(
        /^waiting for app1, which is the same account of the same machine \(process \d+\)$/,
      );
      expect(await isTaken(two)).toBe(false);
      await mine.lend();
      const other = (await two.lock)!;
      let back = false;
      const turn = mine.takeTurn().then(() => {
        back = true;
      });
      await until(() => readFileSync(file(), "utf8").split("\n").length === 3);
      expect(back).toBe(false);
      await other.lend();
      await turn;
      await mine.release();
      await other.takeTurn();
      await other.release();
      expect(readdirSync(directory())).toEqual([]);
    },
  );

  test("who lends keeps another run out all the same", async () => {
    const one = (await directly(shell, "app1").lock)!;
    await one.lend();
    await expect(asBundle("app2", "r2").lock).rejects.toMatchObject({
      code: "LOCKED",
      message: expect.stringMatching(
        /^the host is being worked on by run r1 of ann@laptop \(process \d+, since 20/,
      ),
    });
    await one.release();
    const two = (await asBundle("app2", "r2").lock)!;
    await two.lend();
    await expect(directly(shell, "app1").lock).rejects.toMatchObject({
      code: "LOCKED",
      message: expect.stringContaining(`run r2 of ann@laptop (process ${process.pid}, since 20`),
    });
    await two.release();
    await until(() => readdirSync(directory()).length === 0);
  });

  test("who waits can be told to stop", async () => {
    const one = (await asBundle("app1").lock)!;
    const two = directly(shell, "app2");
    await until(() => two.told.length > 0);
    two.over.abort();
    await expect(two.lock).rejects.toMatchObject({ code: "CANCELLED" });
    await one.release();
    await until(() => readdirSync(directory()).length === 0);
  });

  test.each([
    ["empty", ""],
    ["cut off", '{"run":"x","contr'],
    ["of processes that are gone", `${GONE}\n${EARLIER}\n`],
    ["of the former format", FORMER],
    ["no text", "\0\x01\xff}\n\n{\n"],
  ])("a file that is %s is in nobody's way", async (_what, text) => {
    for (const take of [() => asBundle("app1"), () => directly(shell, "app1")]) {
      mkdirSync(directory(), { recursive: true });
      writeFileSync(file(), text);
      // The process that was breaking the lock was killed.
      writeFileSync(`${file()}-breaker`, text);
      await (await take().lock)!.release();
      expect(readdirSync(directory())).toEqual([]);
    }
  });
});

test("where nothing can be written the lock is refused with why", async () => {
  writeFileSync(join(process.env.HOME!, ".cache"), "");
  await expect(asBundle("app1").lock).rejects.toMatchObject({
    code: "LOCKED",
    message: expect.stringMatching(/^the host's lock cannot be taken: .*\.cache/),
  });
  await expect(directly("/bin/sh", "app1").lock).rejects.toMatchObject({
    code: "LOCKED",
    message: "the host's lock cannot be taken: nothing can be written in ~/.cache/volley there",
  });
});
