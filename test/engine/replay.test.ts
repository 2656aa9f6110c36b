import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { command } from "../../src/actions/system/command.ts";
import { reboot } from "../../src/actions/system/reboot.ts";
import { shell } from "../../src/actions/system/shell.ts";
import type { JournalLine } from "../../src/agent/journal.ts";
import { readReplay } from "../../src/agent/state-store.ts";
import type { ActionCall } from "../../src/core/action.ts";
import type { TargetEvent } from "../../src/core/events.ts";
import { makeWorkplace, roleOf, runPlays, runTasks, type Workplace } from "./run-plays.ts";

/** An action that finds this out. */
function findingOut(data: unknown): ActionCall {
  return {
    action: "find",
    params: {},
    title: "",
    inspect: async () => ({ message: "find" }),
    apply: async () => ({ data }),
  };
}

/** What a journal holds of these events. */
function journal(events: readonly TargetEvent[]): readonly JournalLine[] {
  return events.map((event, index) => {
    const line = `${JSON.stringify({ ...event, seq: index + 2, time: 1_000 * index })}\n`;
    return { line, event: JSON.parse(line) };
  });
}

/** No results were kept apart, unless a test says so. */
const results = new Map<number, string>();

const traces = (place: Workplace): readonly string[] =>
  existsSync(place.path("traces")) ? readFileSync(place.path("traces"), "utf8").trim().split("\n") : [];

/** A play that restarts the host; the restart itself does nothing but end the process. */
function play(place: Workplace, { notes }: { readonly notes: string[] }) {
  const trace = (word: string) => shell(`echo ${word} >> ${place.path("traces")}; echo said-${word}`);
  return [
    {
      hosts: "all",
      roles: [
        roleOf(
          "r",
          async ({ task }) => {
            const one = await task("one", trace("one"), { notify: "h" });
            task("secret", trace("secret"), { noLog: true });
            task("fails", shell("exit 1"), { ignoreErrors: true });
            const restarted = await task(
              "restart",
              reboot({ reboot_command: `echo down >> ${place.path("traces")}; exit 0`, reboot_timeout: 30 }),
              { when: () => traces(place).at(-1) === "secret" },
            );
            notes.push(`${one.changed} ${one.data.stdout} ${restarted.changed}`);
            task("again", trace("again"));
          },
          { handlers: { h: trace("handler") } },
        ),
      ],
    },
  ];
}

/** Runs the play until the host goes down, and gives what its journal holds then. */
async function untilRestart(
  place: Workplace,
  notes: string[],
  kept = new Map<number, string>(),
): Promise<readonly TargetEvent[]> {
  const kill = new AbortController();
  const told: TargetEvent[] = [];
  await runPlays(play(place, { notes }), {
    survivesRestart: true,
    results: kept,
    stop: kill.signal,
    kill: kill.signal,
    onEvent: (event) => {
      if (kill.signal.aborted) return;
      told.push(event);
      if (event.type !== "restart") return;
      // Once the command has run, this process is gone.
      const timer = setInterval(() => {
        if (!traces(place).includes("down")) return;
        clearInterval(timer);
        kill.abort();
      }, 5);
    },
  });
  return told;
}

test("the same run goes on behind a restart: nothing is done or told twice", async () => {
  using place = makeWorkplace();
  const notes: string[] = [];
  const told = await untilRestart(place, notes);
  expect(told.at(-1)).toMatchObject({ type: "restart", task: 4, timeoutMs: 30_000 });
  expect(traces(place)).toEqual(["one", "secret", "down"]);

  const run = await runPlays(play(place, { notes }), {
    survivesRestart: true,
    replay: readReplay(journal(told), { sameRun: true, restarted: true, results }),
  });
  expect(traces(place)).toEqual(["one", "secret", "down", "again", "handler"]);
  expect(notes).toEqual(["true said-one true"]);
  const afterwards = run.events.flatMap((event) =>
    event.type === "task:start" || event.type === "task:end" ? [`${event.type} ${event.name}`] : [],
  );
  expect(afterwards).toEqual([
    "task:end restart",
    "task:start again",
    "task:end again",
    "task:start h",
    "task:end h",
  ]);
  expect(run.task("restart")).toMatchObject({ state: "changed", data: { rebooted: true } });
  expect(run.tally).toEqual({ unchanged: 0, changed: 5, skipped: 0, failed: 1, rescued: 0, notExecuted: 0 });
});

test("another run does again what failed or was not kept, and tells of everything", async () => {
  using place = makeWorkplace();
  const notes: string[] = [];
  const told = await untilRestart(place, notes);
  const run = await runPlays(play(place, { notes }), {
    survivesRestart: true,
    replay: readReplay(journal(told), { sameRun: false, restarted: true, results }),
  });
  expect(traces(place)).toEqual(["one", "secret", "down", "secret", "again", "handler"]);
  expect(run.ended).toEqual([
    "changed r one",
    "changed r secret",
    "failed r fails",
    "changed r restart",
    "changed r again",
    "changed r h",
  ]);
  expect(run.task("one")).toMatchObject({ resumed: true });
});

test("another run does not do again what is secret, where that was kept, and does not tell it either", async () => {
  using place = makeWorkplace();
  const kept = new Map<number, string>();
  const told = await untilRestart(place, [], kept);
  const run = await runPlays(play(place, { notes: [] }), {
    replay: readReplay(journal(told), { sameRun: false, restarted: true, results: kept }),
  });
  expect(traces(place)).toEqual(["one", "secret", "down", "again", "handler"]);
  expect(run.task("secret")).toMatchObject({ state: "changed", hidden: true, resumed: true });
});

test.each([true, false])(
  "code gets what it had before, whole, in another life (same run: %j)",
  async (sameRun) => {
    const data = {
      long: "x".repeat(70_000),
      masked: "a ******** b",
      secret: "hunter2hunter2",
      items: Array.from({ length: 1_500 }, (_, index) => index),
      bytes: Buffer.from([0xff, 0]),
      nothing: [undefined, Number.NaN, -0, 2n ** 70n],
      when: new Date(0),
      map: new Map([[1, new Set(["a"])]]),
    };
    const seen: unknown[] = [];
    const plays = [
      {
        hosts: "all",
        roles: [
          roleOf("r", async ({ task }) => {
            const found = await task("find", findingOut(data), { notify: [] });
            const loop = await task("loop", (_: number) => findingOut("hunter2hunter2"), { loop: [1, 2] });
            seen.push([found.data, loop.data, loop.items?.length]);
            task("stop", shell("exit 1"));
          }),
        ],
      },
    ];
    const kept = new Map<number, string>();
    const job = { secrets: ["hunter2hunter2"] };
    const first = await runPlays(plays, { results: kept, job });
    expect(JSON.stringify(first.events)).not.toContain("hunter2");
    expect(first.of("task:end")[0]?.partial).toBe(true);
    await runPlays(plays, {
      job,
      replay: readReplay(journal(first.events), { sameRun, restarted: true, results: kept }),
    });
    expect(seen).toHaveLength(2);
    expect(seen[1]).toEqual(seen[0]);
    expect(seen[0]).toEqual([data, ["hunter2hunter2", "hunter2hunter2"], 2]);
  },
);

test("what is told whole is kept nowhere else", async () => {
  const kept = new Map<number, string>();
  const run = await runTasks(({ task }) => void task("t", shell("echo '********'")), { results: kept });
  expect(run.of("task:end")[0]).not.toHaveProperty("partial");
  expect(kept.size).toBe(0);
  const replay = readReplay(journal(run.events), { sameRun: false, restarted: false, results });
  const taken = replay.take({ play: "all", role: "r", name: "t", action: "shell" });
  expect(taken).toMatchObject({ kind: "done", result: { data: { stdout: "********" } } });
});

test("a restart that did not come about is not taken for done", async () => {
  using place = makeWorkplace();
  const told = await untilRestart(place, []);
  const replay = readReplay(journal(told), { sameRun: false, restarted: false, results });
  expect(replay.take({ play: "all", role: "r", name: "restart", action: "reboot" })).toBeUndefined();
});

test("what a secret task found out and could not be kept is forgotten, and says so when it is asked for", async () => {
  const task = { task: 1, play: "all", role: "r", name: "t", action: "command" };
  const told: readonly TargetEvent[] = [
    { type: "play:start", index: 0, play: "all", total: 1 },
    { type: "task:start", ...task },
    { type: "task:end", ...task, result: { state: "changed", hidden: true }, elapsedMs: 1, partial: true },
  ];
  const run = await runPlays(
    [
      {
        hosts: "all",
        roles: [
          roleOf("r", async ({ task: declare, log }) => {
            const found = await declare("t", command(["echo", "secret"]), { noLog: true });
            log(`${found.changed}`);
            log(found.data.stdout);
          }),
        ],
      },
    ],
    { replay: readReplay(journal(told), { sameRun: true, restarted: true, results }) },
  );
  expect(run.ended).toEqual(["failed r the role's own code"]);
  expect(run.task("the role's own code").error?.message).toContain("forgotten since the host was restarted");
});

test("tasks of one name keep their order, restarted ones among them", () => {
  const ref = (task: number) => ({ task, play: "all", role: "r", name: "t", action: "a" });
  const restart = (task: number): TargetEvent => ({ type: "restart", task, timeoutMs: 1 });
  const replay = readReplay(
    journal([
      { type: "task:start", ...ref(1) },
      restart(1),
      { type: "task:end", ...ref(1), result: { state: "changed", message: "first" }, elapsedMs: 1 },
      { type: "task:start", ...ref(2) },
      { type: "task:end", ...ref(2), result: { state: "failed" }, elapsedMs: 1 },
      { type: "task:start", ...ref(3) },
      restart(3),
    ]),
    { sameRun: false, restarted: true, results },
  );
  const taken = [1, 2, 3, 4].map(() => replay.take(ref(0)));
  expect(taken).toMatchObject([
    { kind: "done", result: { message: "first" } },
    undefined,
    { kind: "restarted", begunAt: 5_000 },
    undefined,
  ]);
});
