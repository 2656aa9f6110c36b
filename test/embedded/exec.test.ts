import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client, ClientChannel } from "ssh2";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import type { EmbeddedFleet, EmbeddedHost } from "../../src/embedded/options.ts";
import { until } from "../lib/patience.ts";
import { closed, connect, exec, execBytes, finish, start } from "./client.ts";

let fleet: EmbeddedFleet;
let host: EmbeddedHost;
let client: Client;
const commands: string[] = [];

beforeAll(async () => {
  fleet = await startEmbeddedFleet({
    count: 1,
    names: () => "db01",
    env: { EXTRA: "given" },
    onExec: ({ host: name, command }) => commands.push(`${name}: ${command}`),
  });
  host = fleet.hosts[0]!;
});
afterAll(() => fleet.stop());
beforeEach(async () => {
  client = await connect(fleet, host);
});
afterEach(() => {
  client.end();
});

test("runs a command in the host's home with the environment of a login", async () => {
  const { stdout, code } = await exec(
    client,
    'pwd; echo "$HOME|$USER|$LOGNAME|$VOLLEY_EMBEDDED_HOST|$EXTRA"',
  );
  expect(stdout).toBe(`${host.home}\n${host.home}|${fleet.user}|${fleet.user}|db01|given\n`);
  expect(code).toBe(0);
  expect(commands.at(-1)).toMatch(/^db01: pwd; echo/);
});

test("keeps stdout and stderr apart and returns the exit code", async () => {
  const result = await exec(client, "echo out; echo err >&2; exit 7");
  expect(result).toEqual({ code: 7, signal: undefined, stdout: "out\n", stderr: "err\n" });
});

test("says which signal ended a command", async () => {
  expect(await exec(client, "kill -KILL $$")).toMatchObject({ code: null, signal: "SIGKILL" });
  // RFC 4254 has no name for SIGBUS.
  expect(await exec(client, "kill -BUS $$")).toMatchObject({ code: 135 });
});

test("passes stdin and its end", async () => {
  expect(await exec(client, "cat; echo done", "line\n")).toMatchObject({ stdout: "line\ndone\n", code: 0 });
  expect(await exec(client, "wc -c", "x".repeat(3_000_000))).toMatchObject({ stdout: "3000000\n" });
});

test("drops input that a command does not read", async () => {
  expect(await exec(client, "exec <&-; echo deaf", "x".repeat(5_000_000))).toMatchObject({
    stdout: "deaf\n",
    code: 0,
  });
});

test("forwards signals, also after the end of stdin", async () => {
  const channel = await start(
    client,
    'trap "echo caught; exit 4" TERM; echo ready; while :; do sleep 0.05; done',
  );
  channel.end();
  const result = finish(channel);
  await once(channel, "data");
  sendSignal(client, channel, "TERM");
  expect(await result).toMatchObject({ code: 4 });
});

test("forwards signals to the whole process group", async () => {
  const channel = await start(client, "sleep 60 & echo $!; wait; echo never");
  const result = finish(channel);
  const [line] = (await once(channel, "data")) as [Buffer];
  channel.signal("KILL");
  expect(await result).toMatchObject({ code: null, signal: "SIGKILL" });
  await until(() => !isRunning(Number(line.toString())));
});

test("streams large output on both streams without mixing or losing any", async () => {
  const file = join(host.home, "random");
  await exec(client, `head -c 8000000 /dev/urandom > ${file}`);
  const content = readFileSync(file).toString("latin1");
  const channel = await start(client, "cat random & base64 random >&2; wait");
  const chunks: Buffer[] = [];
  const errorChunks: Buffer[] = [];
  channel.on("data", (chunk: Buffer) => chunks.push(chunk));
  channel.stderr.on("data", (chunk: Buffer) => errorChunks.push(chunk));
  await once(channel, "close");
  expect(Buffer.concat(chunks).toString("latin1") === content).toBe(true);
  const decoded = Buffer.from(Buffer.concat(errorChunks).toString(), "base64").toString("latin1");
  expect(decoded === content).toBe(true);
});

test("holds a command back while its output is not read", async () => {
  const channel = await start(client, "head -c 20000000 /dev/zero; touch written");
  await sleep(300);
  expect(existsSync(join(host.home, "written"))).toBe(false);
  let received = 0;
  channel.on("data", (chunk: Buffer) => {
    received += chunk.length;
  });
  channel.stderr.resume();
  await once(channel, "close");
  expect(received).toBe(20_000_000);
  expect(existsSync(join(host.home, "written"))).toBe(true);
});

test("carries any bytes both ways", async () => {
  const bytes = randomBytes(1_000_000);
  const channel = await start(client, "sha256sum");
  channel.end(bytes);
  const { stdout } = await finish(channel);
  expect(stdout).toContain(createHash("sha256").update(bytes).digest("hex"));
  expect((await execBytes(client, "printf '\\377\\000\\001'")).toString("hex")).toBe("ff0001");
});

test("reads a shell's commands from stdin", async () => {
  const channel = await new Promise<Parameters<typeof finish>[0]>((resolve, reject) => {
    client.shell(false, (error, shell) => (error ? reject(error) : resolve(shell)));
  });
  channel.end("echo from shell\nexit 3\n");
  expect(await finish(channel)).toMatchObject({ stdout: "from shell\n", code: 3 });
});

test("runs a command on a terminal, whose size may change", async () => {
  const channel = await new Promise<ClientChannel>((resolve, reject) => {
    const pty = { cols: 70, rows: 20, term: "xterm-256color" };
    client.exec(
      'trap "sleep 0.3; stty size; exit 4" WINCH; echo $TERM; stty size; sleep 20 & wait',
      { pty },
      (error, opened) => (error ? reject(error) : resolve(opened)),
    );
  });
  let seen = "";
  channel.on("data", (chunk: Buffer) => {
    seen += chunk.toString("utf8");
    if (seen.endsWith("20 70\r\n")) channel.setWindow(33, 99, 0, 0);
  });
  const [code] = (await once(channel, "exit")) as [number];
  expect(code).toBe(4);
  expect(seen).toContain("xterm-256color\r\n20 70\r\n");
  await until(() => seen.includes("33 99"));
});

test("hangs up on what runs on a terminal when the connection goes", async () => {
  const channel = await new Promise<ClientChannel>((resolve, reject) => {
    client.shell({ cols: 80, rows: 24 }, (error, opened) => (error ? reject(error) : resolve(opened)));
  });
  channel.resume();
  channel.write("(trap 'echo hung up > gone; exit' HUP; echo > ready; while :; do sleep 0.1; done)\r");
  await until(() => existsSync(join(host.home, "ready")));
  client.end();
  await until(() => existsSync(join(host.home, "gone")));
});

test("accepts the locale and no other variable", async () => {
  const channel = await new Promise<Parameters<typeof finish>[0]>((resolve, reject) => {
    const env = { LC_ALL: "C.UTF-8", LD_PRELOAD: "/nowhere.so" };
    client.exec('echo "$LC_ALL,$LD_PRELOAD"', { env }, (error, opened) =>
      error ? reject(error) : resolve(opened),
    );
  });
  channel.end();
  expect((await finish(channel)).stdout).toBe("C.UTF-8,\n");
});

test("runs commands side by side on one connection", async () => {
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, index) => exec(client, `echo ${index}; exit ${index}`)),
  );
  expect(results.map(({ code }) => code)).toEqual(Array.from({ length: 20 }, (_, index) => index));
});

test("delivers what was sent before the client left", async () => {
  const channel = await start(client, "sleep 0.1; cat > left; mv left arrived");
  channel.write("x".repeat(1_000_000));
  channel.end();
  channel.close();
  await until(() => existsSync(join(host.home, "arrived")));
  expect(readFileSync(join(host.home, "arrived")).length).toBe(1_000_000);
});

test("lets a command outlive its connection, with stdin at its end", async () => {
  const channel = await start(
    client,
    "cat > /dev/null; sleep 0.2; touch survived; echo gone; touch unwritten",
  );
  channel.on("error", () => {});
  const gone = closed(client);
  host.dropConnections();
  await gone;
  await until(() => existsSync(join(host.home, "survived")));
});

/** Send a signal where ssh2's `channel.signal()` does nothing: after the end of stdin. */
function sendSignal(connection: Client, channel: ClientChannel, name: string): void {
  const { _protocol } = connection as unknown as { _protocol: { signal(id: number, name: string): void } };
  _protocol.signal((channel.outgoing as { id: number }).id, name);
}

function isRunning(pid: number): boolean {
  try {
    // A killed process stays in the table, as a zombie, until its parent has waited for it.
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
}
