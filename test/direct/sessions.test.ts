import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { takeDirectLock } from "../../src/direct/lock.ts";
import type { OpenedSystem } from "../../src/direct/users.ts";
import { until } from "../lib/patience.ts";
import { type DirectHost, startDirectHost } from "./lib/host.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-sessions-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** A host whose sshd grants a connection so many sessions; `commands` are those it was asked to run. */
async function hostGranting(
  sessions: number,
): Promise<{ readonly host: DirectHost; readonly commands: readonly string[] }> {
  const commands: string[] = [];
  const host = await startDirectHost({
    faults: () => ({ kind: "maxSessions", sessions }),
    onExec: ({ command }) => commands.push(command),
  });
  onTestFinished(() => host.stop());
  return { host, commands };
}

const lock = async ({ shells }: OpenedSystem): Promise<() => Promise<void>> => {
  const taken = await takeDirectLock(shells, {
    run: randomBytes(4).toString("hex"),
    host: "web01",
    controller: "a test",
    waitMs: 0,
    signal: new AbortController().signal,
    onWait: () => {},
  });
  return taken.release;
};

describe.each([2, 3, 4])("where a connection may have %i sessions", (sessions) => {
  test("a host is locked and worked on: commands and files wait for each other", async () => {
    const { host } = await hostGranting(sessions);
    const opened = await host.open();
    const { system } = opened;
    const unlock = await lock(opened);
    const at = (name: string): string => join(directory, `${sessions}-${name}`);
    for (const round of ["one", "two"]) {
      const large = "x".repeat(100_000);
      const [said] = await Promise.all([
        system.run(["echo", round]),
        system.writeFile(at(round), large),
        system.stat("/", true),
        system.checksum("/etc/passwd", "sha256"),
      ]);
      expect(said.stdout).toBe(`${round}\n`);
      expect(readFileSync(at(round), "utf8")).toBe(large);
    }
    await system.writeFile(at("copy"), { copyOf: at("two") });
    expect(readFileSync(at("copy"), "utf8")).toHaveLength(100_000);
    // Another user's shell and files, beside those that are there.
    const other = await host.open();
    expect((await other.system.run(["echo", "other"])).stdout).toBe("other\n");
    expect(await other.system.readText(at("one"))).toHaveLength(100_000);
    expect((await system.run(["echo", "again"])).stdout).toBe("again\n");
    await unlock();
    await other.system.close();
    await system.close();
  });

  test("a command that is cancelled is ended there", async () => {
    const { host } = await hostGranting(sessions);
    const opened = await host.open();
    const unlock = await lock(opened);
    const pid = join(directory, `${sessions}-pid`);
    const script = `echo $$ >${pid}.new; mv ${pid}.new ${pid}; exec sleep 600`;
    const stop = new AbortController();
    const running = opened.system.run(["sh", "-c", script], { signal: stop.signal });
    running.catch(() => {});
    await until(() => existsSync(pid));
    stop.abort();
    await expect(running).rejects.toMatchObject({ code: "CANCELLED" });
    const number = Number(readFileSync(pid, "utf8"));
    await until(() => !isRunning(number));
    expect((await opened.system.run(["echo", "after"])).stdout).toBe("after\n");
    await unlock();
    await opened.system.close();
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("where a connection may have one session", () => {
  test("the limit is named, and nothing waits for ever", async () => {
    const { host } = await hostGranting(1);
    const opened = await host.open();
    // Without a lock, as in a check, commands and files take turns.
    expect((await opened.system.run(["echo", "one"])).stdout).toBe("one\n");
    expect(await opened.system.readText("/etc/passwd")).toContain("root");
    const unlock = await lock(opened);
    await expect(opened.system.run(["echo", "two"])).rejects.toMatchObject({
      code: "SESSION_REFUSED",
      message: expect.stringMatching(/grants one session at a time .* must grant 2$/),
      hint: expect.stringContaining("MaxSessions"),
    });
    await unlock();
    await opened.system.close();
  });

  test("a bundle is sent and started: what sends files makes room for the command", async () => {
    const { host } = await hostGranting(1);
    const { connection, fleet } = host;
    const { signal } = new AbortController();
    connection.expectUpload?.();
    const first = await connection.exec("echo absent", signal);
    first.stdout.resume();
    expect(await first.exit).toEqual({ kind: "exited", code: 0 });
    await connection.upload(Buffer.from("sent"), "bundle", { mode: 0o600, signal });
    const second = await connection.exec("cat bundle", signal);
    let said = "";
    second.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    await second.exit;
    expect(said).toBe("sent");
    expect(readFileSync(join(fleet.hosts[0]!.home, "bundle"), "utf8")).toBe("sent");
  });

  test("a second command beside one that is at work is refused with the limit's name", async () => {
    const { host } = await hostGranting(1);
    const { signal } = new AbortController();
    const first = await host.connection.exec("cat", signal);
    first.stdout.resume();
    await expect(host.connection.exec("true", signal)).rejects.toMatchObject({
      code: "SESSION_REFUSED",
      message: expect.stringContaining("MaxSessions"),
    });
    first.stdin.end();
    await first.exit;
  });
});

test("an environment is never on a command line, however many shells there are", async () => {
  const { host, commands } = await hostGranting(10);
  const opened = await host.open();
  const secret = "k9-secret";
  const runs = Array.from({ length: 6 }, (_, index) =>
    opened.system.run(["sh", "-c", 'echo "$TOKEN"; sleep 0.2'], { env: { TOKEN: `${secret}-${index}` } }),
  );
  const said = await Promise.all(runs);
  expect(said.map(({ stdout }) => stdout)).toEqual(runs.map((_, index) => `${secret}-${index}\n`));
  expect(commands.length).toBeGreaterThan(5);
  expect(commands.filter((command) => command.includes(secret))).toEqual([]);
  await opened.system.close();
});

test("nor are variables whose names are no shell's", async () => {
  const seen = join(directory, "seen");
  writeFileSync(join(directory, "env"), `#!/bin/sh\nprintf '%s\\n' "$@" >>${seen}\nexec /usr/bin/env "$@"\n`);
  chmodSync(join(directory, "env"), 0o755);
  const host = await startDirectHost({ env: { PATH: `${directory}:/usr/bin:/bin` } });
  onTestFinished(() => host.stop());
  const { system } = await host.open();
  const env = { "a.b": "k9-secret", PLAIN: "it's" };
  const { stdout } = await system.run(["/usr/bin/env"], { env });
  expect(stdout).toMatch(/^a\.b=k9-secret$/m);
  expect(stdout).toMatch(/^PLAIN=it's$/m);
  expect(stdout).not.toContain("VOLLEY_ENV");
  expect(readFileSync(seen, "utf8")).not.toContain("k9-secret");
  await system.close();
});
