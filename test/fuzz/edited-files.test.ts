import { test } from "vitest";
import { editIni } from "../../src/actions/edit/ini-text.ts";
import { parseXml, writeXml } from "../../src/actions/edit/xml-document.ts";
import { evaluateXpath } from "../../src/actions/edit/xpath.ts";
import { parseXpath } from "../../src/actions/edit/xpath-parser.ts";
import { bytesToText } from "../../src/core/values/bytes.ts";
import { FUZZ_TIMEOUT_MS, fuzz } from "./lib/fuzz.ts";
import { must, mustEqual, orRefusal } from "./lib/judge.ts";

const DOCUMENT = parseXml("<a b='1'>t<c><!--x--><d e='2'>7</d></c><c/><?p q?></a>");

test(
  "xml: what is read and written is read as the same, indented or not",
  () =>
    fuzz({
      corpus: "xml",
      inputs: 500,
      tokens: [
        "<",
        "</",
        "/>",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<?",
        "?>",
        "&amp;",
        "&#",
        ";",
        '"',
        "xmlns:p=",
        "<!DOCTYPE ",
      ],
      check: (bytes) => {
        const document = orRefusal(["ACTION_FAILED"], () => parseXml(bytesToText(bytes)));
        if (document === undefined) return;
        const written = writeXml(document);
        mustEqual(writeXml(parseXml(written)), written, "written again");
        const pretty = writeXml(document, true);
        mustEqual(writeXml(parseXml(pretty), true), pretty, "indented again");
      },
    }),
  FUZZ_TIMEOUT_MS,
);

test(
  "xpath: an expression has a value, or is refused",
  () =>
    fuzz({
      corpus: "xpath",
      inputs: 1_000,
      tokens: [
        "//",
        "/",
        "[",
        "]",
        "(",
        ")",
        "@",
        "::",
        "..",
        "|",
        "*",
        "-",
        "and ",
        " div ",
        "'",
        "text()",
        "p:",
        "$",
      ],
      check: (bytes) => {
        orRefusal(["ACTION_FAILED"], () => {
          const value = evaluateXpath(parseXpath(bytesToText(bytes)), DOCUMENT.children[0]!, { p: "urn:p" });
          must(["string", "number", "boolean", "object"].includes(typeof value), "a value of no type");
        });
      },
    }),
  FUZZ_TIMEOUT_MS,
);

test(
  "ini: an edit that was made is not made again",
  () =>
    fuzz({
      corpus: "ini",
      inputs: 500,
      tokens: ["[", "]", "[main]\n", "key", "=", " = ", "#", ";", "\r\n", "\n", "\ufeff", "list=a\n"],
      check: (bytes, draw) => {
        const edit = {
          section: draw.pick(["main", "other", "new", undefined]),
          option: draw.pick(["key", "list", "flag", undefined]),
          values: draw.pick([["value"], ["a", "b"], [""]]),
          state: draw.pick(["present", "absent"] as const),
          exclusive: draw.chance(0.5),
          no_extra_spaces: draw.chance(0.5),
          ignore_spaces: draw.chance(0.5),
          allow_no_value: draw.chance(0.5),
          modify_inactive_option: draw.chance(0.5),
        };
        // The state `absent` takes one section of several of the same name.
        const isRepeated = edit.state === "absent" && edit.option === undefined;
        const once = editIni(bytesToText(bytes), edit).text;
        if (!isRepeated) mustEqual(editIni(once, edit).text, once, "edited again");
      },
    }),
  FUZZ_TIMEOUT_MS,
);
