import { expect, it } from "vitest";
import { renderComparePage } from "../../../src/reporter/html/compare-page.ts";
import { COMPARE_DATA, WIDE_COMPARE_DATA } from "./compare-data.ts";
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

it("has a row for each condition in the overview, which leads to what was measured under it", () => {
  const page = renderComparePage(WIDE_COMPARE_DATA);
  const overview = page.slice(page.indexOf('<section id="overview"'), page.indexOf('<section id="group-1"'));
  expect(
    [...overview.matchAll(/<th scope="row"><a href="#([^"]+)">([^<]+)</g)].map((match) => match.slice(1)),
  ).toEqual(WIDE_COMPARE_DATA.groups.map(({ label }, index) => [`group-${index + 1}`, label]));
  expect(overview.match(/<td class="n" data-v/g)).toHaveLength(4 * 3);
  for (const [, id] of overview.matchAll(/href="#([^"]+)"/g)) expect(page).toContain(`<section id="${id}"`);
});

it("has the round trips that each method waits for, with intervals where there are any", () => {
  const page = renderComparePage(COMPARE_DATA);
  const section = page.slice(page.indexOf('<section id="distance"'), page.indexOf('<section id="how"'));
  const rows = [...section.matchAll(/<tr><th scope="row">.*<\/tr>/g)].map(([row]) =>
    row
      .replace(/<[^>]+>/g, " ")
      .trim()
      .split(/ {2,}/),
  );
  expect(rows).toEqual([
    ["volley bundle", "warm caches", "6.0", "5.8", "6.3"],
    ["volley direct", "warm caches", "90.3", "–", "–"],
  ]);
  expect(renderComparePage({ ...COMPARE_DATA, slopes: [] })).not.toContain('id="distance"');
});

it("says what made it, where it is told", () => {
  expect(renderComparePage(COMPARE_DATA, { generator: "volley 0.1.0" })).toContain("Made by volley 0.1.0.");
  expect(renderComparePage(COMPARE_DATA)).not.toContain("<footer>");
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
    slopes: [{ method: HOSTILE_MARKUP, condition: HOSTILE_MARKUP, roundTrips: 3 }],
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
