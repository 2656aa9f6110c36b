import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { receive } from "../../../src/controller/session/receive.ts";
import { encodeLine, MAX_LINE_BYTES, PROTOCOL_VERSION, type WireEvent } from "../../../src/core/protocol.ts";
import { EMPTY_TALLY } from "../../../src/core/result.ts";

const hello = {
  type: "hello",
  seq: 1,
  time: 1,
  protocol: PROTOCOL_VERSION,
  bundle: "b",
  pid: 2,
  node: "v20.0.0",
};
const log = (seq: number, text = "é✓"): object => ({ type: "log", seq, time: seq, level: "info", text });

/** Receive chunks, and return every call of the listener. */
async function hear(
  ...chunks: readonly (Buffer | string)[]
): Promise<readonly (readonly [string, unknown])[]> {
  const stream = new PassThrough();
  const heard: (readonly [string, unknown])[] = [];
  receive(stream, {
    event: (event) => heard.push([event.type, "text" in event ? event.text : event.seq]),
    question: ({ kind, task }) => heard.push(["question", `${kind} ${task}`]),
    share: ({ task, whole }) => heard.push(["share", `${task} ${whole}`]),
    noise: (text) => heard.push(["noise", text]),
    answer: (word) => heard.push(["answer", word]),
    broken: (error) => heard.push([error.code, error.message]),
  });
  const ended = new Promise((resolve) => stream.once("close", resolve));
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await ended;
  return heard;
}

test("the same is heard wherever the stream is cut, also amid a character", async () => {
  const bytes = Buffer.from(`Welcome — motd\n${encodeLine(hello)}${encodeLine(log(2))}${encodeLine(log(3))}`);
  const whole = await hear(bytes);
  expect(whole).toEqual([
    ["noise", "Welcome — motd"],
    ["hello", 1],
    ["log", "é✓"],
    ["log", "é✓"],
  ]);
  for (let at = 1; at < bytes.length; at++)
    expect(await hear(bytes.subarray(0, at), bytes.subarray(at))).toEqual(whole);
});

test("hello after a line without an end", async () => {
  expect(await hear(`motd${encodeLine(hello)}`)).toEqual([
    ["noise", "motd"],
    ["hello", 1],
  ]);
});

test.each(["volley:absent", "volley:corrupt"])("%s, also after noise on its line", async (word) => {
  expect(await hear(`${word}\n`)).toEqual([["answer", word]]);
  expect(await hear(`hi\nprompt> ${word}\n`)).toEqual([
    ["noise", "hi"],
    ["noise", "prompt> "],
    ["answer", word],
  ]);
  expect(await hear(word)).toEqual([["answer", word]]);
});

test("what an action prints as an answer is no answer once the bundle has spoken", async () => {
  expect(await hear(encodeLine(hello), "volley:absent\n")).toEqual([
    ["hello", 1],
    ["noise", "volley:absent"],
  ]);
});

test("another protocol, or a gap in the numbers, is refused, and nothing after it is read", async () => {
  expect(await hear(encodeLine({ ...hello, protocol: 99 }), encodeLine(log(2)))).toEqual([
    ["PROTOCOL_INVALID", `the host speaks protocol 99, this controller ${PROTOCOL_VERSION}`],
  ]);
  expect(await hear(encodeLine(hello), encodeLine(log(3)), encodeLine(log(4)))).toEqual([
    ["hello", 1],
    ["PROTOCOL_INVALID", "the host's events are out of order: 3 after 1"],
  ]);
});

test("lines that are no events are noise", async () => {
  const lines = ["{", "null", "[]", '"text"', "{}", '{"type":"log"}', '{"type":1,"seq":2}'];
  expect(await hear(encodeLine(hello), `${lines.join("\n")}\n`, encodeLine(log(2, "on")))).toEqual([
    ["hello", 1],
    ...lines.map((line) => ["noise", line]),
    ["log", "on"],
  ]);
});

test("an event that the end of the output has cut is not told as noise; other last lines are", async () => {
  const line = encodeLine(log(2));
  for (const at of [9, 20, line.length - 2])
    expect(await hear(encodeLine(hello), line.slice(0, at))).toEqual([["hello", 1]]);
  expect(await hear(encodeLine(hello), line.slice(0, -1))).toEqual([
    ["hello", 1],
    ["log", "é✓"],
  ]);
  for (const last of ["Terminated", '{"level":30'])
    expect(await hear(encodeLine(hello), last)).toEqual([
      ["hello", 1],
      ["noise", last],
    ]);
  // A whole line that is broken, and a line before hello, are no cut events.
  expect(await hear(encodeLine(hello), '{"type":"log"\n')).toContainEqual(["noise", '{"type":"log"']);
  expect(await hear('{"type":"log"')).toEqual([["noise", '{"type":"log"']]);
});

test("noise is bounded in number and length", async () => {
  const heard = await hear(
    Array.from({ length: 1_000 }, () => `${"x".repeat(5_000)}\n`).join(""),
    encodeLine(hello),
  );
  expect(heard).toHaveLength(201);
  expect(Math.max(...heard.map(([, text]) => String(text).length))).toBe(1_000);
  expect(heard.at(-1)).toEqual(["hello", 1]);
});

test("an endless line is refused after hello, and forgotten before", async () => {
  const endless = Buffer.alloc(MAX_LINE_BYTES + 1, "x");
  expect(await hear(encodeLine(hello), endless)).toEqual([
    ["hello", 1],
    ["PROTOCOL_INVALID", "the host sent a line of more than 4 MiB"],
  ]);
  expect(await hear(endless, "\n", encodeLine(hello))).toContainEqual(["hello", 1]);
});

test("what is said again, or after the last word, is not told again", async () => {
  const bye = { type: "bye", seq: 3, time: 3, tally: EMPTY_TALLY, elapsedMs: 1 };
  expect(await hear(encodeLine(hello), encodeLine(log(2)), encodeLine(bye), encodeLine(log(4)))).toEqual([
    ["hello", 1],
    ["log", "é✓"],
    ["bye", 3],
  ]);
});

test("an attached process must go on where the one before it was", async () => {
  const told: unknown[] = [];
  const hearAfter = async (after: number, ...lines: readonly object[]): Promise<readonly unknown[]> => {
    told.length = 0;
    const stream = new PassThrough();
    const handlers = {
      event: (event: WireEvent) => told.push(event.seq),
      question: () => {},
      share: () => {},
      noise: () => {},
      answer: () => {},
      broken: (error: Error) => told.push(error.message),
    };
    receive(stream, handlers, after);
    for (const line of lines) stream.write(encodeLine(line));
    stream.end();
    await new Promise((resolve) => stream.once("close", resolve));
    return [...told];
  };
  expect(await hearAfter(7, { ...hello, seq: 7, next: 8 }, log(8))).toEqual([7, 8]);
  expect(await hearAfter(7, { ...hello, seq: 5, next: 6 }, log(6))).toEqual([
    "the host begins with event 6, not 8",
  ]);
  // A process that is started anew sends a few events of its own first.
  expect(await hearAfter(7, hello, log(2), { ...hello, seq: 7, next: 8 }, log(8))).toEqual([1, 2, 7, 8]);
  expect(await hearAfter(7, hello, { type: "play:plan", seq: 2, time: 2, total: 1 })).toEqual([
    1,
    'the host tells again what it has told: event 2, "play:plan"',
  ]);
});

test("how much is read is bounded: before hello, altogether, and in events", async () => {
  const limited = async (text: string): Promise<string> => {
    const stream = new PassThrough();
    let message = "";
    const handlers = {
      event: () => {},
      question: () => {},
      share: () => {},
      noise: () => {},
      answer: () => {},
      broken: (error: Error) => {
        message = error.message;
      },
    };
    receive(stream, handlers, 0, { noiseBytes: 1 << 20, totalBytes: 2 << 20, events: 1_000 });
    for (let at = 0; at < text.length; at += 65_536) stream.write(text.slice(at, at + 65_536));
    stream.end();
    await new Promise((resolve) => stream.once("close", resolve));
    return message;
  };
  const lines = (many: number, length: number): string =>
    Array.from({ length: many }, (_none, index) => encodeLine(log(index + 2, "x".repeat(length)))).join("");
  expect(await limited("x\n".repeat(1 << 20))).toBe(
    "the host sent more than 1 MiB before the bundle had said a word",
  );
  expect(await limited(encodeLine(hello) + lines(900, 4_000))).toBe("the host sent more than 2 MiB");
  expect(await limited(encodeLine(hello) + lines(2_000, 1))).toBe("the host sent more than 1000 events");
  expect(await limited(encodeLine(hello) + lines(900, 1_000))).toBe("");
});

test("a million events are taken in", async () => {
  const stream = new PassThrough();
  let events = 0;
  const none = (): void => {};
  const handlers = {
    ...{ event: () => events++, question: none, share: none },
    ...{ noise: none, answer: none, broken: none },
  };
  receive(stream, handlers);
  stream.write(encodeLine(hello));
  for (let batch = 0; batch < 1_000; batch++) {
    const lines = Array.from({ length: 1_000 }, (_none, index) =>
      encodeLine(log(batch * 1_000 + index + 2, "")),
    );
    if (!stream.write(lines.join(""))) await new Promise((resolve) => stream.once("drain", resolve));
  }
  stream.end();
  await new Promise((resolve) => stream.once("close", resolve));
  expect(events).toBe(1_000_001);
});

const TASK = { task: 1, play: "P", role: "r", name: "T", action: "copy", index: 0, nth: 1 };

test("questions and shared results are no events: they have no number, and may come again", async () => {
  const question = encodeLine({ type: "question", question: { kind: "once", ...TASK } });
  const share = encodeLine({ type: "share", task: 1, whole: "{}" });
  expect(await hear(encodeLine(hello), question, encodeLine(log(2)), share, share, question)).toEqual([
    ["hello", 1],
    ["question", "once 1"],
    ["log", "é✓"],
    ["share", "1 {}"],
    ["share", "1 {}"],
    ["question", "once 1"],
  ]);
});

test.each([
  { type: "question", question: { kind: "once", ...TASK, nth: "1" } },
  { type: "question", question: { kind: "delegate", ...TASK } },
  { type: "question", question: { kind: "lookup" } },
  { type: "question" },
  { type: "share", task: 1, whole: {} },
])("what is no question or shared result is not believed: %j", async (line) => {
  const heard = await hear(encodeLine(hello), encodeLine(line));
  expect(heard.at(-1)).toEqual(["PROTOCOL_INVALID", expect.stringContaining("cannot be understood")]);
});
