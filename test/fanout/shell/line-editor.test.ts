import { describe, expect, it } from "vitest";
import { createInputParser } from "../../../src/fanout/shell/input.ts";
import { completeWord, createLineEditor, type EditResult } from "../../../src/fanout/shell/line-editor.ts";

function editorWith(history: string[] = [], words: readonly string[] = [], keepsLines = false) {
  const editor = createLineEditor({ history, words, keepsLines });
  return {
    editor,
    type: (keys: string): EditResult | undefined => {
      const parser = createInputParser();
      return [...parser.feed(Buffer.from(keys)), ...parser.flush()]
        .map((token) => editor.handle(token))
        .at(-1);
    },
  };
}

describe("createLineEditor", () => {
  it("inserts and deletes where the cursor is", () => {
    const { editor, type } = editorWith();
    type("helo\x1b[Dl\x05!\x01>\x7f> ");
    expect(editor.text).toBe("> hello!");
    expect(editor.cursor).toBe(2);
    type("\x1b[3~H\x04\x05\x7f");
    expect(editor.text).toBe("> Hllo");
  });

  it("goes over a character of several units as one", () => {
    const { editor, type } = editorWith();
    type("a😀\x1b[Db\x05\x7f");
    expect(editor.text).toBe("ab");
  });

  it("kills words and lines, and gives them back", () => {
    const { editor, type } = editorWith();
    type("one two three\x17");
    expect(editor.text).toBe("one two ");
    type("\x19");
    expect(editor.text).toBe("one two three");
    type("\x01\x06\x06\x06\x0b");
    expect(editor.text).toBe("one");
    type("\x15");
    expect(editor.text).toBe("");
  });

  it("hands a line over and recalls it, and keeps what was being typed", () => {
    const history: string[] = ["first"];
    const { editor, type } = editorWith(history);
    expect(type("second\r")).toEqual({ kind: "entered", line: "second" });
    expect(history).toEqual(["first", "second"]);
    type("dra\x1b[A");
    expect(editor.text).toBe("second");
    type("\x1b[A\x1b[A");
    expect(editor.text).toBe("first");
    type("\x1b[B\x1b[B");
    expect(editor.text).toBe("dra");
  });

  it("keeps the lines of a paste where lines are sent, and waits for Enter", () => {
    const { editor, type } = editorWith([], [], true);
    type("\x1b[200~for i in 1 2; do\r\n\techo $i\x1b[31m\rdone\n\x1b[201~");
    expect(editor.text).toBe("for i in 1 2; do\n echo $i[31m\ndone");
    expect(type("\r")).toEqual({ kind: "entered", line: "for i in 1 2; do\n echo $i[31m\ndone" });
  });

  it("takes a paste as one line without controls", () => {
    const { editor, type } = editorWith();
    type("\x1b[200~a\r\nb\x07c\x1b[201~");
    expect(editor.text).toBe("a bc");
  });

  it("completes host names and words of earlier lines", () => {
    const { editor, type } = editorWith(["systemctl restart nginx"], ["web01", "web02", "db1"]);
    type("restart ng\t");
    expect(editor.text).toBe("restart nginx ");
    type("d\t");
    expect(editor.text).toBe("restart nginx db1 ");
    type("w\t");
    expect(editor.text).toBe("restart nginx db1 web0");
    expect(type("\t")).toEqual({ kind: "candidates", words: ["web01", "web02"] });
  });

  it("is left by Escape, Ctrl-C, and Ctrl-D on an empty line", () => {
    for (const key of ["\x1b", "\x03", "\x04"]) expect(editorWith().type(key)).toEqual({ kind: "left" });
    expect(editorWith().type("x\x04")).toEqual({ kind: "edited" });
  });
});

describe("completeWord", () => {
  it("completes what stands behind a sign of a pattern", () => {
    expect(completeWord("web:!db0", ["db01", "web"])).toEqual({ added: "1 ", candidates: ["db01"] });
    expect(completeWord("root@we", ["web"])).toEqual({ added: "b ", candidates: ["web"] });
  });

  it("says nothing about nothing", () => {
    expect(completeWord("", ["a"])).toEqual({ added: "", candidates: [] });
    expect(completeWord("x", ["a"])).toEqual({ added: "", candidates: [] });
  });
});
