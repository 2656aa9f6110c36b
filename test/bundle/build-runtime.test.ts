import { createRequire } from "node:module";
import { compileFunction } from "node:vm";
import { brotliDecompressSync } from "node:zlib";
import { minify } from "terser";
import { beforeAll, expect, test } from "vitest";
import * as core from "../../src/agent/shared-core.ts";
import { buildRuntime, type RuntimeFiles } from "../../src/bundle/build-runtime.ts";
import type { createTemplates } from "../../src/template/index.ts";
import { type GoldenFile, outcome, readGolden } from "../template/golden.ts";

/** The limit of the packed parts of a bundle without YAML together, in bytes: see ARCHITECTURE.md. */
const BUDGET = 136_000;

let parts: RuntimeFiles;

beforeAll(async () => {
  parts = await buildRuntime(new URL("../../src/", import.meta.url).href, minify);
});

test("what rides in every bundle stays within its budget", () => {
  const sizes = [parts.bootstrap, parts.runner, parts.template].map(({ length }) => length);
  expect(
    sizes.reduce((sum, size) => sum + size),
    `bootstrap, runner and template have ${sizes.join(" + ")} bytes`,
  ).toBeLessThanOrEqual(BUDGET);
});

/** Templates with wrong syntax. They leave the parser by other ways than sound templates. */
const MALFORMED: GoldenFile = {
  vars: { a: 1 },
  templates: { other: "{% macro m() %}{{ a }}{% endmacro %}" },
  cases: [
    "{{ a",
    "{{ a b }}",
    "{{ a[1:2, 3] }}",
    "{% if a %}",
    "{% if a %}{% endfor %}",
    "{% for x in [1] %}{% else %}{% elif %}",
    "{% 1 %}",
    "{% endif %}",
    "{% include 'other' with %}",
    "{% include 'other' without a %}",
    "{% include 'other' without context %}",
    "{% from 'other' import m with context %}{{ m() }}",
    "{% from 'other' import m with %}",
    "{% import 'other' as o without context %}{{ o.m() }}",
    "{% block b %}{% endblock %}{% block b %}{% endblock %}",
  ].map((template) => ({ template })),
};

/** Of nunjucks the part holds only what is named in bundle/build-runtime.ts. */
test.each<[string, () => GoldenFile]>([
  ["cases.json", () => readGolden("cases.json")],
  ["ansible-cases.json", () => readGolden("ansible-cases.json")],
  ["malformed templates", () => MALFORMED],
])("the template part makes of %s what its source makes", (_name, read) => {
  const golden = read();
  const built = loadTemplatePart();
  // Leave out templates that use random values or the time: they differ from one rendering to the next.
  const cases = golden.cases.filter(({ template }) => !/random|shuffle|now\(|password/.test(template));
  expect(cases.length).toBeGreaterThan(10);
  const say = ({ text, error }: ReturnType<typeof outcome>): string | undefined =>
    error instanceof Error ? error.message : text;
  const differing = cases.filter((one) => say(outcome(golden, one, built)) !== say(outcome(golden, one)));
  expect(differing.map(({ template }) => template)).toEqual([]);
});

/** Loads the built template part as a bundle's bootstrap does. */
function loadTemplatePart(): typeof createTemplates {
  const given = {
    core,
    get yaml(): unknown {
      return loadPart(parts.yaml, { core });
    },
  };
  return (loadPart(parts.template, given) as { readonly createTemplates: typeof createTemplates })
    .createTemplates;
}

function loadPart(part: Buffer, given: Readonly<Record<string, unknown>>): unknown {
  const require = createRequire(import.meta.url);
  const module = { exports: {} };
  compileFunction(brotliDecompressSync(part).toString(), ["module", "exports", "require"])(
    module,
    module.exports,
    (name: string) => given[name] ?? require(name),
  );
  return module.exports;
}
