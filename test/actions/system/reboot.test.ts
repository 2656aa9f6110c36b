import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { reboot } from "../../../src/actions/system/reboot.ts";
import { type ActionContext, failureData } from "../../../src/core/action.ts";
import { PATIENT } from "../../lib/patience.ts";
import { makeSandbox, pass, type Sandbox, snapshot } from "../harness.ts";

/** A context with somebody to go on after a restart; notes what they are told. */
function connected(sandbox: Sandbox, told: number[], signal?: AbortSignal): ActionContext {
  return {
    ...sandbox.context(),
    ...(signal === undefined ? {} : { signal }),
    restart: (timeoutMs) => void told.push(timeoutMs),
  };
}

test("check mode says that it would restart, and tells nobody", async () => {
  using sandbox = makeSandbox();
  const told: number[] = [];
  const before = snapshot(sandbox.root);
  const call = reboot({ reboot_command: "touch gone" });
  const check = await pass(call, sandbox.system, { ...connected(sandbox, told), check: true });
  expect(check).toMatchObject({
    state: "changed",
    change: { message: "restart the host", data: { rebooted: true, elapsed: 0 } },
  });
  expect(told).toEqual([]);
  expect(snapshot(sandbox.root)).toEqual(before);
});

test("says so beforehand, restarts, and waits for the end", async () => {
  using sandbox = makeSandbox();
  const trace = join(sandbox.root, "trace");
  writeFileSync(trace, "");
  const told: number[] = [];
  const end = new AbortController();
  const context: ActionContext = {
    ...connected(sandbox, told, end.signal),
    restart: (timeoutMs) => {
      told.push(timeoutMs);
      writeFileSync(trace, "told\n");
    },
    // The command's last word: it goes down now.
    output: () => end.abort(),
  };
  const call = reboot({ reboot_command: `echo restarted >> ${trace}; echo bye`, reboot_timeout: 42 });
  await expect(pass(call, sandbox.system, context)).rejects.toMatchObject({ code: "CANCELLED" });
  expect(readFileSync(trace, "utf8")).toBe("told\nrestarted\n");
  expect(told).toEqual([42_000]);
});

test("a command that fails fails the task, with what it said", async () => {
  using sandbox = makeSandbox();
  const thrown = await pass(
    reboot({ reboot_command: "echo no permission >&2; exit 4" }),
    sandbox.system,
    connected(sandbox, []),
  ).catch((error: unknown) => error);
  expect((thrown as Error).message).toBe("cannot restart the host: no permission");
  expect(failureData(thrown)).toMatchObject({ rebooted: false, rc: 4 });
});

test(
  "a command that does not return is not waited for beyond the time for the restart",
  PATIENT,
  async () => {
    using sandbox = makeSandbox();
    const call = reboot({ reboot_command: "sleep 600", reboot_timeout: 1 });
    await expect(pass(call, sandbox.system, connected(sandbox, []))).rejects.toMatchObject({
      code: "TIMEOUT",
      message: "the host has not gone down within 1 s",
    });
  },
);

test("a host that does not go down fails the task", async () => {
  using sandbox = makeSandbox();
  const call = reboot({ reboot_command: "true", reboot_timeout: 0.05 });
  await expect(pass(call, sandbox.system, connected(sandbox, []))).rejects.toMatchObject({
    code: "TIMEOUT",
    message: "the host has not gone down within 0.05 s",
  });
});

test("without anybody to go on it fails, and says what to do, in check mode too", async () => {
  using sandbox = makeSandbox();
  for (const check of [true, false]) {
    await expect(pass(reboot({}), sandbox.system, sandbox.context({ check }))).rejects.toThrow(
      "no controller could continue the run after a restart of this host: restart it yourself",
    );
  }
});

test("once the host is back its test is tried until it succeeds", async () => {
  using sandbox = makeSandbox();
  const trace = join(sandbox.root, "tries");
  writeFileSync(trace, "");
  const call = reboot({
    reboot_command: `echo restarted again >> ${trace}`,
    test_command: `echo try >> ${trace}; [ $(wc -l < ${trace}) -ge 2 ]`,
    post_reboot_delay: 0.01,
  });
  const done = await call.afterRestart?.(sandbox.system, sandbox.context(), 90_000);
  expect(done?.data?.rebooted).toBe(true);
  expect(done?.data?.elapsed).toBeGreaterThan(90);
  expect(readFileSync(trace, "utf8")).toBe("try\ntry\n");
});

test("a test that does not succeed in time fails the task", async () => {
  using sandbox = makeSandbox();
  const call = reboot({ test_command: "echo still starting; exit 1", reboot_timeout: 0.01 });
  await expect(call.afterRestart?.(sandbox.system, sandbox.context(), 0)).rejects.toMatchObject({
    code: "TIMEOUT",
    message: expect.stringContaining("still starting"),
  });
});

test("wrong parameters are named", () => {
  expect(() => reboot({ reboot_timeot: 1 } as never)).toThrow('did you mean "reboot_timeout"?');
  expect(() => reboot({ reboot_timeout: -1 })).toThrow('parameter "reboot_timeout"');
});

test("shutdown is taken from the search paths alone", async () => {
  using sandbox = makeSandbox();
  const folder = join(sandbox.root, "own");
  mkdirSync(folder);
  writeFileSync(join(folder, "shutdown"), "#!/bin/sh\n", { mode: 0o755 });
  const inspect = (search_paths: string[]) =>
    reboot({ search_paths, msg: "m" }).inspect(sandbox.system, connected(sandbox, []));
  await expect(inspect(["/none", folder])).resolves.toMatchObject({
    argv: [`${folder}/shutdown`, "-r", "now", "m"],
  });
  await expect(inspect(["/none"])).rejects.toThrow(/no shutdown in the search_paths \/none/);
});
