import { expect, test } from "vitest";
import { readArguments, splitWords, unquote } from "../../src/ansible/load/words.ts";

test.each([
  ["a  b\tc", ["a", "b", "c"]],
  ['dest="b c" x=1', ['dest="b c"', "x=1"]],
  ["msg={{ a + ' b' }} y={{ [1, 2] | join(' ') }}", ["msg={{ a + ' b' }}", "y={{ [1, 2] | join(' ') }}"]],
  ["it\\'s one\\ word", ["it\\'s", "one\\ word"]],
  ["", []],
])("%j splits into its words", (text, words) => {
  expect(splitWords(text)).toEqual(words);
});

test.each(["a='b", 'a="b', "a={{ b"])("%j is not closed", (text) => {
  expect(() => splitWords(text)).toThrow("unbalanced jinja2 block or quotes");
});

test.each([
  ['"a b"', "a b"],
  ["'a b'", "a b"],
  ['"a" "b"', '"a" "b"'],
  ['"a\\"b"', 'a"b'],
  ["it's", "it's"],
])("%j without its quotes", (word, plain) => {
  expect(unquote(word)).toBe(plain);
});

test.each([
  ["copy", "src=a dest='/b c' mode=0644", { src: "a", dest: "/b c", mode: "0644" }],
  ["debug", "msg={{ a }}=b", { msg: "{{ a }}=b" }],
  ["set_fact", "one=1 two='a=b'", { one: "1", two: "a=b" }],
  ["include_tasks", "more.yml", { _raw_params: "more.yml" }],
  ["include_tasks", "{{ a }}.yml", { _raw_params: "{{ a }}.yml" }],
  ["apt", "just words name=a", { name: "a", _raw_params: "just words" }],
  ["meta", "flush_handlers", { _raw_params: "flush_handlers" }],
  ["command", "echo a=b", { _raw_params: "echo a=b" }],
  [
    "command",
    "echo 'a  b' chdir=/tmp creates=\"/a b\"",
    { _raw_params: "echo 'a  b'", chdir: "/tmp", creates: "/a b" },
  ],
  ["copy", "src=a \\\n  dest=b", { src: "a", dest: "b" }],
  ["shell", 'true "a \\\n b" \\\n  | cat \\\ntail -1\n', { _raw_params: 'true "a \\\n b"  | cat tail -1\n' }],
  ["shell", "echo a\\\nb chdir=/tmp\n", { _raw_params: "echo a\\\nb", chdir: "/tmp" }],
  ["shell", 'a=1; echo "$a"\necho b', { _raw_params: 'a=1; echo "$a"\necho b' }],
])("%s: %s", (module, text, args) => {
  expect(readArguments(module, text)).toEqual(args);
});
