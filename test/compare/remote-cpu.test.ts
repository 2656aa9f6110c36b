import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import {
  CPU_SCRIPT,
  type CpuReading,
  cpuBetween,
  ownMachine,
  parseCpuReading,
  whyNotMeasurable,
} from "../../src/compare/host-control.ts";

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
