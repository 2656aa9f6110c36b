import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import { measureRoundTrip, ProxySet } from "../../src/compare/proxy.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0)) await clean();
});

async function serve(onSocket: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on("error", () => {});
    cleanups.push(() => socket.destroy());
    onSocket(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function through(port: number, roundTripMs = 0): Promise<{ proxies: ProxySet; dial: () => Socket }> {
  const proxies = new ProxySet();
  proxies.roundTripMs = roundTripMs;
  cleanups.push(() => proxies.close());
  const proxy = await proxies.open({ address: "127.0.0.1", port });
  return {
    proxies,
    dial: () => {
      const socket = connect({ host: "127.0.0.1", port: proxy, noDelay: true, allowHalfOpen: true });
      socket.on("error", () => {});
      cleanups.push(() => socket.destroy());
      return socket;
    },
  };
}

const PERIOD = Buffer.from(Uint8Array.from({ length: 251 }, (_, index) => (index * 31) % 251));
const pattern = (bytes: number): Buffer => Buffer.alloc(bytes, PERIOD);

it.each([0, 10])(
  "carries everything both ways in order, and both ends, with %i ms added",
  async (roundTripMs) => {
    const port = await serve((socket) => socket.pipe(socket));
    const { proxies, dial } = await through(port, roundTripMs);
    const sent = pattern(3_000_000);
    const socket = dial();
    const received = buffer(socket);
    // In pieces of many sizes.
    for (let at = 0, size = 1; at < sent.length; at += size, size = (size * 7) % 65_521)
      socket.write(sent.subarray(at, at + size));
    socket.end();
    expect((await received).equals(sent)).toBe(true);
    expect(proxies.traffic()).toMatchObject({
      sentBytes: sent.length,
      receivedBytes: sent.length,
      connections: 1,
      endpoints: 1,
    });
  },
);

it("adds the time asked for, and no limit on how much is under way", async () => {
  expect(await measureRoundTrip(40)).toBeGreaterThanOrEqual(38);

  // 20 MB arrive in a few round trips, and not in one for each window of 64 kB, which would be 300: a minute.
  const port = await serve((socket) => {
    socket.resume().once("end", () => socket.end("done"));
  });
  const { dial } = await through(port, 200);
  const startedMs = performance.now();
  const socket = dial();
  socket.end(pattern(20_000_000));
  expect((await buffer(socket)).toString()).toBe("done");
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(398);
});

it("counts how often the client speaks after an answer", async () => {
  const port = await serve((socket) => socket.on("data", (data) => socket.write(`re: ${String(data)}`)));
  const { proxies, dial } = await through(port);
  const socket = dial();
  for (let turn = 1; turn <= 3; turn++) {
    // Two pieces at once are one turn.
    socket.write("a");
    await sleep(5);
    socket.write("b");
    let answer = "";
    while (!answer.includes("b")) answer += String((await once(socket, "data"))[0]);
  }
  const { flights, sentBytes } = proxies.traffic();
  expect(sentBytes).toBe(6);
  expect(flights).toBeGreaterThanOrEqual(3);
  expect(flights).toBeLessThanOrEqual(6);
  proxies.reset();
  expect(proxies.traffic()).toEqual({
    sentBytes: 0,
    receivedBytes: 0,
    connections: 0,
    endpoints: 0,
    flights: 0,
  });
});

it.each([0, 10])("does not read on for a receiver that does not, with %i ms added", async (roundTripMs) => {
  const port = await serve((socket) => socket.pause());
  const { proxies, dial } = await through(port, roundTripMs);
  const socket = dial();
  const chunk = Buffer.alloc(1 << 20);
  const waitForRoom = (): Promise<unknown> => Promise.race([once(socket, "drain"), sleep(500, "stuck")]);
  for (let tries = 0; tries < 200; tries++)
    if (!socket.write(chunk) && (await waitForRoom()) === "stuck") break;
  expect(socket.writableNeedDrain).toBe(true);
  // The kernel's buffers come on top of what the proxy keeps.
  expect(proxies.traffic().sentBytes).toBeLessThan((roundTripMs === 0 ? 16 : 96) << 20);
});

it("ends a connection whose server is not there, and all when told", async () => {
  const gone = await serve(() => {});
  await cleanups.pop()?.();
  const { dial } = await through(gone);
  const refused = dial().resume();
  refused.end();
  await once(refused, "close");

  const port = await serve((socket) => socket.pipe(socket));
  const { proxies, dial: dialAgain } = await through(port, 20);
  const socket = dialAgain();
  socket.write("hello");
  await once(socket, "data");
  const closed = once(socket, "close");
  socket.resume().once("end", () => socket.end());
  proxies.closeConnections();
  await closed;
});
