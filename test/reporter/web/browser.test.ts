import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { PATIENCE_MS } from "../../lib/patience.ts";
import { accessibilityFaults, CHROMIUM, startBrowser, type TestBrowser } from "../html/browser.ts";
import { hostileRun } from "../html/hostile-run.ts";
import { hostNames, simulate } from "../lib/simulate.ts";
import { type FedServer, startFedServer } from "./viewer.ts";

const HOSTS = hostNames(200);
const EVENTS = simulate(HOSTS, { seed: 5 });
const END = EVENTS.length - 1;
/** So many events at first: some hosts have ended, some have failed, many wait. */
const FIRST = Math.floor(END / 2);
const PATIENT = { timeout: PATIENCE_MS } as const;

describe.skipIf(CHROMIUM === undefined)("in Chromium", () => {
  let browser: TestBrowser;
  let server: FedServer;
  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser?.close();
  });
  beforeEach(async () => {
    server = await startFedServer();
  });
  afterEach(() => server.close());

  it("follows a run over 200 hosts from before its beginning to its report, which outlives Volley", async () => {
    const { page, requests, complaints } = await browser.visit(server.url, { colorScheme: "light" });
    expect(await page.locator("h1").textContent()).toBe("The run is being prepared");
    server.feed(EVENTS.slice(0, 1));
    await page.locator("h1", { hasText: "site.ts on 200 hosts" }).waitFor(PATIENT);
    expect(await page.locator("tr[data-host]").count()).toBe(200);
    const first = page.locator(`tr[data-host="${HOSTS[0]}"]`);
    expect(await first.textContent()).toContain("waiting");

    server.feed(EVENTS.slice(1, FIRST));
    await first.filter({ hasNotText: "waiting" }).waitFor(PATIENT);
    await page.locator("#failures .failure").first().waitFor(PATIENT);
    expect(await page.locator(".progress").textContent()).toMatch(/\d+ of 200 hosts done/);
    expect(await page.title()).toMatch(/^\d+\/200 · site\.ts on 200 hosts$/);
    // A host that is opened shows its tasks, and stays open in a table that its reader has sorted.
    const changed = page.locator("table.hosts").getByRole("button", { name: "Changed", exact: true });
    await changed.click();
    await page.getByRole("button", { name: HOSTS[0]!, exact: true }).click();
    const tasks = page.getByRole("table", { name: `Actions of ${HOSTS[0]}` });
    await tasks.waitFor(PATIENT);

    server.feed(EVENTS.slice(FIRST, -1));
    const counts = (): Promise<number[]> =>
      page.evaluate(
        `[...document.querySelectorAll("table.hosts > tbody > tr[data-host]")].map((row) => Number(row.cells[5].textContent))`,
      );
    await page.locator(".progress", { hasText: "200 of 200 hosts done" }).waitFor(PATIENT);
    // Those out of sight are brought up to date before the table is sorted.
    await changed.click();
    await changed.click();
    const sorted = await counts();
    expect(sorted).toEqual([...sorted].sort((one, other) => other - one));
    expect(sorted.reduce((sum, each) => sum + each)).toBe(
      EVENTS.filter((event) => event.type === "task:end" && event.result.state === "changed").length,
    );

    server.feed(EVENTS.slice(-1));
    await server.close();
    await page.locator("html:not([data-live])").waitFor(PATIENT);
    expect(await page.locator("#connection").textContent()).toContain("The run is over.");
    expect(await page.locator("#spoken").textContent()).toContain("The run is over: 200 of 200 hosts done");
    expect(await counts()).toEqual(sorted);
    await page.getByRole("button", { name: HOSTS[1]!, exact: true }).click();
    await page.getByRole("table", { name: `Actions of ${HOSTS[1]}` }).waitFor(PATIENT);
    await page.locator("#search").fill(HOSTS[7]!);
    await page.locator("#found", { hasText: /^1 host\b/ }).waitFor(PATIENT);
    expect(requests.filter((url) => !url.startsWith(server.url))).toEqual([]);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it("shows all 200 hosts at once on a wall", async () => {
    server.feed(EVENTS.slice(0, FIRST));
    const wall = { viewport: { width: 1920, height: 1080 }, colorScheme: "dark" } as const;
    const { page, complaints } = await browser.visit(`${server.url}?wall`, wall);
    const hosts = page.locator("table.hosts > tbody");
    expect((await hosts.boundingBox())!.y + (await hosts.boundingBox())!.height).toBeLessThanOrEqual(1080);
    expect(await hosts.locator(".failed").count()).toBeGreaterThan(0);
    server.feed(EVENTS.slice(FIRST));
    await page.locator("html:not([data-live])").waitFor(PATIENT);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  // More hosts have rows of the same markup: axe takes seconds for each hundred.
  it("passes axe's checks during the run and after it, on a wall and off it", async () => {
    const events = simulate(hostNames(20), { seed: 5 });
    server.feed(events.slice(0, events.length / 2));
    const { page } = await browser.visit(server.url, { colorScheme: "light" });
    await page.locator(".open-host").first().click();
    await page.locator("tr.detail table").waitFor(PATIENT);
    expect(await accessibilityFaults(page)).toEqual([]);
    await page.emulateMedia({ colorScheme: "dark" });
    expect(await accessibilityFaults(page, "contrast")).toEqual([]);
    await page.getByRole("link", { name: "For a wall" }).click();
    await page.locator("html[data-wall]").waitFor(PATIENT);
    expect(await accessibilityFaults(page)).toEqual([]);
    server.feed(events.slice(events.length / 2));
    await page.locator("html:not([data-live])").waitFor(PATIENT);
    expect(await accessibilityFaults(page)).toEqual([]);
    await page.getByRole("link", { name: "All details" }).click();
    await page.locator("#actions").waitFor(PATIENT);
    expect(await accessibilityFaults(page)).toEqual([]);
    await page.context().close();
  });

  it("fits into 400 pixels, and says when Volley ended before the run", async () => {
    server.feed(EVENTS.slice(0, FIRST));
    const { page } = await browser.visit(server.url, { viewport: { width: 400, height: 800 } });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(400);
    server.feed(EVENTS.slice(FIRST, FIRST + 50));
    // The page gets changes by now.
    await page.locator("#spoken", { hasText: "hosts done" }).waitFor({ ...PATIENT, state: "attached" });
    await server.close();
    await page.locator("#connection", { hasText: "Volley has ended, before the run" }).waitFor(PATIENT);
    await page.context().close();
  });

  it("is refused to pages of other origins, and inside of them", async () => {
    server.feed(EVENTS.slice(0, FIRST));
    const other = createServer((_, response) => {
      response.setHeader("content-type", "text/html");
      response.end("<!doctype html><title>other</title><link rel=icon href=data:,>");
    });
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { page } = await browser.visit(`http://127.0.0.1:${(other.address() as AddressInfo).port}/`);
    const framed: number[] = [];
    page.on("response", (response) => {
      if (response.url() === server.url && response.frame() !== page.mainFrame())
        framed.push(response.status());
    });
    const outcomes = await page.evaluate(`(async () => {
      const url = ${JSON.stringify(server.url)};
      const read = await fetch(url).then((response) => response.text(), () => "no answer");
      await new Promise((resolve) => {
        const frame = Object.assign(document.createElement("iframe"), { src: url, onload: resolve, onerror: resolve });
        document.body.append(frame);
      });
      const streamed = await new Promise((resolve) => {
        const source = new EventSource(url + "events?since=1.0");
        source.onerror = () => { source.close(); resolve("no answer"); };
        source.onmessage = () => resolve("changes");
      });
      return [read, streamed];
    })()`);
    expect(outcomes).toEqual(["no answer", "no answer"]);
    expect(framed).toEqual([403]);
    await page.context().close();
    other.close();
  });

  it("runs nothing that a host has said", async () => {
    const events = hostileRun();
    server.feed(events.slice(0, -1));
    const { page, requests, complaints } = await browser.visit(server.url);
    for (const host of await page.locator(".open-host").all()) await host.click();
    await page.locator("tr.detail table").nth(1).waitFor(PATIENT);
    server.feed(events.slice(-1));
    await page.locator("html:not([data-live])").waitFor(PATIENT);
    expect(await page.evaluate("window.pwned")).toBeUndefined();
    expect(await page.locator("img").count()).toBe(0);
    expect(requests.filter((url) => !url.startsWith(server.url))).toEqual([]);
    expect(complaints).toEqual([]);
    await page.context().close();
  });
});
