import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BundleStoreOptions, openBundleStore } from "../../src/queue/bundles/store.ts";
import type { QueueKey } from "../../src/queue/seal.ts";
import { type FileServer, signatureFault, startFileServer } from "./lib/file-server.ts";
import { describeQueue, hasRedis, type RedisServer, startRedis } from "./lib/redis.ts";

const newKey = (): QueueKey => ({ secret: randomBytes(32) });
const key = newKey();
const idOf = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
/** A bundle of its own: text that any store would show, and bytes. */
const newBundle = (): Buffer => Buffer.concat([Buffer.from("#!/bin/sh\nvolley bundle"), randomBytes(70_000)]);

let server: FileServer;
beforeAll(async () => {
  server = await startFileServer();
});
afterAll(() => server.close());

let redisServer: RedisServer | undefined;
let redis: Redis;
beforeAll(async () => {
  if (!hasRedis) return;
  redisServer = await startRedis({ appendOnly: false });
  redis = new Redis(redisServer.url);
});
afterAll(async () => {
  redis?.disconnect();
  await redisServer?.stop();
});

const SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const AWS = {
  AWS_ACCESS_KEY_ID: "AKIDEXAMPLE",
  AWS_SECRET_ACCESS_KEY: SECRET,
  AWS_SESSION_TOKEN: "se/ss=ion",
};

const open = (url: string | undefined, options: Partial<BundleStoreOptions> = {}) =>
  openBundleStore(url, { redis, prefix: "test", keys: [key], env: AWS, pausesMs: [1, 1, 1], ...options });
/** The URLs of stores, of whose files a test sees the bytes. */
const s3Url = (): string =>
  `s3://my.bucket/a/b%20+c(d)?endpoint=${encodeURIComponent(server.url)}&region=eu-test-1`;
const webUrl = (): string => `${server.url}/bundles/`;

const checksSignatures: FileServer["interrupt"] = (request, response) => {
  if (!request.target.startsWith("/my.bucket/")) return false;
  const fault = signatureFault(request, { secret: SECRET, region: "eu-test-1" });
  const isSigned = fault === undefined && request.headers["x-amz-security-token"] === "se/ss=ion";
  if (!isSigned) response.writeHead(403).end(`<?xml version="1.0"?><Error><Code>${fault}</Code></Error>`);
  return !isSigned;
};
beforeAll(() => {
  server.interrupt = checksSignatures;
});
/** Interrupt the server during one piece of work. */
async function interrupted<T>(interrupt: FileServer["interrupt"], work: () => Promise<T>): Promise<T> {
  server.interrupt = interrupt;
  try {
    return await work();
  } finally {
    server.interrupt = checksSignatures;
  }
}

/** Answer every request so. */
const answer =
  (status: number, headers: Record<string, string> = {}, body = ""): FileServer["interrupt"] =>
  (_request, response) => {
    response.writeHead(status, headers).end(body);
    return true;
  };

interface StoreUnderTest {
  readonly url: () => string | undefined;
  /** The names of the files of a bundle, one for each queue key. */
  readonly namesOf: (id: string) => Promise<readonly string[]>;
  readonly read: (name: string) => Promise<Buffer>;
  readonly write: (name: string, bytes: Buffer) => Promise<unknown>;
}

const onServer: Omit<StoreUnderTest, "url"> = {
  namesOf: async (id) => [...server.files.keys()].filter((name) => name.includes(id)),
  read: async (name) => server.files.get(name)!,
  write: async (name, bytes) => server.files.set(name, bytes),
};
const STORES: Readonly<Record<string, StoreUnderTest>> = {
  "a web server": { url: webUrl, ...onServer },
  S3: { url: s3Url, ...onServer },
  "the queue's server": {
    url: () => undefined,
    namesOf: (id) => redis.keys(`*${id}*`),
    read: async (name) => (await redis.getBuffer(name))!,
    write: (name, bytes) => redis.set(name, bytes),
  },
};

describe.each(Object.entries(STORES))("a store in %s", (kind, { url, namesOf, read, write }) => {
  const run = test.skipIf(kind === "the queue's server" && !hasRedis);

  run("gives back what was put, and learns nothing of it", async () => {
    const [store, bundle] = [open(url()), newBundle()];
    const id = idOf(bundle);
    expect(await store.has(id)).toBe(false);
    await store.put(id, bundle);
    expect(await store.has(id)).toBe(true);
    expect((await open(url()).get(id)).equals(bundle)).toBe(true);
    const [name = "", ...others] = await namesOf(id);
    expect(others).toEqual([]);
    const kept = await read(name);
    expect(kept.toString("latin1")).toMatch(/^age-encryption\.org\/v1\n-> X25519 /);
    expect(kept.includes("volley bundle")).toBe(false);
  });

  run("says that a bundle is not there", async () => {
    const id = idOf(newBundle());
    await expect(open(url()).get(id)).rejects.toMatchObject({
      code: "QUEUE_FAILED",
      message: expect.stringMatching(new RegExp(`^the bundle ${id.slice(0, 12)} in .* is not there$`)),
      hint: expect.stringContaining("start the run again"),
    });
  });

  run("refuses files that were changed, exchanged, or made without the key", async () => {
    const [store, one, other] = [open(url()), newBundle(), newBundle()];
    await store.put(idOf(one), one);
    await store.put(idOf(other), other);
    const [[name = ""], [nameOfOther = ""]] = [await namesOf(idOf(one)), await namesOf(idOf(other))];
    const kept = await read(name);
    const refused = async (bytes: Buffer): Promise<string> => {
      await write(name, bytes);
      const error = await store.get(idOf(one)).catch((thrown: unknown) => thrown as Error);
      expect(error).toMatchObject({ code: "QUEUE_REFUSED" });
      return (error as Error).message;
    };
    const bent = Buffer.from(kept);
    bent[bent.length - 40_000]! ^= 1;
    expect(await refused(bent)).toMatch(/was not encrypted with the queue key, or was changed/);
    expect(await refused(kept.subarray(0, -1))).toMatch(/or was changed/);
    expect(await refused(one)).toMatch(/or was changed/);
    expect(await refused(await read(nameOfOther))).toMatch(/is another one: its SHA-256 is/);
    await open(url(), { keys: [newKey()] }).put(idOf(one), one);
    const foreign = (await namesOf(idOf(one))).find((each) => each !== name)!;
    expect(await refused(await read(foreign))).toMatch(/not encrypted with the queue key/);
    await write(name, kept);
    expect((await store.get(idOf(one))).equals(one)).toBe(true);
  });

  run("finds bundles of each key while keys are replaced", async () => {
    const [fresh, bundle, later] = [newKey(), newBundle(), newBundle()];
    await open(url()).put(idOf(bundle), bundle);
    const both = open(url(), { keys: [fresh, key] });
    expect((await both.get(idOf(bundle))).equals(bundle)).toBe(true);
    // Processes that have the new key alone need it anew.
    expect(await both.has(idOf(bundle))).toBe(false);
    await both.put(idOf(later), later);
    expect((await open(url(), { keys: [fresh] }).get(idOf(later))).equals(later)).toBe(true);
    await expect(open(url()).get(idOf(later))).rejects.toMatchObject({ code: "QUEUE_FAILED" });
  });

  run("takes no path for an id", async () => {
    for (const id of ["../../etc/passwd", "", "AB".repeat(32), `${"a".repeat(64)}/x`])
      await expect(open(url()).get(id)).rejects.toMatchObject({ code: "QUEUE_REFUSED" });
  });
});

describeQueue("bundles in the queue's server", () => {
  test("stay for 7 days from the last use", async () => {
    const [store, bundle] = [open(undefined), newBundle()];
    const name = async () => (await redis.keys(`*${idOf(bundle)}*`))[0]!;
    const week = 7 * 24 * 3_600;
    await store.put(idOf(bundle), bundle);
    expect(await name()).toMatch(/^test:bundle:/);
    for (const use of [() => store.put(idOf(bundle), bundle), () => store.has(idOf(bundle))]) {
      expect(await redis.ttl(await name())).toBeGreaterThan(week - 600);
      expect(await redis.ttl(await name())).toBeLessThanOrEqual(week);
      await redis.expire(await name(), 1_000);
      const before = await redis.getBuffer(await name());
      await use();
      expect(await redis.ttl(await name())).toBeGreaterThan(week - 600);
      expect((await redis.getBuffer(await name()))!.equals(before!)).toBe(true);
    }
  });

  test("that do not fit are told", async () => {
    await redis.config("SET", "maxmemory", "1mb");
    const bundle = newBundle();
    await expect(open(undefined).put(idOf(bundle), bundle)).rejects.toMatchObject({
      code: "QUEUE_FAILED",
      message: expect.stringContaining("OOM command not allowed"),
      hint: expect.stringContaining("raise maxmemory, or keep bundles in another store"),
    });
    await redis.config("SET", "maxmemory", "0");
  });
});

describe("a web server", () => {
  test("gets a bundle once, in a file below the URL, whose query stays", async () => {
    const bundle = newBundle();
    const store = open(`${server.url}/with/query?signature=abc`);
    server.requests.length = 0;
    await store.put(idOf(bundle), bundle);
    await store.put(idOf(bundle), bundle);
    expect(server.requests.map(({ method }) => method)).toEqual(["HEAD", "PUT", "HEAD"]);
    expect(server.requests[1]!.target).toMatch(
      new RegExp(`^/with/query/${idOf(bundle)}\\.[0-9a-f]{8}\\.age\\?signature=abc$`),
    );
  });

  test.each([
    ["the login of the URL", (url: string) => url.replace("//", "//me:p%40ss@"), `Basic ${btoa("me:p@ss")}`],
    ["the token of the environment", (url: string) => url, "Bearer s3cret-token"],
  ])("gets %s, which no message shows", async (_, withLogin, expected) => {
    const bundle = newBundle();
    const env = { VOLLEY_BUNDLE_STORE_TOKEN: "s3cret-token" };
    const store = open(withLogin(webUrl()), { env });
    const put = await interrupted(
      ({ headers }, response) => {
        if (headers.authorization === expected) return false;
        response.writeHead(401, { "www-authenticate": "Basic" }).end();
        return true;
      },
      async () => {
        await store.put(idOf(bundle), bundle);
        return (await store.get(idOf(bundle))).equals(bundle);
      },
    );
    expect(put).toBe(true);
    const error = await interrupted(answer(403), () =>
      store.get(idOf(bundle)).catch((thrown: unknown) => thrown as Error & { hint: string }),
    );
    expect(error).toMatchObject({
      code: "QUEUE_FAILED",
      message: expect.stringMatching(/^the bundle store http:.*\/bundles\/ answers GET with 403 Forbidden$/),
      hint: expect.stringContaining("VOLLEY_BUNDLE_STORE_TOKEN"),
    });
    expect(JSON.stringify([error, (error as Error).message])).not.toMatch(/p(@|%40)ss|s3cret/);
  });

  test.each<readonly [string, FileServer["interrupt"]]>([
    ["a 503", answer(503)],
    ["a 429", answer(429)],
    ["a connection that is cut", (_request, response) => response.destroy().destroyed],
    [
      "an answer that is cut off",
      (_request, response) => {
        response.writeHead(200, { "content-length": 1_000 });
        response.write("age", () => response.destroy());
        return true;
      },
    ],
  ])("is asked three times more after %s", async (_, fault) => {
    const bundle = newBundle();
    const store = open(webUrl());
    await store.put(idOf(bundle), bundle);
    let left = 3;
    const got = await interrupted(
      (request, response) => left-- > 0 && fault(request, response),
      () => store.get(idOf(bundle)),
    );
    expect(got.equals(bundle)).toBe(true);
    let asked = 0;
    const failure = interrupted(
      (request, response) => {
        asked++;
        return fault(request, response);
      },
      () => store.get(idOf(bundle)),
    );
    await expect(failure).rejects.toMatchObject({ code: "QUEUE_FAILED" });
    expect(asked).toBe(4);
  });

  test("that takes no PUT is told, without asking again", async () => {
    const bundle = newBundle();
    let puts = 0;
    const failure = interrupted(
      ({ method }, response) => {
        if (method !== "PUT") return false;
        puts++;
        response.writeHead(405).end();
        return true;
      },
      () => open(webUrl()).put(idOf(bundle), bundle),
    );
    await expect(failure).rejects.toMatchObject({
      message: expect.stringContaining("answers PUT with 405 Method Not Allowed"),
      hint: expect.stringContaining("takes PUT, as WebDAV"),
    });
    expect(puts).toBe(1);
  });

  test("that is not there is told", async () => {
    await expect(open("http://127.0.0.1:1/x").has("a".repeat(64))).rejects.toMatchObject({
      code: "QUEUE_FAILED",
      message: "the bundle store http://127.0.0.1:1/x cannot be reached: the connection was refused",
    });
  });
});

describe("S3", () => {
  test("refuses a wrong secret, with its own word and advice", async () => {
    const env = { ...AWS, AWS_SECRET_ACCESS_KEY: "wrong" };
    await expect(open(s3Url(), { env }).get("c".repeat(64))).rejects.toMatchObject({
      code: "QUEUE_FAILED",
      message: `the bundle store s3://my.bucket/a/b%20+c(d) at ${server.url.slice(7)} answers GET with 403 SignatureDoesNotMatch`,
      hint: expect.stringContaining("AWS_SECRET_ACCESS_KEY"),
    });
  });

  test("says what to do about a bucket that is not there", async () => {
    const failure = interrupted(answer(404, {}, "<Error><Code>NoSuchBucket</Code></Error>"), () =>
      open(s3Url()).put("c".repeat(64), Buffer.from("x")),
    );
    await expect(failure).rejects.toMatchObject({
      message: expect.stringMatching(/answers PUT with 404 NoSuchBucket$/),
      hint: "make the bucket first, or name another one",
    });
  });

  test("names the region of a bucket that is in another", async () => {
    const failure = interrupted(answer(301, { "x-amz-bucket-region": "eu-west-3" }), () =>
      open(s3Url()).has("c".repeat(64)),
    );
    await expect(failure).rejects.toMatchObject({
      code: "QUEUE_FAILED",
      hint: "the bucket is in another region: ?region=eu-west-3",
    });
  });

  test.each([
    ["s3://plain/x?region=eu-central-1", "plain.s3.eu-central-1.amazonaws.com:443"],
    ["s3://plain", "plain.s3.us-east-1.amazonaws.com:443"],
    // The certificate covers a single label.
    ["s3://with.dots/x", "s3.us-east-1.amazonaws.com:443"],
  ])("of Amazon is reached under its own names: %s", async (url, expected) => {
    const targets: string[] = [];
    const proxy = createServer().on("connect", ({ url: target = "" }, socket) => {
      targets.push(target);
      socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const env = { ...AWS, https_proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
    await expect(open(url, { env, pausesMs: [] }).has("c".repeat(64))).rejects.toMatchObject({
      code: "QUEUE_FAILED",
    });
    await new Promise((resolve) => proxy.close(resolve));
    expect(targets).toEqual([expected]);
  });

  test.each([
    ["s3://bucket/x?acl=public", AWS, /"acl" is not a parameter/],
    ["s3:///x", AWS, /needs a bucket/],
    ["s3://bucket/x", {}, /needs a login/],
    ["s3://id:secret@bucket/x", AWS, /takes no login/],
    ["s3://bucket/x?endpoint=minio:9000", AWS, /the endpoint .* is not https:\/\/HOST/],
    ["ftp://user:secret@host/x", AWS, /is https:\/\/HOST\/PATH\/ or s3:\/\/BUCKET\/PREFIX, not ftp:…$/],
    ["no url", AWS, /not a text that is no URL$/],
  ])("and other URLs are checked before anything is sent: %s", (url, env, message) => {
    const error = (() => {
      try {
        return open(url, { env });
      } catch (thrown) {
        return thrown;
      }
    })() as Error;
    expect(error).toMatchObject({ code: "USAGE", message: expect.stringMatching(message) });
    expect(error.message).not.toContain("secret");
  });
});
