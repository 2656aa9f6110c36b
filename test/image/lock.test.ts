import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test, vi } from "vitest";
import { withTargetLock } from "../../src/image/lock.ts";
import { bootId, processStart } from "../../src/system/this-process.ts";
import { volleyHere } from "../e2e/lib/here.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";

const scratch = scratchDirectory();
let state: string;

beforeEach(() => {
  state = mkdtempSync(join(scratch(), "state-"));
  vi.stubEnv("XDG_STATE_HOME", state);
  return () => vi.unstubAllEnvs();
});

const locks = (): readonly string[] => readdirSync(join(state, "volley/image"));

/** Have another process hold the lock of a target. Returns the number of the process, and the way to end it. */
async function holdByOther(target: string): Promise<{ readonly pid: number; end(): Promise<void> }> {
  const child = spawn("sleep", ["infinity"]);
  await once(child, "spawn");
  const pid = child.pid!;
  let name = "";
  await withTargetLock(target, "volley image install", async () => {
    name = locks()[0]!;
  });
  const holder = {
    ...{ run: `image-${pid}`, host: target, controller: "volley image install", since: "2026-11-30" },
    ...{ pid, start: processStart(pid), boot: bootId(), turn: true },
  };
  writeFileSync(join(state, "volley/image", name), `${JSON.stringify(holder)}\n`);
  const end = async (): Promise<void> => {
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  };
  return { pid, end };
}

test("the lock of a target is held while the work goes on, and leaves nothing", async () => {
  const target = join(scratch(), "disk.img");
  writeFileSync(target, "");
  expect(await withTargetLock(target, "command", async () => locks().length)).toBe(1);
  expect(locks()).toEqual([]);
  await expect(
    withTargetLock(target, "command", () => Promise.reject(new Error("the work failed"))),
  ).rejects.toThrow("the work failed");
  expect(locks()).toEqual([]);
  expect(await withTargetLock(join(scratch(), "nowhere"), "command", async () => "told")).toBe("told");
});

test("an installation into a target with another one going on is refused, by whichever name, and goes on once that process has ended", async () => {
  const root = join(scratch(), "root");
  mkdirSync(join(root, "etc"), { recursive: true });
  const playbook = join(scratch(), "site.ts");
  writeFileSync(playbook, "");
  const holder = await holdByOther(root);
  const moved = join(scratch(), "moved");
  renameSync(root, moved);
  const install = (...command: readonly string[]) =>
    volleyHere(["image", ...command, playbook, "-i", "web1,", "-l", "web1", "--unsigned"], {
      cwd: scratch(),
    });
  try {
    for (const command of ["install", "pi"])
      expect(await install(command, moved)).toEqual({
        ...{ code: 1, stdout: "" },
        stderr: `volley: ${moved} is being worked on by run image-${holder.pid} of volley image install (process ${holder.pid}, since 2026-11-30) (wait for it to end, or end it there)\n`,
      });
  } finally {
    await holder.end();
  }
  // The line of the process is there still.
  expect(locks()).toHaveLength(1);
  expect((await install("install", moved)).stderr).toContain("has no init system that Volley knows");
  expect(locks()).toEqual([]);
});

test("an account without a place for the lock is told which directory cannot be made", async () => {
  const target = join(scratch(), "other.img");
  writeFileSync(target, "");
  vi.stubEnv("XDG_STATE_HOME", target);
  await expect(withTargetLock(target, "command", async () => {})).rejects.toMatchObject({
    code: "FILE_FAILED",
    message: `cannot make ${target}/volley/image: its path leads through a file`,
  });
});
