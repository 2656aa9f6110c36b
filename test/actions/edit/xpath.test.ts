import { expect, it } from "vitest";
import { parseXml } from "../../../src/actions/edit/xml-document.ts";
import { evaluateXpath, nodeText } from "../../../src/actions/edit/xpath.ts";
import { parseXpath } from "../../../src/actions/edit/xpath-parser.ts";

const DOCUMENT = parseXml(
  "<r><a i='1'>x</a><b><a i='2'>y<!--c--></a><a i='3'> z  z </a><div>7</div></b><a-b>h</a-b><?p q?></r>",
);

const value = (expression: string): unknown => {
  const found = evaluateXpath(parseXpath(expression), DOCUMENT, {});
  return typeof found === "object" ? found.map(nodeText).join("|") : found;
};

it.each([
  ["/r/a", "x"],
  ["//a/@i", "1|2|3"],
  ["//a[2]", " z  z "],
  ["(//a)[2]", "y"],
  ["//a[last()]/@i", "1|3"],
  ["//a[@i>1][1]", "y"],
  ["//a[position()=2]/@i", "3"],
  ["//a[@i='2']/following-sibling::*[1]/@i", "3"],
  ["//a[@i='3']/preceding-sibling::a", "y"],
  ["//a[@i='3']/preceding::a/@i", "1|2"],
  ["//a[@i='1']/following::a/@i", "2|3"],
  ["//div/ancestor::*[1]/a[1]/@i", "2"],
  ["//div/..//a/@i", "2|3"],
  ["//div div 2", 3.5],
  ["//div mod 4 + 2 * -3", -3],
  ["/r/*[self::a or self::a-b]", "x|h"],
  ["//a[not(@i=1) and contains(., 'z')]/@i", "3"],
  ["//comment()", "c"],
  ["/r/processing-instruction()", "p q"],
  ["/r/b/node()[1]/text()", "y"],
  ["//a-b | /r/a", "x|h"],
  ["count(//a[starts-with(@i, '2')])", 1],
  ["normalize-space(//a[@i=3])", "z z"],
  ["concat(name(/*), '-', local-name(//div), string(1 div 4))", "r-div0.25"],
  ["substring('12345', 1.5, 2.6)", "234"],
  ["substring-before('a=b', '=')", "a"],
  ["substring-after('a=b', '=')", "b"],
  ["translate('bar', 'abc', 'AB')", "BAr"],
  ["string-length('ä😀')", 2],
  ["sum(//@i) = 6", true],
  ["//a = 'y'", true],
  ["//a != 'y'", true],
  ["not(//none)", true],
  ["floor(1.5) + ceiling(1.5) + round(1.5)", 5],
  ["boolean('') or number('x') = number('x')", false],
])("%s", (expression, expected) => {
  expect(value(expression)).toBe(expected);
});

it("refuses what is too deep or too long to be meant", () => {
  expect(() => parseXpath(`${"(".repeat(500)}1`)).toThrow("nested more than 200 deep");
  expect(() => parseXpath("a or ".repeat(2_000))).toThrow("more than 2000 words");
});

it.each(["", "/r[", "/r]", "//", "a b", "$x", "id('x')", "namespace::a", "/r/'x'", "count(", "#"])(
  "refuses %j",
  (expression) => {
    expect(() => parseXpath(expression)).toThrow("Syntax error in xpath expression");
  },
);
