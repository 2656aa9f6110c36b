import { describe, expect, it } from "vitest";
import type { YamlNode, YamlReader } from "../../src/yaml/document.ts";
import { parseYaml, readSimpleYaml } from "../../src/yaml/read.ts";

/** Every key and value with its place, in order. */
function places(reader: YamlReader, node: YamlNode | null = reader.root): unknown {
  return reader.entries(node)?.map(({ key, value, location }) => {
    const place = reader.value(value) === null ? null : reader.locate(value);
    return [key, location, place, places(reader, value)];
  });
}

describe("the quick reader", () => {
  it.each([
    "all:\n  hosts:\n    web1:\n    web2:\n  vars:\n    a: 1\n",
    "---\n# comment\nall:\n  # comment\n\n  hosts:\n    web[01:20].example.org:\n      a: yes\n  children: \nb:\n",
    "a: 10:30\nb: 0644\nc: ~\nd: -5\ne: .5\nf: 1.2.3\ng: a b  c  \nh: x=y, z\ni: 2001:db8::1\nj: +1\n",
    `a: "yes"\nb: 'x # y'\nc: ""\nd: "{{ x }}:80"\ne: 'a: b'   \n`,
    "web1: {a: 1, b-c: x y , d: 10.0.0.1}\nweb2: {a: yes}\n",
    "a: 1 # comment\nb: # comment\n  c: x y   # comment # again\nd:   # c\ne: {f: 1}  # g\nh: {}\n",
    `a: "x" # "y"\nb: 'x # y' # 'z'\n`,
    "a:\n    b:\n      c: 1\n    d: 2\ne: 3\n",
    "a:\n  b: 1\n# x\n     # y\n  c: 2",
    "",
    "# nothing\n",
    "---\n",
  ])("reads %j as the parser does", async (text) => {
    const quick = readSimpleYaml("f", text);
    const full = await parseYaml("f", text);
    expect(quick?.value(quick.root)).toEqual(full.value(full.root));
    expect(places(quick!)).toEqual(places(full));
  });

  it.each([
    "a: b: c\n",
    "a: - b\n",
    "a: -\n",
    "a: --- b\n",
    "a: [1]\n",
    "a:\n  - 1\n",
    "a: |\n  x\n",
    "a: &x 1\n",
    "a: !unsafe x\n",
    "a: {{ x }}\n",
    "a:\n  1: x\n",
    "a: {true: y}\n",
    "a: {b: {c: 1}}\n",
    "a: {b: 1, b: 2}\n",
    "a: {b: c: d}\n",
    "a: {b:1}\n",
    "a: {b}\n",
    "a: b# c\n  d\n",
    "a: x#y\n",
    "a: b\n  c\n",
    "a: b\n  c: d\n",
    "a:\n    b: 1\n  c: 2\n",
    "  a: 1\n",
    "a: 1\na: 2\n",
    "a:\n\tb: 1\n",
    "a: 1\r\n",
    "a: 1\n---\nb: 2\n",
    "a: 1\n...\n",
    "<<: x\n",
    '"a": 1\n',
    '"a\\n": 1\n',
    'a: "x\\n"\n',
    "a: 'it''s'\n",
    'a: "x" y\n',
    "a: é\n",
    "\ufeffa: 1\n",
    "%YAML 1.1\n---\na: 1\n",
    "- a\n",
    "text\n",
    "$ANSIBLE_VAULT;1.1;AES256\n61\n",
    "? a\n: b\n",
    "a: b:\n",
  ])("leaves %j to the parser", (text) => {
    expect(readSimpleYaml("f", text)).toBeNull();
  });
});

it("a byte order mark is no text, in lists as well", async () => {
  expect(places(await parseYaml("f", "\ufeffa: 1\n"))).toEqual(places(await parseYaml("f", "a: 1\n")));
  const list = await parseYaml("f", "\ufeff- a\n- b\n");
  expect(list.value(list.root)).toEqual(["a", "b"]);
});

it.each(["- a: 1\n\tb: 2\n", "a:\n \tb: [\n", "x: [a,\n\t}\n"])(
  "a tab is blamed where it indents the line that cannot be read: %j",
  async (text) => {
    await expect(parseYaml("f", text)).rejects.toThrow("a tab indents this line; YAML wants spaces");
  },
);

it("a tab in front of a text that can be read is no fault", async () => {
  const reader = await parseYaml("f", "a:\t1\nb: [1,\n  \t2]\n");
  expect(reader.value(reader.root)).toBeDefined();
});

it.each([
  ["a: |\n  x", { a: "x" }],
  ["a: >\n  x\n  y", { a: "x y" }],
  ["a: |+\n  x", { a: "x" }],
  ["a: |-\n  x", { a: "x" }],
  ["- |\n x\n\n y", ["x\n\ny"]],
  ["a:\n- b: |\n   x", { a: [{ b: "x" }] }],
  ["a: |\n  x\nb: |\n  y", { a: "x\n", b: "y" }],
  ["a: |\n  x\n  ", { a: "x\n" }],
  ["a: |\n  x\n   ", { a: "x\n " }],
  ["a: |\n  x\n# c", { a: "x\n" }],
  ["a: |\n  x\n...", { a: "x\n" }],
  ["a: |\n  x\n", { a: "x\n" }],
  ["a: |", { a: "" }],
])("a block text at the end of a file has a line end where the file has one: %j", async (text, value) => {
  const reader = await parseYaml("f", text);
  expect(reader.value(reader.root)).toEqual(value);
});

it("says of a file that is named as JSON that it is not JSON either", async () => {
  await expect(parseYaml("vars/a.JSON", "{ }}")).rejects.toThrow(
    "not valid YAML or JSON: this bracket closes none",
  );
  await expect(parseYaml("vars/json.yml", "{ }}")).rejects.toThrow("not valid YAML: this");
});
