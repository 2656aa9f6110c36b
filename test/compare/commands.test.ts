import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { expect, it } from "vitest";
import {
  CPU_SCRIPT,
  type CpuReading,
  cpuBetween,
  ownMachine,
  parseCpuReading,
  parseTimes,
  runTimed,
  type TimedResult,
  whyNotMeasurable,
} from "../../src/compare/commands.ts";

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

const readings = (...usages: readonly (readonly [machine: string, usageMs: number | undefined])[]) =>
  new Map(
    usages.map(([machine, usageMs], index): [string, CpuReading] => [
      `web${index + 1}`,
      { machine, usageMs },
    ]),
  );

it("reads what a host tells", () => {
  expect(parseCpuReading("boot-1\ncgroup:[1]\nusage_usec 44753\nuser_usec 22376\nnr_periods 0\n")).toEqual({
    machine: "boot-1 cgroup:[1]",
    usageMs: 44.753,
  });
  expect(parseCpuReading("boot-1\ncgroup:[1]\n")).toEqual({
    machine: "boot-1 cgroup:[1]",
    usageMs: undefined,
  });
});

it("knows this machine for what it is", () => {
  const here = parseCpuReading(execFileSync("/bin/sh", ["-c", CPU_SCRIPT], { encoding: "utf8" }));
  expect(here.machine).toBe(ownMachine());
  expect(whyNotMeasurable(new Map([["web1", here]]), ownMachine())).toBe("web1 is this very machine");
});

it("says why the time of hosts cannot be told apart", () => {
  expect(whyNotMeasurable(readings(["a", 1], ["b", 2]), "own")).toBeUndefined();
  expect(whyNotMeasurable(readings(["a", 1], ["b", undefined]), "own")).toBe(
    "web2 has no cgroup v2 slice of the login user",
  );
  expect(whyNotMeasurable(readings(["a", 1], ["a", 2]), "own")).toBe("web2 and another host are one machine");
});

it("adds up what was taken between two readings, unless a host was restarted", () => {
  const before = readings(["a", 100], ["b", 50]);
  expect(cpuBetween(before, readings(["a", 130], ["b", 51.5]))).toBe(31.5);
  expect(cpuBetween(before, readings(["a", 130], ["c", 51.5]))).toBeUndefined();
  expect(cpuBetween(before, readings(["a", 130], ["b", 10]))).toBeUndefined();
});
