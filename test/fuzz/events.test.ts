import { PassThrough, Readable } from "node:stream";
import { test } from "vitest";
import { lastLineOf } from "../../src/controller/session/explain.ts";
import { HostNoise, receive } from "../../src/controller/session/receive.ts";
import { fullTally, hear, NOTHING_TOLD } from "../../src/controller/session/told.ts";
import type { SerializedError, VolleyError } from "../../src/core/errors.ts";
import type { ControllerEvent, Event, ReceivedEvent } from "../../src/core/events.ts";
import type { Question, ShareLine, WireEvent } from "../../src/core/protocol.ts";
import { foldSummary } from "../../src/core/summary.ts";
import { logLayout } from "../../src/reporter/ink/log.ts";
import { createRunModel } from "../../src/reporter/ink/model.ts";
import { createJsonReporter } from "../../src/reporter/kinds.ts";
import { createPlainReporter } from "../../src/reporter/plain.ts";
import { rowText } from "../../src/reporter/rows/row.ts";
import { ASCII_SYMBOLS, UNICODE_SYMBOLS } from "../../src/reporter/rows/wording.ts";
import { createMask, maskEvent } from "../../src/vars/mask.ts";
import { FUZZ_TIMEOUT_MS, fuzz } from "./lib/fuzz.ts";
import { CONTROL, must, mustBeRefusal, mustEqual, orRefusal } from "./lib/judge.ts";
import { type Material, mutate } from "./lib/mutate.ts";
import { mutateJson } from "./lib/mutate-json.ts";
import type { Draw } from "./lib/random.ts";

const HOST = "web1";
const TOKENS = [
  '{"type":"hello"',
  '"seq":1,',
  '"seq":2,',
  "volley:absent",
  "volley:corrupt",
  '"type":"bye"',
  '"type":"gone"',
  '"protocol":1,',
  '"next":2',
  '"__proto__":{"a":1},',
  '"toString":null,',
  '"state":"failed"',
  "null",
  "{}",
];

type Heard =
  | { readonly kind: "event"; readonly event: WireEvent }
  | { readonly kind: "question"; readonly question: Question }
  | { readonly kind: "share"; readonly share: ShareLine }
  | { readonly kind: "noise" | "answer"; readonly text: string }
  | { readonly kind: "broken"; readonly error: VolleyError };

function listen(chunks: readonly Buffer[], after: number): readonly Heard[] {
  const heard: Heard[] = [];
  const stream = new Readable({ read: () => {} });
  receive(
    stream,
    {
      event: (event) => heard.push({ kind: "event", event }),
      question: (question) => heard.push({ kind: "question", question }),
      share: (share) => heard.push({ kind: "share", share }),
      noise: (text) => heard.push({ kind: "noise", text }),
      answer: (text) => heard.push({ kind: "answer", text }),
      broken: (error) => heard.push({ kind: "broken", error }),
    },
    after,
  );
  for (const chunk of chunks) stream.emit("data", chunk);
  stream.emit("end");
  return heard;
}

function cutUp(bytes: Buffer, draw: Draw): readonly Buffer[] {
  const chunks: Buffer[] = [];
  const longest = draw.pick([1, 7, 100, 5_000]);
  // A long input byte by byte is only slow.
  const least = Math.ceil(bytes.length / 3_000);
  for (let at = 0; at < bytes.length; ) {
    const size = least + draw.below(longest);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

/** Lines with values in them changed, and numbered as they should be, so that they get past the counting. */
function mutateEvents(draw: Draw, { corpus }: Material): Buffer {
  const lines = draw.pick(corpus).toString("utf8").split("\n");
  let sequence = 0;
  const made = lines.map((line) => {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return line;
    }
    if (draw.chance(0.15)) value = mutateJson(draw, value);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    if (isObject && draw.chance(0.98)) (value as { seq: unknown }).seq = ++sequence;
    return JSON.stringify(value);
  });
  return Buffer.from(`${made.join("\n")}\n`);
}

test(
  "what a host says: the same however it is cut, and only events that reporters can show",
  () =>
    fuzz({
      corpus: "events",
      inputs: 600,
      tokens: TOKENS,
      make: (draw, material) => (draw.chance(0.6) ? mutateEvents(draw, material) : mutate(draw, material)),
      check: (bytes, draw) => {
        const after = draw.pick([0, 0, 0, 1, 2, 5]);
        const heard = listen([bytes], after);
        mustEqual(listen(cutUp(bytes, draw), after), heard, "cut in another way");
        const events: WireEvent[] = [];
        for (const [index, one] of heard.entries()) {
          if (one.kind === "event") events.push(one.event);
          else if (one.kind === "noise") must(one.text.length <= 1_000, "noise without bound");
          else if (one.kind === "broken") {
            mustBeRefusal(one.error, ["PROTOCOL_INVALID"]);
            must(index === heard.length - 1, "something is told after what cannot be understood");
          }
        }
        const last = events.findIndex(({ type }) => type === "bye" || type === "gone");
        must(last < 0 || last === events.length - 1, "an event after the last word");
        show(events, draw);
      },
    }),
  FUZZ_TIMEOUT_MS,
);

/** Pass events through every step on their way to a person. */
function show(received: readonly WireEvent[], draw: Draw): void {
  const mask = draw.chance(0.3) ? createMask(["hunter22", "4294967296"]) : null;
  let heard = NOTHING_TOLD;
  let error: SerializedError | undefined;
  const told: Event[] = [];
  const emit = (event: ReceivedEvent | ControllerEvent): void => {
    const stamped = { ...event, seq: told.length + 1, time: 1_760_000_000_000 + told.length };
    told.push(mask === null ? stamped : maskEvent(mask, stamped));
  };
  emit({
    type: "run:start",
    run: "r",
    playbook: "site.ts",
    hosts: [HOST],
    plays: [{ name: "Deploy", hosts: [HOST] }],
    check: false,
    concurrency: 1,
  });
  for (const event of received) {
    const isTaken = orRefusal(["PROTOCOL_INVALID"], () => {
      heard = hear(heard, event, [0, 1]);
      if (event.type === "bye") error = event.error;
      return true;
    });
    if (isTaken === undefined) break;
    const { seq: hostSeq, time: _time, ...rest } = event;
    emit({ ...rest, host: HOST, hostSeq });
  }
  emit({
    type: "host:end",
    host: HOST,
    outcome: heard.failed.size > 0 ? "failed" : "ok",
    tally: fullTally(heard),
    elapsedMs: 10,
    phases: { tasks: 3 },
    uploadedBytes: 0,
    ...(error === undefined ? {} : { error }),
  });
  const fold = foldSummary();
  const model = createRunModel(draw.pick([ASCII_SYMBOLS, UNICODE_SYMBOLS]));
  const plainOut = collect();
  const plain = createPlainReporter({
    stdout: plainOut.stream,
    colors: draw.chance(0.3),
    symbols: draw.pick([ASCII_SYMBOLS, UNICODE_SYMBOLS]),
    verbosity: draw.pick([0, 1, 2]),
    diff: true,
  });
  const jsonOut = collect();
  const json = createJsonReporter(jsonOut.stream);
  for (const event of told) {
    must(!("host" in event) || event.host === HOST, "an event of another host");
    fold.add(event);
    model.apply(event);
    plain.event(event);
    json.event(event);
  }
  const summary = fold.summary(1_760_000_001_000);
  void plain.end(summary);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours of our own
  const text = plainOut.text().replace(/\x1b\[[0-9;]*m/g, "");
  const stray = text.split("\n").find((line) => CONTROL.test(line));
  must(stray === undefined, `control characters in ${JSON.stringify(stray?.slice(0, 300))}`);
  const lines = jsonOut.text().split("\n");
  must(lines.pop() === "", "JSON without a line's end");
  mustEqual(
    lines.map((line) => JSON.parse(line) as unknown),
    told,
    "events as JSON",
  );
  must(!lines.some((line) => CONTROL.test(line)), "control characters in JSON");
  for (const host of model.view.hosts) {
    for (const { row } of logLayout(host.log, draw.pick([10, 40, 120])))
      must(
        !CONTROL.test(rowText(row)),
        `control characters in a row of the UI: ${JSON.stringify(rowText(row))}`,
      );
  }
}

function collect(): { readonly stream: PassThrough; text(): string } {
  const stream = new PassThrough({ highWaterMark: 1 << 28 });
  return { stream, text: () => (stream.read() as Buffer | null)?.toString("utf8") ?? "" };
}

test(
  "noise: a bounded number of bounded lines",
  () =>
    fuzz({
      corpus: "events",
      inputs: 300,
      tokens: ["\n", "password:", "Traceback"],
      check: (bytes, draw) => {
        const told: string[] = [];
        const noise = new HostNoise(HOST, (event) => {
          if (event.type === "host:noise") told.push(event.text);
        });
        for (const chunk of cutUp(bytes, draw)) noise.takeStderr(chunk.toString("utf8"));
        must(told.length <= 500, `${told.length} lines`);
        must(
          told.every((text) => text.length <= 1_000 && !text.includes("\n")),
          "a line without bound",
        );
        must(noise.stderr.length <= 4_000, "more is kept than is wanted");
        must(!lastLineOf(noise.stderr).includes("\n"), "the last line is more than one");
      },
    }),
  FUZZ_TIMEOUT_MS,
);
