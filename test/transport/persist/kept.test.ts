import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { EmbeddedFleet } from "../../../src/embedded/options.ts";
import { preparePlace, socketPath } from "../../../src/transport/persist/place.ts";
import { listKept, stopKept } from "../../../src/transport/persist/visit.ts";
import type { Connection } from "../../../src/transport/transport.ts";
import { until } from "../../lib/patience.ts";
import { type ClientOptions, keptWays, VERSION } from "../lib/kept.ts";
import { connectTo, fleetStarter, hostsOf, output, visit } from "../lib/reach.ts";
import { scratchHome } from "../lib/scratch.ts";

const scratch = scratchHome();
const startFleet = fleetStarter();
const { directory, startBackground, open, allIdle, notStarted } = keptWays(scratch);
const { signal } = new AbortController();

const socket = (): string => socketPath(directory(), VERSION);

/** Connect once more, as the next command does. */
async function connectAnew(fleet: EmbeddedFleet, options: ClientOptions = {}): Promise<Connection> {
  const { hosts = hostsOf(fleet) } = options;
  return await connectTo(await open(fleet, options), hosts[0]!);
}

/** Use a connection, and wait until it is given back. */
async function use(fleet: EmbeddedFleet, options: ClientOptions = {}): Promise<string> {
  const { hosts = hostsOf(fleet) } = options;
  const text = await visit(await open(fleet, options), hosts[0]!, 'echo "$VOLLEY_EMBEDDED_HOST"');
  await allIdle();
  return text;
}

const logins = (fleet: EmbeddedFleet): number => fleet.hosts[0]!.stats.connections;

describe("a kept connection", () => {
  it("is used by the next command, and told of", async () => {
    await startBackground();
    const fleet = await startFleet();
    expect(await use(fleet)).toBe("web01\n");
    expect(await use(fleet)).toBe("web01\n");
    expect(logins(fleet)).toBe(1);
    const [host] = fleet.hosts;
    expect(await listKept(directory())).toEqual([
      {
        ...{ host: "web01", user: fleet.user, address: "127.0.0.1", port: host!.port, channels: 0 },
        idleMs: expect.any(Number),
        leftMs: expect.any(Number),
      },
    ]);
  });

  it("belongs to one command at a time, and to one with the same settings", async () => {
    await startBackground();
    const fleet = await startFleet();
    const [one, two] = await Promise.all([connectAnew(fleet), connectAnew(fleet)]);
    expect(await Promise.all([output(one, "echo 1"), output(two, "echo 2")])).toEqual(["1\n", "2\n"]);
    expect(logins(fleet)).toBe(2);
    expect((await listKept(directory())).map(({ idleMs }) => idleMs)).toEqual([undefined, undefined]);
    one.close();
    two.close();
    await allIdle();
    await use(fleet);
    expect(logins(fleet)).toBe(2);
    await use(fleet, { connectTimeoutMs: 29_000 });
    expect(logins(fleet)).toBe(3);
  });

  it("does what a connection of one's own does", async () => {
    await startBackground();
    const fleet = await startFleet();
    await use(fleet);
    const connection = await connectAnew(fleet);
    expect(await output(connection, "echo out; echo err >&2; exit 3")).toBe(
      `out\nerr\n${JSON.stringify({ kind: "exited", code: 3 })}`,
    );
    expect(await output(connection, "kill -9 $$")).toBe(
      JSON.stringify({ kind: "signalled", signal: "SIGKILL" }),
    );
    const bytes = Buffer.alloc(3_000_000, "volley");
    await connection.expectUpload?.();
    await connection.upload(bytes, "sent", { mode: 0o600, signal });
    expect(readFileSync(join(fleet.hosts[0]!.home, "sent")).equals(bytes)).toBe(true);
    const files = await connection.files(signal);
    expect((await files.list(".")).map(({ name }) => name)).toContain("sent");
    files.close();
    const echo = createServer((peer) => peer.pipe(peer)).listen(0, "127.0.0.1");
    onTestFinished(() => void echo.close());
    await until(() => echo.listening);
    const stream = await connection.forward!("127.0.0.1", (echo.address() as AddressInfo).port);
    stream.write("ping");
    expect(String((await once(stream, "data"))[0])).toBe("ping");
    stream.destroy();
    // The host's terminal learns of the size a moment later.
    const sizes = 'stty size; read line; until [ "$(stty size)" = "30 90" ]; do sleep 0.1; done; stty size';
    const terminal = await connection.exec(sizes, signal, {
      pty: { columns: 70, rows: 20, resizable: true },
    });
    let said = "";
    terminal.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    await until(() => said.includes("20 70"));
    terminal.resize?.(90, 30);
    terminal.stdin.write("go\n");
    await terminal.exit;
    expect(said).toContain("30 90");
    connection.close();
    expect(await connection.closed).toBeUndefined();
    expect(logins(fleet)).toBe(1);
  });

  it("passes large output and input on as fast as they are taken", async () => {
    await startBackground();
    const fleet = await startFleet();
    const connection = await connectAnew(fleet);
    const bytes = Buffer.alloc(20_000_000, "0123456789abcdef\n");
    const process = await connection.exec("cat", signal);
    process.stderr.resume();
    let isAllTaken = false;
    process.stdin.end(bytes, () => {
      isAllTaken = true;
    });
    await until(() => process.stdout.readableLength > 1_000_000);
    // Nobody reads: what the buffers do not hold stays where it is.
    expect(isAllTaken).toBe(false);
    expect(process.stdout.readableLength).toBeLessThan(4_000_000);
    const hash = createHash("sha256");
    let length = 0;
    for await (const chunk of process.stdout) {
      hash.update(chunk as Buffer);
      length += (chunk as Buffer).length;
    }
    expect(length).toBe(bytes.length);
    expect(hash.digest("hex")).toBe(createHash("sha256").update(bytes).digest("hex"));
    expect(await process.exit).toEqual({ kind: "exited", code: 0 });
    connection.close();
  });

  it("ends the commands of a client that goes, and is closed where one stays", async () => {
    await startBackground();
    const fleet = await startFleet();
    const connection = await connectAnew(fleet);
    const listening = await connection.exec("echo $$; cat > /dev/null; touch ended", signal);
    const home = fleet.hosts[0]!.home;
    await new Promise((resolve) => listening.stdout.once("data", resolve));
    connection.close();
    expect(await listening.exit).toMatchObject({ kind: "lost" });
    await until(() => existsSync(join(home, "ended")));
    await allIdle();
    expect(await use(fleet)).toBe("web01\n");
    expect(logins(fleet)).toBe(1);
    // This one does not listen to its input.
    const deaf = await connectAnew(fleet);
    const stays = await deaf.exec("echo $$; exec sleep 1000", signal);
    await new Promise((resolve) => stays.stdout.once("data", resolve));
    deaf.close();
    await until(() => fleet.hosts[0]!.stats.openConnections === 0);
    expect(await listKept(directory())).toEqual([]);
  });

  it("that was cut is made anew, and the command does not notice", async () => {
    await startBackground();
    const fleet = await startFleet();
    await use(fleet);
    fleet.hosts[0]!.dropConnections();
    expect(await use(fleet)).toBe("web01\n");
    expect(logins(fleet)).toBe(2);
    const connection = await connectAnew(fleet);
    const process = await connection.exec("sleep 1000", signal);
    fleet.hosts[0]!.dropConnections();
    expect(await process.exit).toMatchObject({ kind: "lost" });
    expect(await connection.closed).toEqual(expect.any(String));
  });

  it("ends when its time is up, and the process with the last one", async () => {
    const background = await startBackground(1_000);
    const fleet = await startFleet();
    await use(fleet, { forMs: 300 });
    await background.ended;
    await until(() => fleet.hosts[0]!.stats.openConnections === 0);
    expect(existsSync(socket())).toBe(false);
  });

  it("ends when it is told to", async () => {
    const background = await startBackground(1_000);
    const fleet = await startFleet({ count: 2 });
    const [one, two] = hostsOf(fleet);
    await use(fleet, { hosts: [one!] });
    const used = await connectAnew(fleet, { hosts: [two!] });
    expect(await stopKept(directory(), ["web01", "other"])).toEqual({ hosts: ["web01"], killed: [] });
    expect((await listKept(directory())).map(({ host }) => host)).toEqual(["web02"]);
    expect(await stopKept(directory())).toEqual({ hosts: ["web02"], killed: [] });
    expect(await used.closed).toEqual(expect.any(String));
    await background.ended;
    expect(await listKept(directory())).toEqual([]);
  });

  it("is not kept when the socket was taken away", async () => {
    const background = await startBackground(1_000);
    const fleet = await startFleet();
    await use(fleet);
    rmSync(socket());
    await background.ended;
    await until(() => fleet.hosts[0]!.stats.openConnections === 0);
  });

  it("goes through jump hosts, with one login there", async () => {
    await startBackground();
    const fleet = await startFleet({ count: 3 });
    const [jump, ...behind] = hostsOf(fleet);
    const { port } = fleet.hosts[0]!;
    const config = scratch.write(
      "config",
      `Host jump\n HostName 127.0.0.1\n Port ${port}\n User ${fleet.user}\n IdentityFile ${fleet.privateKeyPath}\n IdentitiesOnly yes\n`,
    );
    const hosts = behind.map((host) => ({ ...host, vars: { ansible_ssh_common_args: "-J jump" } }));
    for (const _ of [1, 2]) {
      const ways = await open(fleet, { hosts, sshConfig: config });
      expect(await Promise.all(hosts.map((host) => visit(ways, host)))).toEqual(["here\n", "here\n"]);
      ways.close();
      await allIdle();
    }
    expect(fleet.hosts.map(({ stats }) => stats.connections)).toEqual([1, 1, 1]);
    expect(jump!.name).toBe("web01");
    await stopKept(directory());
    await until(() => fleet.hosts.every(({ stats }) => stats.openConnections === 0));
  });

  it("is made with a password that only this process knows, and its errors are those of the host", async () => {
    await startBackground();
    const fleet = await startFleet({ passwords: [{ user: "ops", password: "s3cret-pass" }] });
    const hosts = hostsOf(fleet, { user: "ops", privateKeyFile: undefined });
    expect(await use(fleet, { hosts, password: "s3cret-pass" })).toBe("web01\n");
    expect(await use(fleet, { hosts, password: "s3cret-pass" })).toBe("web01\n");
    expect(logins(fleet)).toBe(1);
    await expect(connectAnew(fleet, { hosts, password: "other" })).rejects.toMatchObject({
      code: "AUTH_FAILED",
      message: "web01 did not accept the password for user ops",
    });
  });

  it("is not asked for where a host has one session at a time", async () => {
    await startBackground();
    const fleet = await startFleet({ faults: () => ({ kind: "maxSessions", sessions: 1 }) });
    expect(await use(fleet)).toBe("web01\n");
    expect(await use(fleet)).toBe("web01\n");
    expect(logins(fleet)).toBe(1);
  });
});

describe("a background process that cannot be used is passed by, and told of", () => {
  const passesBy = async (fleet: EmbeddedFleet, answerMs?: number): Promise<string | undefined> => {
    const ways = await open(fleet, answerMs === undefined ? {} : { answerMs });
    expect(await visit(ways, hostsOf(fleet)[0]!)).toBe("here\n");
    return ways.notes[0]?.text.replace("connected to directly, and the connection is not kept: ", "");
  };

  it("when the directory is open to others", async () => {
    const fleet = await startFleet();
    preparePlace(directory());
    chmodSync(directory(), 0o750);
    expect(await passesBy(fleet)).toBe(
      `the directory ${directory()} has mode 0750, not 0700 (chmod 700 ${directory()})`,
    );
    await expect(startBackground()).rejects.toMatchObject({ code: "USAGE" });
    rmSync(directory(), { recursive: true });
    writeFileSync(directory(), "");
    expect(await passesBy(fleet)).toMatch(/kept (cannot be made|is not a directory)/);
  });

  it.skipIf(process.getuid?.() !== 0)("when the directory is another user's", async () => {
    const fleet = await startFleet();
    preparePlace(directory());
    const { chownSync } = await import("node:fs");
    chownSync(directory(), 1234, 1234);
    expect(await passesBy(fleet)).toBe(`the directory ${directory()} belongs to another user (uid 1234)`);
  });

  it("when it cannot be started, with a socket that was left or without", async () => {
    // A password in the environment is not for a process that stays.
    process.env.VOLLEY_SSH_PASSWORD = "s3cret-pass";
    onTestFinished(() => void delete process.env.VOLLEY_SSH_PASSWORD);
    const fleet = await startFleet();
    expect(await passesBy(fleet)).toBeUndefined();
    await until(() => notStarted.length === 1);
    // A socket on which nobody listens: that of a process that was killed.
    const killed = createServer().listen(scratch.path("left"));
    await until(() => killed.listening);
    renameSync(scratch.path("left"), socket());
    await new Promise((resolve) => killed.close(resolve));
    expect(await passesBy(fleet)).toBeUndefined();
    await until(() => notStarted.length === 2);
    expect(notStarted).toEqual(["no room", "no room"]);
    await startBackground();
    expect(await passesBy(fleet)).toBeUndefined();
  });

  it("when it says nothing, cannot prove itself, or is of another version", async () => {
    const fleet = await startFleet();
    preparePlace(directory());
    let answer: object | undefined;
    const other = createServer((peer) => {
      const text = Buffer.from(JSON.stringify(answer ?? {}));
      const head = Buffer.from([1, 0, 0, 0, 0]);
      head.writeUInt32BE(text.length, 1);
      if (answer !== undefined) peer.write(Buffer.concat([head, text]));
    }).listen(socket());
    onTestFinished(() => void other.close());
    await until(() => other.listening);
    expect(await passesBy(fleet, 200)).toMatch(
      /^the background process does not answer \(end the process that ps shows as "persist serve"/,
    );
    answer = { type: "hello", protocol: 1, version: VERSION, nonce: "1", proof: "0".repeat(64) };
    expect(await passesBy(fleet)).toBe("the background process cannot prove that it is this user's");
    answer = { type: "hello", protocol: 99, version: "9.9.9" };
    expect(await passesBy(fleet)).toBe("the background process is of another Volley (9.9.9)");
  });

  it("when no socket can have so long a path", () => {
    expect(() => socketPath(`/${"long/".repeat(30)}`, VERSION)).toThrow(/too long for a socket/);
  });
});
