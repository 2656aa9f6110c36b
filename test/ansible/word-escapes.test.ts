import { expect, test } from "vitest";
import { readArguments } from "../../src/ansible/load/words.ts";

// The values are what ansible-playbook's debug printed of the same text.
test.each([
  [String.raw`msg="one\ntwo\n"`, "one\ntwo\n"],
  [String.raw`msg='a\tb'`, "a\tb"],
  [String.raw`msg=a\tb\n`, "a\tb"],
  [String.raw`msg=ab"c d"e\n`, 'ab"c d"e'],
  [String.raw`msg="C:\\dir\new"`, "C:\\dir\new"],
  [String.raw`msg="in \"q\" 'p'"`, "in \"q\" 'p'"],
  [String.raw`msg="\1 \07 \d \bx \w \a|\e|\\n|\U0001F600|\xZ"`, "\\1 \\07 \\d \bx \\w \x07|\\e|\\n|😀|\\xZ"],
  [String.raw`msg="a\tb\\c \x41 \u00e9 \q \"in\" $x \'s"`, 'a\tb\\c A é \\q "in" $x \'s'],
])("%s", (text, msg) => {
  expect(readArguments("debug", text)).toEqual({ msg });
});

test("a command line keeps its escapes", () => {
  expect(readArguments("shell", String.raw`printf "a\tb"`)).toEqual({
    _raw_params: String.raw`printf "a\tb"`,
  });
});
