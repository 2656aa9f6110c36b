import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { copy } from "../../src/actions/files/copy.ts";
import { file } from "../../src/actions/files/file.ts";
import { template } from "../../src/actions/files/template.ts";
import { debug } from "../../src/actions/flow/debug.ts";
import { fail } from "../../src/actions/flow/fail.ts";
import { noop } from "../../src/actions/flow/noop.ts";
import { command } from "../../src/actions/system/command.ts";
import { makeWorkplace, roleOf, runPlays, runTasks } from "./run-plays.ts";

test("a task whose when does not hold is skipped and touches nothing", async () => {
  using place = makeWorkplace();
  const path = place.path("file");
  const run = await runTasks(({ task }) => {
    task("no", copy({ content: "x", dest: path }), { when: false });
    task("no either", copy({ content: "x", dest: path }), { when: async () => false });
    task("yes", noop({}), { when: () => !existsSync(path) });
  });
  expect(run.ended).toEqual(["skipped r no", "skipped r no either", "unchanged r yes"]);
  expect(run.task("no").message).toBe("the condition does not hold");
  expect(existsSync(path)).toBe(false);
});

test("a when that throws fails its task", async () => {
  const run = await runTasks(({ task }) => {
    task("t", noop({}), {
      when: () => {
        throw new Error("broken question");
      },
    });
  });
  expect(run.task("t").error?.message).toBe("broken question");
});

test("a loop runs once per item, and says of each what came of it", async () => {
  using place = makeWorkplace();
  writeFileSync(place.path("b"), "same\n");
  const run = await runTasks(async ({ task, log }) => {
    const written = await task(
      "Write",
      (name: string) => copy({ content: "same\n", dest: place.path(name) }),
      {
        loop: ["a", "b", "c"],
        when: (name) => name !== "c",
      },
    );
    log(`${written.state} ${written.data.length}`);
  });
  expect(run.task("Write")).toMatchObject({
    state: "changed",
    items: [
      { label: "a", state: "changed" },
      { label: "b", state: "unchanged" },
      { label: "c", state: "skipped", message: "the condition does not hold" },
    ],
  });
  expect(run.of("log")[0]?.text).toBe("changed 3");
  expect(run.tally).toMatchObject({ changed: 1, unchanged: 0, skipped: 0 });
  expect(existsSync(place.path("c"))).toBe(false);
});

test("items are called by their label, else by their name, else by themselves", async () => {
  const run = await runTasks(({ task }) => {
    task("named", (_: object) => noop({}), { loop: [{ name: "alice", uid: 1 }, { uid: 2 }] });
    task("plain", (_: unknown) => noop({}), { loop: ["x", 7, null, undefined] });
    task("labelled", (_: { readonly uid: number }) => noop({}), {
      loop: [{ uid: 3 }],
      label: ({ uid }) => `user ${uid}`,
    });
  });
  const labels = (name: string): readonly string[] | undefined =>
    run.task(name).items?.map(({ label }) => label);
  expect(labels("named")).toEqual(["alice", '{"uid":2}']);
  expect(labels("plain")).toEqual(["x", "7", "null", "undefined"]);
  expect(labels("labelled")).toEqual(["user 3"]);
});

test("a loop tries every item, and fails with the first that failed", async () => {
  const run = await runTasks(({ task }) => {
    task("t", (item: string) => (item === "bad" ? fail("it is bad") : noop({ changed: true })), {
      loop: ["good", "bad", "better"],
    });
    task("never", noop({}));
  });
  expect(run.task("t")).toMatchObject({ state: "failed", error: { message: "bad: it is bad" } });
  expect(run.task("t").items?.map(({ state }) => state)).toEqual(["changed", "failed", "changed"]);
  expect(run.tally).toMatchObject({ failed: 1, notExecuted: 1 });
});

test("a loop over nothing is skipped; one whose items are all skipped is too", async () => {
  const run = await runTasks(({ task }) => {
    task("empty", () => noop({}), { loop: [] });
    task("none", () => noop({}), { loop: [1, 2], when: () => false });
  });
  expect(run.task("empty")).toEqual({ state: "skipped", message: "nothing to loop over" });
  expect(run.task("none")).toMatchObject({ state: "skipped", message: "the condition does not hold" });
});

test("a loop can be gone through only once, as a generator is, and is gone through when its turn comes", async () => {
  function* names(): Generator<string> {
    yield "a";
    yield "b";
  }
  const late: string[] = [];
  const run = await runTasks(({ task }) => {
    task("generated", (_: string) => noop({}), { loop: names() });
    task("first", () => {
      late.push("x", "y");
      return noop({ changed: true });
    });
    task("late", (_: string) => noop({}), { loop: late });
  });
  expect(run.task("generated").items?.map(({ label }) => label)).toEqual(["a", "b"]);
  expect(run.task("late").items?.map(({ label }) => label)).toContain("y");
});

test("an action made when its turn comes may use what earlier tasks found out", async () => {
  const run = await runTasks(({ task }) => {
    const said = task("Say", command(["echo", "hello"]));
    task("Repeat", () => debug(`${said.data.stdout} again`));
    task("Repeat each", (item: string) => debug(`${said.data.stdout} ${item}`), { loop: ["one"] });
  });
  expect(run.task("Repeat").message).toBe("hello again");
  expect(run.task("Repeat each").items?.[0]?.message).toBe("hello one");
});

test("an action made late with wrong parameters fails its task, and says which", async () => {
  const run = await runTasks(({ task }) => {
    task("t", () => file({ path: "/x", sate: "absent" } as never));
  });
  expect(run.task("t").error).toMatchObject({ code: "PARAMS_INVALID" });
  expect(run.task("t").error?.message).toContain('did you mean "state"?');
});

test("ignoreErrors lets the role go on, and the result still says that it failed", async () => {
  const run = await runTasks(async ({ task, log }) => {
    const tried = await task("Try", command(["sh", "-c", "echo no >&2; exit 3"]), { ignoreErrors: true });
    log(`${tried.failed} ${tried.data.rc} ${tried.data.stderr}`);
    task("Go on", noop({}));
  });
  expect(run.ended).toEqual(["failed r Try", "unchanged r Go on"]);
  expect(run.task("Try")).toMatchObject({ ignored: true, error: { code: "ACTION_FAILED" } });
  expect(run.of("log")[0]?.text).toBe("true 3 no");
  expect(run.tally).toMatchObject({ failed: 0, ignored: 1, notExecuted: 0 });
  expect(run.of("play:end")).toMatchObject([{ failed: false }]);
});

test("changedWhen decides what counts as a change", async () => {
  const run = await runTasks(({ task }) => {
    task("never", command(["true"]), { changedWhen: false });
    task("asked", command(["echo", "done"]), { changedWhen: ({ data }) => data.stdout.includes("done") });
    task("asked in vain", command(["echo", "done"]), { changedWhen: ({ data }) => data.rc !== 0 });
    task("always", noop({}), { changedWhen: true });
  });
  expect(run.ended).toEqual([
    "unchanged r never",
    "changed r asked",
    "unchanged r asked in vain",
    "changed r always",
  ]);
});

test("failedWhen decides what counts as a failure", async () => {
  const run = await runTasks(({ task }) => {
    task("expected", command(["sh", "-c", "exit 1"]), { failedWhen: ({ data }) => data.rc > 1 });
    task("unmade", fail("no"), { failedWhen: false });
    task("both", command(["sh", "-c", "exit 1"]), {
      failedWhen: false,
      changedWhen: ({ data }) => data.rc === 0,
    });
    task("too much", command(["echo", "ERROR"]), { failedWhen: ({ data }) => data.stdout === "ERROR" });
    task("never", noop({}));
  });
  expect(run.ended).toEqual([
    "changed r expected",
    "unchanged r unmade",
    "unchanged r both",
    "failed r too much",
  ]);
  expect(run.task("expected").error).toBeUndefined();
  expect(run.task("too much")).toMatchObject({
    error: { code: "ACTION_FAILED", message: "its failedWhen condition holds" },
    data: { stdout: "ERROR" },
  });
});

test("noLog hides output, diff, data and message; the role still gets them", async () => {
  using place = makeWorkplace();
  const secret = "correct horse";
  const run = await runTasks(
    async ({ task, log }) => {
      const shown = await task("Show", command(["echo", secret]), { noLog: true });
      log(`${shown.data.stdout.length}`);
      task("Write", copy({ content: secret, dest: place.path("key") }), { noLog: true });
      task("Each", (word: string) => debug(word), { loop: secret.split(" "), noLog: true });
      task("Say", debug(secret), { noLog: true });
      task("Fail", command(["sh", "-c", `echo ${secret} >&2; exit 1`]), { noLog: true });
    },
    { options: { diff: true } },
  );
  expect(run.ended).toHaveLength(5);
  const told = JSON.stringify(run.events);
  for (const word of secret.split(" ")) expect(told).not.toContain(word);
  expect(run.of("log")[0]?.text).toBe("13");
  expect(run.of("task:output")).toEqual([]);
  expect(run.task("Show")).toMatchObject({ state: "changed", message: "hidden: the task is marked noLog" });
  expect(run.task("Show").data).toBeUndefined();
  const passes = secret
    .split(" ")
    .map(() => expect.objectContaining({ label: "(hidden)", state: "unchanged" }));
  expect(run.task("Each").items).toEqual(passes);
  expect(run.task("Fail").error).toEqual({
    code: "ACTION_FAILED",
    message: "failed; the reason is hidden: the task is marked noLog",
  });
  expect(readFileSync(place.path("key"), "utf8")).toBe(secret);
});

test("a diff is told only when it is asked for", async () => {
  using place = makeWorkplace();
  const path = place.path("f");
  const tasks = (content: string) => runTasks(({ task }) => void task("t", copy({ content, dest: path })));
  expect((await tasks("one\n")).task("t").diff).toBeUndefined();
  const run = await runTasks(({ task }) => void task("t", copy({ content: "two\n", dest: path })), {
    options: { diff: true },
  });
  expect(run.task("t").diff?.[0]).toMatchObject({ path, before: "one\n", after: "two\n" });
});

test.each([
  [[], [], ["plain", "web", "always"]],
  [["web"], [], ["web", "always"]],
  [["never"], [], ["always", "never"]],
  [["debug"], [], ["always", "never"]],
  [["all"], [], ["plain", "web", "always"]],
  [["tagged"], [], ["web", "always"]],
  [["untagged"], [], ["plain", "always"]],
  [[], ["web"], ["plain", "always"]],
  [[], ["always"], ["plain", "web"]],
  [["web"], ["web"], ["always"]],
  [[], ["tagged"], ["plain"]],
])("tags %j without %j run %j", async (tags, skipTags, expected) => {
  const run = await runTasks(
    ({ task }) => {
      task("plain", noop({}));
      task("web", noop({}), { tags: ["web", "front"] });
      task("always", noop({}), { tags: "always" });
      task("never", noop({}), { tags: ["never", "debug"] });
    },
    { options: { tags, skipTags } },
  );
  expect(run.ended).toEqual(expected.map((name) => `unchanged r ${name}`));
  expect(run.of("play:start")[0]?.total).toBe(expected.length);
});

test("tags of a play and of a role's use are those of its tasks", async () => {
  const role = (name: string) => roleOf(name, ({ task }) => void task("t", noop({})));
  const plays = [
    { hosts: "all", tags: "first", roles: [{ ...role("a"), options: { tags: ["x"] } }, role("b")] },
    { hosts: "all", tags: ["second"], roles: [role("c")] },
  ];
  const ran = async (tags: string[]): Promise<readonly string[]> =>
    (await runPlays(plays, { options: { tags } })).ended;
  expect(await ran(["x"])).toEqual(["unchanged a t"]);
  expect(await ran(["first"])).toEqual(["unchanged a t", "unchanged b t"]);
  expect(await ran(["second"])).toEqual(["unchanged c t"]);
});

test("a task left out by its tags can be awaited: it was skipped", async () => {
  const run = await runTasks(
    async ({ task }) => {
      const left = await task("left", noop({ changed: true }));
      task("after", noop({ message: `${left.skipped}` }), { tags: "t" });
    },
    { options: { tags: ["t"] } },
  );
  expect(run.ended).toEqual(["unchanged r after"]);
});

test("templates see facts, host vars, play vars, role vars and the task's own, each over the one before", async () => {
  using place = makeWorkplace();
  mkdirSync(join(place.role, "templates"));
  writeFileSync(
    join(place.role, "templates", "t.j2"),
    "{{ ansible_os }} {{ inventory_hostname }} {{ a }} {{ b }} {{ c }} {{ d }} {{ item | default('-') }}\n",
  );
  const role = roleOf("r", ({ task }) => {
    task("one", template({ src: "t.j2", dest: place.path("one") }));
    task("own", template({ src: "t.j2", dest: place.path("own") }), { vars: { d: "task" } });
    task("loop", (name: string) => template({ src: "t.j2", dest: place.path(name) }), { loop: ["looped"] });
  });
  const run = await runPlays(
    [
      {
        hosts: "all",
        vars: { b: "play", c: "play", d: "play" },
        roles: [{ ...role, vars: { c: "role", d: "role" } }],
      },
    ],
    {
      roleDirectory: place.role,
      facts: { os: "debian" },
      job: { vars: { a: "host", b: "host", c: "host", d: "host" } },
    },
  );
  expect(run.tally.failed).toBe(0);
  const read = (name: string): string => readFileSync(place.path(name), "utf8");
  expect(read("one")).toBe("debian web1 host play role role -\n");
  expect(read("own")).toBe("debian web1 host play role task -\n");
  expect(read("looped")).toBe("debian web1 host play role role looped\n");
});

test("a missing asset fails its task, and names the one that was probably meant", async () => {
  using place = makeWorkplace();
  mkdirSync(join(place.role, "files"));
  writeFileSync(join(place.role, "files", "motd"), "hi\n");
  const run = await runTasks(({ task }) => void task("t", copy({ src: "mtod", dest: place.path("x") })), {
    roleDirectory: place.role,
  });
  expect(run.task("t").error).toMatchObject({ code: "ASSET_MISSING", hint: "did you mean files/motd?" });
});

test("nothing of the playbook's is called to be counted or shown", async () => {
  const called: string[] = [];
  const run = await runTasks(({ task }) => {
    task("fails", fail("no"));
    task("late", () => {
      called.push("late");
      return noop({});
    });
    task(
      "each",
      (item: number) => {
        called.push(`item ${item}`);
        return noop({});
      },
      { loop: [1, 2] },
    );
    task("generated", (_: number) => noop({}), {
      loop: (function* () {
        called.push("loop");
        yield 1;
      })(),
      label: () => {
        called.push("label");
        return "";
      },
    });
  });
  expect(called).toEqual([]);
  expect(run.tally).toMatchObject({ failed: 1, notExecuted: 3 });
});

test("the name of an action that is made late is told at its task's end", async () => {
  const run = await runTasks(({ task }) => {
    task("late", () => noop({}));
    task("each", (_: number) => debug("x"), { loop: [1, 2] });
    task("skipped", () => noop({}), { when: false });
  });
  expect(run.of("task:start").map(({ action }) => action)).toEqual(["", "", ""]);
  expect(run.of("task:end").map(({ action }) => action)).toEqual(["noop", "debug", ""]);
});

test.each([false, true])(
  "a task that awaits one behind it fails, instead of waiting forever (check: %s)",
  async (check) => {
    const run = await runTasks(
      async ({ task }) => {
        const nothing = async () => {
          await task("inner", noop({}));
          return noop({});
        };
        await task("outer", nothing as never).then(undefined, () => undefined);
        await task("chained", (() => task("behind", noop({})).then(() => noop({}))) as never).then(
          undefined,
          () => undefined,
        );
        await task("decided", noop({}), { when: async () => (await task("asked", noop({}))).changed }).then(
          undefined,
          () => undefined,
        );
        task("last", noop({}));
      },
      { options: { check } },
    );
    for (const [outer, inner] of [
      ["outer", "inner"],
      ["chained", "behind"],
      ["decided", "asked"],
    ] as const)
      expect(run.task(outer).error?.message).toBe(
        `"${outer}" awaits "${inner}", whose turn comes only after it`,
      );
    expect(run.ended.at(-1)).toBe("unchanged r last");
  },
);

test("in a real run an unknown result that is asked for behind an await fails the role, whatever is caught", async () => {
  const run = await runTasks(({ task }) => {
    const looked = task("Look", command(["true"]), { check: true });
    task("Then", noop({}), {
      when: async () => {
        await null;
        try {
          return looked.changed;
        } catch {
          return false;
        }
      },
    });
  });
  expect(run.failed).toBe(true);
  expect(run.of("task:end").at(-1)?.result.error?.message).toContain('depends on "Look"');
});

test.each([
  ["nothing", () => undefined],
  ["an object", () => ({ foo: 1 })],
  ["a text", () => "noop"],
])("a function that returns %s instead of an action fails its own task", async (_what, make) => {
  const run = await runTasks(({ task }) => void task("t", make as unknown as () => ReturnType<typeof noop>));
  expect(run.ended).toEqual(["failed r t"]);
  expect(run.task("t").error).toMatchObject({
    code: "PLAYBOOK_INVALID",
    message: "its function returned no action",
  });
});
