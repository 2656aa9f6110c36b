import { describe, expect, it } from "vitest";
import { PARTS, SELDOM_USED } from "../../src/bundle/parts.ts";
import { moreNames } from "../../src/template/more/index.ts";

describe("what templates seldom use", () => {
  const { text } = PARTS["template-more"].rides;

  it("is listed where bundles are made", () => {
    const listed = Object.fromEntries(
      Object.entries(SELDOM_USED).map(([kind, names]) => [kind, names.trim().split(/\s+/).sort()]),
    );
    const there = Object.fromEntries(
      Object.entries(moreNames()).map(([kind, names]) => [kind, [...names].sort()]),
    );
    expect(listed).toEqual(there);
  });

  it.each([
    "{{ 'x' | password_hash }}",
    "{{ 'x'|community.general.counter }}",
    "{{ a |\\n  ansible.utils.ipaddr('net') }}",
    "when: x is ansible.utils.in_network('10.0.0.0/8')",
    "x is not same_file(y)",
    "{{ a | map('ansible.utils.ipaddr') }}",
    '{{ a | selectattr(\\"ip\\", \\"ansible.utils.private\\") }}',
    "lookup('password', 'x')",
    'lookup(\\"community.general.random_string\\")',
    "with_random_choice:",
    "v is version('1', '<', version_type='semver')",
    "v is version('1', '<', strict=True)",
  ])("rides with %s", (template) => {
    expect(text.test(template)).toBe(true);
  });

  it.each([
    "{{ password }}",
    "url: http://x",
    "{{ a | default('url') }}",
    "{{ lookup('file', 'password') }}",
    "x is version('1', '<')",
    "with_items: ports",
  ])("does not ride with %s", (template) => {
    expect(text.test(template)).toBe(false);
  });
});
