import { VolleyError } from "../../core/errors.ts";
import type { ControllerEvent, Event } from "../../core/events.ts";
import type { Question, ShareLine, WireEvent } from "../../core/protocol.ts";
import { isRare, STATES, TALLY_KEYS } from "../../core/result.ts";
import { isRecord } from "../../core/values/value.ts";

/** The deepest nesting of an event's data: functions that recurse into the data must not run out of stack. */
const MAX_DEPTH = 100;

/** The largest count or index that is accepted. */
const MAX_COUNT = 1_000_000_000;

const PROTOTYPE = "__proto__";

type Check = (value: unknown) => boolean;
type Shape = Readonly<Record<string, Check>>;

const text: Check = (value) => typeof value === "string";
const flag: Check = (value) => typeof value === "boolean";
const count: Check = (value) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_COUNT;
const milliseconds: Check = (value) => Number.isFinite(value) && (value as number) >= 0;
const oneOf =
  (...values: readonly string[]): Check =>
  (value) =>
    values.includes(value as string);
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const record =
  (shape: Shape): Check =>
  (value) =>
    isRecord(value) && Object.entries(shape).every(([key, check]) => check(value[key]));
const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const textOrNull: Check = (value) => value === null || text(value);
const attributes: Check = (value) =>
  isRecord(value) &&
  Object.values(value).every((pair) => list(text)(pair) && (pair as unknown[]).length === 2);

const state = oneOf(...STATES);
const location = record({ file: text, line: optional(count), column: optional(count) });
const error = record({
  code: text,
  message: text,
  hint: optional(text),
  stack: optional(text),
  location: optional(location),
});
// Logs of earlier versions have tallies without the rare counts.
const tally = record(
  Object.fromEntries(TALLY_KEYS.map((key) => [key, isRare(key) ? optional(count) : count])),
);
const task = { task: count, play: text, role: text, name: text, action: text, handler: optional(flag) };
const diff = record({
  path: text,
  before: optional(textOrNull),
  after: optional(textOrNull),
  attributes: optional(attributes),
  binary: optional(flag),
});
const item = record({
  label: text,
  state,
  message: optional(text),
  error: optional(error),
  unknown: optional(flag),
});
const result = record({
  state,
  message: optional(text),
  diff: optional(list(diff)),
  error: optional(error),
  items: optional(list(item)),
  ignored: optional(flag),
  unknown: optional(flag),
  hidden: optional(flag),
  attempts: optional(count),
  from: optional(text),
  resumed: optional(flag),
});

/** The fields that each event of a host must have. Other fields are passed on unchecked. */
const SHAPES: Readonly<Record<WireEvent["type"], Shape>> = {
  hello: { bundle: text, pid: count, node: text, ends: optional(flag), next: optional(count) },
  gone: { restarted: flag, asked: optional(flag), running: optional(flag) },
  restart: { task: count, timeoutMs: milliseconds },
  facts: { elapsedMs: milliseconds, facts: isRecord },
  "play:start": { index: count, play: text, total: count },
  "play:plan": { total: count },
  "play:end": { index: count, play: text, failed: flag },
  "task:start": task,
  "task:output": { task: count, stream: oneOf("stdout", "stderr"), text },
  "task:end": { ...task, result, elapsedMs: milliseconds, partial: optional(flag) },
  "task:rescued": task,
  log: { level: oneOf("info", "warn"), text },
  bye: {
    tally,
    elapsedMs: milliseconds,
    error: optional(error),
    cancelled: optional(flag),
    cpuMs: optional(milliseconds),
  },
};

/** Return an event once its fields are checked, or undefined for an unknown type. Throws `PROTOCOL_INVALID`. */
export function checkEvent(
  value: Readonly<Record<string, unknown>> & { readonly type: string },
): WireEvent | undefined {
  if (!Object.hasOwn(SHAPES, value.type)) return undefined;
  const shape = SHAPES[value.type as WireEvent["type"]];
  const wrong = Object.keys(shape).find((key) => !shape[key]!(value[key]));
  if (wrong !== undefined) throw invalid(`an event "${value.type}" whose "${wrong}" cannot be understood`);
  if (isDeep(value, MAX_DEPTH))
    throw invalid(`an event "${value.type}" nested more than ${MAX_DEPTH} levels deep`);
  return value as unknown as WireEvent;
}

/** Return whether a value is the task of a question to the controller. */
const isAskedTask: Check = record({ ...task, index: count, nth: count });

/** Return whether a value is an action that is delegated to the controller. */
const isDelegatedTask: Check = (value) =>
  isAskedTask(value) && record({ item: count, attempt: count, limitMs: optional(milliseconds) })(value);

/** Return a host's question after checking its form. Fail with `PROTOCOL_INVALID`. */
export function checkQuestion({ question }: Readonly<Record<string, unknown>>): Question {
  const isValid =
    isRecord(question) &&
    (question.kind === "once"
      ? isAskedTask(question)
      : question.kind === "step"
        ? isAskedTask(question) && count(question.step)
        : question.kind === "delegate" && isDelegatedTask(question));
  if (!isValid || isDeep(question, MAX_DEPTH)) throw invalid("a question that cannot be understood");
  return question as unknown as Question;
}

/** A shared result of a host that has the right form. Throws `PROTOCOL_INVALID` for anything else. */
export function checkShare(value: Readonly<Record<string, unknown>>): ShareLine {
  if (!record({ task: count, whole: optional(text) })(value))
    throw invalid("a shared result that cannot be understood");
  return value as unknown as ShareLine;
}

const number: Check = (value) => Number.isFinite(value);
const outcomes = ["ok", "failed", "unreachable", "lost", "cancelled"];
const phases: Check = (value) => isRecord(value) && Object.values(value).every(number);

/** The outcome of a host's part, as in `host:end` and the Summary. */
const hostEnd = record({
  host: text,
  outcome: oneOf(...outcomes),
  tally,
  elapsedMs: number,
  phases,
  uploadedBytes: number,
  error: optional(error),
});
const failure = record({ role: text, name: text, error, output: list(text) });
const withFailures = record({ failures: list(failure) });
const summary = record({
  run: text,
  playbook: text,
  elapsedMs: number,
  tally,
  outcomes: record(Object.fromEntries(outcomes.map((outcome) => [outcome, number]))),
  exitCode: number,
  hosts: list((host) => hostEnd(host) && withFailures(host)),
});

/** The checks of the controller's own events. */
const CONTROLLER_EVENTS: Readonly<Record<ControllerEvent["type"], Check>> = {
  "run:start": record({
    run: text,
    playbook: text,
    hosts: list(text),
    plays: list(record({ name: text, hosts: list(text) })),
    concurrency: number,
  }),
  "task:once": isAskedTask,
  "task:delegate": isDelegatedTask,
  "run:build": record({ bytes: number, elapsedMs: number }),
  "run:cancel": record({ how: oneOf("clean", "now") }),
  "run:end": record({ summary }),
  "host:connect": record({ address: text, port: number, user: text }),
  "host:connected": record({ elapsedMs: number }),
  "host:upload": record({ bytes: number, totalBytes: number, elapsedMs: number }),
  "host:cached": isRecord,
  "host:start": isRecord,
  "host:lost": record({ reason: text }),
  "host:back": record({ awayMs: number }),
  "host:noise": record({ text }),
  "host:end": hostEnd,
  "play:batch": record({
    index: number,
    play: text,
    batch: number,
    batches: number,
    hosts: list(text),
    seed: optional(text),
  }),
  "play:stop": record({ index: number, play: text, reason: error }),
};

/** Return whether a line of a run's log is an event. A file that was cut off or damaged, or is of a later version, has other lines. */
export function isLoggedEvent(value: unknown): value is Event {
  if (!isRecord(value) || typeof value.type !== "string" || !number(value.time)) return false;
  const { type, host, hostSeq } = value;
  if (Object.hasOwn(CONTROLLER_EVENTS, type)) {
    const isRight = CONTROLLER_EVENTS[type as ControllerEvent["type"]](value);
    return isRight && (/^(?:host|task):/.test(type) ? text(host) : host === undefined);
  }
  try {
    if (checkEvent(value as typeof value & { readonly type: string }) === undefined) return false;
  } catch {
    return false;
  }
  return text(host) && (hostSeq === undefined || Number.isSafeInteger(hostSeq));
}

function invalid(what: string): VolleyError {
  return new VolleyError("PROTOCOL_INVALID", `the host sent ${what}`);
}

/** Return whether a value is nested deeper than `levels`, and remove keys that a copy would take for its prototype. */
function isDeep(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (levels === 0) return true;
  // JSON.parse makes an ordinary property of it; an assignment would set the prototype.
  if (Object.hasOwn(value, PROTOTYPE)) Reflect.deleteProperty(value, PROTOTYPE);
  for (const inner of Object.values(value)) if (isDeep(inner, levels - 1)) return true;
  return false;
}
