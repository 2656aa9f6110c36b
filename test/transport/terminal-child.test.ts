import { once } from "node:events";
import { expect, it } from "vitest";
import { createLocalTransport } from "../../src/transport/local.ts";
import { spawnOnTerminal } from "../../src/transport/terminal-child.ts";
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
