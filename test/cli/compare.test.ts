import { Command } from "commander";
import { describe, expect, it, test } from "vitest";
import { childArguments, roundTrips } from "../../src/cli/compare.ts";
import { resultRows } from "../../src/compare/output.ts";
import { resultsOf } from "../../src/compare/results.ts";
import { rowText } from "../../src/reporter/rows/row.ts";
import { ASCII_SYMBOLS } from "../../src/reporter/rows/wording.ts";
import { comparison, sample } from "../compare/lib/samples.ts";

test("the options that were given are handed on, and no others", () => {
  const seen: (readonly string[])[] = [];
  const program = new Command();
  const command = program
    .command("compare")
    .option("-b, --become", "")
    .option("-u, --user <name>", "")
    .option("--forks <number>", "", Number, 50)
    .option("--tags <tags>", "", (value, before: readonly string[] | undefined) => [...(before ?? []), value])
    .option("--no-color", "")
    .option("--runs <number>", "", Number, 10)
    .action(() => {
      seen.push(childArguments(command, new Set(["runs"])));
    });
  const words = ["--user", "--odd name", "--tags=a,b", "-b", "--tags", "c", "--no-color", "--runs", "3"];
  program.parse(["compare", ...words], { from: "user" });
  expect(seen).toEqual([["--become", "--user=--odd name", "--tags=a,b", "--tags=c", "--no-color"]]);
});

describe("--rtt", () => {
  it.each([
    ["0", [0]],
    ["0,20,100ms", [0, 20, 100]],
    ["20ms, 20, 1.5ms", [20, 1.5]],
  ])("%j", (text, times) => {
    expect(roundTrips(text)).toEqual(times);
  });

  it.each(["", "20s", "-1", "0,,5", "fast", "20000"])("refuses %j", (text) => {
    expect(() => roundTrips(text)).toThrow(/milliseconds/);
  });
});

describe("the table", () => {
  const methods = ["bundle", "direct", "ansible", "ansible, pipelining", "pyinfra", "a script"].map(
    (name) => ({
      kind: "command" as const,
      name,
      line: "true",
    }),
  );
  const samples = [1, 2, 3].flatMap((round) =>
    methods.map(({ name }, place) => sample(name, round, 500 * (place + 1))),
  );
  const whole = comparison(samples, { methods });
  const linesAt = (columns: number): readonly string[] =>
    resultRows(whole, resultsOf(whole), { columns, symbols: ASCII_SYMBOLS }).map(rowText);

  it.each([60, 80, 200])("stays within %i columns, and shows every method", (columns) => {
    const lines = linesAt(columns);
    expect(Math.max(...lines.map((line) => line.trimEnd().length))).toBeLessThanOrEqual(columns);
    const heads = lines.filter((line) => line.startsWith("  median of")).join(" ");
    for (const { name } of methods) expect(heads).toContain(name);
  });

  it("leaves out what nobody measured, and marks what some did not", () => {
    const some = comparison(
      samples.map((each) => (each.method === "bundle" ? { ...each, flights: undefined } : each)),
    );
    const text = resultRows(some, resultsOf(some), { columns: 80, symbols: ASCII_SYMBOLS })
      .map(rowText)
      .join("\n");
    expect(text).not.toContain("remote CPU");
    expect(text).toMatch(/flights per host +- +5\.0/);
  });
});
