import { describe, expect, it } from "vitest";
import { parseYamlDocument } from "../../src/yaml/document.ts";

const dialect = { code: "PLAYBOOK_INVALID" as const, tagged: () => undefined };

function read(text: string): unknown {
  const reader = parseYamlDocument(text, "f.yml", dialect);
  return reader.value(reader.root);
}

describe("quoted texts whose lines are not far enough in", () => {
  it.each([
    ["at the key's column", 'a:\n  b: "{{\n  x\n  }}"\n  c: 1\n', { a: { b: "{{ x }}", c: 1 } }],
    ["at the margin", 'a:\n  b: "x\ny\n\n\n  z \\\nq"\n  c: 1\n', { a: { b: "x y\n\nz q", c: 1 } }],
    ["in single quotes", "- k: 'it''s\n-- x\n w'\n- 2\n", [{ k: "it's -- x w" }, 2]],
    ["with an escaped quote", 'a:\n  b: "x\n\\"y\\" z\n"\n  c: 1\n', { a: { b: 'x "y" z ', c: 1 } }],
    ["within brackets", 'a: ["{%\nif x %}y{% endif %}"]\nb: 1\n', { a: ["{% if x %}y{% endif %}"], b: 1 }],
    ["after a blank line", 'a:\n  b: "x\n\ny"\n  c: 1\n', { a: { b: "x\ny", c: 1 } }],
    ["more than once", "a:\n  b: 'x\ny'\n  c: 'z\nw'\n", { a: { b: "x y", c: "z w" } }],
  ])("are read as PyYAML reads them: %s", (_where, text, value) => {
    expect(read(text)).toEqual(value);
  });

  it("leave the places of what follows as they are", () => {
    const text = 'a:\n  b: ["x\ny", 1]\n  c: 1\n';
    const reader = parseYamlDocument(text, "f.yml", dialect);
    const [a] = reader.entries(reader.root)!;
    const [b, c] = reader.entries(a!.value)!;
    expect(reader.locate(reader.items(b!.value)![1]!)).toEqual({ file: "f.yml", line: 3, column: 5 });
    expect(c!.location).toEqual({ file: "f.yml", line: 4, column: 3 });
  });

  it.each([
    ["a quote that is never closed", 'a:\n  b: "x\n  c: 1\n', 4],
    ["a quote that another text's quote seems to close", 'a: "x\nb: "y"\nc: 1\n', 1],
    ["a marker of documents within", "a: 'x\n--- y'\n", 1],
  ])("are still an error: %s", (_what, text, line) => {
    expect(() => read(text)).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(/the quote .* is not closed/),
        location: expect.objectContaining({ line }),
      }),
    );
  });

  it("do not hide a fault behind them", () => {
    expect(() => read('a:\n  b: "x\n  y"\n  c: 1\n d: 2\n')).toThrow(
      expect.objectContaining({ location: expect.objectContaining({ line: 5 }) }),
    );
  });
});

describe("brackets whose lines are not far enough in", () => {
  it.each([
    ["at the margin", 'a: [\n# c\n"x",\n"y" ]\n\nb: 1\n', { a: ["x", "y"], b: 1 }],
    ["less than the key", "k:\n  a: [\n  x,\n y,\n  ]\n  b: 2\n", { k: { a: ["x", "y"], b: 2 } }],
    ["of a mapping in a list", "k:\n  - {a: 1,\n b: 2}\n  - 3\n", { k: [{ a: 1, b: 2 }, 3] }],
    ["in a list at the margin", "- [\n1,\n2\n]\n- 3\n", [[1, 2], 3]],
    [
      "with brackets in texts and comments",
      "k:\n  a: [x,\n# c: ]\n\"q: ]\", 'it''s\n no',\nk: v\n]\n  c: 1\n",
      { k: { a: ["x", "q: ]", "it's no", { k: "v" }], c: 1 } },
    ],
    ["one within another", "a: [[\n1], {\nb: [\n2]}]\nc: 1\n", { a: [[1], { b: [2] }], c: 1 }],
    ["with a quote in a word", "a: [\nit's, don't]\nc: 1\n", { a: ["it's", "don't"], c: 1 }],
    ["more than once", "a: [\n1]\nb:\n  c: {\nd: 1}\n  e: 2\n", { a: [1], b: { c: { d: 1 }, e: 2 } }],
    ["in a text over several lines", "a: [x\ny\n\nz]\nb: 1\n", { a: ["x y\nz"], b: 1 }],
  ])("are read as PyYAML reads them: %s", (_where, text, value) => {
    expect(read(text)).toEqual(value);
  });

  it("leave the places of what is in them, and of what follows, as they are", () => {
    const reader = parseYamlDocument("a: [\n1, 2\n]\nc: 1\n", "f.yml", dialect);
    const [a, c] = reader.entries(reader.root)!;
    expect(reader.locate(reader.items(a!.value)![1]!)).toEqual({ file: "f.yml", line: 2, column: 4 });
    expect(c!.location).toEqual({ file: "f.yml", line: 4, column: 1 });
  });

  it.each([
    ["a bracket that is never closed", "a: [\n1, 2\nc: 1\n", 2],
    ["a marker of documents within", "a: [\n1,\n--- \n2]\n", 2],
    ["a fault behind them", "a: [\n1]\nb: c: d\n", 3],
  ])("are still an error: %s", (_what, text, line) => {
    expect(() => read(text)).toThrow(
      expect.objectContaining({ location: expect.objectContaining({ line }) }),
    );
  });
});
