import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openWire } from "../../src/agent/wire.ts";
import { MAX_LINE_BYTES, PROTOCOL_VERSION } from "../../src/core/protocol.ts";
import { type BundledProject, bundleProject, jobFor, startTarget, type Target } from "./bundle-fixture.ts";

const SITE = `
import { command, debug, definePlaybook, noop, shell } from "volley";

export default definePlaybook([
  {
    name: "First",
    hosts: "all",
    tasks: async ({ task, vars, log }) => {
      console.log("printed by", "a role", { n: 1 });
      console.error(new TypeError("an error"));
      process.stdout.write("half a line");
      log("logged");
      await task("Echo", command(["echo", "hello"]));
      task("Wait", shell("echo waiting $$; sleep " + (vars.seconds ?? 0)), { when: vars.seconds !== undefined });
      task("Large", debug("é".repeat(Number(vars.large ?? 1))));
      task("Items", (n) => debug("x".repeat(60_000) + n), { loop: Array.from({ length: Number(vars.items ?? 1) }, (_, n) => n) });
      if (vars.linger) setTimeout(() => {}, 3_600_000);
    },
  },
  { name: "Second", hosts: "all", tasks: ({ task }) => void task("Again", noop({ changed: true })) },
  { name: "Third", hosts: "all", tasks: ({ task }) => void task("Last", noop({})) },
]);
`;

let project: BundledProject;
beforeAll(async () => {
  project = await bundleProject({ "site.ts": SITE });
});
afterAll(() => project[Symbol.dispose]());

async function finish(
  target: Target,
): Promise<{ readonly code: number | null; readonly types: readonly string[] }> {
  const { code } = await target.ended;
  const { events } = target;
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
  expect(events[0]).toMatchObject({ type: "hello", protocol: PROTOCOL_VERSION, bundle: project.id });
  expect(events.filter(({ type }) => type === "hello")).toHaveLength(1);
  expect(events.at(-1)?.type).toBe("bye");
  expect(events.filter(({ type }) => type === "bye")).toHaveLength(1);
  expect(target.noise).toEqual([]);
  return { code, types: events.map(({ type }) => type) };
}

test("a whole job: hello, facts, plays with barriers between them, bye", async () => {
  const target = startTarget(project);
  const hello = await target.event("hello");
  expect(hello).toMatchObject({ node: expect.stringMatching(/^v\d+\./), pid: expect.any(Number) });
  target.say(jobFor(3));
  await target.event("play:end");
  target.say({ type: "continue", play: 0 });
  // Said before it is asked for: it is remembered.
  target.say({ type: "continue", play: 1 });
  const bye = await target.event("bye");
  expect(bye.tally).toEqual({
    unchanged: 3,
    changed: 2,
    skipped: 1,
    failed: 0,
    ignored: 0,
    rescued: 0,
    notExecuted: 0,
  });
  expect(bye.cancelled).toBeUndefined();
  const { code, types } = await finish(target);
  expect(code).toBe(0);
  expect(types[1]).toBe("facts");
  expect(types.filter((type) => type === "play:start")).toHaveLength(3);
  expect(types.filter((type) => type === "task:start")).toHaveLength(6);
});

test("what a role prints becomes log events, and the protocol's lines stay whole", async () => {
  const target = startTarget(project);
  target.say(jobFor(1));
  await target.event("bye");
  await finish(target);
  const logs = target.events.filter((event) => event.type === "log");
  expect(logs.map(({ level, text }) => [level, text.split("\n")[0]])).toEqual([
    ["info", "printed by a role { n: 1 }"],
    ["warn", "TypeError: an error"],
    ["info", "half a line"],
    ["info", "logged"],
  ]);
});

test("hello comes first, before there is any job", async () => {
  const target = startTarget(project);
  await target.event("hello");
  expect(target.events).toHaveLength(1);
  target.hangUp();
  const bye = await target.event("bye");
  expect(bye.error).toMatchObject({ code: "PROTOCOL_INVALID", message: "the controller sent no job" });
  expect((await finish(target)).code).toBe(2);
});

test.each([
  ["garbage", "GET / HTTP/1.1\n"],
  ["a number", "7\n"],
  ["null", "null\n"],
  ["a command", '{"type":"cancel"}\n'],
  ["half a job", '{"protocol":1,"ho\n'],
])("%s instead of a job is refused plainly", async (_what, line) => {
  const target = startTarget(project);
  target.say(line);
  const bye = await target.event("bye");
  expect(bye.error).toMatchObject({
    code: "PROTOCOL_INVALID",
    message: "the job did not arrive: does a profile read standard input?",
  });
  await finish(target);
});

test("a job that something else has read is waited for only so long", async () => {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const wire = openWire(input, output, 20);
  await expect(wire.readJob()).rejects.toMatchObject({
    code: "PROTOCOL_INVALID",
    message: "the job did not arrive: does a profile read standard input?",
  });
  await wire.flush();
});

test("another version of the protocol is refused with both named", async () => {
  const target = startTarget(project);
  target.say({ ...jobFor(1), protocol: 99 });
  const bye = await target.event("bye");
  expect(bye.error?.message).toBe(`the controller speaks protocol 99, this bundle ${PROTOCOL_VERSION}`);
});

test("a job that comes in pieces, and unknown fields in it, do no harm", async () => {
  const target = startTarget(project);
  const line = `\n${JSON.stringify({ ...jobFor(1), later: "ü" })}\n`;
  for (const piece of [line.slice(0, 10), line.slice(10, 40), line.slice(40)]) {
    target.say(piece);
    await sleep(5);
  }
  expect((await target.event("bye")).tally).toMatchObject({ failed: 0, notExecuted: 0 });
  await finish(target);
});

test("garbage after the job is passed over", async () => {
  const target = startTarget(project);
  target.say(jobFor(2));
  target.say("what?\nnull\n[]\n");
  target.say({ type: "dance" });
  target.say({ type: "continue", play: 0 });
  expect((await target.event("bye")).tally).toMatchObject({ failed: 0, notExecuted: 0 });
  await finish(target);
});

test("cancel lets the running action finish, and counts the rest", async () => {
  const target = startTarget(project);
  target.say(jobFor(3, {}, { seconds: 0.3 }));
  await untilWaiting(target);
  target.say({ type: "cancel" });
  const bye = await target.event("bye");
  expect(bye).toMatchObject({ cancelled: true, tally: { changed: 2, failed: 0, notExecuted: 4 } });
  await finish(target);
});

test("kill ends the running action too, and what it had started", async () => {
  const target = startTarget(project);
  target.say(jobFor(3, {}, { seconds: 600 }));
  const pid = await untilWaiting(target);
  target.say({ type: "kill" });
  const bye = await target.event("bye");
  expect(bye).toMatchObject({ cancelled: true, tally: { changed: 1, failed: 1, notExecuted: 4 } });
  expect((await finish(target)).code).toBe(2);
  expect(() => process.kill(pid, 0)).toThrow();
});

test("cancel at a barrier ends the run there", async () => {
  const target = startTarget(project);
  target.say(jobFor(2));
  await target.event("play:end");
  target.say({ type: "cancel" });
  expect(await target.event("bye")).toMatchObject({ cancelled: true, tally: { notExecuted: 1 } });
  await finish(target);
});

test("a controller that has gone away ends the run at the barrier, not before", async () => {
  const target = startTarget(project);
  target.say(jobFor(2, {}, { seconds: 0.2 }));
  await untilWaiting(target);
  target.hangUp();
  const bye = await target.event("bye");
  expect(bye).toMatchObject({ cancelled: true, tally: { failed: 0, notExecuted: 1 } });
  expect(target.events.filter(({ type }) => type === "play:end")).toHaveLength(1);
  await finish(target);
});

test("without barriers nobody needs to be there: the run ends by itself", async () => {
  const target = startTarget(project);
  target.say(jobFor(3, { barriers: false }));
  target.hangUp();
  const bye = await target.event("bye");
  expect(bye.cancelled).toBeUndefined();
  expect(bye.tally.notExecuted).toBe(0);
  await finish(target);
});

test("no line is longer than the protocol allows, however much a task has to tell", async () => {
  const target = startTarget(project);
  target.say(jobFor(1, {}, { large: 6 << 20, items: 200 }));
  await target.event("bye");
  await finish(target);
  const { stdout } = await target.ended;
  const longest = Math.max(...stdout.split("\n").map((line) => Buffer.byteLength(line)));
  expect(longest).toBeGreaterThan(60_000);
  expect(longest).toBeLessThanOrEqual(MAX_LINE_BYTES);
  expect(target.events.filter(({ type }) => type === "task:end").length).toBeGreaterThan(2);
});

test("a timer a role left behind does not keep the process", async () => {
  const target = startTarget(project);
  target.say(jobFor(1, {}, { linger: true }));
  await target.event("bye");
  expect((await target.ended).code).toBe(0);
});

/** Gives the process id the waiting task printed. */
async function untilWaiting(target: Target): Promise<number> {
  await target.event("play:start");
  for (;;) {
    if (target.events.at(-1)?.type === "bye") throw new Error("it ended without waiting");
    for (const event of target.events) {
      const said = event.type === "task:output" ? /^waiting (\d+)/.exec(event.text) : null;
      if (said !== null) return Number(said[1]);
    }
    await sleep(10);
  }
}
