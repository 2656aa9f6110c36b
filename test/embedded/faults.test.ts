import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { utils } from "ssh2";
import { afterAll, afterEach, expect, test } from "vitest";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import { fingerprint } from "../../src/embedded/host.ts";
import type { EmbeddedFleet, EmbeddedHost, HostFault } from "../../src/embedded/options.ts";
import { cache } from "../e2e/lib/cli.ts";
import { call, closed, connect, exec, openSftp } from "./client.ts";

const fleets: EmbeddedFleet[] = [];
afterEach(async () => {
  await Promise.all(fleets.splice(0).map((fleet) => fleet.stop()));
});
afterAll(() => expect(fleets).toEqual([]));

async function startWith(...faults: HostFault[]): Promise<{ fleet: EmbeddedFleet; host: EmbeddedHost }> {
  const fleet = await startEmbeddedFleet({
    count: 2,
    // Links to thousands of programs, where a host has no node.
    programs: join(cache, "programs"),
    faults: (index) => (index === 0 ? faults : undefined),
  });
  fleets.push(fleet);
  return { fleet, host: fleet.hosts[0]! };
}

test("refuse: nobody listens", async () => {
  const { fleet, host } = await startWith({ kind: "refuse" });
  await expect(connect(fleet, host)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  const healthy = await connect(fleet, fleet.hosts[1]!);
  expect((await exec(healthy, "echo fine")).stdout).toBe("fine\n");
  healthy.end();
});

test("hang: connections are accepted and never answered", async () => {
  const { fleet, host } = await startWith({ kind: "hang" });
  await expect(connect(fleet, host, { readyTimeout: 200 })).rejects.toThrow(/Timed out/);
  const socket = connectTcp(host.port, host.address);
  await once(socket, "connect");
  expect(host.stats.openConnections).toBeGreaterThan(0);
  await fleet.stop();
  socket.on("error", () => {});
  if (!socket.closed) await once(socket, "close");
});

test("slow: each way takes longer, and nothing is lost", async () => {
  const { fleet, host } = await startWith({ kind: "slow", delayMs: 20 });
  const began = performance.now();
  const client = await connect(fleet, host);
  // Identification, key exchange and authentication take several round trips of 40 ms.
  expect(performance.now() - began).toBeGreaterThan(80);
  const { stdout } = await exec(client, "cat", "x".repeat(3_000_000));
  expect(stdout.length).toBe(3_000_000);
  client.end();
});

test("dropAfterBytes: the connection is reset amid an upload, the first time only", async () => {
  const { fleet, host } = await startWith({ kind: "dropAfterBytes", bytes: 500_000, times: 1 });
  const local = join(fleet.root, "local");
  writeFileSync(local, randomBytes(2_000_000));
  const client = await connect(fleet, host);
  const gone = closed(client);
  const sftp = await openSftp(client);
  // ssh2's fastPut() never calls back when its connection goes.
  sftp.fastPut(local, "big", () => {});
  await gone;
  expect(host.stats.sftpBytesIn).toBeLessThan(500_000);
  const again = await connect(fleet, host);
  const secondSftp = await openSftp(again);
  await call((done) => secondSftp.fastPut(local, "big", done));
  expect(readFileSync(join(host.home, "big")).equals(readFileSync(local))).toBe(true);
  again.end();
});

test("dropAfterBytes: the connection is reset amid a command's output", async () => {
  const { fleet, host } = await startWith({ kind: "dropAfterBytes", bytes: 100_000, direction: "out" });
  const client = await connect(fleet, host);
  const gone = closed(client);
  const { stdout, code } = await exec(client, "head -c 1000000 /dev/zero");
  await gone;
  expect(code).toBeNull();
  expect(stdout.length).toBeGreaterThan(0);
  expect(stdout.length).toBeLessThan(100_000);
});

test("noisyBanner: text at login and before a command's own output", async () => {
  const { fleet, host } = await startWith({ kind: "noisyBanner", stdout: "motd\n" });
  const banners: string[] = [];
  const { Client } = await import("ssh2");
  const client = new Client().on("banner", (text) => banners.push(text));
  client.connect({
    host: host.address,
    port: host.port,
    username: fleet.user,
    privateKey: readFileSync(fleet.privateKeyPath),
  });
  await new Promise((resolve) => client.once("ready", () => resolve(undefined)));
  expect(banners.join("")).toContain("Authorized use only.");
  expect((await exec(client, "echo mine")).stdout).toBe("motd\nmine\n");
  client.end();
});

test("readOnlyHome: nothing can be made in the home, even by root", async () => {
  const { fleet, host } = await startWith({ kind: "readOnlyHome" });
  const client = await connect(fleet, host);
  const sftp = await openSftp(client);
  const denied = { code: 3, message: "Permission denied" };
  await expect(call<unknown>((done) => sftp.open("file", "w", done))).rejects.toMatchObject(denied);
  await expect(call((done) => sftp.mkdir("directory", done))).rejects.toMatchObject(denied);
  await expect(call((done) => sftp.mkdir(join(host.home, "x"), done))).rejects.toMatchObject(denied);
  const result = await exec(client, 'mkdir "$HOME/directory" && echo made');
  expect(result).toMatchObject({ stdout: "", code: 1 });
  const elsewhere = join(fleet.root, "elsewhere");
  await call((done) => sftp.mkdir(elsewhere, done));
  expect(existsSync(elsewhere)).toBe(true);
  client.end();
});

test("diskFull: writes fail after so many bytes", async () => {
  const { fleet, host } = await startWith({ kind: "diskFull", afterBytes: 100_000 });
  const client = await connect(fleet, host);
  const sftp = await openSftp(client);
  await call((done) => sftp.writeFile("small", "x".repeat(1000), done));
  await expect(call((done) => sftp.writeFile("large", "x".repeat(200_000), done))).rejects.toMatchObject({
    code: 4,
    message: "No space left on device",
  });
  expect(readFileSync(join(host.home, "small")).length).toBe(1000);
  client.end();
});

test("corruptUpload: one bit of a file arrives flipped", async () => {
  const { fleet, host } = await startWith({ kind: "corruptUpload" });
  const client = await connect(fleet, host);
  const sftp = await openSftp(client);
  const sent = randomBytes(300_000);
  await call((done) => sftp.writeFile("file", sent, done));
  const arrived = readFileSync(join(host.home, "file"));
  expect(arrived.length).toBe(sent.length);
  expect([...sent].filter((byte, index) => byte !== arrived[index]).length).toBe(1);
  client.end();
});

test("noSftp: the subsystem is refused and commands run", async () => {
  const { fleet, host } = await startWith({ kind: "noSftp" });
  const client = await connect(fleet, host);
  await expect(openSftp(client)).rejects.toThrow(/subsystem/);
  expect((await exec(client, "echo fine")).stdout).toBe("fine\n");
  client.end();
});

test("noNode: everything but node is in PATH", async () => {
  const { fleet, host } = await startWith({ kind: "noNode" });
  const client = await connect(fleet, host);
  expect((await exec(client, "command -v node || command -v nodejs || echo none")).stdout).toBe("none\n");
  expect((await exec(client, "uname && sed --version > /dev/null && echo fine")).stdout).toMatch(/fine\n$/);
  const healthy = await connect(fleet, fleet.hosts[1]!);
  expect((await exec(healthy, "node -p 1+1")).stdout).toBe("2\n");
  client.end();
  healthy.end();
});

test("links to all programs but node are left for other fleets, where a directory is given", async () => {
  const programs = mkdtempSync(join(tmpdir(), "volley-programs-"));
  const found: (readonly [string, readonly string[]])[] = [];
  for (const _time of [1, 2]) {
    const fleet = await startEmbeddedFleet({ count: 1, programs, faults: () => ({ kind: "noNode" }) });
    const client = await connect(fleet, fleet.hosts[0]!);
    const { stdout } = await exec(client, "command -v node || command -v sed");
    client.end();
    await fleet.stop();
    found.push([
      stdout,
      readdirSync(programs).map((name) => `${name} ${statSync(join(programs, name)).ino}`),
    ]);
  }
  rmSync(programs, { recursive: true });
  expect(found[0]).toEqual([expect.stringMatching(/sed\n$/), [expect.any(String)]]);
  expect(found[1]).toEqual(found[0]);
});

test("oldNode: node says that it is old and runs nothing", async () => {
  const { fleet, host } = await startWith({ kind: "oldNode" });
  const client = await connect(fleet, host);
  const { stdout } = await exec(client, "node -v; node --version; node -p process.versions.node");
  expect(stdout).toBe("v12.22.0\nv12.22.0\n12.22.0\n");
  expect((await exec(client, "node -p 'process.versions.node.split(\".\")[0]'")).stdout).toBe("12\n");
  expect((await exec(client, "echo 'console.log(1)' > x.js; node x.js")).code).toBe(1);
  client.end();
});

test("rejectAuth: the right key is refused", async () => {
  const { fleet, host } = await startWith({ kind: "rejectAuth" });
  await expect(connect(fleet, host)).rejects.toMatchObject({ level: "client-authentication" });
});

test("wrongHostKey: another key than known_hosts lists is presented", async () => {
  const { fleet, host } = await startWith({ kind: "wrongHostKey" });
  const presented: string[] = [];
  for (const target of fleet.hosts) {
    const client = await connect(fleet, target, {
      hostVerifier: (key: Buffer) => presented.push(fingerprint(`ssh-ed25519 ${key.toString("base64")}`)) > 0,
    });
    client.end();
  }
  expect(presented[0]).not.toBe(host.hostKeyFingerprint);
  expect(presented[1]).toBe(fleet.hosts[1]!.hostKeyFingerprint);
  expect(utils.parseKey(readFileSync(fleet.privateKeyPath))).not.toBeInstanceOf(Error);
});

test("faults combine", async () => {
  const { fleet, host } = await startWith({ kind: "noSftp" }, { kind: "noisyBanner", stdout: "hi\n" });
  const client = await connect(fleet, host);
  await expect(openSftp(client)).rejects.toThrow(/subsystem/);
  expect((await exec(client, "true")).stdout).toBe("hi\n");
  client.end();
});
