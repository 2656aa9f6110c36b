import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { copy } from "../../src/actions/files/copy.ts";
import { file } from "../../src/actions/files/file.ts";
import { stat } from "../../src/actions/files/stat.ts";
import { fail } from "../../src/actions/flow/fail.ts";
import { noop } from "../../src/actions/flow/noop.ts";
import { command, shell } from "../../src/actions/system/command.ts";
import { Unknown } from "../../src/engine/handle.ts";
import { snapshot } from "../actions/harness.ts";
import { makeWorkplace, roleOf, runPlays, runTasks } from "./run-plays.ts";

const check = { options: { check: true } } as const;

test("nothing is touched, what would change is said, and its diff shown", async () => {
  using place = makeWorkplace();
  writeFileSync(place.path("old"), "old\n");
  mkdirSync(place.path("gone"));
  const before = snapshot(place.directory);
  const run = await runTasks(
    ({ task }) => {
      task("Write", copy({ content: "new\n", dest: place.path("old") }));
      task("Make", file({ path: place.path("made"), state: "directory" }));
      task("Remove", file({ path: place.path("gone"), state: "absent" }));
      task("Keep", copy({ content: "old\n", dest: place.path("old") }), { when: false });
      task("Run", command(["touch", place.path("ran")]));
    },
    { options: { check: true, diff: true } },
  );
  expect(run.ended).toEqual([
    "changed r Write",
    "changed r Make",
    "changed r Remove",
    "skipped r Keep",
    "unknown r Run",
  ]);
  expect(run.task("Write").diff?.[0]).toMatchObject({ before: "old\n", after: "new\n" });
  expect(snapshot(place.directory)).toEqual(before);
});

test("a predicted change notifies, and its handler is only predicted too", async () => {
  using place = makeWorkplace();
  const run = await runTasks(
    ({ task }) => void task("Write", copy({ content: "x", dest: place.path("a") }), { notify: "after" }),
    { ...check, handlers: { after: copy({ content: "y", dest: place.path("b") }) } },
  );
  expect(run.ended).toEqual(["changed r Write", "changed r after"]);
  expect(readdirSync(place.directory)).toEqual([]);
});

test("check: false runs a task for real in check mode, and what depends on it is known", async () => {
  using place = makeWorkplace();
  const run = await runTasks(async ({ task }) => {
    const asked = await task("Ask", shell("echo yes"), { check: false, changedWhen: false });
    task("Then", copy({ content: "x", dest: place.path("f") }), { when: asked.data.stdout === "yes" });
  }, check);
  expect(run.ended).toEqual(["unchanged r Ask", "changed r Then"]);
  expect(readdirSync(place.directory)).toEqual([]);
});

test("check: true only inspects a task, also in a real run", async () => {
  using place = makeWorkplace();
  const run = await runTasks(({ task }) => {
    task("Look", copy({ content: "x", dest: place.path("f") }), { check: true });
    task("Do", copy({ content: "x", dest: place.path("g") }));
  });
  expect(run.ended).toEqual(["changed r Look", "changed r Do"]);
  expect(readdirSync(place.directory)).toEqual(["g"]);
});

test("what check mode cannot know is unknown, and so is what asks it: when, action, loop and handler", async () => {
  const run = await runTasks(
    ({ task }) => {
      const ran = task("Run", command(["true"]), { notify: "perhaps" });
      task("If changed", noop({ changed: true }), { when: () => ran.changed, notify: "perhaps too" });
      task("With data", () => noop({ message: ran.data.stdout }));
      task("Each", (item: number) => noop({ message: `${item}${ran.data.rc}` }), { loop: [1] });
      task("Of its own", noop({}));
    },
    { ...check, handlers: { perhaps: noop({ changed: true }), "perhaps too": noop({}), not: noop({}) } },
  );
  expect(run.ended).toEqual([
    "unknown r Run",
    "unknown r If changed",
    "unknown r With data",
    "unknown r Each",
    "unchanged r Of its own",
    "unknown r perhaps",
    "unknown r perhaps too",
  ]);
  expect(run.tally).toMatchObject({ skipped: 6, unchanged: 1, failed: 0, notExecuted: 0 });
  expect(run.task("If changed").message).toBe('depends on "Run", which check mode cannot know');
});

test("a handler notified both for certain and perhaps is predicted", async () => {
  const run = await runTasks(
    ({ task }) => {
      task("perhaps", command(["true"]), { notify: "h" });
      task("certainly", noop({ changed: true }), { notify: "h" });
    },
    { ...check, handlers: { h: noop({ changed: true }) } },
  );
  expect(run.ended.at(-1)).toBe("changed r h");
});

test("unknown spreads from one unknown to the next", async () => {
  const run = await runTasks(({ task }) => {
    const a = task("a", command(["true"]));
    const b = task("b", noop({}), { when: () => a.changed });
    task("c", noop({}), { when: () => b.skipped });
  }, check);
  expect(run.ended).toEqual(["unknown r a", "unknown r b", "unknown r c"]);
});

test("one unknown item makes its loop unknown, unless another is known to change something", async () => {
  const run = await runTasks(({ task }) => {
    const mixed = (action: ReturnType<typeof noop>) => (item: string) =>
      item === "run" ? (command(["true"]) as unknown as typeof action) : action;
    const quiet = task("unknown", mixed(noop({})), { loop: ["quiet", "run"] });
    task("asks", noop({}), { when: () => quiet.changed });
    const loud = task("changed", mixed(noop({ changed: true })), { loop: ["run", "loud"] });
    task("knows", noop({}), { when: () => loud.changed });
  }, check);
  expect(run.ended).toEqual([
    "unknown r unknown",
    "unknown r asks",
    "changed r changed",
    "unchanged r knows",
  ]);
  expect(run.task("unknown").message).toMatch(/only running/);
});

test("a role whose own code asks an unknown result ends there without failing; other roles go on", async () => {
  const seen: string[] = [];
  const run = await runPlays(
    [
      {
        hosts: "all",
        roles: [
          roleOf("asks", async ({ task }) => {
            const ran = await task("Run", command(["true"]));
            seen.push("awaited");
            if (ran.changed) task("more", noop({}));
            seen.push("answered");
          }),
          roleOf("other", ({ task }) => void task("t", noop({}))),
        ],
      },
    ],
    check,
  );
  expect(seen).toEqual(["awaited"]);
  expect(run.ended).toEqual(["unknown asks Run", "unchanged other t"]);
  expect(run.tally).toMatchObject({ failed: 0, notExecuted: 0 });
  expect(run.of("log")).toEqual([
    {
      type: "log",
      level: "warn",
      text: 'role "asks": the rest cannot be predicted: depends on "Run", which check mode cannot know',
    },
  ]);
});

test("an unknown result can be awaited and passed by", async () => {
  const run = await runTasks(async ({ task }) => {
    await task("Run", command(["true"]));
    task("After", noop({}));
  }, check);
  expect(run.ended).toEqual(["unknown r Run", "unchanged r After"]);
  expect(run.of("log")).toEqual([]);
});

test("what creates decides is known in check mode", async () => {
  using place = makeWorkplace();
  writeFileSync(place.path("there"), "");
  const run = await runTasks(({ task }) => {
    const made = task("Made", command({ argv: ["false"], creates: place.path("there") }));
    const make = task("Make", command({ argv: ["false"], creates: place.path("missing") }));
    task("Then", noop({}), { when: () => make.changed && !made.changed });
  }, check);
  expect(run.ended).toEqual(["unchanged r Made", "changed r Make", "unchanged r Then"]);
});

test("actions that only ask give their data in check mode too", async () => {
  using place = makeWorkplace();
  const run = await runTasks(async ({ task }) => {
    const found = await task("Look", stat({ path: place.directory }));
    task("Then", noop({}), { when: found.data.stat.exists });
  }, check);
  expect(run.ended).toEqual(["unchanged r Look", "unchanged r Then"]);
});

test("a failure found by inspecting fails in check mode too", async () => {
  const run = await runTasks(({ task }) => {
    task("t", fail("no"));
    task("never", noop({}));
  }, check);
  expect(run.tally).toMatchObject({ failed: 1, notExecuted: 1 });
});

test("in a real run an unknown result of a task that only inspects is never passed over in silence", async () => {
  const inWhen = await runTasks(({ task }) => {
    const looked = task("Look", command(["true"]), { check: true });
    task("Then", noop({}), { when: () => looked.changed });
  });
  expect(inWhen.ended).toEqual(["unknown r Look", "failed r Then"]);
  const inCode = await runTasks(async ({ task }) => {
    const looked = await task("Look", command(["true"]), { check: true });
    if (looked.changed) task("Then", noop({}));
  });
  expect(inCode.ended).toEqual(["unknown r Look", "failed r the role's own code"]);
});

test("a role knows that it is only being checked", async () => {
  using place = makeWorkplace();
  const run = await runTasks(({ task, check: checking }) => {
    task("t", copy({ content: "x", dest: place.path("f") }), { when: !checking });
  }, check);
  expect(run.ended).toEqual(["skipped r t"]);
  expect(existsSync(place.path("f"))).toBe(false);
});

test("an unknown that code swallows is unknown all the same: condition, action, rule and loop", async () => {
  const run = await runTasks(({ task }) => {
    const ran = task("Run", command(["true"]));
    const swallow = (): boolean => {
      try {
        return ran.changed;
      } catch {
        return true;
      }
    };
    task("when", noop({ changed: true }), { when: swallow });
    task("async when", noop({ changed: true }), {
      when: async () => {
        await null;
        return swallow();
      },
    });
    task("action", () => noop({ changed: swallow() }));
    task("changedWhen", noop({}), { changedWhen: swallow });
    task("failedWhen", noop({}), { failedWhen: swallow });
    task("until", noop({}), { until: swallow });
    task("label", (_: number) => noop({}), { loop: [1], label: () => String(swallow()) });
    task("loop", (_: number) => noop({}), {
      loop: (function* () {
        if (swallow()) yield 1;
      })(),
    });
    task("known", noop({}), { when: () => !swallow === false });
  }, check);
  expect(run.ended).toEqual([
    "unknown r Run",
    "unknown r when",
    "unknown r async when",
    "unknown r action",
    "unknown r changedWhen",
    "unknown r failedWhen",
    "unknown r until",
    "unknown r label",
    "unknown r loop",
    "unchanged r known",
  ]);
});

test("in a real run too, a task does nothing by a guess that its condition made", async () => {
  using place = makeWorkplace();
  const run = await runTasks(({ task }) => {
    const looked = task("Look", command(["true"]), { check: true });
    task("Touch", shell(`touch ${place.path("touched")}`), {
      when: () => {
        try {
          return looked.changed;
        } catch {
          return true;
        }
      },
    });
  });
  expect(run.ended).toEqual(["unknown r Look", "failed r Touch"]);
  expect(existsSync(place.path("touched"))).toBe(false);
});

test.each(["awaited", "asked by its handle"])(
  "a role whose code swallows that a result is unknown is left there all the same (%s)",
  async (how) => {
    const seen: string[] = [];
    const role = roleOf("asks", async ({ task, system }) => {
      const ran = task("Run", command(["true"]));
      const result = await ran;
      task("before", noop({}));
      try {
        seen.push(String((how === "awaited" ? result : ran).changed));
      } catch {
        seen.push("swallowed");
      }
      task("guess", noop({ changed: true }));
      await Promise.race([task("another", noop({})), system.stat("/")]);
      task("and another", noop({}));
    });
    const run = await runPlays(
      [{ hosts: "all", roles: [role, roleOf("other", ({ task }) => void task("t", noop({})))] }],
      check,
    );
    expect(seen).toEqual(["swallowed"]);
    expect(run.ended).toEqual(["unknown asks Run", "unchanged asks before", "unchanged other t"]);
    expect(run.tally).toMatchObject({ failed: 0, notExecuted: 0 });
    expect(run.of("log").map(({ text }) => text)).toEqual([
      'role "asks": the rest cannot be predicted: depends on "Run", which check mode cannot know',
    ]);
    const real = await runPlays([
      {
        hosts: "all",
        roles: [
          roleOf("r", async ({ task }) => {
            const looked = await task("Look", command(["true"]), { check: true });
            try {
              if (looked.changed) task("guess", noop({}));
            } catch {
              task("guess", noop({}));
            }
          }),
        ],
      },
    ]);
    expect(real.ended).toEqual(["unknown r Look", "failed r the role's own code"]);
  },
);

test("Unknown is a value that a function may pass on: only what is decided by it is unknown", async () => {
  const run = await runTasks(({ task }) => {
    const registered = { changed: new Unknown("depends on a registered result") };
    task("when", noop({ changed: true }), { when: () => registered.changed as unknown as boolean });
    task("action", () => registered.changed as unknown as ReturnType<typeof noop>);
    task("not asked", noop({}), { vars: { registered } });
  }, check);
  expect(run.ended).toEqual(["unknown r when", "unknown r action", "unchanged r not asked"]);
  expect(run.task("when").message).toBe("depends on a registered result");
});

test("a failure that the code has gone on behind is rescued, though it then asks something unknown", async () => {
  const run = await runTasks(
    async ({ task }) => {
      try {
        await task("bad", fail("no"));
      } catch {
        const ran = await task("Run", shell("true"));
        if (ran.changed) await task("never", noop({}));
      }
    },
    { options: { check: true } },
  );
  expect(run.failed).toBe(false);
  expect(run.tally).toMatchObject({ failed: 0, rescued: 1 });
});

test("the data of a change that is only predicted is unknown, whatever asks for it", async () => {
  using place = makeWorkplace();
  const make = command({ argv: ["echo", "42"], creates: place.path("absent") });
  const run = await runTasks(async ({ task }) => {
    const made = task("make", make);
    const quiet = task("judged", make, { changedWhen: false });
    task("action", () => noop({ message: made.data.stdout }));
    task("when", noop({ changed: true }), { when: () => made.data !== undefined && made.data.rc === 0 });
    task("of judged", noop({}), { when: () => quiet.data.rc === 0 });
    task("failedWhen", make, { failedWhen: ({ data }) => data.rc !== 0 });
    task("changedWhen", make, { changedWhen: ({ data }) => data.stdout.includes("4") });
    task("known", noop({}), { when: () => made.changed && made.state === "changed" });
    const { stdout } = (await made).data;
    task("never", noop({ message: stdout }));
  }, check);
  expect(run.ended).toEqual([
    "changed r make",
    "unchanged r judged",
    "unknown r action",
    "unknown r when",
    "unknown r of judged",
    "unknown r failedWhen",
    "unknown r changedWhen",
    "unchanged r known",
  ]);
  expect(run.failed).toBe(false);
});

test("what is known of a result stays known: the data of a task done for real, or that has nothing to do", async () => {
  using place = makeWorkplace();
  writeFileSync(place.path("there"), "");
  const run = await runTasks(({ task }) => {
    const real = task("real", shell("echo 1"), { check: false, changedWhen: false });
    const idle = task("idle", command({ argv: ["echo"], creates: place.path("there") }));
    task("asks", noop({}), { when: () => real.data.stdout === "1" && idle.data?.rc !== 1 });
  }, check);
  expect(run.ended).toEqual(["unchanged r real", "unchanged r idle", "unchanged r asks"]);
});

test("an unknown item of a loop that changes something is told, and its data are unknown", async () => {
  const run = await runTasks(({ task }) => {
    const mixed = (item: string) =>
      item === "run" ? command(["true"]) : (noop({ changed: true }) as unknown as ReturnType<typeof command>);
    const looped = task("loop", mixed, { loop: ["run", "loud"] });
    task("asks", noop({}), { when: () => looped.data[0]?.rc === 0 });
  }, check);
  expect(run.ended).toEqual(["changed r loop", "unknown r asks"]);
  expect(run.task("loop").items).toMatchObject([
    { label: "run", state: "skipped", unknown: true },
    { label: "loud", state: "changed" },
  ]);
});

test("vars of a task that hold an unknown result make the task unknown, and its role goes on", async () => {
  const run = await runTasks(({ task }) => {
    const version = task("version", command(["true"]));
    task("conf", noop({}), { vars: { version } });
    task("next", noop({}));
  }, check);
  expect(run.ended).toEqual(["unknown r version", "unknown r conf", "unchanged r next"]);
});

test("a loop over an awaited unknown result is unknown, and its role goes on", async () => {
  const run = await runTasks(async ({ task }) => {
    const awaited = await task("Run", command(["true"]));
    task("loop", (_: unknown) => noop({ changed: true }), { loop: [awaited] });
    task("next", noop({}));
  }, check);
  expect(run.ended).toEqual(["unknown r Run", "unknown r loop", "unchanged r next"]);
});

test("the items of an awaited unknown loop are unknown too", async () => {
  const run = await runTasks(async ({ task }) => {
    const looped = await task("Run", (_: number) => command(["true"]), { loop: [1] });
    task(looped.items?.[0]?.state ?? "none", noop({}));
  }, check);
  expect(run.ended).toEqual(["unknown r Run"]);
});

test("the state of an awaited unknown result is unknown too", async () => {
  const run = await runTasks(async ({ task }) => {
    const { state } = await task("Run", command(["true"]));
    task(state, noop({}));
  }, check);
  expect(run.ended).toEqual(["unknown r Run"]);
  expect(run.of("log").map(({ text }) => text)).toEqual([expect.stringMatching(/cannot be predicted/)]);
});

test("no task follows a failure, although the role's code was left where it asked something unknown", async () => {
  const run = await runTasks(async ({ task }) => {
    const probe = task("probe", command(["true"]), { check: true });
    task("bad", fail("no"));
    task("after", noop({ changed: true }));
    if ((await probe).changed) task("never", noop({}));
  });
  expect(run.ended.slice(0, 2)).toEqual(["unknown r probe", "failed r bad"]);
  expect(run.ended).not.toContain("changed r after");
  expect(run.failed).toBe(true);
  expect(run.tally).toMatchObject({ changed: 0, notExecuted: 1 });
});
