import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { renderComparePage } from "../../../src/reporter/html/compare-page.ts";
import { renderRunPage } from "../../../src/reporter/html/run-page.ts";
import { hostNames } from "../lib/simulate.ts";
import { accessibilityFaults, CHROMIUM, startBrowser, type TestBrowser } from "./browser.ts";
import { COMPARE_DATA, WIDE_COMPARE_DATA } from "./compare-data.ts";
import { fleetRun } from "./fleet-run.ts";
import { hostileRun } from "./hostile-run.ts";

if (CHROMIUM === undefined)
  process.stderr.write("pages are not opened: there is no Chromium (see .ci/install)\n");

const large = renderRunPage(fleetRun({ hosts: hostNames(200), tasks: 88 }), { generator: "volley 0.1.0" });
const small = renderRunPage(fleetRun({ hosts: hostNames(30), tasks: 24 }));
const compared = renderComparePage(COMPARE_DATA);
const comparedWide = renderComparePage(WIDE_COMPARE_DATA, { generator: "volley 0.1.0" });
/** Labels of what is wider than the room it has. */
const CUT_OFF = `[...document.querySelectorAll("main .scroll")]
  .filter((each) => each.scrollWidth > each.clientWidth)
  .map((each) => each.getAttribute("aria-label"))`;

describe.skipIf(CHROMIUM === undefined)("in Chromium", () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser?.close();
  });

  it("opens a run of 200 hosts: one file, no request beside it, no complaint", async () => {
    const { page, requests, complaints } = await browser.open(large);
    expect(await page.locator("h1").textContent()).toBe("site.ts on 200 hosts");
    expect(await page.locator("tr[data-host]").count()).toBe(200);
    const [loadMs, paintMs] = await page.evaluate<readonly [number, number]>(
      `[performance.getEntriesByType("navigation")[0].loadEventEnd, performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0]`,
    );
    process.stdout.write(
      `a page of 200 hosts and 88 actions: ${Math.round(Buffer.byteLength(large) / 1024)} KiB, first paint after ${Math.round(paintMs)} ms, loaded after ${Math.round(loadMs)} ms\n`,
    );
    expect(requests).toHaveLength(1);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it.each([
    ["a run", small],
    ["a comparison", compared],
    ["a comparison of many conditions", comparedWide],
    ["a hostile run", renderRunPage(hostileRun())],
  ])("%s passes axe's checks of WCAG 2.1 AA, light and dark", async (_, html) => {
    const { page } = await browser.open(html, { colorScheme: "light" });
    // Details that are closed at first count too.
    await page.evaluate(`document.querySelectorAll("details").forEach((each) => { each.open = true; })`);
    const host = page.locator(".open-host").first();
    if ((await host.count()) > 0) await host.click();
    expect(await accessibilityFaults(page)).toEqual([]);
    await page.emulateMedia({ colorScheme: "dark" });
    expect(await accessibilityFaults(page, "contrast")).toEqual([]);
    await page.context().close();
  });

  it("does as the theme button says", async () => {
    const { page } = await browser.open(small, { colorScheme: "light" });
    const paper = (): Promise<string> => page.evaluate("getComputedStyle(document.body).backgroundColor");
    const button = page.getByRole("button", { name: /^Theme/ });
    const light = await paper();
    await button.click();
    await button.click();
    expect(await button.textContent()).toBe("Theme: dark");
    expect(await paper()).not.toBe(light);
    expect(await accessibilityFaults(page, "contrast")).toEqual([]);
    await button.click();
    expect(await button.textContent()).toBe("Theme: automatic");
    expect(await paper()).toBe(light);
    await page.context().close();
  });

  it("is searched, sorted and opened with a keyboard alone", async () => {
    const { page, complaints } = await browser.open(small);
    const focused = (script: string): Promise<unknown> =>
      page.evaluate(`((element) => ${script})(document.activeElement)`);
    await page.keyboard.press("Tab");
    expect(await focused("element.textContent")).toBe("Skip to the results");
    await page.keyboard.press("Enter");
    expect(await focused("element.id")).toBe("main");

    await page.keyboard.press("/");
    expect(await focused("element.id")).toBe("search");
    await page.keyboard.type("web05");
    await page.locator("#found", { hasText: /^1 host\b/ }).waitFor();
    const shown = page.locator("table.hosts tr[data-host]:visible");
    expect(await shown.count()).toBe(1);
    // web06 and web29 failed in the same way: their failure is found by either name.
    await page.locator("#search").fill("web29 directive");
    await page.locator("#found", { hasText: "1 failure" }).waitFor();
    expect(await page.locator(".failure:visible").count()).toBe(1);
    await page.locator("#search").fill("no such thing");
    await page.locator("#found", { hasText: "nothing found" }).waitFor();
    await page.keyboard.press("Escape");
    expect(await shown.count()).toBe(30);

    const time = page.locator("table.hosts th", { hasText: "Time" });
    await time.getByRole("button").focus();
    await page.keyboard.press("Enter");
    expect(await time.getAttribute("aria-sort")).toBe("descending");
    const times = (): Promise<number[]> =>
      page.evaluate(
        `[...document.querySelectorAll("table.hosts tbody tr")].map((row) => Number(row.cells[3].dataset.v))`,
      );
    const descending = await times();
    expect(descending).toEqual([...descending].sort((one, other) => other - one));
    await page.keyboard.press("Enter");
    expect(await time.getAttribute("aria-sort")).toBe("ascending");
    expect(await times()).toEqual([...descending].reverse());
    const name = page.locator("table.hosts th", { hasText: "Host" });
    await name.getByRole("button").press("Enter");
    expect(await shown.first().getAttribute("data-host")).toBe("web01");
    expect(await time.getAttribute("aria-sort")).toBeNull();

    const host = page.getByRole("button", { name: "web06", exact: true });
    await host.press("Enter");
    expect(await host.getAttribute("aria-expanded")).toBe("true");
    const tasks = page.getByRole("table", { name: "Actions of web06" });
    // The host failed at the 16th of its 24 tasks.
    expect(await tasks.locator("tbody tr").count()).toBe(16);
    await host.press("Space");
    expect(await tasks.count()).toBe(0);

    const output = page.locator(".failure details").first();
    const before = await output.getAttribute("open");
    await output.locator("summary").press("Enter");
    expect(await output.getAttribute("open")).not.toBe(before);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it("runs nothing that a host has said", async () => {
    const { page, requests, complaints } = await browser.open(renderRunPage(hostileRun()));
    for (const host of await page.locator(".open-host").all()) await host.click();
    expect(await page.locator("tr.detail table").count()).toBe(2);
    await page.locator("#search").fill("pwned");
    await page.locator("#found", { hasText: "1 host" }).waitFor();
    expect(await page.evaluate("window.pwned")).toBeUndefined();
    expect(await page.locator("img").count()).toBe(0);
    expect(requests).toHaveLength(1);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it.each([
    ["a run", small],
    ["a comparison", compared],
    ["a hostile run", renderRunPage(hostileRun())],
  ])("%s fits into 360 pixels", async (_, html) => {
    const { page } = await browser.open(html, { viewport: { width: 360, height: 740 } });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360);
    await page.context().close();
  });

  it.each([1_000, 1_400])("a comparison of many conditions is seen whole at %i pixels", async (width) => {
    const { page } = await browser.open(comparedWide, { viewport: { width, height: 900 } });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(width);
    expect(await page.evaluate(CUT_OFF)).toEqual([]);
    await page.context().close();
  });

  it("a comparison of many conditions fits into 360 pixels, its widest tables scrolled with the keyboard", async () => {
    const { page } = await browser.open(comparedWide, { viewport: { width: 360, height: 740 } });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360);
    const labels = await page.evaluate<readonly string[]>(CUT_OFF);
    // The tables of medians and of phases must fit: readers look at them first.
    expect(labels.filter((label) => /medians|phases/.test(label))).toEqual([]);
    const [label] = labels.filter((each) => each.startsWith("Table of methods"));
    const region = page.getByRole("region", { name: label ?? "none", exact: true });
    await region.focus();
    await page.keyboard.press("ArrowRight");
    // Not waitForFunction, which the page's policy forbids to evaluate text.
    await expect
      .poll(() => page.evaluate<number>("document.activeElement.scrollLeft"), { timeout: 60_000 })
      .toBeGreaterThan(0);
    expect(await accessibilityFaults(page)).toEqual([]);
    await page.context().close();
  });

  it("a comparison of many conditions is printed whole", async () => {
    const { page } = await browser.open(comparedWide, { viewport: { width: 720, height: 1_000 } });
    await page.emulateMedia({ media: "print" });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(720);
    expect(await page.evaluate(CUT_OFF)).toEqual([]);
    await page.context().close();
  });

  it("prints everything, without what only a screen can do", async () => {
    const { page } = await browser.open(large, { viewport: { width: 720, height: 1_000 } });
    await page.emulateMedia({ media: "print", colorScheme: "dark" });
    await page.evaluate(`dispatchEvent(new Event("beforeprint"))`);
    expect(await page.locator("details:not([open])").count()).toBe(0);
    expect(await page.locator("#search").isVisible()).toBe(false);
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(720);
    expect(await page.evaluate("getComputedStyle(document.body).backgroundColor")).toBe("rgb(255, 255, 255)");
    await page.evaluate(`dispatchEvent(new Event("afterprint"))`);
    expect(await page.locator("details:not([open])").count()).toBeGreaterThan(0);
    await page.context().close();
  });

  it("can be read without its script", async () => {
    const { page } = await browser.open(small, { javaScriptEnabled: false });
    expect(await page.locator("#search").isVisible()).toBe(false);
    expect(await page.getByRole("button", { name: /^Theme/ }).count()).toBe(0);
    expect(await page.getByRole("rowheader", { name: "web06" }).first().isVisible()).toBe(true);
    expect(await page.getByText('unknown directive "gzip_level"', { exact: false }).isVisible()).toBe(true);
    const bar = page.locator('tr[data-host="web01"]').getByRole("img");
    expect(await bar.locator("title").textContent()).toMatch(/^from .* to .*: connect .*, tasks /);
    await page.context().close();
  });
});
