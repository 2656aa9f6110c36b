import { createHmac } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, type ClientChannel, utils } from "ssh2";
import { expect, test, vi } from "vitest";
import { parse } from "yaml";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import { generateKey } from "../../src/embedded/host.ts";
import type { EmbeddedFleet, EmbeddedFleetOptions, EmbeddedHost } from "../../src/embedded/options.ts";
import { PATIENT, until } from "../lib/patience.ts";
import { call, connect, exec, openSftp, start } from "./client.ts";

async function withFleet(
  options: EmbeddedFleetOptions,
  body: (fleet: EmbeddedFleet, host: EmbeddedHost) => Promise<void>,
): Promise<void> {
  const fleet = await startEmbeddedFleet(options);
  try {
    await body(fleet, fleet.hosts[0]!);
  } finally {
    await fleet.stop();
  }
}

test("describes itself: names, homes, files and their modes", () =>
  withFleet({ count: 3 }, async (fleet, host) => {
    expect(fleet.hosts.map(({ name }) => name)).toEqual(["web01", "web02", "web03"]);
    expect(new Set(fleet.hosts.map(({ port }) => port)).size).toBe(3);
    expect(new Set(fleet.hosts.map(({ home }) => home)).size).toBe(3);
    expect(statSync(fleet.root).mode & 0o777).toBe(0o700);
    expect(statSync(fleet.privateKeyPath).mode & 0o777).toBe(0o600);
    expect(readFileSync(fleet.privateKeyPath, "utf8")).toMatch(/^-----BEGIN OPENSSH PRIVATE KEY-----\n/);
    expect(readFileSync(fleet.knownHostsPath, "utf8")).toMatch(
      new RegExp(`^\\[127\\.0\\.0\\.1\\]:${host.port} ssh-ed25519 AAAA`),
    );
    expect(host.hostKeyFingerprint).toMatch(/^SHA256:[\w+/]{43}$/);
    expect(fleet.hosts[1]!.hostKeyFingerprint).toBe(host.hostKeyFingerprint);
    expect(parse(fleet.inventoryYaml()).all.hosts.web01).toEqual({
      ansible_host: "127.0.0.1",
      ansible_port: host.port,
      ansible_user: fleet.user,
      ansible_ssh_private_key_file: fleet.privateKeyPath,
    });
  }));

test("gives each host a key of its own when asked, and hashes known_hosts", () =>
  withFleet({ count: 2, separateHostKeys: true, hashKnownHosts: true }, async (fleet, host) => {
    expect(fleet.hosts[1]!.hostKeyFingerprint).not.toBe(host.hostKeyFingerprint);
    const [line = ""] = readFileSync(fleet.knownHostsPath, "utf8").split("\n");
    const [, , salt = "", hash] = line.split(" ")[0]!.split("|");
    const hmac = createHmac("sha1", Buffer.from(salt, "base64")).update(`[127.0.0.1]:${host.port}`);
    expect(hash).toBe(hmac.digest("base64"));
  }));

test("accepts its own and further keys, and checks the signature", async () => {
  const further = generateKey("further");
  await withFleet({ count: 1, authorizedKeys: [further.publicKey] }, async (fleet, host) => {
    (await connect(fleet, host, { privateKey: further.privateKey })).end();
    const stranger = generateKey("stranger").privateKey;
    const refused = { level: "client-authentication" };
    await expect(connect(fleet, host, { privateKey: stranger })).rejects.toMatchObject(refused);
    await expect(connect(fleet, host, { username: "somebody-else" })).rejects.toMatchObject(refused);
    // A client that knows the public key but signs with another private key.
    const known = utils.parseKey(further.publicKey);
    const forger = utils.parseKey(stranger);
    if (known instanceof Error || forger instanceof Error) throw new Error("keys do not parse");
    const forged = Object.create(forger, { getPublicSSH: { value: () => known.getPublicSSH() } });
    const authHandler = [{ type: "publickey", username: fleet.user, key: forged }] as const;
    await expect(connect(fleet, host, { authHandler: [...authHandler] })).rejects.toMatchObject(refused);
  });
});

test("accepts passwords and answers of the users who have them", () =>
  withFleet(
    {
      count: 1,
      passwords: [{ user: "ann", password: "secret" }],
      keyboardInteractive: [
        {
          user: "bob",
          prompts: [
            { prompt: "Password: ", answer: "pw" },
            { prompt: "Code: ", answer: "42" },
          ],
        },
      ],
    },
    async (_fleet, host) => {
      const login = (username: string, answers: readonly string[]): Promise<string> =>
        new Promise((resolve) => {
          const client = new Client();
          client.on("ready", () => {
            client.end();
            resolve("in");
          });
          client.on("error", ({ message }) => resolve(message));
          client.on("keyboard-interactive", (_name, _text, _language, _prompts, finish) =>
            finish([...answers]),
          );
          const { address, port } = host;
          const password = answers[0] ?? "";
          const methods = username === "ann" ? { password } : { tryKeyboard: true };
          client.connect({ host: address, port, username, ...methods });
        });
      expect(await login("ann", ["secret"])).toBe("in");
      expect(await login("ann", ["wrong"])).toMatch(/authentication methods failed/);
      expect(await login("bob", ["pw", "42"])).toBe("in");
      expect(await login("bob", ["pw", "43"])).toMatch(/authentication methods failed/);
      expect(await login("bob", ["pw"])).toMatch(/authentication methods failed/);
    },
  ));

test("forwards to loopback, so that a host can be reached through another", () =>
  withFleet({ count: 2 }, async (fleet, host) => {
    const jump = await connect(fleet, host);
    const target = fleet.hosts[1]!;
    const forward = (address: string, port: number): Promise<ClientChannel> =>
      call((done) => jump.forwardOut("127.0.0.1", 0, address, port, done));
    const inner = await connect(fleet, target, { sock: await forward(target.address, target.port) });
    const { stdout } = await exec(inner, 'echo "$VOLLEY_EMBEDDED_HOST"; cat', "x".repeat(1_000_000));
    expect(stdout.length).toBe("web02\n".length + 1_000_000);
    await expect(forward("192.0.2.1", 22)).rejects.toThrow(/Channel open failure/);
    await expect(forward("127.0.0.1", 1)).rejects.toThrow(/Channel open failure/);
    inner.end();
    jump.end();
  }));

test("counts what its hosts see", () =>
  withFleet({ count: 2 }, async (fleet, host) => {
    const client = await connect(fleet, host);
    await exec(client, "head -c 100000 /dev/zero");
    const sftp = await openSftp(client);
    await call((done) => sftp.writeFile("file", Buffer.alloc(50_000), done));
    const { stats } = host;
    expect(stats).toMatchObject({ connections: 1, openConnections: 1, execs: 1, sftpBytesIn: 50_000 });
    expect(stats.bytesIn).toBeGreaterThan(50_000);
    expect(stats.bytesOut).toBeGreaterThan(100_000);
    expect(fleet.hosts[1]!.stats).toMatchObject({ connections: 0, bytesIn: 0, execs: 0 });
    client.end();
  }));

test.skipIf(process.platform !== "linux")("stop() leaves no processes, sockets or files", async () => {
  const fleet = await startEmbeddedFleet({ count: 2 });
  const host = fleet.hosts[0]!;
  const client = await connect(fleet, host);
  client.on("error", () => {});
  await start(client, "sleep 300");
  // In the background and in a session of its own, like a run that outlives its connection.
  await exec(client, "sleep 301 > /dev/null 2>&1 & setsid sleep 302 > /dev/null 2>&1 < /dev/null & echo $!");
  await until(() => processesOf(host.home).length >= 3);
  await Promise.all([fleet.stop(), fleet.stop()]);
  await vi.waitFor(() => expect(processesOf(host.home)).toEqual([]), PATIENT);
  expect(existsSync(fleet.root)).toBe(false);
  const socket = connectTcp(host.port, host.address);
  const outcome = await new Promise((resolve) => {
    socket.once("connect", () => resolve("connected")).once("error", (error) => resolve(error));
  });
  socket.destroy();
  expect(outcome).toMatchObject({ code: "ECONNREFUSED" });
  const servers = process.getActiveResourcesInfo().filter((name) => name === "TCPServerWrap");
  expect(servers).toEqual([]);
});

test("stop() keeps a root that was given", async () => {
  const root = mkdtempSync(join(tmpdir(), "volley-test-"));
  await withFleet({ count: 1, root }, async (fleet) => expect(fleet.root).toBe(root));
  expect(readdirSync(root).sort()).toEqual(["homes", "id_ed25519", "id_ed25519.pub", "known_hosts"]);
  rmSync(root, { recursive: true });
});

test("serves 200 hosts from one process", () =>
  withFleet({ count: 200 }, async (fleet) => {
    const results: string[] = [];
    const waiting = [...fleet.hosts];
    const work = async (): Promise<void> => {
      for (let host = waiting.shift(); host !== undefined; host = waiting.shift()) {
        const client = await connect(fleet, host);
        results.push((await exec(client, 'printf %s "$VOLLEY_EMBEDDED_HOST"')).stdout);
        client.end();
      }
    };
    await Promise.all(Array.from({ length: 20 }, work));
    expect(results.sort()).toEqual(fleet.hosts.map(({ name }) => name).sort());
  }));

/** Processes that started in this home, by their environment. */
function processesOf(home: string): readonly string[] {
  return readdirSync("/proc").filter((entry) => {
    try {
      return /^\d+$/.test(entry) && readFileSync(`/proc/${entry}/environ`, "utf8").includes(`HOME=${home}\0`);
    } catch {
      return false;
    }
  });
}
