import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, test, vi } from "vitest";
import { describeError, VolleyError } from "../../src/core/errors.ts";
import { readQueueUrl } from "../../src/queue/address.ts";
import {
  lookAtServer,
  openQueueServer,
  type QueueConnections,
  type QueueServerOptions,
} from "../../src/queue/connect.ts";
import { until } from "../lib/patience.ts";
import { describeQueue, type RedisServer, type RedisServerOptions, startRedis } from "./lib/redis.ts";

const never = new AbortController().signal;
const opened: QueueConnections[] = [];
const ends: (() => Promise<unknown>)[] = [];

const open = async (options: QueueServerOptions): Promise<QueueConnections> => {
  const connections = await openQueueServer(options, never);
  opened.push(connections);
  return connections;
};
const server = async (options?: RedisServerOptions): Promise<RedisServer> => {
  const started = await startRedis(options);
  ends.push(() => started.stop());
  return started;
};
/** Returns the line that a person gets. */
const failure = async (options: QueueServerOptions): Promise<string> => {
  const thrown = await open(options).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(VolleyError);
  expect((thrown as VolleyError).code).toBe("QUEUE_FAILED");
  return describeError(thrown);
};

afterAll(async () => {
  await Promise.all(opened.map((connections) => connections.close()));
  await Promise.all(ends.map((end) => end()));
});

describe("the URL of a queue", () => {
  test.each([
    ["redis://localhost", { host: "localhost", port: 6379 }, "redis://localhost:6379"],
    ["redis://[::1]:1/", { host: "::1", port: 1 }, "redis://[::1]:1"],
    ["rediss://me:p%40ss@queue.example:1234/5", undefined, "rediss://me@queue.example:1234/5"],
    ["redis://:secret@h?prefix=site:a", undefined, "redis://h:6379?prefix=site:a"],
    [
      "redis+unix:///run/redis.sock?db=2&prefix=p",
      { path: "/run/redis.sock" },
      "redis+unix:///run/redis.sock?prefix=p",
    ],
    [
      "redis+unix:///run/redis.sock?user=me&prefix=a:b",
      { path: "/run/redis.sock" },
      "redis+unix:///run/redis.sock?user=me&prefix=a:b",
    ],
    ["unix:///run/a%20b", { path: "/run/a b" }, "redis+unix:///run/a%20b"],
  ])("%s", (url, at, shown) => {
    const address = readQueueUrl(url);
    if (at !== undefined) expect(address.at).toEqual(at);
    expect(address.shown).toBe(shown);
  });

  it("gives user, password, database and prefix", () => {
    expect(readQueueUrl("rediss://me:p%40ss@h/5?prefix=x")).toMatchObject({
      tls: true,
      user: "me",
      password: "p@ss",
      db: 5,
      prefix: "x",
    });
    expect(readQueueUrl("redis://h")).toMatchObject({
      user: undefined,
      password: undefined,
      db: 0,
      prefix: "volley",
    });
    expect(readQueueUrl("unix:///s?db=3")).toMatchObject({ db: 3, prefix: "volley" });
  });

  test.each([
    "queue",
    "redis://",
    "http://me:hush@h",
    "redis://me:hush@h/x",
    "redis://me:hush@h?db=1",
    "redis://me:hush@h?prefix=a*",
    "redis://me:hush@h/99999999999",
    "redis://me:12/hush@h",
    "redis://me:12#hush@h",
    "redis://me:12?hush@h",
    "redis://me:hu/sh@h",
    "redis://me:hush%@h",
    "redis://h:port:hush@",
    "redis+unix://host/path",
    "unix:",
  ])("%s is refused, and shows no password", (url) => {
    let thrown: unknown;
    try {
      readQueueUrl(url);
    } catch (error) {
      thrown = error;
    }
    expect((thrown as VolleyError).code).toBe("USAGE");
    expect((thrown as VolleyError).hint).not.toBeUndefined();
    expect(describeError(thrown)).not.toMatch(/hush|hu\/sh|12/);
  });
});

describeQueue("connections to a queue", () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await server();
  });

  it("carries commands, in the URL's database", async () => {
    const connections = await open({ url: `${redis.url}/3?prefix=site` });
    expect(connections).toMatchObject({ shown: `${redis.url}/3?prefix=site`, prefix: "site" });
    const one = connections.open("test");
    expect(await one.set("site:key", "value")).toBe("OK");
    expect(await redis.cli("-n", "3", "get", "site:key")).toBe("value");
    expect(await redis.cli("client", "list")).toMatch(/name=volley-test /);
    // The first look leaves nothing.
    expect(await redis.cli("-n", "3", "keys", "*")).toBe("site:key");
  });

  it("reaches a Unix socket", async () => {
    const connections = await open({ url: `redis+unix://${redis.socket}` });
    expect(await connections.open("test").ping()).toBe("PONG");
  });

  it("tells when the server is lost and back, and sends commands then", async () => {
    const own = await server();
    const connections = await open({ url: own.url });
    const told: string[] = [];
    connections.onAway((reason) => told.push(reason));
    connections.onBack((awayMs) => told.push(`back after ${typeof awayMs}`));
    const one = connections.open("test");
    await one.set("volley:a", "1");
    expect(connections.away.since).toBeUndefined();
    await own.kill();
    await until(() => connections.away.since !== undefined);
    const later = one.incr("volley:a");
    await own.restart();
    expect(await later).toBe(2);
    await until(() => connections.away.since === undefined);
    expect(told).toHaveLength(2);
    expect(told[1]).toBe("back after number");
  });

  it("gives up connections without an answer", async () => {
    const own = await server();
    const connections = await open({ url: own.url, silentMs: 200 });
    const one = connections.open("test");
    await one.ping();
    const closed = once(one, "close");
    own.pause();
    await until(() => connections.away.since !== undefined);
    await closed;
    const later = one.ping();
    own.resume();
    expect(await later).toBe("PONG");
    await until(() => connections.away.since === undefined);
  });

  it("waits while the server takes no writes", async () => {
    const own = await server();
    const connections = await open({ url: own.url, silentMs: 200 });
    const one = connections.open("test");
    await one.ping();
    const reading = connections.open("reading");
    const read = reading.xread("BLOCK", 0, "STREAMS", "volley:s", "0");
    let clients = "";
    while (!/ cmd=xread /.test(clients)) clients = await own.cli("client", "list");
    // The server ends what waits for it with an error.
    await own.cli("replicaof", "127.0.0.1", "1");
    await until(() => connections.away.since !== undefined);
    expect(connections.away.reason).toContain("it is a replica");
    const later = one.set("volley:a", "1");
    await own.cli("replicaof", "no", "one");
    expect(await later).toBe("OK");
    await own.cli("xadd", "volley:s", "1-1", "m", "x");
    expect(await read).toEqual([["volley:s", [["1-1", ["m", "x"]]]]]);
    await until(() => connections.away.since === undefined);
  });

  it("closes all connections, also while the server is lost", async () => {
    const own = await server();
    const connections = await openQueueServer({ url: own.url }, never);
    const one = connections.open("test");
    await own.kill();
    await until(() => connections.away.since !== undefined);
    const lost = expect(one.ping()).rejects.toThrow();
    await connections.close();
    await lost;
    expect(one.status).toBe("end");
  });

  it("is cancelled", async () => {
    const own = await server();
    own.pause();
    const controller = new AbortController();
    const opening = openQueueServer({ url: own.url }, controller.signal);
    controller.abort();
    await expect(opening).rejects.toMatchObject({ code: "CANCELLED" });
    own.resume();
  });

  it("warns of a server that loses what it keeps", async () => {
    const connections = await open({ url: redis.url });
    expect(await lookAtServer(connections.open("test"))).toEqual([]);
    const careless = await server({ appendOnly: false, settings: { "maxmemory-policy": "allkeys-lru" } });
    const other = await open({ url: careless.url });
    const warnings = await lookAtServer(other.open("test"));
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain("appendonly yes");
    expect(warnings[1]).toContain("allkeys-lru");
  });
});

describeQueue("a queue's password and ACL", () => {
  const users = [
    "user default on >hush-default ~* &* +@all",
    "user whole on >hush ~* +@all",
    "user few on >hush ~volley:* +@connection +xadd +pexpire +xread +eval +exists +del",
    "user elsewhere on >hush ~other:* +@all",
    "user script on >hush ~volley:* +@connection +@stream +pexpire +eval +del",
    "user silent on >hush ~volley:* +@connection +@stream +@keyspace +eval",
  ].join("\n");
  let redis: RedisServer;
  const as = (user: string): string => redis.url.replace("//", `//${user}@`);
  beforeAll(async () => {
    redis = await server({ users: `${users}\n` });
  });

  it("takes a password from the URL, the options and the environment", async () => {
    const before = process.env.VOLLEY_QUEUE_PASSWORD;
    await open({ url: as(":hush-default") });
    await open({ url: `redis+unix://${redis.socket}?user=whole`, password: "hush" });
    await open({ url: as("whole"), password: "hush" });
    try {
      process.env.VOLLEY_QUEUE_PASSWORD = "hush";
      const connections = await open({ url: as("whole") });
      expect(await connections.open("test").ping()).toBe("PONG");
    } finally {
      if (before === undefined) delete process.env.VOLLEY_QUEUE_PASSWORD;
      else process.env.VOLLEY_QUEUE_PASSWORD = before;
    }
  });

  it("leaves out a password that the server does not have", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const own = await server();
    const connections = await open({ url: own.url, password: "hush" });
    expect(await connections.open("test").ping()).toBe("PONG");
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });

  it("works without INFO, and then warns of nothing", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const connections = await open({ url: as("silent:hush") });
    const one = connections.open("test");
    expect(await one.xadd("volley:a", "*", "b", "c")).toMatch(/^\d+-0$/);
    expect(await lookAtServer(one)).toEqual([]);
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });

  test.each([
    ["", "", "it wants a password"],
    ["", "hush-wrong", "it refuses the password of the user default"],
    ["whole:hush-wrong", undefined, "it refuses the password of the user whole"],
    ["nobody:hush", undefined, "it refuses the password of the user nobody"],
    ["few:hush", undefined, "its ACL forbids the user few the command XRANGE"],
    ["script:hush", undefined, "its ACL forbids the user script "],
    ["elsewhere:hush", undefined, "its ACL forbids the user elsewhere keys that begin with volley:"],
  ])("%s with the password %s: %s", async (user, password, reason) => {
    const url = user === "" ? redis.url : as(user);
    const line = await failure({ url, ...(password === undefined ? {} : { password }) });
    expect(line).toContain(reason);
    expect(line).not.toContain("hush");
  });
});

describeQueue("a queue by TLS", () => {
  let redis: RedisServer;
  let strict: RedisServer;
  let plain: RedisServer;
  beforeAll(async () => {
    [redis, strict, plain] = await Promise.all([
      server({ tls: true }),
      server({ tls: "client-certificates" }),
      server(),
    ]);
  });
  const files = ({ certificates }: RedisServer) => certificates!;

  it("verifies the server by a CA", async () => {
    const { ca } = files(redis);
    const connections = await open({ url: redis.url, ca });
    expect(await connections.open("test").ping()).toBe("PONG");
    await open({ url: redis.url.replace("127.0.0.1", "localhost"), ca });
  });

  it("shows a certificate of its own", async () => {
    const { ca, cert, key } = files(strict);
    const connections = await open({ url: strict.url, ca, cert, key });
    expect(await connections.open("test").ping()).toBe("PONG");
  });

  it("says what is wrong", async () => {
    expect(await failure({ url: redis.url })).toContain("its certificate cannot be verified");
    expect(await failure({ url: redis.url, ca: files(strict).ca })).toContain("cannot be verified");
    const { ca } = files(redis);
    expect(await failure({ url: redis.url.replace("127.0.0.1", "127.0.0.2"), ca })).toMatch(
      /nothing listens there|of another name/,
    );
    expect(await failure({ url: strict.url, ca: files(strict).ca })).toContain("or wants one");
    expect(await failure({ url: redis.url.replace("rediss:", "redis:") })).toContain("write rediss://");
    expect(await failure({ url: plain.url.replace("redis:", "rediss:"), ca })).toContain("write redis://");
  });

  it("refuses files that are none, or of no use", async () => {
    const directory = mkdtempSync(join(tmpdir(), "volley-connect-"));
    try {
      const ca = join(directory, "ca.pem");
      writeFileSync(ca, "no PEM");
      await expect(openQueueServer({ url: redis.url, ca }, never)).rejects.toMatchObject({
        code: "FILE_FAILED",
      });
      await expect(openQueueServer({ url: plain.url, ca }, never)).rejects.toMatchObject({ code: "USAGE" });
      await expect(openQueueServer({ url: redis.url, cert: ca }, never)).rejects.toMatchObject({
        code: "USAGE",
      });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describeQueue("servers that no queue can use", () => {
  /** Something that listens, and answers each time with the same. */
  const answering = async (answer: (asked: string) => string): Promise<string> => {
    const other: Server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (data) => socket.write(answer(`${data}`)));
    });
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    ends.push(async () => other.close());
    return `redis://127.0.0.1:${(other.address() as AddressInfo).port}`;
  };

  test("nothing there", async () => {
    const own = await server();
    await own.stop();
    expect(await failure({ url: own.url })).toContain("nothing listens there");
    expect(await failure({ url: "redis://no-such-host.invalid" })).toMatch(/no host has that name|looked up/);
    expect(await failure({ url: `unix://${own.socket}` })).toContain("there is no such socket");
  });

  test("another service", async () => {
    const url = await answering(() => "HTTP/1.1 400 Bad Request\r\n\r\n");
    expect(await failure({ url })).toContain(
      'it is no Redis server: its answer is "HTTP/1.1 400 Bad Request',
    );
  });

  test("an old version", async () => {
    const info = "redis_version:6.0.16\r\nredis_mode:standalone\r\n";
    const url = await answering((asked) =>
      /info/i.test(asked) ? `$${info.length}\r\n${info}\r\n` : "+PONG\r\n",
    );
    expect(await failure({ url })).toContain("its version is 6.0.16");
  });

  test("a cluster", async () => {
    const own = await server({ settings: { "cluster-enabled": "yes" } });
    expect(await failure({ url: own.url })).toContain("it is in cluster mode");
  });

  test("a replica", async () => {
    const own = await server({ settings: { replicaof: "127.0.0.1 1" } });
    expect(await failure({ url: own.url })).toContain("it is a replica");
  });

  test("too many connections", async () => {
    const own = await server();
    const first = await open({ url: own.url });
    expect(await first.open("test").ping()).toBe("PONG");
    await own.cli("config", "set", "maxclients", "1");
    expect(await failure({ url: own.url })).toContain("no place for another connection");
  });

  test("no such database", async () => {
    const own = await server();
    expect(await failure({ url: `${own.url}/99` })).toContain("it has no database 99");
  });
});
