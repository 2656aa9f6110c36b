import { describe, expect, it } from "vitest";
import { expandPythonTemplate, pythonRegex, pythonReplace } from "../../../src/core/values/python-regex.ts";

describe("pythonRegex", () => {
  // [pattern, text, what re.search(pattern, text).group(0) gives, or null]; taken from runs of Python 3.
  const cases: readonly (readonly [pattern: string, text: string, found: string | null])[] = [
    ["^Port ", "# x\nPort 22\n", null],
    ["(?m)^Port ", "# x\nPort 22\n", "Port "],
    ["22$", "Port 22\n", "22"],
    ["22$", "Port 22\nx\n", null],
    ["(?m)22$", "Port 22\nx\n", "22"],
    ["22\\Z", "Port 22\n", null],
    ["\\APort", "x\nPort", null],
    ["(?m)\\APort", "x\nPort", null],
    ["a.c", "a\rc", "a\rc"],
    ["a.c", "a\nc", null],
    ["(?s)a.c", "a\nc", "a\nc"],
    ["(?i)port", "PORT", "PORT"],
    ["(?P<q>['\"])x(?P=q)", "'x'", "'x'"],
    ["(a)(b)\\2", "abb", "abb"],
    ["^#?\\s*PermitRootLogin\\s+", "#PermitRootLogin no", "#PermitRootLogin "],
    ["[]x]+", "]x]", "]x]"],
    ["[^]x]+", "]ab", "ab"],
    ["[\\w-]+", "a-b", "a-b"],
    ["[a\\-z]+", "-za", "-za"],
    ["[[:]+", "[:", "[:"],
    ["x{,2}y", "xxy", "xxy"],
    ["x{a}", "x{a}", "x{a}"],
    ["{", "{", "{"],
    ["a]", "a]", "a]"],
    ["\\_\\-\\/\\#\\ \\'", "_-/# '", "_-/# '"],
    ["\\x41\\u0042\\103", "ABC", "ABC"],
    ["(?x) a \\  b # comment\n c", "a bc", "a bc"],
    ["a(?#note)b", "ab", "ab"],
    ["(?s:a.)b.", "a\nb\n", null],
    ["(?s:a.)b.", "a\nbc", "a\nbc"],
    ["(?:x|y$)z?", "y", "y"],
    ["(?<=a)b(?!c)", "abcab", "b"],
    ["é+", "cafééx", "éé"],
    ["^.$", "😀", "😀"],
    ["\\t\\d", "\t1", "\t1"],
    ["a|^b", "xb", null],
    ["(?i:x)y", "XY Xy", "Xy"],
    ["(?i)a(?-i:b)", "AB Ab", "Ab"],
    ["(?i:[a-c]+)z", "ABCZ aBcz", "aBcz"],
    ["(?i:[^a])B", "AB xB", "xB"],
    ["(?i)([\"'])X\\1", '\'x""x"', '"x"'],
    [".+", "a\rb\u2028c\u0085\nd", "a\rb\u2028c\u0085"],
    ["(?m)^$", "a\r\n\u2028\n\nb", ""],
    ["(?m)a$", "a\u2028", null],
    ["(?m)^b", "a\rb", null],
    ["x?$", "\ud83d\ude00\n", ""],
    ["\\B", "", null],
    ["x{,}y", "xxxy", "xxxy"],
    ["[\\1]", "\u0001", "\u0001"],
    ["(?=a)?b", "b", "b"],
  ];
  it.each(cases)("%j in %j", (pattern, text, found) => {
    expect(pythonRegex(pattern).exec(text)?.[0] ?? null).toBe(found);
  });

  it.each([
    "a(?i)b",
    "^*a",
    "[\\w-a]",
    "[\\8]",
    "(?i:(a)\\1)b",
    "a*+",
    "(?>a)b",
    "(a)?(?(1)b|c)",
    "(a",
    "a)",
    "[a",
    "*a",
    "\\q",
    "\\",
  ])("refuses %j", (pattern) => {
    expect(() => pythonRegex(pattern)).toThrow(/^the regular expression .* cannot be used: ./);
  });
});

describe("classes", () => {
  // [pattern, text, what Python finds in bytes, and in str]
  const cases: readonly (readonly [pattern: string, text: string, inBytes: string, inText: string])[] = [
    ["\\w+", "aé_1²x", "a", "aé_1²x"],
    ["\\W", "aé-", "é", "-"],
    ["[\\W_]", "aé_", "é", "_"],
    ["[^\\W\\d]+", "1aé‿", "a", "aé"],
    ["\\d+", "1٣2", "1", "1٣2"],
    ["\\D", "1٣x", "٣", "x"],
    ["a\\s*b?", "a\u00a0\u2028b", "a", "a\u00a0\u2028b"],
    ["\\S+", "\ufeff\u00a0", "\ufeff\u00a0", "\ufeff"],
    ["[\\S]+", "\ufeff\u00a0", "\ufeff\u00a0", "\ufeff"],
    ["f\\b.?", "fé f.", "fé", "f."],
    ["f\\B.", "f. fé fx", "fx", "fé"],
  ];
  it.each(cases)("%j in %j", (pattern, text, inBytes, inText) => {
    expect(pythonRegex(pattern).exec(text)?.[0]).toBe(inBytes);
    expect(pythonRegex(pattern, { unicode: true }).exec(text)?.[0]).toBe(inText);
  });
});

describe("expandPythonTemplate", () => {
  const match = /(?<name>a)(b)(x)?/u.exec("ab")!;
  it.each([
    ["\\1-\\2", "a-b"],
    ["\\g<2>0", "b0"],
    ["\\g<name>", "a"],
    ["\\g<0>", "ab"],
    ["[\\3]", "[]"],
    ["\\n\\t\\\\", "\n\t\\"],
    ["$1 $&", "$1 $&"],
  ])("%j", (template, expected) => {
    expect(expandPythonTemplate(template, match)).toBe(expected);
  });

  it("refuses an escape that means nothing, as Python does", () => {
    expect(() => expandPythonTemplate("C:\\path", match)).toThrow("has a \\p, which has no meaning");
    expect(expandPythonTemplate("a\\.b\\-", match)).toBe("a\\.b\\-");
  });

  it("names a group that does not exist", () => {
    expect(() => expandPythonTemplate("\\4", match)).toThrow("names group 4");
    expect(() => expandPythonTemplate("\\g<who>", match)).toThrow("names group who");
  });
});

describe("pythonReplace", () => {
  it("replaces every match and counts", () => {
    const regex = pythonRegex("^(\\w+)=(.*)$", { multiline: true, global: true });
    const text = "a=1\n# b\nc=2\n";
    expect(pythonReplace(text.matchAll(regex), "\\2: \\1", text)).toEqual({
      text: "1: a\n# b\n2: c\n",
      count: 2,
    });
  });

  it("matches the empty string between characters, as Python 3.7 and later", () => {
    expect(pythonReplace("abxd".matchAll(pythonRegex("x*", { global: true })), "-", "abxd")).toEqual({
      text: "-a-b--d-",
      count: 5,
    });
  });
});
