import { expect, test } from "vitest";
import { ABSENT, INSTALLED, LAUNCH_EXITS, NO_NODE } from "../../../src/controller/session/answers.ts";
import {
  type Effect,
  type Input,
  type NodeSetup,
  openSession,
  type Session,
} from "../../../src/controller/session/state.ts";
import { step } from "../../../src/controller/session/step.ts";
import { NOTHING_EARLIER } from "../../../src/controller/session/told.ts";
import { CORRUPT } from "../../../src/core/bundle.ts";
import { type ErrorCode, VolleyError } from "../../../src/core/errors.ts";
import type { TargetEvent } from "../../../src/core/events.ts";
import { PROTOCOL_VERSION } from "../../../src/core/protocol.ts";
import { EMPTY_TALLY } from "../../../src/core/result.ts";
import { type RuntimeTraits, UNUSABLE } from "../../../src/core/runtimes.ts";
import { type Draw, drawFrom } from "../../fuzz/lib/random.ts";

const WALKS = 3_000;
const STEPS = 80;
const TASK = { play: "One", role: "r", name: "Do", action: "noop" };

const CODES: readonly ErrorCode[] = [
  "CONNECTION_LOST",
  "CONNECTION_LOST",
  "CONNECT_FAILED",
  "TIMEOUT",
  "AUTH_FAILED",
  "CANCELLED",
  "UPLOAD_FAILED",
  "INTERNAL",
];

/** The state of the driver, the host and the schedule, as far as it decides which input may come next. */
interface World {
  draw: Draw;
  now: number;
  begun: boolean;
  connected: boolean;
  /** The effect that has not reported yet. */
  pending: "connect" | "exec" | "upload" | undefined;
  /** The script that was started last. */
  script: string;
  /** True when the process reads commands. */
  ready: boolean;
  greeted: boolean;
  jobs: number;
  /** Sequence number of the host's last event. */
  sequence: number;
  cancelled: boolean;
  killed: boolean;
  saidBye: boolean;
  lost: boolean;
  ends: number;
  readonly timers: Set<string>;
}

function openWorld(draw: Draw, lost: boolean): World {
  return {
    draw,
    now: 0,
    begun: false,
    connected: false,
    pending: undefined,
    script: "",
    ready: false,
    greeted: false,
    jobs: 0,
    sequence: 0,
    cancelled: false,
    killed: false,
    saidBye: false,
    lost,
    ends: 0,
    timers: new Set(),
  };
}

/** Draw an input that may happen now. */
function happen(world: World): Input {
  const { draw } = world;
  if (!world.begun) return draw.chance(0.9) ? { type: "begin" } : wish(draw);
  if (world.timers.size > 0 && draw.chance(0.1))
    return { type: "timer", timer: draw.pick([...world.timers]) } as Input;
  if (draw.chance(0.06)) return wish(draw);
  const failed = (): Input => ({ type: "failed", error: new VolleyError(draw.pick(CODES), "web1: no") });
  switch (world.pending) {
    case "connect":
      return draw.chance(0.6) ? { type: "connected", connectMs: 1, authenticateMs: 1 } : failed();
    case "upload":
      return draw.chance(0.7) ? { type: "uploaded", bytes: 1_000 } : failed();
    case "exec":
      if (!world.ready && draw.chance(0.6)) return { type: "ready" };
      return world.greeted ? speak(world) : answer(world, failed);
    case undefined:
      return wish(draw);
  }
}

/** Draw a request of the schedule. */
function wish(draw: Draw): Input {
  return draw.pick<Input>([
    { type: "continue", play: 0 },
    { type: "say", command: { type: "taken", task: 1 } },
    { type: "limit", limit: { index: 0, name: "One", limitMs: 500, graceMs: 100 } },
    { type: "cancel" },
    { type: "cancel", why: { outcome: "failed", error: { code: "TIMEOUT", message: "m" } } },
    { type: "kill" },
  ]);
}

/** Draw a result of a script. */
function answer(world: World, failed: () => Input): Input {
  const { draw } = world;
  if (draw.chance(0.5)) {
    world.greeted = true;
    const next = world.script === "attach" || draw.chance(0.1) ? { next: world.sequence + 1 } : {};
    return told(next.next === undefined ? 1 : world.sequence, {
      type: "hello",
      protocol: PROTOCOL_VERSION,
      bundle: "b",
      pid: 1,
      node: "v20",
      ...next,
    });
  }
  return draw.pick<() => Input>([
    () => ({
      type: "word",
      word: draw.pick([ABSENT, ABSENT, CORRUPT, NO_NODE, UNUSABLE, INSTALLED]),
      rest: draw.pick([[], ["space"], BARE, BARE]),
    }),
    () => exited(draw),
    () => ({ type: "broken", error: new VolleyError("PROTOCOL_INVALID", "nonsense") }),
    failed,
  ])();
}

/** Draw an event or an end of a process of the run. */
function speak(world: World): Input {
  const { draw } = world;
  const next = (): number => ++world.sequence;
  return draw.pick<() => Input>([
    () => told(next(), { type: "play:start", index: draw.below(3), play: "One", total: 3 }),
    () => told(next(), { type: "play:end", index: 0, play: "One", failed: draw.chance(0.3) }),
    () => told(next(), { type: "task:start", task: 1, ...TASK }),
    () => told(next(), { type: "task:end", task: 1, ...TASK, result: { state: "changed" }, elapsedMs: 1 }),
    () => ({ type: "share", task: 1, whole: "{}" }),
    () => told(next(), { type: "restart", task: 1, timeoutMs: 9_000 }),
    () => told(next(), { type: "log", level: "info", text: "on" }),
    () => told(next(), { type: "bye", tally: EMPTY_TALLY, elapsedMs: 1, cancelled: draw.chance(0.5) }),
    () =>
      told(next(), {
        type: "gone",
        restarted: draw.chance(0.5),
        asked: draw.chance(0.5),
        running: draw.chance(0.3),
      }),
    () => exited(draw),
    () => exited(draw),
  ])();
}

function told(seq: number, content: TargetEvent): Input {
  return { type: "event", event: { ...content, seq, time: 0 } };
}

function exited(draw: Draw): Input {
  const codes = [0, 1, 139, ...Object.values(LAUNCH_EXITS)];
  const exit = draw.chance(0.4)
    ? ({ kind: "lost", reason: "reset" } as const)
    : ({ kind: "exited", code: draw.pick(codes) } as const);
  return { type: "exited", end: { exit, stderr: "", said: "", asked: false } };
}

/** Take in what an input means for the world, before the session takes its step. */
function take(world: World, input: Input): void {
  switch (input.type) {
    case "begin":
      world.begun = true;
      break;
    case "connected":
      world.connected = true;
      world.pending = undefined;
      break;
    case "uploaded":
      if (world.pending === "upload") world.pending = undefined;
      break;
    case "failed":
    case "word":
    case "exited":
      world.pending = undefined;
      world.ready = false;
      break;
    case "ready":
      world.ready = true;
      break;
    case "cancel":
      world.cancelled = true;
      break;
    case "kill":
      world.cancelled = true;
      world.killed = true;
      break;
    case "timer":
      world.timers.delete(input.timer);
      if (input.timer === "play") world.cancelled = true;
      break;
    case "event":
      if (input.event.type === "bye") world.saidBye = true;
      break;
    default:
      break;
  }
}

/** Hold an effect to what must always be true, and take in what it means for the world. */
function check(world: World, effect: Effect): void {
  expect(world.ends, "an effect after the end").toBe(0);
  switch (effect.type) {
    case "connect":
      expect(world.pending, "two things at a time").toBeUndefined();
      expect(world.connected, "connected twice").toBe(false);
      expect(world.killed, "connects after a kill").toBe(false);
      world.pending = "connect";
      break;
    case "exec":
      expect(world.pending, "two things at a time").toBeUndefined();
      expect(world.connected, "started without a connection").toBe(true);
      expect(effect.limitMs).toBeGreaterThan(0);
      Object.assign(world, {
        pending: "exec",
        script: effect.script.is,
        ready: false,
        greeted: false,
        jobs: 0,
      });
      break;
    case "upload":
      expect(world.pending, "two things at a time").toBeUndefined();
      expect(world.cancelled, "sent after it was cancelled").toBe(false);
      expect(world.connected, "sent without a connection").toBe(true);
      world.pending = "upload";
      break;
    case "job":
      expect(world.ready, "a job for a process that does not listen").toBe(true);
      expect(world.script, "a job for a process that has one").not.toBe("attach");
      expect(++world.jobs, "two jobs").toBe(1);
      break;
    case "write":
      expect(world.ready, "written to a process that does not listen").toBe(true);
      break;
    case "leave":
      Object.assign(world, { connected: false, pending: undefined, ready: false, greeted: false });
      break;
    case "wait":
      expect(effect.ms).toBeGreaterThan(0);
      world.timers.add(effect.timer);
      break;
    case "unwait":
      world.timers.delete(effect.timer);
      break;
    case "emit":
      if (effect.event.type === "host:lost" || effect.event.type === "host:back") {
        expect(effect.event.type === "host:back", "lost twice, or back without having been away").toBe(
          world.lost,
        );
        world.lost = !world.lost;
      }
      break;
    case "end": {
      const { outcome, error, tally, phases } = effect.end;
      world.ends++;
      if (outcome === "ok") expect(world.saidBye, "ok without the last word").toBe(true);
      if (outcome === "cancelled" && error === undefined) expect(world.cancelled || world.saidBye).toBe(true);
      if (outcome === "lost" || outcome === "unreachable") expect(error).toBeDefined();
      for (const count of [...Object.values(tally), ...Object.values(phases)])
        expect(count).toBeGreaterThanOrEqual(0);
      break;
    }
    default:
      break;
  }
}

function freeze(value: unknown): void {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const inner of Object.values(value)) freeze(inner);
}

const RUNTIME: RuntimeTraits = {
  id: "c".repeat(64),
  arch: "x64",
  version: "24.0.0",
  bytes: 40_000_000,
  unpackedBytes: 120_000_000,
  hasLibraries: true,
};
/** A host without Node, as a launch script describes it. */
const BARE = ["x86_64", "6.1.0", "glibc-2.36", "9000000", "absent"] as const;

function openDrawn(draw: Draw): Session {
  const restart = draw.chance(0.1) ? { task: 1, timeoutMs: 9_000 } : undefined;
  const earlier = draw.chance(0.3)
    ? { ...NOTHING_EARLIER, known: draw.chance(0.8), lastSequence: 0, restart, started: undefined }
    : undefined;
  return openSession(
    {
      endpoint: { host: "web1", address: "192.0.2.1", port: 22, user: "ann" },
      become: draw.chance(0.2) ? { user: "bob", method: "sudo" } : null,
      bundle: { id: "b".repeat(64), bytes: { length: 1_000 }, reused: draw.chance(0.5) },
      plays: [0, 2],
      mayLaunch: draw.chance(0.9),
      startTimeoutMs: 60_000,
      returnTimeoutMs: 5_000,
      waitMs: 0,
      node: draw.pick<NodeSetup>([
        { mode: "send", runtimes: [] },
        { mode: "send", runtimes: [RUNTIME] },
        { mode: "package", runtimes: [] },
        { mode: "never", runtimes: [] },
      ]),
    },
    draw.pick(["bundle", "bundle", "auto", "direct"]),
    0,
    earlier,
  );
}

/** Walk at random, then kill; return the way, and the outcome. */
function walk(seed: number): { readonly way: readonly string[]; readonly outcome: string } {
  const draw = drawFrom(seed);
  let session = openDrawn(draw);
  const world = openWorld(draw, session.told.restart !== undefined);
  const way: string[] = [];
  const feed = (input: Input): void => {
    way.push(`${session.state.is} ← ${input.type}`);
    freeze(session);
    take(world, input);
    const [next, effects] = step(session, input, world.now);
    for (const effect of effects) check(world, effect);
    expect(next.state.is === "ended", "the end is told").toBe(world.ends === 1);
    session = next;
  };
  try {
    for (let steps = 0; steps < STEPS && session.state.is !== "ended"; steps++) {
      world.now += draw.below(draw.chance(0.05) ? 20_000 : 200);
      feed(happen(world));
    }
    if (session.state.is !== "ended") feed({ type: "kill" });
    if (session.state.is !== "ended") {
      expect([...world.timers], "a host that is killed ends by itself").toContain("kill");
      feed({ type: "timer", timer: "kill" });
    }
    expect(world.ends).toBe(1);
    // Later inputs change nothing.
    for (const late of [happen(world), exited(draw), { type: "cancel" }, { type: "kill" }] as const)
      feed(late);
  } catch (thrown) {
    throw new Error(`seed ${seed}: ${(thrown as Error).message}\n${way.join("\n")}`, { cause: thrown });
  }
  return { way, outcome: session.state.is === "ended" ? session.state.end.outcome : "none" };
}

test("whatever happens, in whatever order: one end, and nothing said to who does not listen", () => {
  const visited = new Set<string>();
  const outcomes = new Set<string>();
  for (let seed = 1; seed <= WALKS; seed++) {
    const { way, outcome } = walk(seed);
    for (const taken of way) visited.add(taken.split(" ")[0]!);
    outcomes.add(outcome);
  }
  // The walks come everywhere.
  const states = ["waiting", "connecting", "away", "starting", "uploading", "running", "closing", "ended"];
  expect([...visited].sort()).toEqual(states.sort());
  expect([...outcomes].sort()).toEqual(["cancelled", "failed", "lost", "ok", "unreachable"]);
});
