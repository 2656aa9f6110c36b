import { describe, expect, test } from "vitest";
import type { ProcessEnd } from "../../../src/controller/session/explain.ts";
import { ABSENT, CORRUPT, LAUNCH_EXITS, NO_NODE } from "../../../src/controller/session/launch.ts";
import {
  type Effect,
  hasEndedBefore,
  type Input,
  isAt,
  openSession,
  type Session,
  type Setup,
  type Via,
} from "../../../src/controller/session/state.ts";
import { step } from "../../../src/controller/session/step.ts";
import { type EarlierPart, NOTHING_EARLIER } from "../../../src/controller/session/told.ts";
import { type ErrorCode, VolleyError } from "../../../src/core/errors.ts";
import type { TargetEvent } from "../../../src/core/events.ts";
import { PROTOCOL_VERSION } from "../../../src/core/protocol.ts";
import { EMPTY_TALLY } from "../../../src/core/result.ts";
import { MAX_FAILURES } from "../../../src/core/summary.ts";
import type { Become } from "../../../src/core/unix/become.ts";
import type { RemoteExit } from "../../../src/transport/transport.ts";

const PASSWORD: Become = { user: "root", method: "sudo", password: "secret" };
const TASK = { play: "One", role: "r", name: "Do", action: "noop" };

/** The circumstances of a case, where they differ from a bundle over a first connection to two plays. */
interface Circumstances {
  readonly via?: Via;
  readonly become?: Become;
  readonly mayLaunch?: boolean;
  readonly reused?: boolean;
  readonly earlier?: Partial<EarlierPart>;
}

function open({ via = "bundle", become, mayLaunch = true, reused = true, earlier }: Circumstances): Session {
  const setup: Setup = {
    endpoint: { host: "web1", address: "192.0.2.1", port: 22, user: "ann" },
    become: become ?? null,
    bundle: { id: "b".repeat(64), bytes: { length: 1_000 }, reused },
    plays: [0, 2],
    mayLaunch,
    startTimeoutMs: 60_000,
    returnTimeoutMs: 5_000,
  };
  return openSession(setup, via, 0, earlier === undefined ? undefined : { ...NOTHING_EARLIER, ...earlier });
}

/* Inputs. */

const begin: Input = { type: "begin" };
const connected: Input = { type: "connected", connectMs: 3, authenticateMs: 4 };
const ready: Input = { type: "ready" };
const uploaded: Input = { type: "uploaded" };
const cancel: Input = { type: "cancel" };
const kill: Input = { type: "kill" };
const stop: Input = {
  type: "cancel",
  why: { outcome: "cancelled", error: { code: "OTHERS_FAILED", message: "others failed" } },
};
const goOn: Input = { type: "continue", play: 0 };
const limit: Input = { type: "limit", limit: { index: 0, name: "One", limitMs: 700, graceMs: 300 } };
const absent: Input = { type: "word", word: ABSENT };
const corrupt: Input = { type: "word", word: CORRUPT };
const noNode: Input = { type: "word", word: NO_NODE };

const failed = (code: ErrorCode): Input => ({
  type: "failed",
  error: new VolleyError(code, `web1: ${code}`),
});
const broken: Input = { type: "broken", error: new VolleyError("PROTOCOL_INVALID", "nonsense") };
const timer = (name: Extract<Input, { type: "timer" }>["timer"]): Input => ({ type: "timer", timer: name });
const ended = (exit: RemoteExit, more: Partial<ProcessEnd> = {}): Input => ({
  type: "exited",
  end: { exit, stderr: "", said: "", asked: false, ...more },
});
const exited = (code: number, stderr = ""): Input => ended({ kind: "exited", code }, { stderr });
const lost = ended({ kind: "lost", reason: "reset" });

const event = (seq: number, content: TargetEvent): Input => ({
  type: "event",
  event: { ...content, seq, time: 0 },
});
const helloOf = (more: object = {}): TargetEvent => ({
  type: "hello",
  protocol: PROTOCOL_VERSION,
  bundle: "b",
  pid: 1,
  node: "v20",
  ...more,
});
const hello = event(1, helloOf());
const helloAgain = (next: number): Input => event(next - 1, helloOf({ next }));
const playStart = event(2, { type: "play:start", index: 0, play: "One", total: 2 });
const taskStart = (seq: number, task = 1): Input => event(seq, { type: "task:start", task, ...TASK });
const taskEnd = (seq: number, task = 1, state: "changed" | "failed" = "changed"): Input =>
  event(seq, { type: "task:end", task, ...TASK, result: { state }, elapsedMs: 1 });
const playEnd = (seq: number, hasFailed = false): Input =>
  event(seq, { type: "play:end", index: 0, play: "One", failed: hasFailed });
const restart = (seq: number): Input => event(seq, { type: "restart", task: 1, timeoutMs: 90_000 });
const bye = (seq: number, more: object = {}): Input =>
  event(seq, { type: "bye", tally: { ...EMPTY_TALLY, changed: 1 }, elapsedMs: 1, ...more });
const gone = (more: object = {}): Input =>
  event(3, { type: "gone", restarted: false, ...more } as TargetEvent);
const asksOnce: Input = {
  type: "question",
  question: { kind: "once", task: 1, index: 0, nth: 1, ...TASK },
};

/** An effect in one line. */
function show(effect: Effect): string {
  switch (effect.type) {
    case "connect":
      return `connect${effect.pauseMs === 0 ? "" : ` after ${effect.pauseMs}`}`;
    case "exec": {
      const { script } = effect;
      if (script.is === "attach") return `attach from ${script.from}`;
      if (script.is === "verify") return `verify ${script.upload}`;
      if (script.is === "direct") return "direct";
      const { left, mayDecline, expectsUpload } = script;
      return `launch${left === undefined ? "" : ` left ${left}`}${mayDecline ? " or decline" : ""}${expectsUpload ? ", open SFTP" : ""}`;
    }
    case "upload":
      return `upload ${effect.upload}`;
    case "job":
      return `job after ${effect.after}`;
    case "write":
      return `write ${effect.command.type}`;
    case "emit":
      return effect.event.type;
    case "ask":
      return `ask ${effect.question.kind}`;
    case "keep":
      return `keep ${effect.task}`;
    case "play":
      return `play ${effect.index} ${effect.failed ? "failed" : "ok"}`;
    case "wait":
      return `wait ${effect.timer} ${effect.ms}`;
    case "unwait":
      return `unwait ${effect.timer}`;
    case "abort":
    case "leave":
      return effect.type;
    case "end": {
      const { outcome, error } = effect.end;
      return `end ${outcome}${error === undefined ? "" : ` ${error.code}`}`;
    }
  }
}

const TICK_MS = 10;

/** Feed a session with inputs, 10 ms apart; a number lets so many milliseconds pass. */
function feed(
  circumstances: Circumstances,
  inputs: readonly (Input | number)[],
): { readonly session: Session; readonly last: readonly string[]; readonly all: readonly Effect[] } {
  let session = open(circumstances);
  let now = 0;
  let last: readonly Effect[] = [];
  const all: Effect[] = [];
  for (const input of inputs) {
    if (typeof input === "number") {
      now += input;
      continue;
    }
    now += TICK_MS;
    [session, last] = step(session, input, now);
    all.push(...last);
  }
  return { session, last: last.map(show), all };
}

/* Ways to each state. */

const STARTED = [begin, connected, ready];
const RUNNING = [...STARTED, hello];
const AT_WORK = [...RUNNING, playStart, taskStart(3)];
const AWAY = [...AT_WORK, lost];

/** Each state, with the inputs that lead there. */
const STATES = {
  waiting: [],
  connecting: [begin],
  "asking, before it listens": [begin, connected],
  asking: STARTED,
  uploading: [...STARTED, absent],
  "verifying, before it listens": [...STARTED, absent, uploaded],
  verifying: [...STARTED, absent, uploaded, ready],
  running: RUNNING,
  "at a barrier": [...RUNNING, playStart, playEnd(3)],
  "closing after bye": [...RUNNING, bye(2)],
  "away, not begun": [begin, connected, failed("CONNECTION_LOST")],
  "away, at work": AWAY,
  "attaching, before it listens": [...AWAY, connected],
  attaching: [...AWAY, connected, ready],
  "running again": [...AWAY, connected, ready, helloAgain(4)],
  "about to restart": [...AT_WORK, restart(4)],
} as const satisfies Readonly<Record<string, readonly Input[]>>;

type StateName = keyof typeof STATES;

/** Test an input in each state: the effects, in order. */
function table(title: string, input: Input, rows: Readonly<Record<StateName, string>>): void {
  describe(title, () => {
    test.each(Object.entries(rows))("%s → %s", (name, expected) => {
      const { last } = feed({}, [...STATES[name as StateName], input]);
      expect(last.join(", ")).toBe(expected);
    });
  });
}

describe("every state, every way to end it", () => {
  table("cancel", cancel, {
    waiting: "end cancelled",
    connecting: "end cancelled",
    "asking, before it listens": "end cancelled",
    // The job was sent with the question: whichever process there is, or comes, reads it.
    asking: "write cancel",
    uploading: "abort",
    "verifying, before it listens": "end cancelled",
    verifying: "write cancel",
    running: "write cancel",
    "at a barrier": "write cancel",
    "closing after bye": "write cancel",
    "away, not begun": "end cancelled",
    // The host may be at work: it is told once it is found.
    "away, at work": "",
    "attaching, before it listens": "",
    attaching: "write cancel",
    "running again": "write cancel",
    "about to restart": "write cancel",
  });

  const KILLED = "write kill, abort, wait kill 1000";
  table("kill", kill, {
    waiting: "end cancelled",
    connecting: "end cancelled",
    "asking, before it listens": "end cancelled",
    asking: KILLED,
    uploading: "abort, wait kill 1000",
    "verifying, before it listens": "end cancelled",
    verifying: KILLED,
    running: KILLED,
    "at a barrier": KILLED,
    "closing after bye": KILLED,
    "away, not begun": "end cancelled",
    "away, at work": "end cancelled",
    "attaching, before it listens": "end cancelled",
    attaching: KILLED,
    "running again": KILLED,
    "about to restart": KILLED,
  });

  table("the process is lost with the connection", lost, {
    waiting: "",
    connecting: "",
    "asking, before it listens": "leave, host:lost, connect",
    asking: "leave, host:lost, connect",
    // Its script has ended: the upload tells of the connection.
    uploading: "",
    "verifying, before it listens": "leave, host:lost, connect",
    verifying: "leave, host:lost, connect",
    running: "leave, host:lost, connect",
    "at a barrier": "leave, host:lost, connect",
    "closing after bye": "end ok",
    "away, not begun": "",
    "away, at work": "",
    "attaching, before it listens": "leave, connect after 100",
    attaching: "leave, connect after 100",
    "running again": "leave, host:lost, connect after 100",
    "about to restart": "leave, host:lost, connect",
  });

  table("the connection fails", failed("CONNECTION_LOST"), {
    waiting: "",
    connecting: "end lost CONNECTION_LOST",
    "asking, before it listens": "leave, host:lost, connect",
    asking: "leave, host:lost, connect",
    uploading: "leave, host:lost, connect",
    "verifying, before it listens": "leave, host:lost, connect",
    verifying: "leave, host:lost, connect",
    running: "",
    "at a barrier": "",
    "closing after bye": "",
    "away, not begun": "leave, connect after 100",
    "away, at work": "leave, connect after 100",
    "attaching, before it listens": "leave, connect after 100",
    attaching: "leave, connect after 100",
    "running again": "",
    "about to restart": "",
  });

  const REFUSED = "end unreachable AUTH_FAILED";
  table("the login is refused", failed("AUTH_FAILED"), {
    waiting: "",
    connecting: REFUSED,
    "asking, before it listens": REFUSED,
    asking: "end lost AUTH_FAILED",
    uploading: REFUSED,
    "verifying, before it listens": REFUSED,
    verifying: "end lost AUTH_FAILED",
    running: "",
    "at a barrier": "",
    "closing after bye": "",
    "away, not begun": "end lost CONNECTION_LOST",
    "away, at work": "end lost CONNECTION_LOST",
    "attaching, before it listens": "end lost CONNECTION_LOST",
    attaching: "end lost CONNECTION_LOST",
    "running again": "",
    "about to restart": "",
  });

  const FAILED = "end failed PROTOCOL_INVALID";
  const LOST = "end lost PROTOCOL_INVALID";
  table("the host sends nonsense", broken, {
    waiting: "end lost PROTOCOL_INVALID",
    connecting: LOST,
    "asking, before it listens": FAILED,
    asking: `write kill, ${FAILED}`,
    uploading: LOST,
    "verifying, before it listens": FAILED,
    verifying: `write kill, ${FAILED}`,
    running: `write kill, ${LOST}`,
    "at a barrier": `write kill, ${LOST}`,
    "closing after bye": `write kill, ${LOST}`,
    "away, not begun": LOST,
    "away, at work": LOST,
    "attaching, before it listens": FAILED,
    attaching: `write kill, ${FAILED}`,
    "running again": `write kill, ${LOST}`,
    "about to restart": `write kill, ${LOST}`,
  });

  table("the first word is late, or a try takes too long", failed("TIMEOUT"), {
    waiting: "",
    connecting: "end failed TIMEOUT",
    "asking, before it listens": "end failed TIMEOUT",
    asking: "end failed TIMEOUT",
    uploading: "end failed TIMEOUT",
    "verifying, before it listens": "end failed TIMEOUT",
    verifying: "end failed TIMEOUT",
    running: "",
    "at a barrier": "",
    "closing after bye": "",
    "away, not begun": "leave, connect after 100",
    "away, at work": "leave, connect after 100",
    "attaching, before it listens": "leave, connect after 100",
    attaching: "leave, connect after 100",
    "running again": "",
    "about to restart": "",
  });

  table("word to go on", goOn, {
    waiting: "",
    connecting: "",
    "asking, before it listens": "",
    asking: "write continue",
    uploading: "",
    "verifying, before it listens": "",
    verifying: "write continue",
    running: "write continue",
    "at a barrier": "write continue",
    "closing after bye": "write continue",
    "away, not begun": "",
    "away, at work": "",
    "attaching, before it listens": "",
    attaching: "write continue",
    "running again": "write continue",
    "about to restart": "write continue",
  });
});

/** A story: each input with the effects it has. */
type Story = readonly (readonly [Input | number, string?])[];

/** Go through a story, compare the effects of each input, and return the session. */
function tell(circumstances: Circumstances, story: Story): Session {
  const inputs: (Input | number)[] = [];
  let session = open(circumstances);
  for (const [input, expected] of story) {
    inputs.push(input);
    if (typeof input === "number") continue;
    const fed = feed(circumstances, inputs);
    const { type } = input;
    expect(`${type}: ${fed.last.join(", ")}`).toBe(`${type}: ${expected ?? ""}`);
    session = fed.session;
  }
  return session;
}

const endOf = ({ state }: Session) => (state.is === "ended" ? state.end : undefined);

test("a warm run: one connection, one script, no more", () => {
  const session = tell({}, [
    [begin, "host:connect, connect"],
    [connected, "host:connected, launch"],
    [ready, "job after 0"],
    [hello, "hello, host:cached, host:start"],
    [event(2, { type: "facts", elapsedMs: 1, facts: {} }), "facts"],
    [event(3, { type: "play:start", index: 0, play: "One", total: 1 }), "play:start"],
    [taskStart(4), "task:start"],
    [taskEnd(5), "task:end"],
    [playEnd(6), "play:end, play 0 ok"],
    [1_000],
    [goOn, "write continue"],
    [bye(7), "bye, wait last word 5000"],
    [exited(0), "end ok"],
  ]);
  expect(endOf(session)).toMatchObject({
    outcome: "ok",
    tally: { changed: 1 },
    uploadedBytes: 0,
    phases: { connect: 3, authenticate: 4, start: 20, facts: 10, tasks: 40, wait: 1_010, collect: 20 },
  });
});

describe("the bundle", () => {
  test("is sent when the host does not have it, while SFTP is opened beside the question", () => {
    const session = tell({ reused: false }, [
      [begin, "host:connect, connect"],
      [connected, "host:connected, launch, open SFTP"],
      [ready, "job after 0"],
      [absent, "upload 1"],
      [uploaded, "verify 1"],
      [ready, "job after 0"],
      [hello, "hello, host:start"],
    ]);
    expect(session.uploads.bytes).toBe(1_000);
  });

  test("is sent once more when it arrives damaged, and not a third time", () => {
    tell({}, [
      [begin, "host:connect, connect"],
      [connected, "host:connected, launch"],
      [ready, "job after 0"],
      [absent, "upload 1"],
      [uploaded, "verify 1"],
      [ready, "job after 0"],
      [corrupt, "upload 2"],
      [uploaded, "verify 2"],
      [ready, "job after 0"],
      [corrupt, "end failed UPLOAD_FAILED"],
    ]);
  });

  test("is sent again over another connection, however often it arrived damaged before", () => {
    const damaged = [...STARTED, absent, uploaded, ready, corrupt, failed("CONNECTION_LOST")];
    expect(feed({}, [...damaged, connected, ready, absent, uploaded, ready, corrupt]).last).toEqual([
      "upload 4",
    ]);
  });

  test("is not sent for ever to a host that never admits to have it", () => {
    const { last } = feed({}, [...STARTED, absent, uploaded, ready, absent, uploaded, ready, absent]);
    expect(last).toEqual(["end failed UPLOAD_FAILED"]);
  });

  test("is sent on standard input to a user with a copy of its own, who is asked again when it is damaged", () => {
    const session = tell({ become: PASSWORD, reused: false }, [
      [begin, "host:connect, connect"],
      [connected, "host:connected, launch"],
      [uploaded],
      [ready, "job after 0"],
      [corrupt, "launch"],
      [uploaded],
      [ready, "job after 0"],
      [hello, "hello, host:start"],
    ]);
    expect(session.uploads.bytes).toBe(2_000);
    const again = [uploaded, ready, corrupt] as const;
    expect(feed({ become: PASSWORD }, [begin, connected, ...again, ...again]).last).toEqual([
      "end failed UPLOAD_FAILED",
    ]);
  });

  test("that was being sent when the connection went is removed by the next question", () => {
    tell({}, [
      [begin, "host:connect, connect"],
      [connected, "host:connected, launch"],
      [ready, "job after 0"],
      [absent, "upload 1"],
      [failed("CONNECTION_LOST"), "leave, host:lost, connect"],
      [connected, "host:connected, launch left 1"],
      // The removal may not have happened, so the next launch asks for it again.
      [failed("CONNECTION_LOST"), "leave, connect after 100"],
      [connected, "host:connected, launch left 1"],
      [ready, "job after 0"],
      [absent, "upload 2"],
      [uploaded, "verify 2"],
      [ready, "job after 0"],
      [hello, "hello, host:start, host:back"],
      [lost, "leave, host:lost, connect after 200"],
      [connected, "host:connected, attach from 2"],
      [ready],
      [exited(LAUNCH_EXITS.unknownRun), "launch"],
    ]);
  });

  test.each<readonly [string, Input, string]>([
    ["cannot be kept", exited(LAUNCH_EXITS.noCache, "No space left on device"), "end failed UPLOAD_FAILED"],
    ["finds no Node", exited(LAUNCH_EXITS.noNode, "volley: no node"), "end failed NODE_MISSING"],
    ["is ended by a signal", exited(139), "end failed PROCESS_FAILED"],
    ["ends without a word", exited(1), "end failed PROTOCOL_INVALID"],
  ])("that %s", (_what, input, expected) => {
    expect(feed({}, [...STARTED, input]).last).toEqual([expected]);
    expect(feed({}, [...STARTED, absent, uploaded, ready, input]).last).toEqual([expected]);
  });

  test("may be cancelled before it is sent, while it is sent, and after", () => {
    expect(feed({}, [...STARTED, cancel, absent]).last).toEqual(["end cancelled"]);
    expect(feed({}, [...STARTED, absent, cancel, failed("CANCELLED")]).last).toEqual(["end cancelled"]);
    expect(feed({}, [...STARTED, absent, cancel, uploaded]).last).toEqual(["end cancelled"]);
    expect(feed({}, [...STARTED, absent, cancel, failed("CONNECTION_LOST")]).last).toEqual(["end cancelled"]);
    expect(
      feed({}, [...STARTED, absent, uploaded, ready, cancel, hello, bye(2, { cancelled: true }), exited(2)])
        .last,
    ).toEqual(["end cancelled"]);
  });
});

describe("without Node", () => {
  const DIRECT = "log, direct";
  test.each<readonly [string, readonly Input[]]>([
    ["the script says so", [...STARTED, noNode]],
    ["the bundle that is there says so", [...STARTED, exited(LAUNCH_EXITS.noNode)]],
    ["the bundle that was sent says so", [...STARTED, absent, uploaded, ready, exited(LAUNCH_EXITS.noNode)]],
  ])("`auto` works directly when %s", (_what, inputs) => {
    expect(feed({ via: "auto" }, inputs).last.join(", ")).toBe(DIRECT);
    const { session, last } = feed({ via: "auto" }, [...inputs, ready, hello]);
    expect(last).toEqual(["hello", "host:start"]);
    expect(session.via).toBe("direct");
  });

  test("`bundle` fails, and so does a host that declines unasked", () => {
    expect(feed({}, [...STARTED, exited(LAUNCH_EXITS.noNode, "volley: no Node")]).last).toEqual([
      "end failed NODE_MISSING",
    ]);
    expect(feed({}, [...STARTED, noNode]).last).toEqual(["end failed PROTOCOL_INVALID"]);
  });

  test("a host worked on directly is lost with its connection", () => {
    const { last } = feed({ via: "direct" }, [begin, connected, ready, hello, playStart, lost]);
    expect(last).toEqual(["end lost CONNECTION_LOST"]);
    expect(feed({ via: "direct" }, [begin, connected, failed("CONNECTION_LOST")]).last).toEqual([
      "end lost CONNECTION_LOST",
    ]);
  });

  test("a host that another controller worked on directly cannot be gone on with", () => {
    const earlier = { known: true, method: "direct" } as const;
    expect(feed({ earlier }, [begin, connected]).last).toEqual([
      "host:connected",
      "end lost CONNECTION_LOST",
    ]);
  });
});

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

describe("what the host tells", () => {
  test("what must not be written down is kept apart, and acknowledged", () => {
    const { last } = feed({}, [...RUNNING, { type: "share", task: 1, whole: "{}" }]);
    expect(last).toEqual(["keep 1", "write taken"]);
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
