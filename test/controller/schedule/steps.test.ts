import { expect, test } from "vitest";
import type { Step } from "../../../src/controller/prepare/options.ts";
import { createSteps } from "../../../src/controller/schedule/steps.ts";
import type { Command } from "../../../src/core/protocol.ts";
import { until } from "../../lib/patience.ts";

function stepsOf(answers: readonly ("yes" | "no" | "continue")[]) {
  const asked: string[] = [];
  const told: [string, Command][] = [];
  const left = [...answers];
  const steps = createSteps({
    ask: async ({ name }: Step) => {
      asked.push(name);
      return left.shift()!;
    },
    tell: (host, command) => void told.push([host, command]),
  });
  const numbers = new Map<string, number>();
  const take = (host: string, name: string, nth = 1): void => {
    const step = (numbers.get(host) ?? 0) + 1;
    numbers.set(host, step);
    steps(host, { kind: "step", step, task: 1, play: "p", role: "r", name, action: "noop", index: 0, nth });
  };
  return { asked, told, take };
}

test("a task is asked for once, whichever host is first, and the answer holds for all", async () => {
  const { asked, told, take } = stepsOf(["yes", "no", "yes"]);
  for (const name of ["a", "b"]) for (const host of ["h1", "h2"]) take(host, name);
  await until(() => told.length === 4);
  // After a restart the host asks again.
  take("h2", "a");
  await until(() => told.length === 5);
  expect(asked).toEqual(["a", "b"]);
  const left = { result: { state: "skipped", message: "left out, as asked at the terminal" } };
  expect(told.filter(([host]) => host === "h2").map(([, command]) => command)).toEqual([
    { type: "answer", question: "step:1" },
    { type: "answer", question: "step:2", ...left },
    { type: "answer", question: "step:3" },
  ]);
});

test("a task of the same name that comes later is another one", async () => {
  const { asked, told, take } = stepsOf(["yes", "no"]);
  take("h1", "a");
  take("h1", "a", 2);
  await until(() => told.length === 2);
  expect(asked).toEqual(["a", "a"]);
});

test("after continue nothing is asked", async () => {
  const { asked, told, take } = stepsOf(["continue"]);
  for (const name of ["a", "b", "c"]) take("h1", name);
  await until(() => told.length === 3);
  expect(asked).toEqual(["a"]);
  expect(told.every(([, command]) => !("result" in command))).toBe(true);
});
