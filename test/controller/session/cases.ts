import { describe, expect, test } from "vitest";
import { ABSENT, NO_NODE } from "../../../src/controller/session/answers.ts";
import type { ProcessEnd } from "../../../src/controller/session/explain.ts";
import {
  type Effect,
  type Input,
  type NodeSetup,
  openSession,
  type Session,
  type Setup,
  type Upload,
  type Via,
} from "../../../src/controller/session/state.ts";
import { step } from "../../../src/controller/session/step.ts";
import { type EarlierPart, NOTHING_EARLIER } from "../../../src/controller/session/told.ts";
import { CORRUPT } from "../../../src/core/bundle.ts";
import { type ErrorCode, VolleyError } from "../../../src/core/errors.ts";
import type { TargetEvent } from "../../../src/core/events.ts";
import { PROTOCOL_VERSION } from "../../../src/core/protocol.ts";
import { EMPTY_TALLY } from "../../../src/core/result.ts";
import type { Become } from "../../../src/core/unix/users.ts";
import type { RemoteExit } from "../../../src/transport/transport.ts";

export const PASSWORD: Become = { user: "root", method: "sudo", password: "secret" };
export const TASK = { play: "One", role: "r", name: "Do", action: "noop" };

/** The circumstances of a case, where they differ from a bundle over a first connection to two plays. */
export interface Circumstances {
  readonly via?: Via;
  readonly become?: Become;
  readonly mayLaunch?: boolean;
  readonly reused?: boolean;
  readonly waitMs?: number;
  readonly earlier?: Partial<EarlierPart>;
  readonly node?: NodeSetup;
}

export function open({
  via = "bundle",
  become,
  mayLaunch = true,
  reused = true,
  waitMs = 0,
  earlier,
  node = { mode: "send", runtimes: [] },
}: Circumstances): Session {
  const setup: Setup = {
    endpoint: { host: "web1", address: "192.0.2.1", port: 22, user: "ann" },
    become: become ?? null,
    bundle: { id: "b".repeat(64), bytes: { length: 1_000 }, reused },
    plays: [0, 2],
    mayLaunch,
    startTimeoutMs: 60_000,
    returnTimeoutMs: 5_000,
    waitMs,
    node,
  };
  return openSession(setup, via, 0, earlier === undefined ? undefined : { ...NOTHING_EARLIER, ...earlier });
}

/* Inputs. */

export const begin: Input = { type: "begin" };
export const connected: Input = { type: "connected", connectMs: 3, authenticateMs: 4 };
export const ready: Input = { type: "ready" };
export const uploaded: Input = { type: "uploaded", bytes: 1_000 };
export const cancel: Input = { type: "cancel" };
export const kill: Input = { type: "kill" };
export const stop: Input = {
  type: "cancel",
  why: { outcome: "cancelled", error: { code: "OTHERS_FAILED", message: "others failed" } },
};
export const goOn: Input = { type: "continue", play: 0 };
export const limit = {
  type: "limit",
  limit: { index: 0, name: "One", limitMs: 700, graceMs: 300 },
} as const satisfies Input;
export const absent: Input = { type: "word", word: ABSENT, rest: [] };
export const corrupt: Input = { type: "word", word: CORRUPT, rest: [] };
export const noNode: Input = { type: "word", word: NO_NODE, rest: [] };

export const failed = (code: ErrorCode): Input => ({
  type: "failed",
  error: new VolleyError(code, `web1: ${code}`),
});
export const broken: Input = { type: "broken", error: new VolleyError("PROTOCOL_INVALID", "nonsense") };
export const timer = (name: Extract<Input, { type: "timer" }>["timer"]): Input => ({
  type: "timer",
  timer: name,
});
export const ended = (exit: RemoteExit, more: Partial<ProcessEnd> = {}): Input => ({
  type: "exited",
  end: { exit, stderr: "", said: "", asked: false, ...more },
});
export const exited = (code: number, stderr = ""): Input => ended({ kind: "exited", code }, { stderr });
export const lost = ended({ kind: "lost", reason: "reset" });

export const event = (seq: number, content: TargetEvent): Input => ({
  type: "event",
  event: { ...content, seq, time: 0 },
});
export const helloOf = (more: object = {}): TargetEvent => ({
  type: "hello",
  protocol: PROTOCOL_VERSION,
  bundle: "b",
  pid: 1,
  node: "v20",
  ...more,
});
export const hello = event(1, helloOf());
export const helloAgain = (next: number): Input => event(next - 1, helloOf({ next }));
export const playStart = event(2, { type: "play:start", index: 0, play: "One", total: 2 });
export const taskStart = (seq: number, task = 1): Input => event(seq, { type: "task:start", task, ...TASK });
export const taskEnd = (seq: number, task = 1, state: "changed" | "failed" = "changed"): Input =>
  event(seq, { type: "task:end", task, ...TASK, result: { state }, elapsedMs: 1 });
export const playEnd = (seq: number, hasFailed = false): Input =>
  event(seq, { type: "play:end", index: 0, play: "One", failed: hasFailed });
export const restart = (seq: number): Input => event(seq, { type: "restart", task: 1, timeoutMs: 90_000 });
export const bye = (seq: number, more: object = {}): Input =>
  event(seq, { type: "bye", tally: { ...EMPTY_TALLY, changed: 1 }, elapsedMs: 1, ...more });
export const gone = (more: object = {}): Input =>
  event(3, { type: "gone", restarted: false, ...more } as TargetEvent);
export const asksOnce: Input = {
  type: "question",
  question: { kind: "once", task: 1, index: 0, nth: 1, ...TASK },
};

function filesOf({ number, bundle, runtime }: Upload): string {
  if (runtime === undefined) return String(number);
  return `${number} with Node for ${runtime.arch}${bundle ? "" : " alone"}`;
}

/** An effect in one line. */
export function show(effect: Effect): string {
  switch (effect.type) {
    case "connect":
      return `connect${effect.pauseMs === 0 ? "" : ` after ${effect.pauseMs}`}`;
    case "exec": {
      const { script } = effect;
      if (script.is === "attach") return `attach from ${script.from}`;
      if (script.is === "verify") return `verify ${filesOf(script.upload)}`;
      if (script.is === "direct" || script.is === "install") return script.is;
      const { left, look, expectsUpload } = script;
      const asks = look === undefined ? "" : look === "name" ? " or decline" : " or decline by version";
      return `launch${left === undefined ? "" : ` left ${left}`}${asks}${expectsUpload ? ", open SFTP" : ""}`;
    }
    case "upload":
      return `upload ${filesOf(effect.upload)}`;
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

export const TICK_MS = 10;

/** Feed a session with inputs, 10 ms apart; a number lets so many milliseconds pass. */
export function feed(
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

export const STARTED = [begin, connected, ready];
export const RUNNING = [...STARTED, hello];
export const AT_WORK = [...RUNNING, playStart, taskStart(3)];
export const AWAY = [...AT_WORK, lost];

/** Each state, with the inputs that lead there. */
export const STATES = {
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

export type StateName = keyof typeof STATES;

/** Test an input in each state: the effects, in order. */
export function table(title: string, input: Input, rows: Readonly<Record<StateName, string>>): void {
  describe(title, () => {
    test.each(Object.entries(rows))("%s → %s", (name, expected) => {
      const { last } = feed({}, [...STATES[name as StateName], input]);
      expect(last.join(", ")).toBe(expected);
    });
  });
}

export type Story = readonly (readonly [Input | number, string?])[];

/** Go through a story, compare the effects of each input, and return the session. */
export function tell(circumstances: Circumstances, story: Story): Session {
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

export const endOf = ({ state }: Session) => (state.is === "ended" ? state.end : undefined);
