import { describe, expect, it } from "vitest";
import { isVolleyError, type VolleyError } from "../../src/core/errors.ts";
import { Data, Float } from "../../src/core/values/value.ts";
import { OMIT, type Vars } from "../../src/core/values/vars.ts";
import { createTemplates, isOfUndefined } from "../../src/template/index.ts";
import { createScope, stackLayers } from "../../src/vars/scope.ts";

// Expected values: the results of ansible-core 2.14 with the same texts.

const templates = createTemplates();
const native = createTemplates({ native: true });

function scope(vars: Vars, from = templates): Vars {
  return createScope([{ kind: "template", vars, origin: (name) => ({ name }) }], (text, asking, origin) =>
    from.renderValue(text, asking, origin),
  );
}

function failure(body: () => unknown): VolleyError {
  try {
    body();
  } catch (error) {
    if (isVolleyError(error)) return error;
    throw error;
  }
  throw new Error("nothing failed");
}

const VARS: Vars = {
  omit: OMIT,
  k: "key",
  n: 5,
  none_: null,
  lst: "[1, 2]",
  dct: "{'a': 1}",
  yesno: "yes",
  tru: "True",
  lower: "true",
  num: "42",
  od: { a: 1, b: "{{ omit }}", c: ["{{ omit }}", 2, { d: "{{ omit }}", e: 1 }] },
  s: "1 == 2",
  t: "{{ 1 == 1 }}",
  empty: "",
  list: [],
  broken: "{{ nope }}",
  a: { b: "false" },
  five: "{{ n }}",
};

describe("arguments", () => {
  const both = { ...VARS };
  it.each<[given: unknown, expected: unknown, native?: unknown]>([
    [{ "{{ k }}": "v" }, { "{{ k }}": "v" }],
    [{ a: "{{ omit }}", b: 1 }, { b: 1 }],
    ["{{ omit }}", OMIT],
    [
      [1, "{{ omit }}", { c: "{{ nope | default(omit) }}", d: 2 }],
      [1, OMIT, { d: 2 }],
    ],
    ["{{ od }}", { a: 1, c: [OMIT, 2, { e: 1 }] }],
    ["x {{ omit }} y", `x ${OMIT} y`],
    ["{{ n }}", 5],
    ["{{ n }}\n", 5],
    ["{{ five }}", "5", 5],
    ["{{ n }} ", "5 ", 5],
    [" {{ n }}", " 5"],
    ["{{ n + 1 }}", "6", 6],
    ["{{ n }}{{ n }}", "55", 55],
    ["{{ none_ }}", null],
    ["{{ none_ | default(none) }}", "", null],
    ["{{ lst }}", [1, 2]],
    ["{{ dct }}", { a: 1 }],
    ["{{ yesno }}", "yes"],
    ["{{ tru }}", true],
    ["{{ lower }}", "true"],
    ["{{ num }}", "42", 42],
    ["{{ 1.5 }}", "1.5", 1.5],
    ["{{ 3.0 }}", "3.0", new Float(3)],
    ["{{ 1 == 1 }}", true],
    ["{{ {'a': 1} | to_json }}", '{"a": 1}'],
    ["{{ 5 | string }}", "5"],
    ["{{ '5' }}", "5", 5],
    ["[{{ n }}, 2]", [5, 2]],
    ["{{ (1, 2) }}", "(1, 2)", [1, 2]],
    ["{{ range(3) }}", [0, 1, 2]],
    ["None{{ '' }}", "None", null],
    ["true{{ '' }}", "true"],
    ["True{{ '' }}", true],
    ["{% if n == 5 %}{{ lst }}{% endif %}", [1, 2]],
    [new Data("{{ n }}"), "{{ n }}"],
    [true, true],
  ])("%j", (given, expected, nativeExpected = expected) => {
    expect(templates.renderArguments(given, scope(both))).toEqual(expected);
    expect(native.renderArguments(given, scope(both, native))).toEqual(nativeExpected);
  });

  it("renders keys where it is asked to", () => {
    expect(templates.renderArguments({ "{{ k }}_x": "{{ k }}" }, scope(VARS), { keys: true })).toEqual({
      key_x: "key",
    });
  });

  it("says what is undefined, and leaves the place to its caller", () => {
    const error = failure(() => templates.renderArguments({ a: ["{{ od.zz }}"] }, scope(VARS)));
    expect(error.message).toBe("'dict object' has no attribute 'zz'");
    expect(error.location).toBeUndefined();
    expect(isOfUndefined(error)).toBe(true);
  });

  it("sees layers that were put on a scope later, and those are templates if their kind says so", () => {
    const task = stackLayers(
      scope({ port: "80{{ n }}", n: 1 }),
      { kind: "data", vars: { n: 2, raw: "{{ n }}" } },
      { kind: "template", vars: { url: ":{{ port }}/" }, origin: (name) => ({ name }) },
    );
    expect(templates.renderArguments(["{{ url }}", "{{ raw }}"], task)).toEqual([":802/", "{{ n }}"]);
  });
});

describe("conditions", () => {
  it.each<[condition: unknown, truth: boolean]>([
    ["", true],
    [null, true],
    [true, true],
    [false, false],
    [[], false],
    ["n == 5", true],
    ["s", true],
    ["empty", false],
    ["list", false],
    ["none_", false],
    ["lower", true],
    ["t", true],
    ["a.b", true],
    ["{{ s }}", false],
    ["{{ t }}", true],
    ["{{ empty }}", false],
    ["{{ list }}", false],
    ["{{ a }}", true],
    ["{{ none_ }}", false],
    ["{{ n }} == 5", true],
    ["n == {{ n }}", true],
    ["{{ s }} and true", false],
    ["broken is defined", false],
    ["0", false],
    ["'0'", true],
    ["'\\n' | length == 1", true],
    ["'\\d' == '\\\\d'", true],
    ["{% if true %}true{% endif %}", true],
  ])("%j is %s", (condition, truth) => {
    expect(templates.condition(condition, scope(VARS))).toBe(truth);
  });

  it.each<[condition: string, message: string]>([
    ["nope", "error while evaluating conditional (nope): 'nope' is undefined"],
    ["not nope", "error while evaluating conditional (not nope): 'nope' is undefined"],
    ["{{ yesno }}", "error while evaluating conditional ({{ yesno }}): 'yes' is undefined"],
    ["a.zz == 1", "error while evaluating conditional (a.zz == 1): 'dict object' has no attribute 'zz'"],
    ["undef(hint='set it') == 1", "error while evaluating conditional (undef(hint='set it') == 1): set it"],
    ["{{ \"lookup('env', 'HOME')\" }}", "a text that a template made may not look anything up"],
  ])("%s fails", (condition, message) => {
    const error = failure(() => templates.condition(condition, scope(VARS)));
    expect(error.message).toBe(`The conditional check '${condition}' failed. The error was: ${message}`);
    expect(error.code).toBe("TEMPLATE_FAILED");
  });

  it("names the var whose own template fails", () => {
    const error = failure(() => templates.condition("broken == 1", scope(VARS)));
    expect(error.message).toMatch(/^The conditional check 'broken == 1' failed.*'nope' is undefined$/);
    expect(isOfUndefined(error)).toBe(true);
  });

  it("fails on wrong syntax", () => {
    expect(failure(() => templates.condition("1 +", scope(VARS))).message).toMatch(
      /^The conditional check '1 \+' failed\. The error was: /,
    );
  });
});

describe("lookups from outside of templates", () => {
  it("take a lone term, and give items", () => {
    expect(templates.runLookup("items", [[1, 2], 3], {})).toEqual([1, 2, 3]);
    expect(templates.runLookup("dict", { a: 1 }, {})).toEqual([{ key: "a", value: 1 }]);
    expect(templates.runLookup("ansible.builtin.vars", "x", { x: 7 })).toEqual([7]);
  });

  it("fail as templates do", () => {
    expect(failure(() => templates.runLookup("nothing", [], {})).message).toBe(
      "lookup plugin (nothing) not found",
    );
  });
});

describe("text of filters that give text", () => {
  const LIST = [1, 2];
  it.each([
    ["{% if true %}{{ [1, 2] | to_json }}{% endif %}", "[1, 2]"],
    ["{% for i in [1] %}{{ [1, 2] | to_json }}{% endfor %}", "[1, 2]"],
    ["{% if false %}x{% else %}{{ {'a': 1} | to_json }}{% endif %}", '{"a": 1}'],
    ["{% if true %}{{ 'True' | string }}{% endif %}", "True"],
    ["{% if true %}{{ [1, 2] | to_json }}{% endif %}{% if false %}x{% endif %}", "[1, 2]"],
    ["{% set x = [] %}{% for i in [1, 2] %}{% set _ = x.append(i) %}{% endfor %}{{ x | to_json }}", "[1, 2]"],
    ["{% if true %}{{ kept }}{% endif %}", "[1, 2]"],
    ["{% if true %}{{ [1, 2] | to_json }}{% endif %}\n", "[1, 2]\n"],
    ["{% if true %} {{ [1, 2] | to_json }}{% endif %}", " [1, 2]"],
    ["{% for i in LIST %}{{ [i] | to_json }}{% endfor %}", "[1][2]"],
    ["{{ [1, 2] | to_json }}{{ '' }}", LIST],
    ["{{ [1, 2] | to_json }} ", LIST],
    ["{% if true %}{{ [1, 2] | to_json | trim }}{% endif %}", LIST],
    ["{% if true %}{{ '[1, 2]' }}{% endif %}", LIST],
    ["{% if true %}[{{ 1 }}, 2]{% endif %}", LIST],
    ["{% if true %}True{% endif %}", true],
    ["{% filter upper %}{{ ['a'] | to_json }}{% endfilter %}", ["A"]],
  ])("%j is %j: alone it stays text, whatever statements are around it", (text, expected) => {
    const vars = scope({ LIST, kept: "{% if true %}{{ [1, 2] | to_json }}{% endif %}", text });
    expect(vars.text).toEqual(expected);
  });
});
