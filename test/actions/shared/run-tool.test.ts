import { expect, it } from "vitest";
import { commandWords, runTool } from "../../../src/actions/shared/run-tool.ts";
import { failureData } from "../../../src/core/action.ts";
import { makeSandbox } from "../harness.ts";

it("gives the output of a tool that failed, as Ansible's modules do", async () => {
  using sandbox = makeSandbox();
  const argv = ["sh", "-c", "echo out; echo why >&2; exit 3"];
  const thrown = await runTool(sandbox.system, argv, "try").catch((error: unknown) => error);
  expect(thrown).toMatchObject({ code: "ACTION_FAILED", message: "cannot try: why" });
  expect(failureData(thrown)).toEqual({ rc: 3, stdout: "out\n", stderr: "why\n" });
});

it.each([
  ["nginx -t -c %s", ["nginx", "-t", "-c", "%s"]],
  [`sh -c 'exit "1"'  x`, ["sh", "-c", 'exit "1"', "x"]],
  [`a"b c"'d'\\ e`, ["ab cd e"]],
  [`"\\"\\x" ''`, [`"\\x`, ""]],
  ["  ", []],
])("splits %j as a shell does", (line, words) => {
  expect(commandWords(line)).toEqual(words);
});

it.each([`a "b`, "a 'b", "a\\"])("refuses %j", (line) => {
  expect(() => commandWords(line)).toThrow("has an unfinished");
});
