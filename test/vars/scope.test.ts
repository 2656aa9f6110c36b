import { readFileSync } from "node:fs";
import { describe, expect, it, test } from "vitest";
import { VolleyError } from "../../src/core/errors.ts";
import { mergeVars, type Vars } from "../../src/core/values/vars.ts";
import { createTemplates } from "../../src/template/index.ts";
import { createScope, extendScope, listedScope, SELF, viewScope } from "../../src/vars/scope.ts";

const { renderValue } = createTemplates();

/** The scope of vars that all stand in one inventory file, one a line. */
function inventory(vars: Vars, ...data: readonly Vars[]): Vars {
  const origin = (name: string) => ({
    name,
    file: "group_vars/all.yml",
    line: Object.keys(vars).indexOf(name) + 1,
  });
  return createScope(
    [{ kind: "template", vars, origin }, ...data.map((one) => ({ kind: "data", vars: one }) as const)],
    renderValue,
  );
}

function failure(body: () => unknown): VolleyError {
  try {
    body();
  } catch (error) {
    if (error instanceof VolleyError) return error;
    throw error;
  }
  throw new Error("nothing failed");
}

const recorded = JSON.parse(readFileSync(new URL("ansible-cases.json", import.meta.url), "utf8")) as {
  readonly vars: Vars;
  readonly expected: Readonly<Record<string, { readonly value?: unknown; readonly error?: true }>>;
};

// Expected values and types of each var: the results of ansible-core 2.14.
describe("vars have the values Ansible gives them", () => {
  const scope = inventory(recorded.vars);
  it.each(Object.entries(recorded.expected))("%s", (name, { value, error }) => {
    const what = `${name}: ${JSON.stringify(recorded.vars[name])}`;
    if (error === true) expect(failure(() => scope[name]).code, what).toBe("TEMPLATE_FAILED");
    else expect(scope[name], what).toEqual(value);
  });
});

describe("a scope", () => {
  it("renders a var when it is asked for, with what the asker has", () => {
    const host = inventory(
      { greeting: "{{ word }} {{ item | default('nobody') }} of {{ place }}", place: "x" },
      {
        word: "hello",
      },
    );
    expect(host.greeting).toBe("hello nobody of x");
    const task = extendScope(host, { place: "here" }, { item: "you" });
    expect(task.greeting).toBe("hello you of here");
    expect(host.greeting).toBe("hello nobody of x");
  });

  it("takes data as it is, and what inventory vars make of it too", () => {
    const scope = inventory({ shown: "<{{ data }}>", whole: "{{ data }}" }, { data: "{{ 1 + 1 }}{# c #}" });
    expect(scope.data).toBe("{{ 1 + 1 }}{# c #}");
    expect(scope.shown).toBe("<{{ 1 + 1 }}{# c #}>");
    expect(scope.whole).toBe("{{ 1 + 1 }}{# c #}");
  });

  it("lets later layers win, whatever they are, and a value that is not there leave the earlier one", () => {
    const scope = inventory({ a: "{{ 1 }}", b: "{{ 2 }}" }, { a: "fact", b: undefined });
    expect({ ...scope }).toEqual({ a: "fact", b: "2" });
  });

  it("asks for nothing when it is extended, merged, listed or looked at in part", () => {
    const scope = inventory({ wrong: "{{ nosuch }}", right: "{{ 1 }}" });
    const merged = mergeVars(extendScope(scope, { more: 1 }), { other: 2 });
    expect(Object.keys(merged)).toEqual(["wrong", "right", "more", "other"]);
    expect([merged.right, "wrong" in merged, Object.hasOwn(scope, "wrong")]).toEqual(["1", true, true]);
    expect({ ...viewScope(scope, { right: 0 }) }).toEqual({ right: "1" });
    expect(Object.keys(viewScope(extendScope(scope, { b: 1 }), { b: 0 }))).toEqual(["b"]);
  });

  it("has nothing of what objects inherit", () => {
    const scope = inventory({ x: "{{ constructor is defined }}{{ __proto__ is defined }}" });
    expect(scope.x).toBe("FalseFalse");
    expect(scope.toString).toBeUndefined();
  });
});

describe("an error of a var says which, and of which file and line", () => {
  it.each([
    [{ a: 1, url: "x{{ nosuch }}" }, "url", 2, "the var \"url\" cannot be rendered: 'nosuch' is undefined"],
    [{ url: "{{ base }}/", base: "{{ nosuch }}" }, "url", 2, 'the var "base" cannot be rendered'],
    [{ url: "{% if %}" }, "url", 1, 'the var "url" cannot be rendered'],
    [{ url: ["ok", { deep: "{{ 1 + 'a' }}" }] }, "url", 1, 'the var "url" cannot be rendered: unsupported'],
    [{ url: "{{ 'a' | nosuchfilter }}" }, "url", 1, "there is no filter 'nosuchfilter'"],
    [{ a: "{{ a }}" }, "a", 1, 'the var "a" refers to itself'],
    [
      { x: "{{ a }}", a: "-{{ b }}", b: ["{{ c }}"], c: "{{ a }}" },
      "x",
      2,
      'the var "a" refers to itself (through "b", "c")',
    ],
  ])("%j", (vars, asked, line, message) => {
    const scope = inventory(vars);
    for (let time = 1; time <= 2; time++) {
      const error = failure(() => scope[asked]);
      expect(error.message).toContain(message);
      expect(error).toMatchObject({
        code: "TEMPLATE_FAILED",
        location: { file: "group_vars/all.yml", line },
      });
    }
  });

  test("a template that uses it says the same", () => {
    const scope = inventory({ url: "x{{ nosuch }}" });
    const templates = createTemplates({ loader: { read: () => "one\n{{ url }}\n" } });
    const error = failure(() => templates.render("t.j2", scope));
    expect(error.message).toBe("the var \"url\" cannot be rendered: 'nosuch' is undefined");
    expect(error.location).toEqual({ file: "group_vars/all.yml", line: 1 });
    expect(templates.renderString("{{ url | default('none') }} {{ url.a.b is defined }}", scope)).toBe(
      "none False",
    );
  });
});

describe("the scope as a value of its own", () => {
  const layers = [
    {
      kind: "template" as const,
      vars: { a: "{{ b }}", bad: "{{ nope }}" },
      origin: (name: string) => ({ name }),
    },
    { kind: "data" as const, vars: { b: 1, vars: SELF, hostvars: { h: {} } } },
  ];

  it("comes to an end where it is listed, and has all vars where they are asked for", () => {
    const vars = createScope(layers, (_text, scope) => ({ value: scope.vars.b, verbatim: false }));
    const all = vars.vars as Vars;
    expect(Object.keys(all).sort()).toEqual(["a", "b", "bad"]);
    expect(all.vars).toBe(all);
    expect(all.hostvars).toEqual({ h: {} });
    expect(Object.keys(listedScope(vars)).sort()).toEqual(["a", "b", "bad"]);
    expect(Object.keys(vars)).toContain("hostvars");
  });
});
