import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startWebServer } from "../../../src/reporter/web/server.ts";
import { until } from "../../lib/patience.ts";
import { hostileRun } from "../html/hostile-run.ts";
import { hostNames, simulate } from "../lib/simulate.ts";
import { ask, type FedServer, startFedServer, versionOf, view } from "./viewer.ts";

const HOSTS = hostNames(12);
const EVENTS = simulate(HOSTS, { concurrency: 4, seed: 3 });
const HALF = EVENTS.slice(0, EVENTS.length / 2);
const REST = EVENTS.slice(EVENTS.length / 2);

let server: FedServer;
beforeEach(async () => {
  server = await startFedServer();
});
afterEach(() => server.close());

describe("who is let in", () => {
  const portOf = (url: string): string => new URL(url).port;

  it("is refused without the token, or with another one", async () => {
    server.feed(HALF);
    const { origin, pathname } = new URL(server.url);
    const last = pathname.at(-2) === "A" ? "B" : "A";
    for (const path of [
      "/",
      "/events?since=0",
      "/tasks?host=web01",
      `${pathname.slice(0, -2)}${last}/`,
      "//",
      "/%",
    ]) {
      const { status, body } = await ask(origin + path);
      expect([path, status]).toEqual([path, 403]);
      expect(body).not.toContain("web01");
    }
  });

  it.each([
    ["another name that points here", { host: "evil.example:PORT" }],
    ["the address of a network", { host: "10.0.0.1:PORT" }],
    ["another site", { "sec-fetch-site": "cross-site" }],
    ["another port of this machine", { "sec-fetch-site": "same-site" }],
    ["another origin", { origin: "http://127.0.0.1:1" }],
    ["an origin that hides itself", { origin: "null" }],
  ])("is refused from %s, token or not", async (_, headers: Record<string, string>) => {
    server.feed(HALF);
    const given = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replace("PORT", portOf(server.url))]),
    );
    for (const path of ["", "events?since=0", "tasks?host=web01"]) {
      const { status, body } = await ask(server.url + path, { headers: given });
      expect(status).toBe(403);
      expect(body).not.toContain("web01");
    }
  });

  it.each(["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])("is refused with %s", async (method) => {
    expect((await ask(server.url, { method })).status).toBe(405);
  });

  it("is let in from an address that was typed, from the page itself, and through ssh -L", async () => {
    const { origin, port } = new URL(server.url);
    for (const headers of [
      { "sec-fetch-site": "none" },
      { "sec-fetch-site": "same-origin", origin },
      { host: `localhost:${port}` },
      { host: "localhost:9000", origin: "http://localhost:9000" },
    ])
      expect((await ask(server.url, { headers })).status).toBe(200);
  });

  it("answers nothing that is kept, framed, or gives the token away", async () => {
    const { headers } = await ask(server.url);
    expect(headers).toMatchObject({
      "cache-control": "no-store",
      "referrer-policy": "no-referrer",
      "x-frame-options": "DENY",
      "x-content-type-options": "nosniff",
      "cross-origin-resource-policy": "same-origin",
    });
    const policy = String(headers["content-security-policy"]).split("; ");
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("connect-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy.join(" ")).not.toMatch(/unsafe|https?:|\*/);
    expect(headers["set-cookie"]).toBeUndefined();
    expect((await ask(`${server.url}other`)).status).toBe(404);
  });

  it("gives each server a token of its own", async () => {
    const other = await startFedServer();
    expect(new URL(other.url).pathname).not.toBe(new URL(server.url).pathname);
    await other.close();
  });
});

it("says that a port is taken, in one line with a hint", async () => {
  const port = Number(new URL(server.url).port);
  await expect(startWebServer({ port, generator: "volley" })).rejects.toMatchObject({
    code: "USAGE",
    message: `cannot open port ${port} of 127.0.0.1: another program uses it`,
    hint: "give --web another port, or none for any free port",
  });
});

describe("what viewers see", () => {
  it("a page before the run, which is loaded anew when the run begins", async () => {
    const { body } = await ask(server.url);
    expect(body).toContain("The run is being prepared");
    const viewer = await view(server.url, versionOf(body));
    server.feed(HALF);
    await until(() => viewer.told.includes("reload"));
    const page = (await ask(server.url)).body;
    expect(page).toContain("<h1>site.ts on 12 hosts</h1>");
    expect(page.match(/<tr data-host=/g)).toHaveLength(12);
    // A page of an earlier run is told so when it comes back.
    const late = await view(server.url, versionOf(body));
    await until(() => late.told.includes("reload"));
    expect(late.frames).toEqual([]);
  });

  it("the report of a run that was over before they had loaded the page anew", async () => {
    const viewer = await view(server.url, versionOf((await ask(server.url)).body));
    server.feed(EVENTS);
    const closing = server.close();
    await until(() => viewer.told.includes("reload"));
    const { body } = await ask(server.url);
    viewer.leave();
    await closing;
    expect(viewer.told).toEqual(["reload"]);
    expect(body).toContain(`site.ts on ${HOSTS.length} hosts`);
    expect(body).toContain("exit code");
    expect(body).not.toMatch(/<html[^>]* data-live/);
  });

  it("what changes: cells of hosts, and the sections that others see whole", async () => {
    server.feed(HALF);
    const { body } = await ask(server.url);
    const early = await view(server.url, versionOf(body));
    server.feed(REST.slice(0, 40));
    const { cells, parts } = await early.frame((frame) => frame.cells.length > 0);
    expect(parts).not.toHaveProperty("hosts");
    const page = (await ask(server.url)).body;
    // Each cell is the one of the page that is loaded now.
    const rows = page.split("<tr data-host=").slice(1);
    for (const [row, , markup] of cells) expect(rows[row]).toContain(markup);
    expect(page).toContain(parts.summary);
    const late = await view(server.url, "1.0");
    const whole = await late.frame(({ parts }) => parts.hosts !== undefined);
    expect(page).toContain(whole.parts.hosts);
    expect(whole.cells).toEqual([]);
  });

  it("after a connection was lost only what they lack", async () => {
    server.feed(HALF);
    const viewer = await view(server.url, "1.0");
    const first = await viewer.frame(() => true);
    viewer.leave();
    server.feed(REST.slice(0, 1));
    // The browser asks for the address it had, and says what it has seen last.
    const again = await view(server.url, "1.0", { "last-event-id": first.id });
    const next = await again.frame(() => true);
    expect(next.parts).not.toHaveProperty("hosts");
    expect(Number(next.id.split(".")[1])).toBeGreaterThan(Number(first.id.split(".")[1]));
  });

  it("the tasks of a host, when they ask for them", async () => {
    server.feed(HALF);
    const { body, headers } = await ask(`${server.url}tasks?host=${HOSTS[0]}`);
    expect(headers["content-type"]).toContain("application/json");
    const { hosts, tasks } = JSON.parse(body) as {
      hosts: Record<string, [string, number[]]>;
      tasks: unknown[];
    };
    expect(Object.keys(hosts)).toEqual([HOSTS[0]]);
    expect(hosts[HOSTS[0]!]?.[0]).toHaveLength(tasks.length);
    expect((await ask(`${server.url}tasks?host=nobody`)).status).toBe(404);
  });

  it("the report at the end, all of them, and that it is the end", async () => {
    server.feed(HALF);
    const viewers = await Promise.all([1, 2, 3].map(() => view(server.url, "1.0")));
    await Promise.all(viewers.map((viewer) => viewer.frame(() => true)));
    server.feed(REST);
    // The process ends behind the run's last event.
    await server.close();
    for (const viewer of viewers) {
      const last = await viewer.frame(({ ended }) => ended !== undefined);
      expect(last).toBe(viewer.frames.at(-1));
      expect(Object.keys(last.ended!.data.hosts)).toEqual(HOSTS);
      expect(last.parts.summary).toContain("exit code");
      expect(last.parts.hosts).toContain("Phases of each host, in numbers");
      expect(last.spoken).toContain("The run is over: 12 of 12 hosts done");
      await until(() => viewer.isClosed);
      expect(viewer.told).toEqual(["over"]);
    }
  });

  it("the next run of the same command, in place of the one before", async () => {
    server.feed(EVENTS);
    const viewer = await view(server.url, "1.0");
    await viewer.frame(({ ended }) => ended !== undefined);
    server.feed(simulate(hostNames(2)).slice(0, 5));
    await until(() => viewer.told.includes("reload"));
    expect((await ask(server.url)).body).toContain("<h1>site.ts on 2 hosts</h1>");
  });

  it("no markup that a host has said", async () => {
    const events = hostileRun();
    server.feed(events.slice(0, -1));
    const texts = [(await ask(server.url)).body];
    const viewer = await view(server.url, "1.0");
    texts.push(...Object.values((await viewer.frame(() => true)).parts));
    server.feed(events.slice(-1));
    texts.push(...Object.values((await viewer.frame(({ ended }) => ended !== undefined)).parts));
    expect(texts.join("")).toContain("window.pwned");
    for (const text of texts) expect(text).not.toMatch(/<img|<script>window/);
  });
});
