import type { SerializedError } from "../../../src/core/errors.ts";
import type { ControllerEvent, Event, Outcome, Phase, ReceivedEvent } from "../../../src/core/events.ts";
import { countState, EMPTY_TALLY, type Result, type Tally } from "../../../src/core/result.ts";
import { seededRandom } from "../lib/random.ts";
import { START_MS, summaryOf } from "../lib/simulate.ts";

/** How large a made-up run is. */
export interface FleetRunOptions {
  readonly hosts: readonly string[];
  readonly tasks?: number;
  readonly concurrency?: number;
  readonly seed?: number;
}

type Timed = { readonly atMs: number; readonly event: ControllerEvent | ReceivedEvent };

const BYTES = 241_000;
const ACTIONS = ["apt", "template", "copy", "command", "file", "service", "user", "git"] as const;
const ROLES = ["base", "ssh", "time", "nginx", "app", "monitoring"] as const;

/** The events of a run with the phases, output, diffs and failures that real ones have; the same for the same options. */
export function fleetRun({
  hosts,
  tasks = 88,
  concurrency = 50,
  seed = 7,
}: FleetRunOptions): readonly Event[] {
  const random = seededRandom(seed);
  const plays = [
    { name: "Every host", hosts },
    { name: "Web tier", hosts },
  ];
  const events: Timed[] = [
    {
      atMs: 0,
      event: {
        type: "run:start",
        run: "20260101-120000-4f2a",
        playbook: "site.ts",
        hosts,
        plays,
        check: false,
        concurrency,
      },
    },
    {
      atMs: 420,
      event: { type: "run:build", bundle: "b".repeat(64), bytes: BYTES, elapsedMs: 418, reused: false },
    },
  ];
  const slots = Array.from({ length: concurrency }, () => 430);
  for (const [index, host] of hosts.entries()) {
    const slot = slots.indexOf(Math.min(...slots));
    const own = hostEvents(host, { index, tasks, random, startMs: slots[slot] ?? 0 });
    slots[slot] = own.at(-1)?.atMs ?? 0;
    events.push(...own);
  }
  const stamped = events
    .sort((one, other) => one.atMs - other.atMs)
    .map(
      ({ event, atMs }, index): Event => ({ ...event, seq: index + 1, time: START_MS + Math.round(atMs) }),
    );
  const last = stamped.at(-1)?.time ?? START_MS;
  return [...stamped, { type: "run:end", summary: summaryOf(stamped), seq: stamped.length + 1, time: last }];
}

function hostEvents(
  host: string,
  context: { index: number; tasks: number; random: () => number; startMs: number },
): Timed[] {
  const { index, tasks, random } = context;
  const events: Timed[] = [];
  const phases: Partial<Record<Phase, number>> = {};
  let atMs = context.startMs;
  let tally: Tally = EMPTY_TALLY;
  const spend = (phase: Phase, ms: number): void => {
    const spent = ms * (0.6 + random() * 0.8);
    atMs += spent;
    phases[phase] = (phases[phase] ?? 0) + spent;
  };
  const say = (event: ControllerEvent | ReceivedEvent): void => {
    events.push({ atMs, event });
  };
  const end = (outcome: Outcome, uploadedBytes: number, error?: SerializedError): Timed[] => {
    const elapsedMs = atMs - context.startMs;
    say({
      type: "host:end",
      host,
      outcome,
      tally,
      elapsedMs,
      phases,
      uploadedBytes,
      ...(error === undefined ? {} : { error }),
    });
    return events;
  };

  say({ type: "host:connect", host, address: `10.0.0.${index % 250}`, port: 22, user: "deploy" });
  if (index % 67 === 40) {
    spend("connect", 2_000);
    return end("unreachable", 0, {
      code: "CONNECT_FAILED",
      message: `cannot connect to 10.0.0.${index % 250}, port 22: connection refused`,
      hint: "is sshd running there, and does the inventory have the right port?",
    });
  }
  spend("connect", 60);
  spend("authenticate", 90);
  say({ type: "host:connected", host, elapsedMs: 150 });
  // Looking for the bundle where it is not counts as sending it.
  spend("upload", 25);
  for (const part of [0.5, 1]) {
    spend("upload", 80);
    say({ type: "host:upload", host, bytes: BYTES * part, totalBytes: BYTES, elapsedMs: 100 * part });
  }
  spend("start", 110);
  say({ type: "host:start", host });
  say({ type: "hello", host, protocol: 1, bundle: "b".repeat(64), pid: 4_000 + index, node: "20.19.0" });
  spend("facts", 70);
  say({ type: "facts", host, elapsedMs: 70, facts: {} });
  for (const play of [0, 1]) {
    say({
      type: "play:start",
      host,
      index: play,
      play: play === 0 ? "Every host" : "Web tier",
      total: tasks,
    });
    for (
      let task = play === 0 ? 1 : Math.floor(tasks / 2) + 1;
      task <= (play === 0 ? tasks / 2 : tasks);
      task++
    ) {
      const action = ACTIONS[task % ACTIONS.length] ?? "file";
      const ref = {
        task,
        play: play === 0 ? "Every host" : "Web tier",
        role: ROLES[Math.floor(task / 16) % ROLES.length] ?? "base",
        name: `Step ${task}: ${action === "apt" ? "install packages" : "put things in order"}`,
        action,
      };
      say({ type: "task:start", host, ...ref });
      if (action === "command")
        say({ type: "task:output", host, task, stream: "stdout", text: `step ${task} on ${host}\n` });
      const before = atMs;
      spend("tasks", action === "apt" ? 120 : action === "command" ? 45 : 6);
      if (index % 23 === 5 && task === Math.floor(tasks * 0.7)) {
        say({ type: "task:output", host, task, stream: "stderr", text: OUTPUT });
        tally = { ...countState(tally, "failed"), notExecuted: tasks - task };
        say({ type: "task:end", host, ...ref, result: failure(host), elapsedMs: atMs - before });
        say({ type: "play:end", host, index: play, play: ref.play, failed: true });
        say({ type: "bye", host, tally, elapsedMs: atMs - context.startMs });
        spend("collect", 12);
        return end("failed", BYTES);
      }
      const result = resultOf(task, random());
      tally = countState(tally, result.state);
      say({ type: "task:end", host, ...ref, result, elapsedMs: atMs - before });
    }
    say({ type: "play:end", host, index: play, play: play === 0 ? "Every host" : "Web tier", failed: false });
    if (play === 0) spend("wait", 250);
  }
  if (index % 50 === 3)
    say({ type: "log", host, level: "warn", text: "the clock is off by more than a minute" });
  say({ type: "bye", host, tally, elapsedMs: atMs - context.startMs });
  spend("collect", 12);
  return end("ok", BYTES);
}

const OUTPUT = Array.from({ length: 12 }, (_, index) => `E: line ${index + 1} of what went wrong\n`).join("");

function failure(host: string): Result {
  return {
    state: "failed",
    error: {
      code: "ACTION_FAILED",
      message: `the configuration on ${host} is refused: unknown directive "gzip_level"`,
      hint: "look at the difference",
      location: { file: "roles/nginx/role.ts", line: 14, column: 3 },
    },
    diff: [{ path: "/etc/nginx/nginx.conf", before: "gzip on;\n", after: "gzip on;\ngzip_level 5;\n" }],
  };
}

function resultOf(task: number, chance: number): Result {
  if (task % 11 === 0) return { state: "skipped", message: "its condition is not met" };
  if (task % 8 === 1 && chance < 0.6) {
    return {
      state: "changed",
      diff: [
        {
          path: `/etc/part-${task}.conf`,
          before: "level = 1\n",
          after: `level = ${task}\n`,
          attributes: { mode: ["0600", "0644"] },
        },
      ],
    };
  }
  return { state: chance < 0.1 ? "changed" : "unchanged" };
}
