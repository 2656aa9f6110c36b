import { describe, expect, test } from "vitest";
import { EarlierRun } from "../../../src/controller/records/recall.ts";
import { hasEndedBefore, type Input, isAt, type Session } from "../../../src/controller/session/state.ts";
import type { EarlierPart } from "../../../src/controller/session/told.ts";
import type { Event, ReceivedEvent } from "../../../src/core/events.ts";
import { EMPTY_TALLY } from "../../../src/core/result.ts";
import { MAX_FAILURES } from "../../../src/core/summary.ts";
import {
  AT_WORK,
  AWAY,
  absent,
  asksOnce,
  begin,
  bye,
  cancel,
  connected,
  endOf,
  event,
  exited,
  failed,
  feed,
  goOn,
  hello,
  helloAgain,
  kill,
  limit,
  lost,
  PASSWORD,
  playEnd,
  playStart,
  RUNNING,
  ready,
  restart,
  STARTED,
  stop,
  TASK,
  taskEnd,
  taskStart,
  timer,
} from "./cases.ts";

describe("what the host tells", () => {
  test("what must not be written down is kept apart", () => {
    const { last } = feed({}, [...RUNNING, { type: "share", task: 1, whole: "{}" }]);
    expect(last).toEqual(["keep 1"]);
  });

  test("the last word of an earlier version's process knows no rare counts", () => {
    const { rescued: _, ignored: __, ...tally } = EMPTY_TALLY;
    const { session } = feed({}, [...RUNNING, bye(2, { tally: { ...tally, changed: 3 } }), exited(0)]);
    expect(endOf(session)?.tally).toEqual({ ...EMPTY_TALLY, changed: 3 });
  });

  test("a question is no event of the screen's", () => {
    expect(feed({}, [...RUNNING, playStart, asksOnce]).last).toEqual(["ask once"]);
    const { session } = feed({}, [...RUNNING, playStart, asksOnce]);
    // A question has no sequence number, and may be asked again.
    expect(session.told.lastSequence).toBe(2);
    expect(feed({}, [...RUNNING, playStart, asksOnce, asksOnce]).last).toEqual(["ask once"]);
  });

  test.each<readonly [string, Input]>([
    ["a play it has no part in", event(2, { type: "play:start", index: 1, play: "Two", total: 1 })],
    [
      "the end of a play it has no part in",
      event(2, { type: "play:end", index: 7, play: "Two", failed: false }),
    ],
    ["the end of a task that has not started", taskEnd(2, 9)],
  ])("%s is not believed", (_what, input) => {
    expect(feed({}, [...RUNNING, input]).last).toEqual(["write kill", "end lost PROTOCOL_INVALID"]);
  });

  test("what overtakes the dialogue about a password waits until the process listens", () => {
    const started = [begin, connected, hello, playStart];
    expect(feed({ become: PASSWORD }, started).last).toEqual([]);
    expect(feed({ become: PASSWORD }, [...started, ready]).last).toEqual([
      "job after 0",
      "hello",
      "host:cached",
      "host:start",
      "play:start",
    ]);
    expect(feed({ become: PASSWORD }, [...started, cancel]).last).toEqual(["end cancelled"]);
    const again = [...AWAY, connected, helloAgain(4), asksOnce];
    expect(feed({}, [...again, ready]).last).toEqual(["host:back", "ask once"]);
  });

  test("an event before hello is not believed", () => {
    expect(feed({}, [...STARTED, playStart]).last).toEqual(["write kill", "end failed PROTOCOL_INVALID"]);
  });

  test("more failures than are kept are counted, and their rescue too", () => {
    const tasks = Array.from({ length: MAX_FAILURES + 2 }, (_none, index) => index + 1);
    const failures = tasks.flatMap((task) => [
      taskStart(2 * task + 1, task),
      taskEnd(2 * task + 2, task, "failed"),
    ]);
    const next = 2 * tasks.length + 3;
    const { session: failing } = feed({}, [...RUNNING, playStart, ...failures]);
    expect(failing.told.tally).toMatchObject({ failed: tasks.length, rescued: 0 });
    expect(failing.told.failed.size).toBe(MAX_FAILURES);
    const rescues = tasks.map((task, index) => event(next + index, { type: "task:rescued", task, ...TASK }));
    const finish = (told: readonly Input[]): Session =>
      feed({}, [...RUNNING, playStart, ...failures, ...told, bye(next + told.length), exited(0)]).session;
    const rescued = finish(rescues);
    expect(rescued.told.failed.size + rescued.told.moreFailed).toBe(0);
    expect(endOf(rescued)).toMatchObject({ outcome: "ok" });
    // The last failure is not kept, and not rescued.
    expect(endOf(finish(rescues.slice(0, -1)))).toMatchObject({ outcome: "failed" });
    expect(feed({}, [...RUNNING, playStart, ...failures, ...rescues]).session.told.tally).toMatchObject({
      failed: 0,
      rescued: tasks.length,
    });
  });

  test.each<readonly [string, readonly Input[], string, object]>([
    ["ok", [bye(2)], "ok", {}],
    ["a failed task", [playStart, taskStart(3), taskEnd(4, 1, "failed"), bye(5)], "failed", {}],
    [
      "a rescued failure",
      [
        playStart,
        taskStart(3),
        taskEnd(4, 1, "failed"),
        event(5, { type: "task:rescued", task: 1, ...TASK }),
        bye(6),
      ],
      "ok",
      {},
    ],
    [
      "an error of its own",
      [bye(2, { error: { code: "LOCKED", message: "m" } })],
      "failed",
      { code: "LOCKED" },
    ],
    ["cancelled", [bye(2, { cancelled: true })], "cancelled", {}],
  ])("ends with %s", (_what, events, outcome, error) => {
    for (const last of [exited(0), exited(2), lost, timer("last word")]) {
      const { session } = feed({}, [...RUNNING, ...events, last]);
      expect(endOf(session)).toMatchObject({
        outcome,
        ...(Object.keys(error).length === 0 ? {} : { error }),
      });
    }
  });

  test("where it is", () => {
    const at = (inputs: readonly Input[], earlier?: Partial<EarlierPart>): readonly boolean[] => {
      const { session } = feed(earlier === undefined ? {} : { earlier }, inputs);
      return [isAt(session, 0), isAt(session, 2), hasEndedBefore(session, 0), hasEndedBefore(session, 2)];
    };
    expect(at([])).toEqual([false, false, false, false]);
    expect(at([begin])).toEqual([true, false, false, false]);
    expect(at([], { known: true, play: 2 })).toEqual([false, true, false, false]);
    expect(at([...RUNNING, playStart, playEnd(3)])).toEqual([true, false, false, false]);
    expect(at([...RUNNING, playStart, playEnd(3), goOn])).toEqual([false, true, false, false]);
    // The role's code may still rescue the failure.
    expect(at([...AT_WORK, taskEnd(4, 1, "failed")])).toEqual([true, false, false, false]);
    expect(at([...AT_WORK, taskEnd(4, 1, "failed"), playEnd(5, true)])).toEqual([true, false, false, true]);
    expect(at([begin, failed("CONNECT_FAILED")])).toEqual([false, false, false, true]);
  });
});

describe("ended by the controller", () => {
  test("a host that is told why ends with that, unless it had failed before", () => {
    const why = { outcome: "cancelled", error: { code: "OTHERS_FAILED" } };
    const told = bye(4, { cancelled: true });
    expect(endOf(feed({}, [stop]).session)).toMatchObject(why);
    expect(endOf(feed({}, [...RUNNING, stop, bye(2, { cancelled: true }), exited(0)]).session)).toMatchObject(
      why,
    );
    expect(endOf(feed({}, [...AT_WORK, stop, told, exited(0)]).session)).toMatchObject(why);
    const failure = [...AT_WORK, taskEnd(4, 1, "failed"), stop, bye(5, { cancelled: true }), exited(0)];
    expect(endOf(feed({}, failure).session)).toMatchObject({ outcome: "failed" });
    // The first request stands.
    expect(
      endOf(feed({}, [...RUNNING, cancel, stop, bye(2, { cancelled: true }), exited(0)]).session),
    ).not.toHaveProperty("error");
  });

  test("a host that is killed ends within a second, answering or not", () => {
    expect(feed({}, [...AT_WORK, kill, timer("kill")]).last).toEqual(["end cancelled"]);
    expect(feed({}, [...AT_WORK, kill, lost]).last).toEqual(["end cancelled"]);
    expect(feed({}, [...AT_WORK, kill, bye(4, { cancelled: true }), exited(2)]).last).toEqual([
      "end cancelled",
    ]);
    expect(feed({}, [...AT_WORK, cancel, kill]).last).toEqual(["write kill", "abort", "wait kill 1000"]);
    expect(feed({}, [...AT_WORK, kill, kill, cancel]).last).toEqual([]);
    expect(feed({}, [...AWAY, kill]).last).toEqual(["end cancelled"]);
    expect(feed({}, [...STARTED, absent, kill, failed("CANCELLED")]).last).toEqual(["end cancelled"]);
  });

  test("a host whose restart is cancelled is told when it is up", () => {
    const restarting = [...AT_WORK, restart(4), lost, cancel, connected, ready, helloAgain(5)];
    expect(feed({}, restarting).last).toEqual(["write cancel"]);
    const up = [
      ...restarting,
      event(5, { type: "gone", restarted: true, asked: true }),
      exited(0),
      connected,
    ];
    expect(feed({}, up).last).toEqual(["host:connected", "launch"]);
    expect(feed({}, [...up, ready]).last).toEqual(["job after 4", "write cancel"]);
  });

  test("a play that takes too long: cleanly first, then by force", () => {
    const slow = [...STARTED, hello, limit, playStart, taskStart(3), timer("play")];
    expect(feed({}, [...RUNNING, limit]).last).toEqual(["wait play 700"]);
    expect(feed({}, slow).last).toEqual(["write cancel", "wait grace 300"]);
    const { session } = feed({}, [...slow, bye(4, { cancelled: true }), exited(0)]);
    expect(endOf(session)).toMatchObject({
      outcome: "failed",
      error: { code: "TIMEOUT", message: 'web1: play "One" took longer than 0.7 s' },
    });
    expect(feed({}, [...slow, timer("grace")]).last).toEqual(["write kill", "abort", "wait kill 1000"]);
    expect(feed({}, [...slow, timer("grace"), timer("kill")]).last).toEqual(["end failed TIMEOUT"]);
    // The host no longer decides how the play ended, and begins no further play.
    expect(feed({}, [...slow, taskEnd(4), playEnd(5)]).last).toEqual(["play:end", "play 0 failed"]);
    expect(feed({}, [...slow, { type: "limit", limit: { ...limit.limit, index: 2 } }]).last).toEqual([]);
    // Connecting counts.
    expect(feed({}, [begin, limit, timer("play")]).last).toEqual(["end failed TIMEOUT"]);
    // After Ctrl-C the time counts all the same.
    expect(feed({}, [...RUNNING, limit, cancel, timer("play")]).last).toEqual(["wait grace 300"]);
  });

  test("a play that ends in time, or has ended long since, is not limited", () => {
    const inTime = [...RUNNING, limit, playStart, playEnd(3)];
    expect(feed({}, inTime).last).toEqual(["play:end", "unwait play", "play 0 ok"]);
    expect(feed({}, [...inTime, timer("play")]).last).toEqual([]);
    expect(
      feed({ earlier: { known: true, endedPlays: new Map([[0, false]]) } }, [begin, limit]).last,
    ).toEqual([]);
  });

  test("a part that was over under the controller before stays so", () => {
    const end = endOf(feed({}, [...RUNNING, bye(2), exited(0)]).session)!;
    const { session, all } = feed({ earlier: { end, known: true } }, [begin, connected, cancel, kill]);
    expect(all).toEqual([]);
    expect(endOf(session)).toBe(end);
  });
});

const ref = { task: 3, play: "p", role: "r", name: "Restart", action: "reboot" };

/** A run's log of one host. */
function log(events: readonly object[]): readonly Event[] {
  return events.map((event, index) => {
    const received = { ...event, host: "web1", hostSeq: index + 2 } as unknown as ReceivedEvent;
    return { ...received, seq: index + 1, time: 0 };
  });
}

test("a controller that takes a run over knows of a restart that is not over", () => {
  const begun = [
    { type: "task:start", ...ref },
    { type: "restart", task: 3, timeoutMs: 60_000 },
  ];
  expect(earlierOf(log(begun))?.restart).toMatchObject({ task: 3, timeoutMs: 60_000 });
  const over = [...begun, { type: "task:end", ...ref, result: { state: "changed" }, elapsedMs: 1 }];
  expect(earlierOf(log(over))?.restart).toBeUndefined();
});

test("a controller that takes a run over counts from the last process that began it", () => {
  const waits = { type: "log", level: "warn", text: "waiting" };
  const hello = { type: "hello", protocol: 1, bundle: "b", pid: 1, node: "v20", hostSeq: 1 };
  const told = [hello, { ...waits, hostSeq: 2 }, { ...waits, hostSeq: 3 }];
  expect(partOf(told)).toMatchObject({ lastSequence: 3, isJournaled: false });
  expect(partOf([...told, hello])).toMatchObject({ lastSequence: 0, isJournaled: false });
  const facts = { type: "facts", elapsedMs: 1, facts: {}, hostSeq: 2 };
  expect(partOf([...told, hello, facts])).toMatchObject({ lastSequence: 2, isJournaled: true });
});

function partOf(events: readonly object[]): EarlierPart | undefined {
  const logged = events.map((event, index) => ({ ...event, host: "web1", seq: index + 1, time: 0 }) as Event);
  return earlierOf(logged);
}

function earlierOf(events: readonly Event[]): EarlierPart | undefined {
  const earlier = new EarlierRun();
  for (const event of events) earlier.add(event);
  return earlier.parts.get("web1");
}
