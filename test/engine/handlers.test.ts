import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fail } from "../../src/actions/flow/fail.ts";
import { noop } from "../../src/actions/flow/noop.ts";
import { command, shell } from "../../src/actions/system/command.ts";
import { makeWorkplace, roleOf, runPlays, runTasks, totals } from "./run-plays.ts";

const changed = noop({ changed: true });
const handlers = { restart: noop({ message: "restarted" }), reload: noop({}) };

test("a handler runs once though several tasks notify it, in the order of declaration, after all tasks", async () => {
  const run = await runTasks(
    ({ task }) => {
      task("a", changed, { notify: "reload" });
      task("b", changed, { notify: ["restart", "reload"] });
      task("c", changed, { notify: "reload" });
    },
    { handlers },
  );
  expect(run.ended).toEqual([
    "changed r a",
    "changed r b",
    "changed r c",
    "unchanged r restart",
    "unchanged r reload",
  ]);
  expect(run.of("task:end").map(({ handler }) => handler ?? false)).toEqual([
    false,
    false,
    false,
    true,
    true,
  ]);
});

test("a handler does not run when what notifies it changed nothing, was skipped or failed", async () => {
  const run = await runTasks(
    ({ task }) => {
      task("unchanged", noop({}), { notify: "restart" });
      task("skipped", changed, { notify: "restart", when: false });
      task("failed", fail("no"), { notify: "restart", ignoreErrors: true });
      task("not a change", changed, { notify: "restart", changedWhen: false });
    },
    { handlers },
  );
  expect(run.of("task:end").filter(({ handler }) => handler)).toEqual([]);
});

test("a loop notifies once, also when only one item changed something", async () => {
  const run = await runTasks(
    ({ task }) => {
      task("t", (item: number) => noop({ changed: item === 2 }), { loop: [1, 2, 3], notify: "restart" });
    },
    { handlers },
  );
  expect(run.ended).toEqual(["changed r t", "unchanged r restart"]);
});

test("flushHandlers runs what was notified so far, and a handler notified again runs again", async () => {
  const run = await runTasks(
    ({ task, flushHandlers }) => {
      task("a", changed, { notify: "restart" });
      flushHandlers();
      task("b", changed, { notify: "restart" });
      flushHandlers();
      flushHandlers();
      task("c", noop({}));
    },
    { handlers },
  );
  expect(run.ended).toEqual([
    "changed r a",
    "unchanged r restart",
    "changed r b",
    "unchanged r restart",
    "unchanged r c",
  ]);
  expect(Math.max(...totals(run))).toBe(5);
  expect(totals(run)).toEqual([...totals(run)].sort((a, b) => a - b));
});

test("role:handler notifies a handler of another role, declared before or after", async () => {
  const run = await runPlays([
    {
      hosts: "all",
      roles: [
        roleOf("first", ({ task }) => void task("t", changed, { notify: "last:restart" })),
        roleOf("last", ({ task }) => void task("t", changed, { notify: "first: reload" }), { handlers }),
      ].map((use, index) => (index === 0 ? { ...use, role: { ...use.role, handlers } } : use)),
    },
  ]);
  expect(run.ended).toEqual([
    "changed first t",
    "changed last t",
    "unchanged first reload",
    "unchanged last restart",
  ]);
});

test("a role's own handler is meant where another role has one of the same name", async () => {
  const role = (name: string, notify: string) =>
    roleOf(name, ({ task }) => void task("t", changed, { notify }), { handlers });
  const run = await runPlays([{ hosts: "all", roles: [role("a", "restart"), role("b", "restart")] }]);
  expect(run.ended.slice(2)).toEqual(["unchanged a restart", "unchanged b restart"]);
});

test("a play's own tasks have the play's handlers", async () => {
  const run = await runPlays([
    { hosts: "all", handlers, tasks: ({ task }) => void task("t", changed, { notify: "restart" }) },
  ]);
  expect(run.ended).toEqual(["changed all t", "unchanged all restart"]);
});

test.each([
  ["restrat", '; did you mean "restart"?'],
  ["other:relaod", '; did you mean "other:reload"?'],
  ["odd:one", ""],
  ["nothing like it", ""],
  ["later:late", ""],
])("notifying %j, which there is not, fails before anything has run", async (notify, meant) => {
  const run = await runPlays([
    {
      hosts: "all",
      roles: [
        roleOf("r", ({ task }) => void task("t", changed, { notify }), { handlers }),
        roleOf("other", () => {}, { handlers: { ...handlers, "odd:one": noop({}) } }),
        roleOf("later", ({ handler }) => handler("late", noop({})), { handlers: { early: noop({}) } }),
      ],
    },
  ]);
  expect(run.of("task:end").map(({ name }) => name)).toEqual(["the role's own code"]);
  const { error } = run.of("task:end")[0]!.result;
  expect(error?.message).toBe(
    `role "r": task "t" notifies "${notify}", a handler that is not declared${meant}`,
  );
  expect(error?.hint).toBe(
    "declared by now: restart, reload, other:restart, other:reload, other:odd:one, later:early",
  );
});

test("a handler whose name holds a colon is notified from another role, too", async () => {
  const run = await runPlays([
    {
      hosts: "all",
      roles: [
        roleOf("r", ({ task }) => void task("t", changed, { notify: "other:odd: one" })),
        roleOf("other", () => {}, { handlers: { "odd:one": noop({}) } }),
      ],
    },
  ]);
  expect(run.ended).toEqual(["changed r t", "unchanged other odd:one"]);
});

test("a handler that notifies an undeclared handler fails in its turn, does nothing and stays pending", async () => {
  const saved: (readonly string[])[] = [];
  const run = await runTasks(
    ({ task, handler }) => {
      handler("wrong", changed, { notify: "restrat", ignoreErrors: true, retries: 1, delay: 0 });
      handler("next", noop({}));
      task("t", changed, { notify: ["wrong", "next"] });
    },
    {
      handlers: { restart: noop({}) },
      leftovers: { load: () => [], save: (_play, names) => void saved.push(names) },
    },
  );
  expect(run.ended).toEqual(["changed r t", "failed r wrong"]);
  expect(run.error).toBeUndefined();
  expect(run.failed).toBe(true);
  expect(run.task("wrong").error).toMatchObject({
    code: "PLAYBOOK_INVALID",
    message:
      'role "r": handler "wrong" notifies "restrat", a handler that is not declared; did you mean "restart"?',
    hint: "declared by now: restart, wrong, next",
  });
  expect(saved).toEqual([["r:wrong", "r:next"]]);
});

test("a role without handlers says so", async () => {
  const run = await runTasks(({ task }) => void task("t", changed, { notify: "restart" }));
  expect(run.of("task:end")[0]?.result.error?.hint).toBe("declared by now: none");
});

test("a handler that fails ends the run: those after it are counted, actions of its own list too", async () => {
  const run = await runPlays([
    {
      hosts: "all",
      roles: [
        roleOf("r", ({ task }) => void task("t", changed, { notify: ["broken", "restart"] }), {
          handlers: { broken: [noop({}), fail("no"), noop({}), noop({})], ...handlers },
        }),
      ],
    },
    { hosts: "all", roles: [roleOf("later", ({ task }) => void task("t", changed))] },
  ]);
  expect(run.ended).toEqual(["changed r t", "unchanged r broken (noop)", "failed r broken (fail)"]);
  expect(run.tally).toEqual({
    unchanged: 1,
    changed: 1,
    skipped: 0,
    failed: 1,
    ignored: 0,
    rescued: 0,
    notExecuted: 4,
  });
});

test("a role that fails leaves its handlers unrun, and counts them", async () => {
  const run = await runTasks(
    ({ task }) => {
      task("a", changed, { notify: "restart" });
      task("b", fail("no"));
    },
    { handlers },
  );
  expect(run.ended).toEqual(["changed r a", "failed r b"]);
  expect(run.tally.notExecuted).toBe(1);
});

test("handlers run for every tag, and only in roles whose condition holds", async () => {
  const run = await runTasks(({ task }) => void task("t", changed, { notify: "restart", tags: "x" }), {
    handlers,
    options: { tags: ["x"] },
  });
  expect(run.ended).toEqual(["changed r t", "unchanged r restart"]);
});

test("handlers made from the role's context see its vars, and really run", async () => {
  using place = makeWorkplace();
  const path = place.path("log");
  const use = roleOf("r", ({ task }) => void task("t", changed, { notify: "note" }), {
    handlers: ({
      vars,
      host,
    }: {
      readonly vars: { readonly word: string };
      readonly host: { readonly name: string };
    }) => ({
      note: [command(["touch", path]), shell(`echo ${vars.word} ${host.name} >> ${path}`)],
    }),
  });
  const run = await runPlays([{ hosts: "all", roles: [{ ...use, vars: { word: "noted" } }] }]);
  expect(run.ended).toEqual(["changed r t", "changed r note (command)", "changed r note (shell)"]);
  expect(readFileSync(path, "utf8")).toBe("noted web1\n");
});

test("a handler that is no action is refused before anything runs", async () => {
  const run = await runTasks(({ task }) => void task("t", changed), { handlers: { restart: "nginx" } });
  expect(run.ended).toEqual([]);
  expect(run.error?.message).toBe('role "r": handler "restart" must be an action or a list of actions');
});

test.each(["failed", "cancelled"])(
  "a run that was %s keeps its pending handlers for the next, which runs them",
  async (how) => {
    const kept = new Map<string, readonly string[]>();
    const leftovers = {
      load: (play: string) => kept.get(play) ?? [],
      save: (play: string, names: readonly string[]) => void kept.set(play, names),
    };
    const stop = new AbortController();
    const first = await runTasks(
      ({ task }) => {
        task("change", changed, { notify: ["restart", "broken"] });
        task("end", how === "failed" ? fail("no") : shell("echo running"));
      },
      {
        handlers: { restart: noop({}), broken: fail("always") },
        leftovers,
        cancel: stop.signal,
        onEvent: ({ type }) => void (type === "task:output" && stop.abort()),
      },
    );
    expect(first.ended).toHaveLength(2);
    expect(first.cancelled).toBe(how === "cancelled");
    const second = await runTasks(({ task }) => void task("change", noop({})), {
      handlers: { restart: noop({}), broken: fail("always") },
      leftovers,
    });
    expect(second.ended).toEqual(["unchanged r change", "unchanged r restart", "failed r broken"]);
    expect([...kept.values()]).toEqual([["r:broken"]]);
  },
);

test("a handler is a task: it has a condition, a loop, vars and rules of its own", async () => {
  using place = makeWorkplace();
  const run = await runTasks(({ task, handler }) => {
    let wanted = false;
    handler("skipped", changed, { when: false });
    handler("late", () => shell(`echo ${wanted} > ${place.path("late")}`), { when: () => wanted });
    handler("each", (name: string) => shell(`touch ${place.path(name)}`), { loop: ["a", "b"] });
    handler("quiet", shell("true"), { changedWhen: false });
    handler("tried", fail("no"), { ignoreErrors: true, retries: 1, delay: 0 });
    task("t", changed, { notify: ["tried", "quiet", "each", "late", "skipped"] });
    task("sets", () => {
      wanted = true;
      return noop({});
    });
  });
  expect(run.ended).toEqual([
    "changed r t",
    "unchanged r sets",
    "skipped r skipped",
    "changed r late",
    "changed r each",
    "unchanged r quiet",
    "failed r tried",
  ]);
  expect(readFileSync(place.path("late"), "utf8")).toBe("true\n");
  expect(run.task("each").items?.map(({ label }) => label)).toEqual(["a", "b"]);
  expect(run.task("tried")).toMatchObject({ ignored: true, attempts: 2 });
  expect(run.of("task:end").filter(({ handler }) => handler === true)).toHaveLength(5);
  expect(totals(run)).toEqual([2, 7]);
});

test("handlers are added while the play runs, behind those of the role, and may be notified from then on", async () => {
  const run = await runTasks(
    async ({ task, handler, flushHandlers }) => {
      await task("first", changed, { notify: "reload" });
      handler("added", noop({}));
      task("second", changed, { notify: ["added", "restart"] });
      flushHandlers();
      await task("third", noop({}));
      handler("later", noop({}));
      task("fourth", changed, { notify: ["later", "added"] });
    },
    { handlers },
  );
  expect(run.ended).toEqual([
    "changed r first",
    "changed r second",
    "unchanged r restart",
    "unchanged r reload",
    "unchanged r added",
    "unchanged r third",
    "changed r fourth",
    "unchanged r added",
    "unchanged r later",
  ]);
});

test("handlers notify handlers: at a flush point those behind them, at the end of the play all, each once", async () => {
  const run = await runTasks(({ task, handler, flushHandlers }) => {
    handler("a", noop({}));
    handler("b", changed, { notify: ["a", "c"] });
    handler("c", changed, { notify: "b" });
    task("t", changed, { notify: "b" });
    flushHandlers();
    task("u", noop({}));
  });
  expect(run.ended).toEqual([
    "changed r t",
    "changed r b",
    "changed r c",
    "unchanged r u",
    "unchanged r a",
    "changed r b",
    "changed r c",
  ]);
});

test.each([
  ["twice", 'there is a handler "h" already'],
  ["runOnce", 'handler "once" cannot have `runOnce`'],
  ["unknown option", 'task "h": unknown option "wen"'],
])("a handler declared wrongly is refused: %s", async (how, expected) => {
  const run = await runTasks(({ handler }) => {
    if (how === "runOnce") handler("once", noop({}), { runOnce: true } as never);
    else if (how === "twice") {
      handler("h", noop({}));
      handler("h", noop({}));
    } else handler("h", noop({}), { wen: true } as never);
  });
  expect(run.of("task:end")[0]?.result.error?.message).toContain(expected);
});

test("a handler that was left over runs though its role adds it only while it runs", async () => {
  const kept = new Map([["all", ["r:added"]]] as readonly [string, readonly string[]][]);
  const run = await runTasks(
    async ({ task, handler }) => {
      await task("first", noop({}));
      handler("added", changed);
    },
    {
      leftovers: {
        load: (play) => kept.get(play) ?? [],
        save: (play, names) => void kept.set(play, names),
      },
    },
  );
  expect(run.ended).toEqual(["unchanged r first", "changed r added"]);
  expect(kept.get("all")).toEqual([]);
});

test("a handler that failed and was rescued is not left over for the next run", async () => {
  const saved: (readonly string[])[] = [];
  const run = await runTasks(
    async ({ task, handler, flushHandlers }) => {
      handler("late", fail("no"));
      task("t", changed, { notify: "late" });
      flushHandlers();
      try {
        await task("mid", noop({}));
      } catch {
        await task("rescue", noop({}));
      }
      task("bad", fail("no"));
    },
    { leftovers: { load: () => [], save: (_play, names) => void saved.push(names) } },
  );
  expect(run.ended).toEqual(["changed r t", "failed r late", "unchanged r rescue", "failed r bad"]);
  expect(run.tally).toMatchObject({ failed: 1, rescued: 1 });
  expect(saved.at(-1) ?? []).toEqual([]);
});
