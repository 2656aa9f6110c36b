import { expect, it } from "vitest";
import { createEscapes, createModeWatch } from "../../../src/fanout/shell/plain-shell.ts";

const CTRL_Z = "\x1a";

it.each<[string, readonly string[], string]>([
  ["hello~.\r", ["hello~.\r"], ""],
  ["~.", [""], "leave"],
  ["~", ["", ""], "leave"],
  ["ls\r~.", ["ls\r"], "leave"],
  ["ls\n~?", ["ls\n"], "help"],
  [`\r~${CTRL_Z}x`, ["\rx"], "suspend"],
  ["~~.", ["~."], ""],
  ["~a", ["~a"], ""],
  ["a~~.", ["a~~."], ""],
])("of %j sends %j, and does %j", (text, sent, done) => {
  const actions: string[] = [];
  const escapes = createEscapes({
    leave: () => actions.push("leave"),
    suspend: () => actions.push("suspend"),
    help: () => actions.push("help"),
  });
  // A key may arrive in a chunk of its own.
  const chunks = text === "~" ? ["~", "."] : [text];
  expect(chunks.map((chunk) => escapes.feed(Buffer.from(chunk)).toString())).toEqual(sent);
  expect(actions.join()).toBe(done);
});

it("undoes the modes that are still set, however the output was cut", () => {
  const said = "\x1b[?1049h\x1b[?1000;1006h\x1b[?25l text \x1b[?1000l\x1b[?7l";
  const whole = createModeWatch();
  expect(whole.reset()).toBe("");
  whole.feed(Buffer.from(said));
  expect(whole.reset()).toBe("\x1b[?25h\x1b[?1049l\x1b[?1006l\x1b[m");
  const cut = createModeWatch();
  for (const byte of Buffer.from(said)) cut.feed(Buffer.from([byte]));
  expect(cut.reset()).toBe(whole.reset());
  cut.feed(Buffer.from("\x1b[?1049l\x1b[?1006l\x1b[?25h"));
  expect(cut.reset()).toBe("\x1b[m");
});

it("knows whether the last line has ended", () => {
  const watch = createModeWatch();
  expect(watch.isLineStart).toBe(true);
  watch.feed(Buffer.from("a\r\n$ "));
  expect(watch.isLineStart).toBe(false);
  watch.feed(Buffer.from("ls\r\n"));
  expect(watch.isLineStart).toBe(true);
});
