import { expect, it } from "vitest";
import { COMMAND_KEYS, commandOf } from "../../../src/fanout/shell/commands.ts";
import { createInputParser } from "../../../src/fanout/shell/input.ts";

const commandFor = (bytes: string): string | undefined => {
  const parser = createInputParser();
  const [token] = [...parser.feed(Buffer.from(bytes)), ...parser.flush()];
  return commandOf(token!);
};

it("has one command for a key", () => {
  const keys = COMMAND_KEYS.flatMap(({ keys: all }) => all);
  expect(new Set(keys).size).toBe(keys.length);
});

it("finds commands by characters and by keys", () => {
  expect(commandFor("q")).toBe("quit");
  expect(commandFor("\x1b[C")).toBe("focus-right");
  expect(commandFor("\x0c")).toBe("redraw");
  expect(commandFor("\x1b")).toBe("leave");
  expect(commandFor("é")).toBeUndefined();
});

it("has a help that fits into two columns of a terminal of 80", () => {
  // A column of 39, less the key's 8 and a gap of 2.
  expect(COMMAND_KEYS.map(({ help }) => help).filter((help) => help.length > 29)).toEqual([]);
});
