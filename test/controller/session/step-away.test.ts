import { describe, expect, test } from "vitest";
import { LAUNCH_EXITS } from "../../../src/controller/session/answers.ts";
import {
  AT_WORK,
  AWAY,
  begin,
  bye,
  cancel,
  connected,
  endOf,
  event,
  exited,
  failed,
  feed,
  gone,
  goOn,
  hello,
  helloAgain,
  lost,
  playStart,
  ready,
  restart,
  taskEnd,
  taskStart,
  tell,
  timer,
} from "./cases.ts";

describe("a host that is lost", () => {
  test("is asked for the events that are missing, and told again what it was told", () => {
    const session = tell({}, [
      [begin, "host:connect, connect"],
      [connected, "host:connected, launch"],
      [ready, "job after 0"],
      [hello, "hello, host:cached, host:start"],
      [playStart, "play:start"],
      [goOn, "write continue"],
      [lost, "leave, host:lost, connect"],
      [{ type: "say", command: { type: "taken", task: 1 } }],
      [cancel],
      [connected, "host:connected, attach from 3"],
      [ready],
      [helloAgain(3), "host:back, write continue, write taken, write cancel"],
      [taskStart(3), "task:start"],
      [bye(4, { cancelled: true }), "bye, wait last word 5000"],
      [exited(0), "end cancelled"],
    ]);
    // The task that was running has been executed, and did not end well; the tally of bye says the rest.
    expect(endOf(session)?.tally).toMatchObject({ changed: 1, failed: 0 });
  });

  test("is tried at growing intervals until its time is up", () => {
    const tries = Array.from({ length: 8 }, () => failed("CONNECT_FAILED"));
    const pauses = tries.map((_try, index) => feed({}, [...AWAY, ...tries.slice(0, index + 1)]).last.at(-1));
    expect(pauses).toEqual(
      [100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000].map((ms) => `connect after ${ms}`),
    );
    const { session } = feed({}, [...AWAY, 5_000, failed("CONNECT_FAILED")]);
    expect(endOf(session)?.error?.message).toBe(
      "web1: reset, and it did not come back within 5 s; the last try: CONNECT_FAILED",
    );
    // The driver ends a try when the time is up.
    const { session: amid } = feed({}, [...AWAY, 5_000, failed("CANCELLED")]);
    expect(endOf(amid)?.error?.message).toBe("web1: reset, and it did not come back within 5 s");
  });

  test("and comes back only to go again gets no more time by it", () => {
    const back = [connected, ready, helloAgain(4)];
    const again = feed({}, [...AWAY, 3_000, ...back, lost]);
    expect(again.last).toEqual(["leave", "host:lost", "connect after 100"]);
    expect(again.all.at(-1)).toMatchObject({ until: 5_070 });
    expect(feed({}, [...AWAY, 3_000, ...back, lost, 2_000, failed("CONNECT_FAILED")]).last).toEqual([
      "end lost CONNECTION_LOST",
    ]);
    // The host has really been back when it tells a new event, or stays long.
    expect(feed({}, [...AWAY, 3_000, ...back, taskEnd(4), lost]).all.at(-1)).toMatchObject({
      pauseMs: 0,
      until: 8_120,
    });
    expect(feed({}, [...AWAY, 3_000, ...back, 11_000, lost]).all.at(-1)).toMatchObject({ until: 19_110 });
  });

  test("gets at least two seconds for its first word", () => {
    const { all } = feed({}, [...AWAY, 4_000, connected]);
    expect(all.at(-1)).toMatchObject({ type: "exec", limitMs: 2_000 });
    expect(feed({}, [begin, connected]).all.at(-1)).toMatchObject({ limitMs: 60_000 });
  });

  test("and knows nothing of the run is asked to begin", () => {
    tell({ earlier: { known: true } }, [
      [begin, "host:connect, connect"],
      [connected, "host:connected, attach from 2"],
      [ready],
      [exited(LAUNCH_EXITS.unknownRun), "launch"],
      [ready, "job after 0"],
      [hello, "hello, host:cached, host:start"],
    ]);
  });

  test("while it waited for its turn begins anew: no journal holds what its first process told", () => {
    const waits = event(2, { type: "log", level: "warn", text: "waiting for h01" });
    const session = tell({}, [
      [begin, "host:connect, connect"],
      [connected, "host:connected, launch"],
      [ready, "job after 0"],
      [hello, "hello, host:cached, host:start"],
      [waits, "log"],
      [lost, "leave, host:lost, connect"],
      [connected, "host:connected, attach from 3"],
      [ready],
      [exited(LAUNCH_EXITS.unknownRun), "launch"],
      [ready, "job after 0"],
      [hello, "hello, host:cached, host:start, host:back"],
      [event(2, { type: "facts", elapsedMs: 1, facts: {} }), "facts"],
      [lost, "leave, host:lost, connect"],
      [connected, "host:connected, attach from 3"],
    ]);
    expect(session.told).toMatchObject({ lastSequence: 2, isJournaled: true });
    // A host that has lost its journal does not do again what it told.
    const wiped = feed({}, [...AWAY, connected, ready, exited(LAUNCH_EXITS.unknownRun), ready]);
    expect(wiped.last).toEqual(["job after 3"]);
  });

  test("and knows nothing of a run whose playbook has changed is not begun", () => {
    expect(feed({ mayLaunch: false }, [begin, connected]).last).toEqual(["host:connected", "attach from 2"]);
    const { last, session } = feed({ mayLaunch: false }, [
      begin,
      connected,
      ready,
      exited(LAUNCH_EXITS.unknownRun),
    ]);
    expect(last).toEqual(["end cancelled CANCELLED"]);
    expect(endOf(session)?.error?.message).toMatch(/was not begun, and the playbook has changed since/);
  });

  test("may have had its process killed: the next one says so", () => {
    const killed = [...AWAY, connected, ready, helloAgain(4)];
    expect(feed({}, [...killed, gone(), exited(0)]).last).toEqual(["end lost CONNECTION_LOST"]);
    expect(feed({}, [...killed, gone({ restarted: true }), exited(0)]).last).toEqual([
      "end lost CONNECTION_LOST",
    ]);
    // Started twice: the other process has it.
    const twice = [...killed, gone({ running: true }), exited(0)];
    expect(feed({}, twice).last).toEqual(["leave", "host:lost", "connect after 100"]);
    expect(feed({}, [...twice, connected]).last).toEqual(["host:connected", "attach from 4"]);
    // The process does not end.
    expect(feed({}, [...killed, gone(), timer("last word")]).last).toEqual(["end lost CONNECTION_LOST"]);
  });

  test("at its first connection is unreachable, unless it may be at work", () => {
    for (const code of ["CONNECT_FAILED", "AUTH_FAILED", "HOST_KEY_UNKNOWN", "HOST_KEY_CHANGED"] as const) {
      expect(feed({}, [begin, failed(code)]).last).toEqual([`end unreachable ${code}`]);
      expect(feed({ earlier: { known: true } }, [begin, failed(code)]).last).toEqual([`end lost ${code}`]);
    }
  });

  test("at its first connection is tried again as long as its play waits for it", () => {
    for (const code of ["CONNECT_FAILED", "AUTH_FAILED"] as const) {
      const waiting = [begin, failed(code)];
      expect(feed({ waitMs: 9_000 }, waiting).last).toEqual(["log", "connect after 100"]);
      expect(feed({ waitMs: 9_000 }, [...waiting, failed(code)]).last).toEqual(["connect after 200"]);
      expect(feed({ waitMs: 9_000 }, [...waiting, connected]).last).toEqual(["host:connected", "launch"]);
      expect(feed({ waitMs: 9_000 }, [...waiting, cancel]).last).toEqual(["end cancelled"]);
      expect(feed({ waitMs: 5 }, waiting).last).toEqual([`end unreachable ${code}`]);
    }
    expect(feed({ waitMs: 9_000 }, [begin, failed("HOST_KEY_CHANGED")]).last).toEqual([
      "end unreachable HOST_KEY_CHANGED",
    ]);
  });
});

describe("a host that restarts", () => {
  const RESTARTING = [...AT_WORK, restart(4), lost];

  test("is waited for as long as the task says, is started again, and goes on behind the journal", () => {
    const session = tell({}, [
      [begin, "host:connect, connect"],
      [connected, "host:connected, launch"],
      [ready, "job after 0"],
      [hello, "hello, host:cached, host:start"],
      [playStart, "play:start"],
      [taskStart(3), "task:start"],
      [restart(4), "restart"],
      [lost, "leave, host:lost, connect"],
      [80_000],
      [failed("AUTH_FAILED"), "leave, connect after 100"],
      // The host has not gone down yet.
      [connected, "host:connected, attach from 5"],
      [ready],
      [helloAgain(5)],
      [event(5, { type: "gone", restarted: false, asked: true }), "wait last word 5000"],
      [exited(0), "leave, connect after 200"],
      // Now it has.
      [connected, "host:connected, attach from 5"],
      [ready],
      [helloAgain(5)],
      [event(5, { type: "gone", restarted: true, asked: true }), "wait last word 5000"],
      [exited(0), "leave, connect after 400"],
      [failed("CONNECT_FAILED"), "leave, connect after 800"],
      [connected, "host:connected, launch"],
      [failed("CONNECTION_LOST"), "leave, connect after 1600"],
      [connected, "host:connected, launch"],
      [ready, "job after 4"],
      [hello, "host:cached, host:start, host:back"],
      [event(2, { type: "log", level: "info", text: "again" }), "log"],
      [helloAgain(5)],
      [taskEnd(5), "task:end"],
      [bye(6), "bye, wait last word 5000"],
      [exited(0), "end ok"],
    ]);
    expect(session.told.restart).toBeUndefined();
  });

  test("and does not come back in time is lost, with a hint of what to do", () => {
    const { session } = feed({}, [...RESTARTING, 90_000, failed("CONNECT_FAILED")]);
    expect(endOf(session)?.error).toMatchObject({
      code: "CONNECTION_LOST",
      message: "web1: the host restarts, and it did not come back within 90 s; the last try: CONNECT_FAILED",
      hint: expect.stringContaining("--resume"),
    });
  });

  test("may be another controller's", () => {
    const earlier = {
      known: true,
      lastSequence: 4,
      restart: { task: 1, timeoutMs: 90_000 },
      started: undefined,
    };
    expect(feed({ earlier }, [begin]).last).toEqual(["connect"]);
    expect(feed({ earlier }, [begin, failed("CONNECT_FAILED")]).last).toEqual(["leave", "connect after 100"]);
    expect(feed({ earlier }, [begin, connected, ready, helloAgain(5), taskEnd(5)]).last).toEqual([
      "task:end",
      "host:back",
    ]);
  });
});
