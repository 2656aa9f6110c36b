import { once } from "node:events";
import { request } from "node:http";
import { type AddressInfo, connect, createServer } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, it } from "vitest";
import { type HealthServer, openHealth } from "../../src/queue/status/health.ts";
import { createMeter, type HeldHost, type Meter, type WorkerState } from "../../src/queue/status/meter.ts";
import { createMetrics, type WorkerMetrics } from "../../src/queue/status/metrics.ts";

const IDLE: WorkerState = { hosts: [], isStopping: false };

/** Hosts of a run: so many that are not granted, at work, and at a barrier. */
function heldHosts(run: string, offered: number, atWork: number, waiting: number): readonly HeldHost[] {
  const some = (count: number, isGranted: boolean, isWaiting: boolean): readonly HeldHost[] =>
    Array.from({ length: count }, () => ({ run, isGranted, isWaiting }));
  return [...some(offered, false, false), ...some(atWork, true, false), ...some(waiting, true, true)];
}

interface Made {
  readonly meter: Meter;
  readonly metrics: WorkerMetrics;
  /** The state that the meter asks for. */
  state: WorkerState;
  /** Of the meter's clock. */
  nowMs: number;
}

function makeMeter(): Made {
  const metrics = createMetrics();
  const made = { metrics, state: IDLE, nowMs: 5_000_000 };
  const meter = createMeter({
    ...{ id: "w1", name: "alpha", labels: ["eu", 'say "hi"\\'], concurrency: 8, metrics },
    state: () => made.state,
    now: () => made.nowMs,
  });
  return Object.assign(made, { meter });
}

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** Reads Prometheus' text format, and fails for what is not of it. */
function parseMetrics(metrics: string): ReadonlyMap<string, Family> {
  expect(metrics.endsWith("\n")).toBe(true);
  const families = new Map<string, { type: string; help: string; samples: Sample[] }>();
  for (const line of metrics.split("\n")) {
    if (line === "") continue;
    const [, word, about = "", rest = ""] = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.+)$/.exec(line) ?? [];
    if (word === "HELP") {
      expect(families.has(about), `${about} comes once`).toBe(false);
      families.set(about, { type: "", help: rest, samples: [] });
      continue;
    }
    if (word === "TYPE") {
      expect(["counter", "gauge", "histogram", "summary"]).toContain(rest);
      families.get(about)!.type = rest;
      continue;
    }
    const [, name = "", labels = "", value = ""] =
      /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (-?[\d.]+(?:e[+-]?\d+)?|[+-]Inf|NaN|Nan)$/.exec(line) ?? [];
    const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ""));
    expect(family, line).toBeDefined();
    const pairs = [...labels.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/g)];
    expect(pairs.map(([whole]) => whole).join(""), line).toBe(labels);
    family!.samples.push({
      name,
      labels: Object.fromEntries(
        pairs.map(([, label, raw]) => [label!, raw!.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c))]),
      ),
      value: Number(value.replace("Inf", "Infinity")),
    });
  }
  return families;
}

/** The value of one sample. */
function sampleOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const samples = [...families.values()].flatMap((family) => family.samples);
  const found = samples.filter(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  expect(found, `${name} ${JSON.stringify(labels)}`).toHaveLength(1);
  return found[0]!.value;
}

describe("a worker's meter", () => {
  it("counts what has ended, by outcome, and what was refused", () => {
    const made = makeMeter();
    const { meter } = made;
    for (const outcome of ["ok", "ok", "failed", "unreachable", "lost", "cancelled"] as const)
      meter.ended(outcome, 10);
    meter.handedBack();
    meter.refused("job");
    meter.refused("message");
    meter.queueAway(true);
    made.state = { ...IDLE, hosts: [...heldHosts("r1", 1, 1, 2), ...heldHosts("r2", 0, 2, 0)] };
    expect(meter.status()).toMatchObject({
      ...{ id: "w1", name: "alpha", labels: ["eu", 'say "hi"\\'], concurrency: 8, pid: process.pid },
      ...{ done: 6, failed: 3, handedBack: 1, refused: 2, isQueueAway: true, isStopping: false },
      ...{ offered: 1, inFlight: 5, waiting: 2 },
      runs: [
        { run: "r1", hosts: 3 },
        { run: "r2", hosts: 2 },
      ],
    });
    meter.queueAway(false);
    expect(meter.status()).toMatchObject({ isQueueAway: false });
    expect(meter.status().rssBytes).toBeGreaterThan(1_000_000);
  });

  it("tells how many hosts have ended within a minute", () => {
    const made = makeMeter();
    const rateAfter = (ms: number): number => {
      made.nowMs += ms;
      return made.meter.status().ratePerMinute;
    };
    expect(rateAfter(0)).toBe(0);
    for (let host = 0; host < 5; host++) made.meter.ended("ok", 1);
    made.nowMs += 30_000;
    for (let host = 0; host < 2; host++) made.meter.ended("failed", 1);
    expect(rateAfter(0)).toBe(7);
    expect(rateAfter(29_000)).toBe(7);
    expect(rateAfter(1_000)).toBe(2);
    expect(rateAfter(30_000)).toBe(0);
    made.meter.ended("ok", 1);
    expect(rateAfter(0)).toBe(1);
    expect(rateAfter(86_400_000)).toBe(0);
  });
});

describe("a worker's metrics", () => {
  it("are Prometheus' text, with the counts and the gauges", async () => {
    const made = makeMeter();
    const { meter, metrics } = made;
    meter.taken("eu");
    meter.taken("eu");
    meter.taken("default");
    meter.began();
    meter.ended("ok", 1_500);
    meter.ended("failed", 90_000);
    meter.handedBack();
    meter.refused("message");
    meter.event(12);
    meter.event(3);
    made.state = { ...IDLE, hosts: heldHosts("r1", 4, 1, 2) };
    const families = parseMetrics(await metrics.text());
    const own = [...families].filter(([name]) => name.startsWith("volley_worker_"));
    expect(own.length).toBeGreaterThan(10);
    for (const [name, { type, help }] of own) {
      expect(help, name).toMatch(/^[A-Z1].+\.$|^1, with/);
      expect(name.endsWith("_total"), name).toBe(type === "counter");
    }
    const value = (name: string, labels = {}): number => sampleOf(families, `volley_worker_${name}`, labels);
    expect(value("jobs_taken_total", { label: "eu" })).toBe(2);
    expect(value("jobs_taken_total", { label: "default" })).toBe(1);
    expect(value("hosts_started_total")).toBe(1);
    expect(value("hosts_ended_total", { outcome: "ok" })).toBe(1);
    expect(value("hosts_ended_total", { outcome: "failed" })).toBe(1);
    expect(value("hosts_ended_total", { outcome: "lost" })).toBe(0);
    expect(value("hosts_handed_back_total")).toBe(1);
    expect(value("refused_total", { kind: "message" })).toBe(1);
    expect(value("refused_total", { kind: "job" })).toBe(0);
    expect(value("events_total")).toBe(15);
    expect(value("host_duration_seconds_sum")).toBe(91.5);
    expect(value("host_duration_seconds_bucket", { le: "2" })).toBe(1);
    expect(value("host_duration_seconds_bucket", { le: "+Inf" })).toBe(2);
    expect(value("concurrency_hosts")).toBe(8);
    expect(value("hosts_offered")).toBe(4);
    expect(value("hosts_in_flight")).toBe(3);
    expect(value("hosts_waiting")).toBe(2);
    expect(value("runs")).toBe(1);
    expect(value("queue_up")).toBe(1);
    expect(value("info", { worker: "alpha", labels: 'eu,say "hi"\\' })).toBe(1);
    expect(sampleOf(families, "process_resident_memory_bytes")).toBeGreaterThan(1_000_000);

    // Gauges are those of the moment.
    meter.queueAway(true);
    made.state = { ...IDLE, isStopping: true };
    const later = parseMetrics(await metrics.text());
    expect(sampleOf(later, "volley_worker_queue_up")).toBe(0);
    expect(sampleOf(later, "volley_worker_stopping")).toBe(1);
    expect(sampleOf(later, "volley_worker_hosts_in_flight")).toBe(0);
  });
});

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly allow: string | undefined;
}

/** Asks over a connection of its own. */
async function ask(url: string, given: { method?: string; host?: string } = {}): Promise<Reply> {
  const sent = request(url, {
    agent: false,
    method: given.method ?? "GET",
    ...(given.host === undefined ? {} : { headers: { host: given.host } }),
  }).end();
  const [response] = (await once(sent, "response")) as [import("node:http").IncomingMessage];
  const { "content-type": type = "", allow } = response.headers;
  return { status: response.statusCode!, type, body: await text(response), allow };
}

describe("the health server", () => {
  const open: HealthServer[] = [];
  afterEach(async () => {
    for (const server of open.splice(0)) await server.close();
  });
  const start = async (
    listen: string | number,
  ): Promise<{ readonly made: Made; readonly server: HealthServer }> => {
    const made = makeMeter();
    const server = await openHealth({ listen, status: made.meter.status, metrics: made.metrics });
    open.push(server);
    return { made, server };
  };

  it("says whether the worker is at work", async () => {
    const { made, server } = await start("127.0.0.1:0");
    const health = (): Promise<Reply> => ask(`${server.url}/healthz`);
    expect(await health()).toMatchObject({ status: 200, body: "ok\n" });
    made.meter.queueAway(true);
    expect(await health()).toMatchObject({ status: 503, body: "the queue's server does not answer\n" });
    made.meter.queueAway(false);
    expect(await health()).toMatchObject({ status: 200 });
    made.state = { ...IDLE, isStopping: true };
    expect(await health()).toMatchObject({ status: 503, body: "the worker stops\n" });
  });

  it("gives the worker's account, and its metrics", async () => {
    const { made, server } = await start(0);
    made.state = { ...IDLE, hosts: heldHosts("r1", 0, 3, 0) };
    const status = await ask(`${server.url}/status?pretty`);
    expect(status).toMatchObject({ status: 200, type: expect.stringContaining("application/json") });
    expect(JSON.parse(status.body)).toMatchObject({ id: "w1", inFlight: 3, runs: [{ run: "r1", hosts: 3 }] });
    const metrics = await ask(`${server.url}/metrics`);
    expect(metrics).toMatchObject({ status: 200, type: expect.stringContaining("version=0.0.4") });
    expect(sampleOf(parseMetrics(metrics.body), "volley_worker_hosts_in_flight")).toBe(3);
  });

  it("refuses other methods, paths, and names that lead to loopback", async () => {
    const { server } = await start(0);
    const { port } = new URL(server.url);
    expect(await ask(`${server.url}/status`, { method: "POST" })).toMatchObject({
      status: 405,
      allow: "GET",
    });
    expect(await ask(`${server.url}/`)).toMatchObject({ status: 404 });
    expect(await ask(`${server.url}/status/../x`)).toMatchObject({ status: 404 });
    const asked = (host: string): Promise<Reply> => ask(`${server.url}/status`, { host });
    for (const host of [`evil.example:${port}`, "evil.example", "127.0.0.1.evil.example"])
      expect([host, (await asked(host)).status]).toEqual([host, 403]);
    for (const host of [`localhost:${port}`, "127.0.0.1", `[::1]:${port}`])
      expect([host, (await asked(host)).status]).toEqual([host, 200]);
  });

  it("listens where it is told to, on loopback by default", async () => {
    expect((await start("0")).server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect((await start("localhost:0")).server.url).toMatch(/^http:\/\/(127\.0\.0\.1|\[::1\]):\d+$/);
    const everywhere = (await start(":0")).server.url;
    expect(everywhere).toMatch(/^http:\/\/(\[::\]|0\.0\.0\.0):\d+$/);
    const { port } = new URL(everywhere);
    expect(await ask(`http://127.0.0.1:${port}/healthz`)).toMatchObject({ status: 200 });
  });

  it("refuses an address that is none, in one line", async () => {
    for (const listen of [
      "",
      "http",
      "127.0.0.1",
      "1.2.3.4:70000",
      "::1:80",
      "[nonsense]:80",
      -1,
      1.5,
      "a b:1",
    ])
      await expect(start(listen), String(listen)).rejects.toMatchObject({
        code: "USAGE",
        message: expect.stringMatching(/^cannot listen on ".*"$/),
        hint: expect.stringContaining("127.0.0.1:9464"),
      });
  });

  it("says why an address cannot be had", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    try {
      await expect(start(port)).rejects.toMatchObject({
        code: "USAGE",
        message: `cannot listen on port ${port} of 127.0.0.1: another program uses it`,
      });
    } finally {
      other.close();
    }
    await expect(start("192.0.2.1:0")).rejects.toMatchObject({
      code: "USAGE",
      message: "cannot listen on port 0 of 192.0.2.1: this machine does not have that address",
    });
  });

  it("closes connections that are kept", async () => {
    const { server } = await start(0);
    const { port } = new URL(server.url);
    const socket = connect(Number(port), "127.0.0.1");
    await once(socket, "connect");
    socket.write("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    await once(socket, "data");
    const closed = once(socket, "close");
    await server.close();
    await closed;
  });
});
