import { describe, expect, it } from "vitest";
import {
  bytesFor,
  createInputParser,
  type InputToken,
  parseEscapeKey,
} from "../../../src/fanout/shell/input.ts";

const PLAIN_MODES = { applicationCursorKeys: false, bracketedPaste: false };

function parse(...chunks: readonly (string | Buffer)[]): readonly InputToken[] {
  const parser = createInputParser();
  const tokens = chunks.flatMap((chunk) => [...parser.feed(Buffer.from(chunk))]);
  return [...tokens, ...parser.flush()];
}

const shortly = (tokens: readonly InputToken[]): readonly string[] =>
  tokens.map((token) =>
    token.kind === "paste"
      ? `paste:${token.bytes}`
      : (token.name ?? token.text ?? `bytes:${token.bytes.toString("hex")}`),
  );

describe("createInputParser", () => {
  it("knows keys by the bytes they send", () => {
    expect(shortly(parse("aé漢\r\t\x7f\x03\x1d\x1b[A\x1bOB\x1b[5~\x1b[3~"))).toEqual([
      "a",
      "é",
      "漢",
      "enter",
      "tab",
      "backspace",
      "ctrl-c",
      "ctrl-]",
      "up",
      "down",
      "pageUp",
      "delete",
    ]);
  });

  it("puts together what came in pieces", () => {
    const bytes = Buffer.from("x漢\x1b[1;5Cy\x1b[A");
    expect(shortly(parse(...[...bytes].map((byte) => Buffer.from([byte]))))).toEqual(shortly(parse(bytes)));
  });

  it("loses no byte of what it does not know", () => {
    const bytes = Buffer.from([
      0x1b, 0x5b, 0x3c, 0x30, 0x4d, 0xff, 0xc3, 0x28, 0x1b, 0x78, 0x1b, 0x1b, 0x5b, 0x41,
    ]);
    expect(bytesFor(parse(bytes), PLAIN_MODES)).toEqual(bytes);
  });

  it("takes a lone ESC for a key when nothing follows", () => {
    const parser = createInputParser();
    expect(parser.feed(Buffer.from("\x1b"))).toEqual([]);
    expect(parser.isPending).toBe(true);
    expect(shortly(parser.flush())).toEqual(["escape"]);
    expect(parser.isPending).toBe(false);
  });

  it("keeps Escape and a control key soon after it apart, but not Alt with a character", () => {
    expect(shortly(parse("\x1b\x1dz\x1bb"))).toEqual(["escape", "ctrl-]", "z", "bytes:1b62"]);
  });

  it("tells pastes from what is typed, however they are cut, and reads no key in them", () => {
    expect(shortly(parse("a\x1b[20", "0~one\x1d\r", "two\x1b[201", "~b"))).toEqual([
      "a",
      "paste:one\x1d\rtwo",
      "b",
    ]);
  });
});

describe("bytesFor", () => {
  it("sends cursor keys as the program asked for them", () => {
    const keys = parse("\x1b[A\x1bOD\x1b[1;5A");
    expect(bytesFor(keys, PLAIN_MODES).toString()).toBe("\x1b[A\x1b[D\x1b[1;5A");
    expect(bytesFor(keys, { ...PLAIN_MODES, applicationCursorKeys: true }).toString()).toBe(
      "\x1bOA\x1bOD\x1b[1;5A",
    );
  });

  it("puts brackets around a paste where the program wants them, and none into it", () => {
    const paste = [{ kind: "paste", bytes: Buffer.from("é\r\nb\nc\x1b[201~rm") }] as const;
    expect(bytesFor(paste, PLAIN_MODES).toString()).toBe("é\rb\rcrm");
    expect(bytesFor(paste, { ...PLAIN_MODES, bracketedPaste: true }).toString()).toBe(
      "\x1b[200~é\rb\rcrm\x1b[201~",
    );
  });
});

describe("parseEscapeKey", () => {
  it("reads the ways to write a control key", () => {
    expect(parseEscapeKey("ctrl-]")).toEqual({ byte: 0x1d, label: "Ctrl-]" });
    expect(parseEscapeKey("^a")).toEqual({ byte: 1, label: "Ctrl-A" });
    expect(parseEscapeKey("C-\\")).toEqual({ byte: 0x1c, label: "Ctrl-\\" });
  });

  it.each(["", "x", "F1", "ctrl-ab", "ctrl-1"])("refuses %s", (text) => {
    expect(() => parseEscapeKey(text)).toThrow(/no escape key/);
  });

  it.each(["ctrl-m", "^[", "ctrl-i"])("refuses %s, which a terminal cannot do without", (text) => {
    expect(() => parseEscapeKey(text)).toThrow(/cannot be the escape key/);
  });
});
