import { describe, expect, it } from "vitest";
import { VolleyError } from "../../src/core/errors.ts";
import { Float } from "../../src/core/values/value.ts";
import {
  createTemplates,
  type PrecompiledTemplates,
  type TemplateOptions,
} from "../../src/template/index.ts";
import { precompile } from "../../src/template/precompiled.ts";

function over(files: Readonly<Record<string, string>>, options: TemplateOptions = {}) {
  return createTemplates({ loader: { read: (name) => files[name] ?? null }, ...options });
}

/** The same with templates that were compiled before, as a bundle has them. `taken` gets the text of each one used. */
function overPrecompiled(
  files: Readonly<Record<string, string>>,
  options: TemplateOptions = {},
  taken: string[] = [],
) {
  const module = { exports: {} as PrecompiledTemplates };
  new Function("module", precompile(Object.values(files)) ?? "")(module);
  const precompiled = new Proxy(module.exports, {
    get: (templates, key: string) => {
      if (Object.hasOwn(templates, key)) taken.push(key);
      return templates[key];
    },
  });
  return over(files, { precompiled, ...options });
}

const WAYS = [
  ["compiled when they are rendered", over],
  ["compiled before", overPrecompiled],
] as const;

function failure(body: () => unknown): VolleyError {
  try {
    body();
  } catch (error) {
    if (error instanceof VolleyError) return error;
    throw error;
  }
  throw new Error("nothing failed");
}

describe.each(WAYS)("%s: errors name the template, the line and what is wrong", (_, over) => {
  const files = {
    "outer.j2": "one\n{% include 'inner.j2' %}\n",
    "inner.j2": "\n\n{{ nope.x }}\n",
    "macros.j2": "{% macro m() %}\n\n{{ unknown }}{% endmacro %}",
    "caller.j2": "{% from 'macros.j2' import m %}\n{{ m() }}",
    "open.j2": "a\n\n{% if x %}\n",
    "bad.j2": "a\n{{ 1 + }}\n",
    "header.j2": "#jinja2: lstrip_blocks: True\n\n{{ missing }}",
    "child.j2": "{% extends 'base.j2' %}\n{% block b %}\n{{ missing }}{% endblock %}",
    "base.j2": "1\n2\n3\n4{% block b %}{% endblock %}",
    "after-macro.j2": "{% macro m() %}\nx\n{% endmacro %}\n{{ m() ~ missing }}",
    "loop.j2": "{% for x in [1, 2] %}\n{{ x }}\n{{ d.zz }}\n{% endfor %}",
    "string.j2": "\n{{ 'a' + 1 }}",
    "self.j2": "x\n{% include 'self.j2' %}",
  };
  it.each([
    ["outer.j2", "inner.j2", 3, "'nope' is undefined"],
    ["caller.j2", "macros.j2", 3, "'unknown' is undefined"],
    ["open.j2", "open.j2", 3, "endif"],
    ["bad.j2", "bad.j2", 2, "unexpected"],
    ["header.j2", "header.j2", 3, "'missing' is undefined"],
    ["child.j2", "child.j2", 3, "'missing' is undefined"],
    ["after-macro.j2", "after-macro.j2", 4, "'missing' is undefined"],
    ["loop.j2", "loop.j2", 3, "no attribute 'zz'"],
    ["string.j2", "string.j2", 2, "unsupported operand type"],
    ["self.j2", "self.j2", 2, "without end"],
  ])("%s fails in %s, line %i: %s", (name, file, line, message) => {
    const error = failure(() => over(files).render(name, { d: {} }));
    expect(error.code).toBe("TEMPLATE_FAILED");
    expect(error.location).toMatchObject({ file, line });
    expect(error.message).toContain(message);
  });

  it("a template that does not exist is named", () => {
    expect(failure(() => over({}).render("none.j2", {})).message).toContain("none.j2");
  });

  it("a text takes the name it is given", () => {
    const error = failure(() => createTemplates().renderString("{{ x }}", {}, { name: "motd" }));
    expect(error.location?.file).toBe("motd");
  });
});

it("templates that were compiled before are used in the style that they were compiled for, under any name", () => {
  const taken: string[] = [];
  const templates = overPrecompiled(
    { "one.j2": "{{ x }}\n", "two.j2": "{{ x }}\n", "plain.txt": "x\n" },
    {},
    taken,
  );
  expect(templates.render("one.j2", { x: 1 })).toBe("1\n");
  expect(failure(() => templates.render("two.j2", {})).location).toMatchObject({ file: "two.j2", line: 1 });
  expect(new Set(taken)).toHaveLength(1);
  expect(taken).toHaveLength(2);
  expect(templates.render("one.j2", { x: 1 }, { lstripBlocks: true })).toBe("1\n");
  expect(templates.render("plain.txt", {})).toBe("x\n");
  expect(taken).toHaveLength(2);
});

describe.each(WAYS)("%s: whitespace options", (_, over) => {
  const files = {
    "t.j2": "{% if true %}\n  a\n  {% endif %}\nb\n",
    "empty.j2": "{% if false %}x{% endif %}\n",
  };

  it("trims as Ansible does unless told otherwise", () => {
    expect(over(files).render("t.j2", {})).toBe("  a\n  b\n");
    expect(over(files).render("t.j2", {}, { lstripBlocks: true })).toBe("  a\nb\n");
    expect(over(files).render("t.j2", {}, { trimBlocks: false })).toBe("\n  a\n  \nb\n");
  });

  it("an override holds for one render only", () => {
    const templates = over(files, { lstripBlocks: true });
    const before = templates.render("t.j2", {});
    templates.render("t.j2", {}, { lstripBlocks: false, trimBlocks: false });
    expect(templates.render("t.j2", {})).toBe(before);
  });

  it("ends a result as the template ends, unless told not to", () => {
    expect(over(files).render("empty.j2", {})).toBe("\n");
    expect(over(files).render("empty.j2", {}, { keepTrailingNewline: false })).toBe("");
  });

  it("refuses a header it does not know", () => {
    expect(failure(() => createTemplates().renderString("#jinja2: nonsense: True\nx", {})).message).toContain(
      "nonsense",
    );
  });
});

describe("evaluate gives native values", () => {
  const vars = { a: { b: "abc" }, list: [1, 2], double: (x: number) => x * 2 };
  it.each<[string, unknown]>([
    ["a.b | length > 2", true],
    ["a", { b: "abc" }],
    ["{'x': 1.0, 'y': (1, 2), 'z': none}", { x: new Float(1), y: [1, 2], z: null }],
    [
      "{20: 'b', 10: 'a'}",
      new Map([
        [20, "b"],
        [10, "a"],
      ]),
    ],
    ["missing is defined and missing.x", false],
    ["-5 | abs", 5],
    ["10 / 2", new Float(5)],
    ["9007199254740992 + 1", 9007199254740993n],
    ["list | map('string') | list", ["1", "2"]],
    ["double(21)", 42],
    ["'}}'", "}}"],
  ])("%s", (expression, expected) => {
    expect(createTemplates().evaluate(expression, vars)).toEqual(expected);
  });

  it.each(["missing", "[missing]", "a +", "a }} {{ a", "a.b[0", ""])("%s is an error", (expression) => {
    expect(failure(() => createTemplates().evaluate(expression, vars)).code).toBe("TEMPLATE_FAILED");
  });
});

describe("lookups", () => {
  it("env reads what it is given and nothing else", () => {
    expect(
      createTemplates({ env: { A: "1" } }).renderString(
        "{{ lookup('env', 'A') }}[{{ lookup('env', 'PATH') }}]",
        {},
      ),
    ).toBe("1[]");
  });

  it("file and template come from the loader", () => {
    const templates = over({ "f.txt": "text\n", "n.j2": "n={{ n }}\n" });
    expect(
      templates.renderString("{{ lookup('file', 'f.txt') }} {{ lookup('template', 'n.j2') }}", { n: 1 }),
    ).toBe("text n=1\n");
  });

  it("further lookups get native values", () => {
    const lookups = { keys: (value: unknown) => Object.keys(value as object) };
    expect(createTemplates({ lookups }).evaluate("query('keys', {'a': 1, 'b': 2})", {})).toEqual(["a", "b"]);
  });
});

describe("templates never reach JavaScript", () => {
  it.each(["constructor", "__proto__", "toString", "hasOwnProperty", "length"])("%s", (name) => {
    const render = (source: string): string =>
      createTemplates().renderString(source, { d: {}, l: [], s: "" });
    expect(
      render(
        `{{ d.${name} is defined }}{{ d['${name}'] is defined }}{{ l.${name} is defined }}{{ s.${name} is defined }}`,
      ),
    ).toBe("FalseFalseFalseFalse");
    expect(render(`{{ ${name} is defined }}{{ range.${name} is defined }}`)).toBe("FalseFalse");
  });

  it("a dict may have keys of any name", () => {
    const d = JSON.parse('{"length": 1, "keys": 2, "__proto__": 3, "constructor": 4}') as Record<
      string,
      unknown
    >;
    expect(
      createTemplates().renderString("{{ d.length }}{{ d['keys'] }}{{ d['__proto__'] }}{{ d.constructor }}", {
        d,
      }),
    ).toBe("1234");
    expect(createTemplates().renderString("{{ {}|combine(d)|to_json }}", { d })).toBe(
      '{"length": 1, "keys": 2, "__proto__": 3, "constructor": 4}',
    );
  });
});

it("variables are read only when a template asks for them, and assignments do not reach them", () => {
  const read: string[] = [];
  const vars = {
    get used() {
      read.push("used");
      return 1;
    },
    get unused() {
      read.push("unused");
      return 2;
    },
  };
  expect(createTemplates().renderString("{{ used }}{% set used = 5 %}{% set fresh = 6 %}", vars)).toBe("1");
  expect(read).toEqual(["used"]);
  expect(Object.keys(vars)).toEqual(["used", "unused"]);
});

it("instances do not share what they are given", () => {
  const one = over({ "x.j2": "1" });
  const two = over({ "x.j2": "2" });
  expect(one.render("x.j2", {}) + two.render("x.j2", {}) + one.render("x.j2", {})).toBe("121");
});

it("a template that changes is compiled anew", () => {
  const files: Record<string, string> = { "x.j2": "1" };
  const templates = over(files);
  templates.render("x.j2", {});
  files["x.j2"] = "2";
  expect(templates.render("x.j2", {})).toBe("2");
});

describe("a rendering leaves its caller's lists and dicts as they are", () => {
  const vars = () => ({
    list: [3, 1, [2]],
    dict: { a: 1, deep: { list: ["x"] } },
    map: new Map<unknown, unknown>([[1, ["y"]]]),
  });

  it.each([
    ["{{ list.append(9) }}{{ list }}", "[3, 1, [2], 9]"],
    ["{{ list['append'](9) }}{{ list }}", "[3, 1, [2], 9]"],
    ["{% for one in [7, 8] %}{{ list.insert(0, one) }}{% endfor %}{{ list }}", "[8, 7, 3, 1, [2]]"],
    ["{{ list[2].extend([4]) }}{{ list }}", "[3, 1, [2, 4]]"],
    ["{{ list.pop() }}{{ list.remove(1) }}{{ list.reverse() }}{{ list }}", "[2][3]"],
    ["{{ list.clear() }}{{ list }}", "[]"],
    ["{{ list[:2] | list }}{% set same = list %}{{ same.append(5) }}{{ list }}", "[3, 1][3, 1, [2], 5]"],
    ["{{ dict.update({'b': 2}) }}{{ dict.b }}{{ dict.pop('a') }}", "21"],
    ["{{ dict.deep.list.append('z') }}{{ dict.deep.list | join }}", "xz"],
    ["{{ dict.setdefault('n', []).append(1) }}{{ dict.n }}", "[1]"],
    ["{{ map[1].append('z') }}{{ map[1] | join }}{{ map.popitem()[0] }}{{ map.clear() }}", "yz1"],
    ["{% macro add(to) %}{{ to.append(1) }}{% endmacro %}{{ add(list) }}{{ list | length }}", "4"],
    ["{% include 'append.j2' %}", "[3, 1, [2], 6]"],
    ["{{ lookup('template', 'append.j2') }}", "[3, 1, [2], 6]"],
    ["{{ lookup('template', 'append.j2', errors='ignore') }}", "[3, 1, [2], 6]"],
  ])("%s", (template, expected) => {
    const templates = over({ "append.j2": "{{ list.append(6) }}{{ list }}" });
    const given = vars();
    for (let time = 1; time <= 2; time++) expect(templates.renderString(template, given)).toBe(expected);
    expect(given).toEqual(vars());
  });

  it("so does an expression", () => {
    const given = vars();
    expect(createTemplates().evaluate("list.pop(0) + list[0]", given)).toBe(4);
    expect(given).toEqual(vars());
  });
});

// Expected values: the results of ansible-core 2.14.
describe("regular expressions are Python's, the same as in actions", () => {
  it.each([
    ["{{ 'XY Xy' | regex_search('(?i:x)y') }}", "Xy"],
    ["{{ 'a\\rb\u2028c\\nd' | regex_findall('.+') | length }}", "2"],
    ["{{ 'a\\n\\nb' | regex_replace('^$', '-', multiline=true) }}", "a\n-\nb"],
    ["{{ '😀b' | regex_replace('^', '>') | regex_replace('$', '<') }}", ">😀b<"],
    [
      "{{ 'AB' is match('(?i)b') }}{{ 'AB' is match('(?i)a') }}{{ 'a\\n' is regex('a$', match_type='fullmatch') }}",
      "FalseTrueFalse",
    ],
    ["{{ 'abc' | regex_replace('(?P<x>b)', '[\\\\g<x>]') }}", "a[b]c"],
    ["{{ query('varnames', '^(?i:LI)s') | join }}", "list"],
  ])("%s", (template, expected) => {
    expect(createTemplates().renderString(template, { list: [] })).toBe(expected);
  });

  it.each([
    "{{ 'a' | regex_replace('(', '') }}",
    "{{ 'a' | regex_replace('a', '\\\\q') }}",
    "{{ 'a' | regex_search('a', '\\\\1') }}",
  ])("%s fails", (template) => {
    expect(failure(() => createTemplates().renderString(template, {})).code).toBe("TEMPLATE_FAILED");
  });
});
