import { expect, test } from "vitest";
import { noop } from "../../src/actions/flow/noop.ts";
import { runTasks } from "./run-plays.ts";

/** An object that cannot be written as JSON. */
function holdsItself(): object {
  const object: Record<string, unknown> = {};
  object.own = object;
  return object;
}

test.each([
  ["timeout", 0, "a number of seconds above 0, not 0"],
  ["timeout", -0.5, "a number of seconds above 0"],
  ["timeout", Number.NaN, "a number of seconds above 0, not NaN"],
  ["timeout", 30n, "a number of seconds above 0"],
  ["timeout", () => 5, "a number of seconds above 0"],
  ["delay", -1, "a number from 0, not -1"],
  ["delay", "5", 'a number from 0, not "5"'],
  ["retries", 2.5, "a whole number from 0, not 2.5"],
  ["retries", null, "a whole number from 0, not null"],
  ["loop", 5, "an iterable, not 5"],
  ["loop", { length: 1 }, 'an iterable, not {"length": 1}'],
  ["loop", holdsItself(), "an iterable, not this object"],
  ["until", "x".repeat(1000), 'a function, not "xxx'],
  ["loop", null, "an iterable, not null"],
  ["until", "abc", 'a function, not "abc"'],
  ["label", true, "a function, not true"],
  ["when", "no", 'true, false or a function, not "no"'],
  ["changedWhen", 0, "true, false or a function, not 0"],
  ["failedWhen", [], "true, false or a function, not []"],
  ["notify", ["a", 5], 'a string or a list of strings, not ["a", 5]'],
  ["tags", { a: true }, "a string or a list of strings"],
  ["check", "false", 'true or false, not "false"'],
  ["ignoreErrors", 1, "true or false, not 1"],
  ["noLog", new Map(), "true or false, not {}"],
  ["runOnce", Symbol("once"), "true or false"],
  ["delegateTo", ["db"], 'a string, not ["db"]'],
  ["become", 0, "true, false or a string, not 0"],
  ["vars", ["a"], 'an object, not ["a"]'],
  ["vars", null, "an object, not null"],
])("an option's wrong value is refused: %s %s", async (option, value, words) => {
  const run = await runTasks(({ task }) => {
    task("x", noop({}), { [option]: value } as never);
  });
  expect(run.of("task:end")[0]?.result.error).toMatchObject({
    code: "PLAYBOOK_INVALID",
    message: expect.stringContaining(`role "r": task "x": \`${option}\` must be ${words}`) as string,
  });
});

test("an option's least values, all kinds of iterables, and undefined, are taken", async () => {
  const run = await runTasks(({ task }) => {
    const undefineds = Object.fromEntries(
      ["when", "notify", "tags", "loop", "until", "retries", "timeout", "vars", "become"].map((key) => [
        key,
        undefined,
      ]),
    );
    task("none", noop({}), undefineds as never);
    task("least", noop({}), { retries: 0, delay: 0, timeout: 1e8, tags: [], notify: [], vars: {} });
    task("endless", noop({}), { retries: Number.POSITIVE_INFINITY, delay: 0.5 });
    task("letters", (_: string) => noop({}), { loop: "ab" });
    task("map", (_: unknown) => noop({}), { loop: new Map([["k", 1]]) });
    task("set", (_: unknown) => noop({}), { loop: new Set([1]).values() });
    task("answer", noop({}), { when: () => "yes" as never, failedWhen: () => null as never });
  });
  expect(run.ended.map((line) => line.split(" ")[0])).toEqual(Array(7).fill("unchanged"));
});

test.each([
  [{ delegateTo: "db" }, "to be delegated to db, it needs a role with `delegates: true`"],
  [{ delegateTo: "controller", become: true }, "becomes another user needs a role with `delegates: true`"],
])("delegation that needs a role with delegates: %j", async (options, words) => {
  const run = await runTasks(({ task }) => void task("x", noop({}), options));
  expect(run.of("task:end")[0]?.result.error?.message).toContain(words);
});

test("a task's handle is no condition: the message says what one is", async () => {
  const run = await runTasks(({ task }) => {
    const before = task("before", noop({}));
    task("t", noop({}), { when: before as unknown as boolean });
  });
  expect(run.task("the role's own code").error).toMatchObject({
    code: "PLAYBOOK_INVALID",
    message: expect.stringContaining("`when` must be true, false or a function, not this object"),
  });
});
