import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { command, shell } from "../../src/actions/system/command.ts";
import { reboot } from "../../src/actions/system/reboot.ts";
import { openState, readEarlier, type StateRecord } from "../../src/agent/state-store.ts";
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

/** The state that a run with this state store leaves behind. */
const stateOf = (place: Workplace): readonly StateRecord[] => openState(place.directory).read();

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

/** Runs the play until the host goes down, and gives what it told until then. */
async function untilRestart(place: Workplace, notes: string[]): Promise<readonly TargetEvent[]> {
  const kill = new AbortController();
  const told: TargetEvent[] = [];
  const file = place.path("state.ndjson");
  let state = "";
  await runPlays(play(place, { notes }), {
    survivesRestart: true,
    state: place.directory,
    cancel: kill.signal,
    kill: kill.signal,
    onEvent: (event) => {
      if (kill.signal.aborted) return;
      told.push(event);
      if (event.type !== "restart") return;
      // Once the command has run, this process is gone.
      const timer = setInterval(() => {
        if (!traces(place).includes("down")) return;
        clearInterval(timer);
        state = readFileSync(file, "utf8");
        kill.abort();
      }, 5);
    },
  });
  // A process that is gone keeps nothing of how its last task ended.
  writeFileSync(file, state);
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
    earlier: readEarlier(stateOf(place), { sameRun: true, restarted: true }),
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
  expect(run.tally).toEqual({
    unchanged: 0,
    changed: 5,
    skipped: 0,
    failed: 0,
    ignored: 1,
    rescued: 0,
    notExecuted: 0,
  });
});

test("another run does again what failed or was not kept, and tells of everything", async () => {
  using place = makeWorkplace();
  const notes: string[] = [];
  await untilRestart(place, notes);
  // The data that events do not tell is gone.
  openState(place.directory).forget();
  const run = await runPlays(play(place, { notes }), {
    survivesRestart: true,
    earlier: readEarlier(stateOf(place), { sameRun: false, restarted: true }),
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
  await untilRestart(place, []);
  const run = await runPlays(play(place, { notes: [] }), {
    earlier: readEarlier(stateOf(place), { sameRun: false, restarted: true }),
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
    using place = makeWorkplace();
    const job = { secrets: ["hunter2hunter2"] };
    const first = await runPlays(plays, { state: place.directory, job });
    expect(JSON.stringify(first.events)).not.toContain("hunter2");
    expect(first.of("task:end")[0]?.partial).toBe(true);
    await runPlays(plays, {
      job,
      earlier: readEarlier(stateOf(place), { sameRun, restarted: true }),
    });
    expect(seen).toHaveLength(2);
    expect(seen[1]).toEqual(seen[0]);
    expect(seen[0]).toEqual([data, ["hunter2hunter2", "hunter2hunter2"], 2]);
  },
);

test("what is told whole is read from the state store too, and outlives a run that ended well", async () => {
  using place = makeWorkplace();
  const run = await runTasks(({ task }) => void task("t", shell("echo '********'")), {
    state: place.directory,
  });
  expect(run.of("task:end")[0]).not.toHaveProperty("partial");
  openState(place.directory).forget();
  const replay = readEarlier(stateOf(place), { sameRun: false, restarted: false });
  const taken = replay.take({ play: "all", role: "r", name: "t", action: "shell" });
  expect(taken).toMatchObject({ kind: "done", result: { data: { stdout: "********" } } });
});

test("a restart that did not come about is not taken for done", async () => {
  using place = makeWorkplace();
  await untilRestart(place, []);
  const replay = readEarlier(stateOf(place), { sameRun: false, restarted: false });
  expect(replay.take({ play: "all", role: "r", name: "restart", action: "reboot" })).toBeUndefined();
});

test("what a secret task found out and could not be kept is forgotten, and says so when it is asked for", async () => {
  const task = { task: 1, play: "all", role: "r", name: "t", action: "command" };
  const records: readonly StateRecord[] = [{ play: 0 }, { task, result: { state: "changed" }, kept: "lost" }];
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
    { earlier: readEarlier(records, { sameRun: true, restarted: true }) },
  );
  expect(run.ended).toEqual(["failed r the role's own code"]);
  expect(run.task("the role's own code").error?.message).toContain("forgotten since the host was restarted");
});

test("tasks of one name keep their order, restarted ones among them", () => {
  const ref = (task: number) => ({ task, play: "all", role: "r", name: "t", action: "a" });
  const replay = readEarlier(
    [
      { task: ref(1), begunAt: 1_000 },
      { task: ref(1), result: { state: "changed", message: "first" }, kept: "told" },
      { task: ref(2), result: { state: "failed" }, kept: "told" },
      { task: ref(3), begunAt: 5_000 },
    ],
    { sameRun: false, restarted: true },
  );
  const taken = [1, 2, 3, 4].map(() => replay.take(ref(0)));
  expect(taken).toMatchObject([
    { kind: "done", result: { message: "first" } },
    undefined,
    { kind: "restarted", begunAt: 5_000 },
    undefined,
  ]);
});
