import { expect, it } from "vitest";
import { resolveScalar } from "../../src/inventory/yaml-scalar.ts";

it.each([
  ["yes", true],
  ["Off", false],
  ["TRUE", true],
  ["oN", "oN"],
  ["y", "y"],
  ["", null],
  ["~", null],
  ["Null", null],
  ["0644", 420],
  ["0o644", "0o644"],
  ["08", "08"],
  ["1_000", 1000],
  ["-5", -5],
  ["+5", 5],
  ["0x1F", 31],
  ["0b101", 5],
  ["10:30", 630],
  ["22:99", "22:99"],
  ["1.5", 1.5],
  [".5", 0.5],
  ["1.5e+3", 1500],
  ["1e3", "1e3"],
  ["12e03", "12e03"],
  ["1.2.3", "1.2.3"],
  ["2024-01-01", "2024-01-01"],
  ["9007199254740993", "9007199254740993"],
  ["-.inf", Number.NEGATIVE_INFINITY],
  [".nan", Number.NaN],
  [".", "."],
  ["-", "-"],
])("%j is %j", (text, value) => {
  expect(resolveScalar(text)).toBe(value);
});
