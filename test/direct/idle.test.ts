import { expect, it, onTestFinished } from "vitest";
import { watchIdleness } from "../../src/direct/idle.ts";
import { until } from "../lib/patience.ts";

const start = {
  type: "task:start",
  task: 7,
  play: "Web",
  role: "web",
  name: "x",
  action: "command",
} as const;
const end = { ...start, type: "task:end", elapsedMs: 1, result: { state: "changed" } } as const;

it("a part that neither does a task nor waits for others is told of, each time", async () => {
  const told: string[] = [];
  const idle = watchIdleness((text) => void told.push(text), 10);
  onTestFinished(idle.close);
  await until(() => told.length === 1);
  expect(told[0]).toMatch(/^no task has run for 0\.01 s: the code of a role waits for something else \(/);
  idle.see(start);
  let answer!: (text: string) => void;
  const answered = idle.during(
    new Promise<string>((resolve) => {
      answer = resolve;
    }),
  );
  idle.see(end);
  // Another watch, begun later, tells first.
  await new Promise<void>((resolve) => {
    const other = watchIdleness(() => resolve(), 30);
    onTestFinished(other.close);
  });
  expect(told).toHaveLength(1);
  answer("go on");
  expect(await answered).toBe("go on");
  await until(() => told.length === 2);
  idle.see(start);
  idle.close();
  idle.see(end);
  await new Promise<void>((resolve) => {
    const other = watchIdleness(() => resolve(), 30);
    onTestFinished(other.close);
  });
  expect(told).toHaveLength(2);
});
