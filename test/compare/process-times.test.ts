import { tmpdir } from "node:os";
import { expect, it } from "vitest";
import { parseTimes, runTimed, type TimedResult } from "../../src/compare/timed-process.ts";

const run = (line: string): Promise<TimedResult> =>
  runTimed({
    words: ["/bin/sh", "-c", line],
    cwd: tmpdir(),
    env: process.env,
    signal: new AbortController().signal,
  });

it("reads what shells print", () => {
  expect(parseTimes("0m0.010s 0m0.000s\n1m2.345s 0m0.5s\n")).toEqual({ userMs: 62_345, systemMs: 500 });
  expect(parseTimes("0m0,01s 0m0,00s\n0m1,25s 0m0,00s\n")).toEqual({ userMs: 1_250, systemMs: 0 });
  expect(parseTimes("")).toBeUndefined();
  expect(parseTimes("0m0.01s 0m0.00s\nnonsense\n")).toBeUndefined();
});

it("counts the processor time of a command and of its children, and gives its exit code and last lines", async () => {
  const busy = `"${process.execPath}" -e 'while (process.cpuUsage().user < 200_000);'`;
  const { wallMs, times, exitCode, lastLines } = await run(`echo begun; ${busy}; echo over >&2; exit 7`);
  expect(exitCode).toBe(7);
  expect(lastLines.join(" ")).toMatch(/begun.*over|over.*begun/);
  expect(times!.userMs + times!.systemMs).toBeGreaterThanOrEqual(190);
  expect(wallMs).toBeGreaterThan(0);
});

it("does not wait for what a command leaves behind", async () => {
  // Longer than a test may take.
  const { exitCode, lastLines } = await run("sleep 100 & echo $!");
  process.kill(Number(lastLines[0]));
  expect(exitCode).toBe(0);
});

it("says that a program is not there", async () => {
  const { exitCode, lastLines } = await runTimed({
    words: ["/nonexistent/program"],
    cwd: tmpdir(),
    env: process.env,
    signal: new AbortController().signal,
  });
  expect(exitCode).toBe(127);
  expect(lastLines.at(-1)).toContain("/nonexistent/program");
});

it("ends a command when it is told to, and still says what it took", async () => {
  const controller = new AbortController();
  const { exitCode, times } = await runTimed({
    words: ["/bin/sh", "-c", "trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done"],
    cwd: tmpdir(),
    env: process.env,
    signal: controller.signal,
    onStdout: () => controller.abort(),
  });
  expect(exitCode).toBe(9);
  expect(times).toBeDefined();
});
