import { expect, it } from "vitest";
import { renderComparePage } from "../../../src/reporter/html/compare-page.ts";
import { COMPARE_DATA } from "./compare-data.ts";
import { HOSTILE_MARKUP } from "./hostile-run.ts";

it("has each condition's distributions, ratios and phases, in pictures and in numbers", () => {
  const page = renderComparePage(COMPARE_DATA);
  expect(page.match(/<circle class="dot"/g)).toHaveLength(2 * 3 * 15);
  expect(page.match(/<path class="interval"/g)).toHaveLength(2 * 3);
  expect(page.match(/<svg class="bar" role="img"/g)).toHaveLength(2 * 2);
  expect(page).toContain("95% interval");
  expect(page).toContain("9.1 times as fast");
  expect(page).toContain("no difference is shown: the interval holds 1");
  expect(page).toContain("1 of 16 runs failed and do not count");
  expect(page).toContain("not installed");
  // Each picture names the table that says the same.
  for (const [, id] of page.matchAll(/aria-describedby="(group-[^"]+)"/g))
    expect(page).toContain(`<table id="${id}"`);
});

it("shows hostile labels as text", () => {
  const [group] = COMPARE_DATA.groups;
  const [method] = group?.methods ?? [];
  if (group === undefined || method === undefined) throw new Error("the data has a group with a method");
  const page = renderComparePage({
    ...COMPARE_DATA,
    title: HOSTILE_MARKUP,
    groups: [
      { label: HOSTILE_MARKUP, methods: [{ ...method, label: HOSTILE_MARKUP, command: HOSTILE_MARKUP }] },
    ],
  });
  expect(page).not.toContain("<script>window");
  expect(page).not.toContain("<img");
});

it("makes something of a comparison in which nothing was measured", () => {
  const page = renderComparePage({
    ...COMPARE_DATA,
    groups: [{ label: "nothing", methods: [{ label: "none", samples: [] }] }],
  });
  const shown = page.slice(0, page.lastIndexOf("<script"));
  expect(shown).not.toContain("NaN");
  expect(shown).not.toContain("Infinity");
});
