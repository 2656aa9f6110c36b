import { expect, it } from "vitest";
import { askedLine, createAnswerReader } from "../../../src/fanout/shell/question.ts";

const TOKEN = "0123456789abcdef";
const mark = (text: string): string => `\x1b]volley;${TOKEN};${text}\x07`;
const PROMPT = "\x1b[?2004h$ ";

async function read(stream: string, pieceBytes: number) {
  const bytes = Buffer.from(stream);
  let [shown, output] = ["", ""];
  let code: number | undefined;
  const reader = createAnswerReader("date # now", TOKEN, {
    output: async (chunk) => {
      output += chunk.toString("latin1");
    },
    ended: (status) => {
      code = status;
    },
  });
  for (let at = 0; at < bytes.length; at += pieceBytes)
    shown += (await reader.take(bytes.subarray(at, at + pieceBytes))).toString("latin1");
  return { shown, output, code, hasBegun: reader.hasBegun, held: reader.release().toString("latin1") };
}

const ECHO = `${askedLine("date # now", TOKEN)}\x1b[K\r\n\x1b[?2004l\r`;

it.each([1, 2, 7, 1_000])("takes the answer out of what comes, %i bytes at a time", async (pieceBytes) => {
  const stream = `Done\r\n${PROMPT}${ECHO}${mark("b")}Password: ${mark("a")}a\r\nb\r\r\n\x1b]x\x07${mark("e;130")}${PROMPT}`;
  expect(await read(stream, pieceBytes)).toEqual({
    shown: `Done\r\n${PROMPT}\x1b[?2004ldate # now\r\nPassword: a\r\nb\r\r\n\x1b]x\x07${PROMPT}`,
    output: "a\nb\r\n\x1b]x\x07",
    code: 130,
    hasBegun: true,
    held: "",
  });
});

it("holds nothing back for good where the shell does not begin", async () => {
  const { shown, held, hasBegun } = await read(`${PROMPT}${ECHO}sh: oh no\r\n\x1b]vol`, 3);
  expect({ text: shown + held, hasBegun }).toEqual({
    text: `${PROMPT}${ECHO}sh: oh no\r\n\x1b]vol`,
    hasBegun: false,
  });
  const much = "x".repeat(100_000);
  expect((await read(much, 1_000)).shown.length).toBeGreaterThan(much.length / 3);
});

it("takes the marks of another line for what they are", async () => {
  const other = `\x1b]volley;ffffffffffffffff;e;0\x07`;
  expect(await read(`${mark("b")}${mark("a")}${other}${mark("e;1")}`, 5)).toMatchObject({
    output: other,
    code: 1,
  });
  expect((await read(`${mark("e;0")}${mark("a")}`, 5)).code).toBeUndefined();
});
