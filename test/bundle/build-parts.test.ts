import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compileFunction } from "node:vm";
import { brotliDecompressSync } from "node:zlib";
import { beforeAll, expect, test } from "vitest";
import * as core from "../../src/agent/shared-core.ts";
import type { OwnParts } from "../../src/bundle/parts.ts";
import { preparePlaybook } from "../../src/controller/prepare/read.ts";
import type { createTemplates } from "../../src/template/index.ts";
import { builtCli } from "../e2e/lib/cli.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";
import { type GoldenFile, outcome, readGolden } from "../template/golden.ts";

/** The limit of the packed parts of a bundle without YAML together, in bytes: see ARCHITECTURE.md. */
const BUDGET = 108_000;

scratchDirectory();
let ownParts: OwnParts;

beforeAll(async () => {
  const built = join(dirname(await builtCli()), "../bundle/own-parts.js");
  const { loadOwnParts } = (await import(built)) as typeof import("../../src/bundle/own-parts.ts");
  ownParts = await loadOwnParts();
}, 600_000);

test("what rides in every bundle stays within its budget", () => {
  const sizes = [ownParts.bootstrap, ownParts.parts.runner!].map(({ length }) => length);
  expect(
    sizes.reduce((sum, size) => sum + size),
    `bootstrap, and runner with template, have ${sizes.join(" + ")} bytes`,
  ).toBeLessThanOrEqual(BUDGET);
});

test("the code of every part is ASCII, which V8 holds in one byte a character", () => {
  for (const [name, part] of Object.entries(ownParts.parts))
    expect(brotliDecompressSync(part).toString("latin1"), name).toMatch(/^[\0-\x7f]+$/);
  expect(ownParts.actions.toString("latin1")).toMatch(/^[\0-\x7f]+$/);
});

/** The largest bundle of the 88 actions that speed is measured on, in bytes: 150 KiB. */
const BUNDLE_OF_88 = 153_600;

test("the bundle of 88 actions stays below 150 KiB", async () => {
  const site = fileURLToPath(new URL("../bench/site.ts", import.meta.url));
  const prepared = await preparePlaybook(site, dirname(site));
  const { bytes } = await prepared.bundle({ vars: [], ownParts });
  expect(bytes.length).toBeLessThanOrEqual(BUNDLE_OF_88);
  // Parts, actions and files that the playbook does not reach are not in it.
  const whole = await prepared.bundle({ vars: ["{{ x | from_yaml }}"], ownParts, actions: "all" });
  expect(whole.bytes.length).toBeGreaterThan(bytes.length + 40_000);
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

/** Of nunjucks the part holds only what is named in bundle/build-parts.ts. */
test.each<[string, () => GoldenFile]>([
  ["cases.json", () => readGolden("cases.json")],
  ["ansible-cases.json", () => readGolden("ansible-cases.json")],
  ["seldom-cases.json", () => readGolden("seldom-cases.json")],
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

test("the part of what templates seldom use lends values to the template part, and takes them from it", () => {
  const templates = loadTemplatePart()();
  const say = (text: string): string => templates.renderString(text, { ports: [80, 80] });
  expect(say("{{ ports | counter }}")).toBe("{80: 2}");
  expect(say("{{ '10.0.0.1/8' | ipaddr('network') }} {{ '::1' is ansible.utils.ipv6 }}")).toBe(
    "10.0.0.0 True",
  );
  expect(say("{{ [{'a': 1}] | lists_mergeby([{'a': 1, 'b': 2}], index='a') }}")).toBe("[{'a': 1, 'b': 2}]");
  expect(say("{{ lookup('random_choice', 'x') }}{{ {}.zz is defined }}")).toBe("xFalse");
  expect(() => say("{{ 1 | counter }}")).toThrow("1 is int");
  expect(() => say("{{ [zz] | counter }}")).toThrow("'zz' is undefined");
});

/** Loads the built template part as a bundle's bootstrap does. */
function loadTemplatePart(): typeof createTemplates {
  let more: unknown;
  const given = {
    core,
    template: undefined as unknown,
    get yaml(): unknown {
      return loadPart(ownParts.parts.yaml!, { core });
    },
    get "template-more"(): unknown {
      more ??= loadPart(ownParts.parts["template-more"]!, given);
      return more;
    },
  };
  const [, name, template] = brotliDecompressSync(ownParts.parts.runner!).toString().split("\0");
  expect(name).toBe("template.js");
  given.template = loadCode(template!, given);
  return (given.template as { readonly createTemplates: typeof createTemplates }).createTemplates;
}

function loadPart(part: Buffer, given: Readonly<Record<string, unknown>>): unknown {
  return loadCode(brotliDecompressSync(part).toString(), given);
}

function loadCode(code: string, given: Readonly<Record<string, unknown>>): unknown {
  const require = createRequire(import.meta.url);
  const module = { exports: {} };
  compileFunction(code, ["module", "exports", "require"])(
    module,
    module.exports,
    (name: string) => given[name] ?? require(name),
  );
  return module.exports;
}
