import { PassThrough, Writable } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "vitest";
import { MalformedSftpError, SftpReader } from "../../src/transport/sftp/codec.ts";
import { openFileSession } from "../../src/transport/sftp/open-file-session.ts";
import { readReply } from "../../src/transport/sftp/requests.ts";
import type { RemoteExit } from "../../src/transport/transport.ts";
import { FUZZ_TIMEOUT_MS, fuzz } from "./lib/fuzz.ts";
import { must, mustBeRefusal, mustEqual } from "./lib/judge.ts";
import type { Draw } from "./lib/random.ts";

const TOKENS = [
  "\0\0\0\u0005",
  "\u0002\0\0\0\u0003",
  "\u0065\0\0\0\0",
  "limits@openssh.com",
  "statvfs@openssh.com",
  "..",
  "a/b",
  "\u001b[2J",
];

function cutUp(bytes: Buffer, draw: Draw): readonly Buffer[] {
  const chunks: Buffer[] = [];
  const longest = draw.pick([1, 7, 5_000]);
  const least = Math.ceil(bytes.length / 3_000);
  for (let at = 0; at < bytes.length; ) {
    const size = least + draw.below(longest);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

function decode(chunks: readonly Buffer[]): readonly string[] {
  const reader = new SftpReader();
  const decoded: string[] = [];
  const attempt = (work: () => void): boolean => {
    try {
      work();
      return true;
    } catch (thrown) {
      if (!(thrown instanceof MalformedSftpError)) throw thrown;
      decoded.push(decoded.length === 0 ? "malformed" : thrown.message);
      return false;
    }
  };
  for (const chunk of chunks) {
    let messages: readonly Buffer[] = [];
    const isTaken = attempt(() => {
      messages = reader.push(chunk);
    });
    if (!isTaken) break;
    for (const message of messages) {
      const isRead = attempt(() => {
        decoded.push(JSON.stringify(readReply(message)));
      });
      if (!isRead) return decoded;
    }
  }
  return decoded;
}

test(
  "what an SFTP server sends: read the same however it is cut",
  () =>
    fuzz({
      corpus: "sftp",
      inputs: 500,
      tokens: TOKENS,
      check: (bytes, draw) => {
        const whole = decode([bytes]);
        const cut = decode(cutUp(bytes, draw));
        const isSound = (one: string): boolean => one.startsWith("{");
        const [sound, ofCut] = [whole.filter(isSound), cut.filter(isSound)];
        // In one piece a length that cannot be is found before what stands in front of it is given out.
        const isWhole = sound.length === whole.length;
        mustEqual(isWhole ? ofCut : ofCut.slice(0, sound.length), sound, "cut in another way");
        must(isWhole === (ofCut.length === cut.length), "refused only when it is cut in one way");
      },
    }),
  FUZZ_TIMEOUT_MS,
);

test(
  "a session with an SFTP server that sends anything: results of the right type, or refusals in one line",
  () =>
    fuzz({
      corpus: "sftp",
      inputs: 200,
      tokens: TOKENS,
      synchronous: false,
      check: async (bytes, draw) => {
        const stdout = new PassThrough();
        let end!: (exit: RemoteExit) => void;
        const exit = new Promise<RemoteExit>((resolve) => {
          end = resolve;
        });
        const stdin = new Writable({ write: (_chunk, _encoding, done) => done() });
        const opening = openFileSession(
          { stdin, stdout, exit },
          { host: "web1", signal: new AbortController().signal },
        );
        const session = opening.then(
          (opened) => opened,
          (thrown: unknown) => {
            mustBeRefusal(thrown, ["SFTP_UNAVAILABLE", "SFTP_FAILED", "CONNECTION_LOST", "CANCELLED"]);
            return undefined;
          },
        );
        const chunks = cutUp(bytes, draw);
        const first = 1 + draw.below(chunks.length);
        for (const chunk of chunks.slice(0, first)) stdout.write(chunk);
        for (let wait = 0; wait < 4; wait++) await turn();
        const finish = (): void =>
          end(
            draw.pick([
              { kind: "exited", code: 127 },
              { kind: "lost", reason: "gone" },
            ]),
          );
        const opened = await Promise.race([session, turn("waiting")]);
        if (typeof opened === "string" || opened === undefined) {
          finish();
          await session;
          return;
        }
        const handle = Buffer.from("hndl");
        const asked = [
          opened.open("/a", 1),
          opened.stat("/a"),
          opened.read(handle, 0, 10),
          opened.list("/"),
          opened.realPath("."),
          opened.readLink("/l"),
          opened.freeSpace("/"),
          opened.write(handle, 0, Buffer.from("x")),
          opened.lstat("/b"),
        ];
        const settled = Promise.allSettled(asked);
        for (const chunk of chunks.slice(first)) stdout.write(chunk);
        for (let wait = 0; wait < 4; wait++) await turn();
        finish();
        const results = await settled;
        for (const result of results) {
          if (result.status === "rejected") mustBeRefusal(result.reason, ["SFTP_FAILED", "CONNECTION_LOST"]);
        }
        const [handleOf, , data, entries, path] = results.map((result) =>
          result.status === "fulfilled" ? result.value : undefined,
        );
        must(handleOf === undefined || (Buffer.isBuffer(handleOf) && handleOf.length <= 256), "no handle");
        must(
          data === undefined || data === null || (Buffer.isBuffer(data) && data.length <= 10),
          "more than was asked for",
        );
        must(path === undefined || typeof path === "string", "no path");
        for (const { name } of (entries ?? []) as readonly { readonly name: string }[])
          must(!/^\.{0,2}$|[/\0]/.test(name), `an entry named ${JSON.stringify(name)}`);
      },
    }),
  FUZZ_TIMEOUT_MS,
);
