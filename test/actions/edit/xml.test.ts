import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { xml } from "../../../src/actions/edit/xml.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

type Given = Omit<Parameters<typeof xml>[0], "path" | "xmlstring">;

const HEAD = "<?xml version='1.0' encoding='UTF-8'?>\n";
const BAR = `<?xml version="1.0"?>
<!-- ours -->
<business type="bar">
  <name>Tasty</name>
  <beers>
    <beer>Rochefort 10</beer>
    <beer a='1'>St. Bernardus</beer>
  </beers>
  <rating subjective="true">10</rating>
  <website><mobile/></website>
</business>
`;
let sandbox: Sandbox;
const at = (name: string): string => join(sandbox.root, name);
const content = (): string => readFileSync(at("etc/f.xml"), "utf8");
const start = (text: string): void => writeFileSync(at("etc/f.xml"), text);

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc"));
  start(BAR);
});
afterEach(() => sandbox[Symbol.dispose]());

const run = (given: Given) => pass(xml({ path: "/etc/f.xml", ...given }), sandbox.system, sandbox.context());
/** Edit a text; the text that results, without its declaration. */
const edit = async (xmlstring: string, given: Given): Promise<string | undefined> => {
  const { state, data } = await pass(xml({ xmlstring, ...given }), sandbox.system, sandbox.context());
  return state === "unchanged" ? undefined : data?.xmlstring?.slice(HEAD.length);
};

describe("reading", () => {
  it.each([
    [
      { count: true, xpath: "/business/beers/beer" },
      { count: 2, msg: "found 2 nodes" },
    ],
    [
      { count: true, xpath: "/business/none" },
      { count: 0, msg: "found 0 nodes" },
    ],
    [
      { print_match: true, xpath: "//beer | //@subjective" },
      {
        matches: ["/business/beers/beer[1]", "/business/beers/beer[2]", "/business/rating/@subjective"],
        msg: `selector '//beer | //@subjective' match: ["/business/beers/beer[1]", "/business/beers/beer[2]", "/business/rating/@subjective"]`,
      },
    ],
    [
      { content: "text", xpath: "//beer" },
      { matches: [{ beer: "Rochefort 10" }, { beer: "St. Bernardus" }], count: 2, msg: 2 },
    ],
    [
      { content: "attribute", xpath: "//rating" },
      { matches: [{ rating: { subjective: "true" } }], count: 1, msg: 1 },
    ],
    [
      { content: "text", xpath: "//mobile" },
      { matches: [{ mobile: null }], count: 1, msg: 1 },
    ],
  ] as const)("%j", async (given, found) => {
    const { state, data } = await run(given as unknown as Given);
    expect(state).toBe("unchanged");
    const actions = { xpath: given.xpath, namespaces: {}, state: "present" };
    expect(data).toEqual({ actions, ...found });
    expect(content()).toBe(BAR);
  });

  it("fails where there is nothing to read", async () => {
    await expect(run({ content: "text", xpath: "//none" })).rejects.toThrow(
      "Xpath //none does not reference a node!",
    );
  });
});

it("sets a value, once, and leaves the rest", async () => {
  const call = xml({ path: "/etc/f.xml", xpath: "/business/rating", value: "11" });
  const { check } = await checkApplyAgain(sandbox, call);
  const written = BAR.replace('<?xml version="1.0"?>\n', HEAD).replace(">10<", ">11<").replace("'1'", '"1"');
  expect(content()).toBe(written.trimEnd());
  expect(check.change?.diff).toMatchObject({ path: "/etc/f.xml", before: BAR });
});

describe("setting", () => {
  it.each([
    ["<a><b>x</b></a>", { xpath: "/a/b", value: "1 < 2" }, "<a><b>1 &lt; 2</b></a>"],
    ["<a><b>x<c/>y</b></a>", { xpath: "/a/b", value: "z" }, "<a><b>z<c/>y</b></a>"],
    ["<a><b/><b/></a>", { xpath: "//b", value: "v" }, "<a><b>v</b><b>v</b></a>"],
    ["<a/>", { xpath: "/a", attribute: "c", value: 'q"' }, '<a c="q&quot;"/>'],
    ['<a c="1"/>', { xpath: "/a/@c", value: "2" }, '<a c="2"/>'],
    ['<a c="1"/>', { xpath: "/a/@c", value: "1" }, undefined],
    ["<a>t</a>", { xpath: "/a/text()", value: "u" }, "<a>u</a>"],
    ["<a><![CDATA[x]]><b/></a>", { xpath: "/a/b", value: "1" }, "<a><![CDATA[x]]><b>1</b></a>"],
    [
      "<a><![CDATA[<]]><b/></a>",
      { xpath: "/a/b", value: "1", strip_cdata_tags: true },
      "<a>&lt;<b>1</b></a>",
    ],
  ] as const)("%s %j", async (text, given, expected) => {
    expect(await edit(text, given)).toBe(expected);
  });
});

describe("making what is missing", () => {
  it.each([
    ["<a/>", { xpath: "/a/b/c", value: "x" }, "<a><b><c>x</c></b></a>"],
    ["<a/>", { xpath: "b/@d" }, '<a><b d=""/></a>'],
    ["<a><b>1</b></a>", { xpath: "/a/b[text()='2']" }, "<a><b>1</b><b>2</b></a>"],
    ["<a/>", { xpath: "/a/b[@id='1' and @x='2']/c", value: "v" }, '<a><b id="1" x="2"><c>v</c></b></a>'],
    ["<a/>", { xpath: "/a/b[name='n'][@e]" }, '<a><b e=""><name>n</name></b></a>'],
    ["<a><b/></a>", { xpath: "/a/b" }, undefined],
    ["<a><b/></a>", { xpath: "//b/c", value: "x" }, "<a><b><c>x</c></b></a>"],
  ] as const)("%s %j", async (text, given, expected) => {
    expect(await edit(text, given)).toBe(expected);
  });

  it.each([
    ["/x", "does not reference a node"],
    ["/a/b[3]", "in order to spawn nodes"],
    ["/a/b[@c>1]", "in order to spawn nodes"],
    ["//b", "in order to spawn nodes"],
    ["/a/parent::c", "in order to spawn nodes"],
  ])("refuses %s", async (xpath, message) => {
    await expect(edit("<a/>", { xpath })).rejects.toThrow(message);
  });
});

describe("removing", () => {
  it.each([
    ["<a><b/>t<b/></a>", { xpath: "//b" }, "<a>t</a>"],
    ['<a b="1" c="2"/>', { xpath: "/a/@b" }, '<a c="2"/>'],
    ["<a><!-- x --></a>", { xpath: "//comment()" }, "<a/>"],
    ["<a/>", { xpath: "//b" }, undefined],
  ] as const)("%s %j", async (text, given, expected) => {
    expect(await edit(text, { ...given, state: "absent" })).toBe(expected);
  });

  it("keeps the root element", async () => {
    await expect(edit("<a/>", { xpath: "/a", state: "absent" })).rejects.toThrow("the whole document");
  });
});

describe("children", () => {
  const bar = { bar: { name: "Scumm", _: [{ floor: "1" }, "roof", { wc: { of: "x" } }] } };
  const written = '<bar name="Scumm"><floor>1</floor><roof/><wc of="x"/></bar>';
  it.each([
    ["<a><b/></a>", { xpath: "/a", add_children: [bar, { n: 3 }] }, `<a><b/>${written}<n>3</n></a>`],
    ["<a><b/><b/></a>", { xpath: "/a/b", add_children: ["c"], insertbefore: true }, "<a><c/><b/><b/></a>"],
    ["<a><b/><b/></a>", { xpath: "/a/b[1]", add_children: ["c"], insertafter: true }, "<a><b/><c/><b/></a>"],
    ["<a>t<b/></a>", { xpath: "/a", set_children: [bar] }, `<a>${written}</a>`],
    ["<a> <b>1</b> </a>", { xpath: "/a", set_children: [{ b: "1" }] }, undefined],
    ["<a/>", { xpath: "/a", add_children: ["<b c='1'>t</b>"], input_type: "xml" }, '<a><b c="1">t</b></a>'],
  ] as const)("%s %j", async (text, given, expected) => {
    expect(await edit(text, given as unknown as Given)).toBe(expected);
  });

  it("need a parent, and names", async () => {
    await expect(edit("<a/>", { xpath: "/b", add_children: ["c"] })).rejects.toThrow(
      "does not reference a node",
    );
    await expect(edit("<a/>", { xpath: "/a", add_children: ["c d"] })).rejects.toThrow('"c d" is no name');
    await expect(edit("<a/>", { xpath: "/a", add_children: [{ c: ["x"] }] })).rejects.toThrow('below "_"');
  });
});

describe("namespaces", () => {
  const doc = '<a xmlns="urn:a" xmlns:p="urn:p"><b p:c="1">x</b></a>';
  const namespaces = { x: "urn:a", y: "urn:p" };
  it.each([
    [{ xpath: "/x:a/x:b", value: "2" }, doc.replace(">x<", ">2<")],
    [{ xpath: "/x:a/x:b/@y:c", value: "2" }, doc.replace('"1"', '"2"')],
    [{ xpath: "/x:a/x:d", value: "2" }, doc.replace("</a>", "<d>2</d></a>")],
    [{ xpath: "/x:a", add_children: [{ "y:e": "1" }] }, doc.replace("</a>", "<p:e>1</p:e></a>")],
    [{ xpath: "/x:a/x:b", attribute: "y:d", value: "2" }, doc.replace('c="1"', 'c="1" p:d="2"')],
  ] as const)("%j", async (given, expected) => {
    expect(await edit(doc, { namespaces, ...given } as Given)).toBe(expected);
  });

  it("are told of matches", async () => {
    const call = xml({ xmlstring: doc, namespaces, xpath: "//x:b", content: "text" });
    const { data } = await pass(call, sandbox.system, sandbox.context());
    expect(data?.matches).toEqual([{ "{urn:a}b": "x" }]);
    await expect(edit(doc, { xpath: "/z:a" })).rejects.toThrow('the prefix "z" is unknown');
  });
});

it("indents, once", async () => {
  start("<a><b> <c>1</c><d/>\n</b><e>t <f/></e><!-- g --></a>");
  await checkApplyAgain(sandbox, xml({ path: "/etc/f.xml", pretty_print: true }));
  expect(content()).toBe(
    `${HEAD}<a>\n  <b>\n    <c>1</c>\n    <d/>\n  </b>\n  <e>t <f/></e>\n  <!-- g -->\n</a>\n`,
  );
});

it("sets owner and mode, and keeps a backup", async () => {
  await checkApplyAgain(sandbox, xml({ path: "/etc/f.xml", xpath: "/business", mode: "0600" }));
  expect(content()).toBe(BAR);
  const { data } = await run({ xpath: "//rating", state: "absent", backup: true });
  expect(readFileSync(at(data!.backup_file!), "utf8")).toBe(BAR);
});

it.each([
  ["<a>", "<a> is not closed"],
  ["<a></b>", "</b> does not close <a>"],
  ["<a/><b/>", "second root element"],
  ["<a b='1' b='2'/>", "is there twice"],
  ["text", "outside of the root"],
  ["", "no root element"],
  ["<a>&x;</a>", "entity &x; is not supported"],
  ["<a>& b</a>", "is no reference"],
  ["<a>&#0;</a>", "is no character of XML"],
  ["<a>\u0001</a>", "may not stand in XML"],
  ["<a>".repeat(300), "nested more than 256 deep"],
  ["<a\n<b/></a>", "line 1: this is no XML"],
  ["<?xml version='1.0' encoding='koi8-r'?><a/>", "encoding koi8-r is not supported"],
])("refuses the document %j", async (text, message) => {
  start(text);
  await expect(run({ xpath: "/a" })).rejects.toThrow(message);
});

it("keeps what is no element", async () => {
  const text = `<!DOCTYPE a [<!ELEMENT a ANY>]>\n<?x y?>\n<a>&#228;&amp;<?p q?></a>`;
  expect(await edit(text, { xpath: "/a/@b", value: "\n" })).toBe(
    `<!DOCTYPE a [<!ELEMENT a ANY>]>\n<?x y?>\n<a b="&#10;">ä&amp;<?p q?></a>`,
  );
});

it("fails without the file; in check mode that is unknown", async () => {
  const call = xml({ path: "/none", xpath: "/a" });
  const message = "The target XML source '/none' does not exist.";
  await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow(message);
  expect((await pass(call, sandbox.system, sandbox.context({ check: true }))).state).toBe("unknown");
});

it("names wrong parameters", () => {
  expect(() => xml({ xpath: "/a" })).toThrow('give "path" or "xmlstring"');
  expect(() => xml({ path: "/x", value: "1" })).toThrow('"xpath" is required');
  expect(() => xml({ path: "/x" })).toThrow('give "xpath"');
  expect(() => xml({ path: "/x", xpath: "/a", attribute: "b" })).toThrow(
    "missing parameter(s) required by 'attribute': value",
  );
  expect(() => xml({ path: "/x", xpath: "/a", insertafter: true })).toThrow("add_children");
});
