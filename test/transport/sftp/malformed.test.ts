import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  MalformedSftpError,
  SftpReader,
  stringField,
  uint32Field,
  uint64Field,
} from "../../../src/transport/sftp/codec.ts";
import { openFileSession } from "../../../src/transport/sftp/open-file-session.ts";
import { readReply } from "../../../src/transport/sftp/requests.ts";
import type { FileSession } from "../../../src/transport/transport.ts";
import { type ScriptedServer, scriptedServer } from "./server.ts";

function message(type: number, ...fields: readonly Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.from([type]), ...fields]);
  return Buffer.concat([uint32Field(body.length), body]);
}

const VERSION = message(2, uint32Field(3));
const idOf = (request: Buffer): Buffer => request.subarray(1, 5);
const signal = new AbortController().signal;

async function session(
  ...extensions: readonly string[]
): Promise<{ server: ScriptedServer; files: FileSession }> {
  const server = scriptedServer();
  const opening = openFileSession(server.duplex, { host: "web01", signal });
  await server.next();
  const names = extensions.flatMap((name) => [stringField(name), stringField("1")]);
  server.say(message(2, uint32Field(3), ...names));
  return { server, files: await opening };
}

/** The errors of a request that gets this answer, and of a later request. */
async function answered(
  ask: (files: FileSession) => Promise<unknown>,
  answer: (id: Buffer) => Buffer,
): Promise<readonly [unknown, unknown]> {
  const { server, files } = await session();
  const asked = ask(files).catch((thrown: unknown) => thrown);
  server.say(answer(idOf(await server.next())));
  return [await asked, await files.stat("/").catch((thrown: unknown) => thrown)];
}

const NOT_SFTP = expect.objectContaining({
  code: "SFTP_FAILED",
  message: expect.stringMatching(/^web01: the SFTP server breaks the protocol: /),
});

describe("a server's reply ends the session", () => {
  const stat = (files: FileSession): Promise<unknown> => files.stat("/x");
  const cases: readonly [string, (files: FileSession) => Promise<unknown>, (id: Buffer) => Buffer][] = [
    ["to what was not asked", stat, () => message(105, uint32Field(77), uint32Field(0))],
    ["of another type", stat, (id) => message(102, id, stringField("h"))],
    ["of no type there is", stat, (id) => message(111, id)],
    ["that is a second greeting", stat, () => VERSION],
    ["that is a request", stat, (id) => message(17, id, stringField("/"))],
    ["of no bytes", stat, () => uint32Field(0)],
    ["of 256 KiB and one byte", stat, () => uint32Field((256 << 10) + 1)],
    ["of 4 GiB", stat, () => uint32Field(0xffffffff)],
    ["that ends in its id", stat, () => message(105, Buffer.from([0, 0]))],
    ["that ends in its attributes", stat, (id) => message(105, id, uint32Field(1), uint32Field(0))],
    [
      "with four thousand million attributes",
      stat,
      (id) => message(105, id, uint32Field(0x80000000), uint32Field(0xffffffff)),
    ],
    ["with something behind its end", stat, (id) => message(105, id, uint32Field(0), Buffer.from("!"))],
    [
      "of success where there is none",
      stat,
      (id) => message(101, id, uint32Field(0), stringField(""), stringField("")),
    ],
    [
      "with a string longer than it",
      (files) => files.open("/x", 1),
      (id) => message(102, id, uint32Field(1_000_000), Buffer.from("h")),
    ],
    [
      "with a handle of 257 bytes",
      (files) => files.open("/x", 1),
      (id) => message(102, id, stringField(Buffer.alloc(257))),
    ],
    [
      "with more bytes than asked for",
      (files) => files.read(Buffer.from("h"), 0, 10),
      (id) => message(103, id, stringField("12345678901")),
    ],
    [
      "with no bytes, and not the end",
      (files) => files.read(Buffer.from("h"), 0, 10),
      (id) => message(103, id, stringField("")),
    ],
    [
      "with two names for a path",
      (files) => files.realPath("/x"),
      (id) =>
        message(
          104,
          id,
          uint32Field(2),
          ...Array(2).fill(Buffer.concat([stringField("/a"), stringField(""), uint32Field(0)])),
        ),
    ],
    [
      "with more names than it holds",
      (files) => files.realPath("/x"),
      (id) => message(104, id, uint32Field(0xffffffff), stringField("/a"), stringField(""), uint32Field(0)),
    ],
  ];
  it.each(cases)("%s", async (_name, ask, answer) => {
    expect(await answered(ask, answer)).toEqual([NOT_SFTP, NOT_SFTP]);
  });

  it.each(["../escape", "a/b", "", "a\0b"])("a directory entry named %j", async (name) => {
    const { server, files } = await session();
    const listing = files.list("/d").catch((thrown: unknown) => thrown);
    server.say(message(102, idOf(await server.next()), stringField("h")));
    const entry = Buffer.concat([stringField(name), stringField(""), uint32Field(0)]);
    server.say(message(104, idOf(await server.next()), uint32Field(1), entry));
    expect(await listing).toEqual(NOT_SFTP);
  });
});

describe("a greeting", () => {
  const greeted = async (bytes: Buffer): Promise<unknown> => {
    const server = scriptedServer();
    const opening = openFileSession(server.duplex, { host: "web01", signal, timeoutMs: 5_000 });
    server.say(bytes);
    return await opening.catch((thrown: unknown) => thrown);
  };
  it("that is a line of text is quoted, and its likely cause told", async () => {
    expect(await greeted(Buffer.from("Welcome to web01!\x1b[2J\nBe kind.\n"))).toMatchObject({
      code: "SFTP_UNAVAILABLE",
      message: 'web01: the answer is not SFTP: it begins with "Welcome to web01!?[2J"',
      hint: "does a profile on the host, such as ~/.bashrc, print something? It must not for shells that are not interactive",
    });
  });
  it("of another version is refused", async () => {
    expect(await greeted(message(2, uint32Field(6)))).toMatchObject({ code: "SFTP_UNAVAILABLE" });
  });
  it("that comes after a reply is refused", async () => {
    expect(await greeted(message(101, uint32Field(0), uint32Field(0)))).toMatchObject({
      code: "SFTP_UNAVAILABLE",
    });
  });
  it("that does not come is waited for no longer than said", async () => {
    const server = scriptedServer();
    const opening = openFileSession(server.duplex, { host: "web01", signal, timeoutMs: 20 });
    await expect(opening).rejects.toMatchObject({ code: "SFTP_UNAVAILABLE" });
  });
  it("is not waited for once it is cancelled, or the server has ended", async () => {
    const server = scriptedServer();
    const cancel = new AbortController();
    const opening = openFileSession(server.duplex, { host: "web01", signal: cancel.signal });
    cancel.abort();
    await expect(opening).rejects.toMatchObject({ code: "CANCELLED" });
    const other = scriptedServer();
    other.exit({ kind: "exited", code: 127 });
    await expect(openFileSession(other.duplex, { host: "web01", signal })).rejects.toMatchObject({
      code: "SFTP_UNAVAILABLE",
      message: "web01 has no SFTP: there is no sftp-server",
    });
  });
});

describe("a server without extensions", () => {
  it("takes 32 KiB, and is asked for nothing it cannot do", async () => {
    const { server, files } = await session();
    expect([files.maxReadBytes, files.maxWriteBytes]).toEqual([32 << 10, 32 << 10]);
    await files.sync(Buffer.from("h"));
    expect(await files.freeSpace("/")).toBeUndefined();
    await expect(files.lsetstat("/x", { mtime: 1 })).rejects.toMatchObject({ status: 8 });
    const renaming = files.rename("/a", "/b");
    const looked = await server.next();
    expect(looked[0]).toBe(7);
    server.say(message(101, idOf(looked), uint32Field(2)));
    const renamed = await server.next();
    expect(renamed[0]).toBe(18);
    server.say(message(101, idOf(renamed), uint32Field(0)));
    await renaming;
  });

  it("may claim any limits", async () => {
    const server = scriptedServer();
    const opening = openFileSession(server.duplex, { host: "web01", signal });
    await server.next();
    server.say(message(2, uint32Field(3), stringField("limits@openssh.com"), stringField("1")));
    const huge = Array.from({ length: 4 }, () => uint64Field(2 ** 53 - 1));
    server.say(message(201, idOf(await server.next()), ...huge));
    const files = await opening;
    expect([files.maxReadBytes, files.maxWriteBytes]).toEqual([255 << 10, 255 << 10]);
  });
});

describe("replies", () => {
  it("with limits may come while files are opened, and count from then on", async () => {
    const server = scriptedServer();
    const opening = openFileSession(server.duplex, { host: "web01", signal, awaitsLimits: false });
    await server.next();
    server.say(message(2, uint32Field(3), stringField("limits@openssh.com"), stringField("1")));
    const files = await opening;
    expect([files.maxReadBytes, files.maxWriteBytes]).toEqual([32 << 10, 32 << 10]);
    const handle = files.open("/x", 1);
    const limits = [0, 100_000, 200_000, 0].map(uint64Field);
    server.say(message(201, idOf(await server.next()), ...limits));
    server.say(message(102, idOf(await server.next()), stringField("h")));
    await handle;
    expect([files.maxReadBytes, files.maxWriteBytes]).toEqual([100_000, 200_000]);
  });

  it("may come in any order and in any pieces", async () => {
    const { server, files } = await session();
    const asked = Promise.all([files.stat("/a"), files.stat("/b"), files.realPath("/c")]);
    const ids = [await server.next(), await server.next(), await server.next()].map(idOf);
    const whole = Buffer.concat([
      message(104, ids[2]!, uint32Field(1), stringField("/C"), stringField(""), uint32Field(0)),
      message(101, ids[1]!, uint32Field(2), stringField("No such file"), stringField("")),
      message(105, ids[0]!, uint32Field(1), uint64Field(2 ** 40 + 1)),
    ]);
    for (const byte of whole) server.say(Buffer.from([byte]));
    expect(await asked).toEqual([{ size: 2 ** 40 + 1 }, null, "/C"]);
  });

  it("that nobody waits for end no process", async () => {
    const { server, files } = await session();
    void files.stat("/a");
    server.say(message(101, idOf(await server.next()), uint32Field(3), stringField("no"), stringField("")));
    server.exit({ kind: "lost", reason: "the connection went" });
    await sleep(10);
    await expect(files.stat("/a")).rejects.toMatchObject({ code: "CONNECTION_LOST" });
  });

  it("carry no characters into messages that no terminal may get", async () => {
    const { server, files } = await session();
    const opening = files.open("/x", 1).catch((thrown: unknown) => thrown);
    const text = stringField("Disk\x1b[31m on\u202efire\r\nok");
    server.say(message(101, idOf(await server.next()), uint32Field(4), text, stringField("")));
    const error = await opening;
    expect(error).toMatchObject({ message: "web01: cannot read /x: disk [31m on fire ok", status: 4 });
  });
});

describe("the reader", () => {
  it("holds nothing but the one message that is not complete", () => {
    const reader = new SftpReader();
    const whole = message(103, Buffer.alloc(100_000));
    for (let count = 0; count < 50; count++) {
      expect(reader.push(whole.subarray(0, 70_000))).toEqual([]);
      expect(reader.push(whole.subarray(70_000))).toHaveLength(1);
    }
    expect(() => reader.push(Buffer.from([0xff, 0xff, 0xff, 0xff]))).toThrow(MalformedSftpError);
  });

  it("reads any bytes as a reply or refuses them", () => {
    let seed = 1;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return seed % below;
    };
    const types = [2, 101, 102, 103, 104, 105, 201];
    let read = 0;
    for (let round = 0; round < 5_000; round++) {
      const bytes = Buffer.from(
        Array.from({ length: random(40) }, () => (random(3) === 0 ? random(256) : 0)),
      );
      const reply = Buffer.concat([Buffer.from([types[random(types.length)]!]), bytes]);
      try {
        readReply(reply);
        read++;
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(MalformedSftpError);
      }
    }
    expect(read).toBeGreaterThan(100);
  });
});
