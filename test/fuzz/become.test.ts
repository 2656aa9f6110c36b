import { PassThrough } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "vitest";
import { type BecomeMethod, createBecomeReader } from "../../src/core/unix/users.ts";
import { talkBecome } from "../../src/transport/become.ts";
import type { RemoteExit } from "../../src/transport/transport.ts";
import { FUZZ_TIMEOUT_MS, fuzz } from "./lib/fuzz.ts";
import { must, mustBeRefusal, mustEqual } from "./lib/judge.ts";
import type { Draw } from "./lib/random.ts";

const NONCE = "volley-0011223344556677";
const PASSWORD = "correct horse";
const TOKENS = [
  NONCE,
  `${NONCE}:`,
  `${NONCE}:begin`,
  `${NONCE}:password:`,
  `${NONCE}:ready`,
  `${NONCE}:want`,
  `${NONCE}:x`,
  "Password: ",
  "\r\n",
  "volley-",
  "? ",
];
const METHODS: readonly BecomeMethod[] = ["sudo", "su", "doas"];
/** The most characters that the reader may hold back as the possible beginning of a word. */
const MAX_HELD = 128;

function cutUp(text: string, draw: Draw): readonly string[] {
  const pieces: string[] = [];
  const longest = draw.pick([1, 5, 60]);
  const least = Math.ceil(text.length / 3_000);
  for (let at = 0; at < text.length; ) {
    const size = least + draw.below(longest);
    pieces.push(text.slice(at, at + size));
    at += size;
  }
  return pieces;
}

function hear(
  pieces: readonly string[],
  method: BecomeMethod,
): { readonly text: string; readonly heard: readonly string[] } {
  const reader = createBecomeReader(NONCE, method);
  let text = "";
  const heard: string[] = [];
  for (const piece of pieces) {
    const came = reader.push(piece);
    text += came.text;
    heard.push(...came.heard);
  }
  const held = reader.end();
  must(held.length <= MAX_HELD, `${held.length} characters were held back`);
  return { text: text + held, heard };
}

test(
  "words on the way to another user: the same however they are cut, and nothing else is held back",
  () =>
    fuzz({
      corpus: "become",
      inputs: 500,
      tokens: TOKENS,
      check: (bytes, draw) => {
        const text = bytes.toString("latin1");
        const whole = hear([text], "sudo");
        mustEqual(hear(cutUp(text, draw), "sudo"), whole, "cut in another way");
        if (!text.includes(`${NONCE}:`)) mustEqual(whole, { text, heard: [] }, "text without words");
        const last = whole.heard.findIndex((word) => word === "ready" || word === "want");
        must(last < 0 || last === whole.heard.length - 1, "a word after the last one");
        for (const method of METHODS) hear(cutUp(text, draw), method);
      },
    }),
  FUZZ_TIMEOUT_MS,
);

test(
  "what a host says on the way to another user: the password is given once at most",
  () =>
    fuzz({
      corpus: "become",
      inputs: 300,
      tokens: TOKENS,
      synchronous: false,
      check: async (bytes, draw) => {
        const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
        let written = "";
        stdin.on("data", (chunk: Buffer) => {
          written += chunk.toString();
        });
        let end!: (exit: RemoteExit) => void;
        const exit = new Promise<RemoteExit>((resolve) => {
          end = resolve;
        });
        let sent = 0;
        const talk = talkBecome(
          { stdin, stdout, stderr, exit },
          {
            host: "web1",
            login: "ann",
            become: {
              user: "root",
              method: draw.pick(METHODS),
              ...(draw.chance(0.8) ? { password: PASSWORD } : {}),
            },
            nonce: NONCE,
            signal: new AbortController().signal,
            sendBundle: async () => {
              sent++;
            },
          },
        );
        talk.process.stdout.resume();
        talk.process.stderr.resume();
        for (const piece of cutUp(bytes.toString("latin1"), draw)) {
          stdout.write(Buffer.from(piece, "latin1"));
          stderr.write(Buffer.from(piece, "latin1"));
        }
        stdout.end();
        stderr.end();
        await turn();
        end({ kind: "exited", code: 1 });
        await talk.process.exit;
        must(sent <= 1, `the bundle was sent ${sent} times`);
        must(written === "" || written === `${PASSWORD}\n`, `written: ${JSON.stringify(written)}`);
        must(talk.said().length <= 4_000, "all that is said is kept");
        const ended = await Promise.race([
          talk.ready.then(
            () => undefined,
            (thrown: unknown) => thrown,
          ),
          turn("waiting"),
        ]);
        if (ended !== undefined && ended !== "waiting") mustBeRefusal(ended, ["BECOME_FAILED", "CANCELLED"]);
      },
    }),
  FUZZ_TIMEOUT_MS,
);
