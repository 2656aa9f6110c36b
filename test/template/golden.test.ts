import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isVolleyError } from "../../src/core/errors.ts";
import { type GoldenCase, matches, outcome, readGolden } from "./golden.ts";

/** Templates that come out otherwise than in Ansible, and why that is accepted; a line that no longer holds fails. */
const DIFFERENCES: Readonly<Record<string, string>> = {
  "{{ '{a[b]} {u.name}'.format(a={'b': 1}, u=users[0]) }}":
    "a dict's item may be named like an attribute in a format field",
  "{{ 'foo' is filter }}": "an unknown name is simply not a filter, where Ansible fails to load a plugin",
  "{{ '٣'|int }}": "only ASCII digits are numbers",
  "{% macro m() %}{{ self is defined }}{% endmacro %}{{ m() }}":
    "self is there only in a template with blocks",
  "{{ {'k' * 130: 1}|to_yaml }}": "a key of more than 128 characters is not written with '?'",
  "{{ s|type_debug }} {{ 5|type_debug }} {{ 5.5|type_debug }} {{ none|type_debug }} {{ true|type_debug }} {{ [1]|type_debug }} {{ (1,)|type_debug }} {{ {}|type_debug }}":
    "vars count as texts of YAML, whose type Ansible tells; the cases were recorded with Python's",
  "{{ lookup('vars', 'zz', errors='ignore') }}": "an ignored lookup gives nothing, as documented",
};

const zone = process.env.TZ;
beforeAll(() => {
  process.env.TZ = "UTC";
});
afterAll(() => {
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

describe.each(["cases.json", "ansible-cases.json", "seldom-cases.json", "query-cases.json"])(
  "what Ansible makes of %s",
  (file) => {
    const golden = readGolden(file);
    const isKnown = ({ template }: GoldenCase): boolean => Object.hasOwn(DIFFERENCES, template);

    it.each(golden.cases.filter((one) => !isKnown(one)))("$template", (one) => {
      const { text, error } = outcome(golden, one);
      if (one.error === true) {
        expect(isVolleyError(error) && error.code).toBe("TEMPLATE_FAILED");
        return;
      }
      if (error !== undefined) throw error;
      expect(text).toBe(one.expected);
    });
  },
);

describe("known differences", () => {
  const all = ["cases.json", "ansible-cases.json"].flatMap((file) => {
    const golden = readGolden(file);
    return golden.cases.map((one) => ({ golden, one }));
  });

  it.each(Object.entries(DIFFERENCES))("%s: %s", (template) => {
    const found = all.filter(({ one }) => one.template === template);
    expect(found).toHaveLength(1);
    expect(found.some(({ golden, one }) => matches(golden, one))).toBe(false);
  });
});
