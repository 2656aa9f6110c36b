import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { spawnOnTerminal } from "../../src/system/terminal-child.ts";
import { createLocalTransport } from "../../src/transport/local.ts";
import { until } from "../lib/patience.ts";

it("runs a line on a terminal of a size that changes, and gives its exit code", async () => {
  const options = { columns: 70, rows: 20, env: process.env };
  const line = `trap 'sleep 0.3; stty size; exit 5' WINCH; tty; stty size; while :; do sleep 0.1; done`;
  const { child, stdout, resize } = spawnOnTerminal(line, options);
  let seen = "";
  stdout.on("data", (chunk: Buffer) => {
    seen += chunk.toString("utf8");
  });
  await until(() => seen.includes("20 70"));
  expect(seen).toMatch(/^\/dev\//);
  resize(99, 33);
  const [code] = (await once(child, "exit")) as [number];
  expect(code).toBe(5);
  await until(() => seen.includes("33 99"));
});

it("has the last size in the end, also when an earlier one takes longer to be set", async () => {
  const bin = mkdtempSync(join(tmpdir(), "volley-stty-"));
  const slow = `#!/bin/sh\ncase "$*" in *"rows 21"*) sleep 0.5;; esac\nPATH=/usr/bin:/bin\nstty "$@"\ncase "$1" in -F) echo set >> ${bin}/done;; esac\n`;
  writeFileSync(join(bin, "stty"), slow, { mode: 0o755 });
  vi.stubEnv("PATH", `${bin}:${process.env.PATH}`);
  onTestFinished(() => {
    vi.unstubAllEnvs();
    rmSync(bin, { recursive: true });
  });
  const options = { columns: 70, rows: 20, env: process.env };
  const { child, stdin, stdout, resize } = spawnOnTerminal("while read -r line; do stty size; done", options);
  onTestFinished(() => void child.kill("SIGKILL"));
  let seen = "";
  stdout.on("data", (chunk: Buffer) => {
    seen += chunk.toString("utf8");
  });
  // The terminal is known by then.
  stdin.write("\r");
  await until(() => seen.includes("20 70"));
  resize(99, 21);
  resize(99, 60);
  await until(
    () => existsSync(join(bin, "done")) && readFileSync(join(bin, "done"), "utf8") === "set\nset\n",
  );
  seen = "";
  stdin.write("\r");
  await until(() => / 99/.test(seen));
  expect(seen).toContain("60 99");
});

it("gives this machine a login shell on a terminal, which ends with the connection", async () => {
  const connection = await createLocalTransport().connect(
    { host: "localhost", address: "localhost", port: 22, user: "x", privateKeyFile: undefined },
    new AbortController().signal,
  );
  const shell = await connection.exec(undefined, new AbortController().signal, {
    pty: { columns: 80, rows: 24, term: "xterm-256color", resizable: true },
  });
  let seen = "";
  shell.stdout.on("data", (chunk: Buffer) => {
    seen += chunk.toString("utf8");
  });
  shell.stdin.write("echo $TERM-$((40+2))\r");
  await until(() => seen.includes("xterm-256color-42"));
  connection.close();
  expect((await shell.exit).kind).toBe("signalled");
});
