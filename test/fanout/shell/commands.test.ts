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
