import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { EmbeddedFleetOptions } from "../../../src/embedded/options.ts";
import { fleetStarter, hostsOf, makeHost, transportsOpener, visit } from "../lib/reach.ts";
import { scratchHome } from "../lib/scratch.ts";

scratchHome();
const startFleet = fleetStarter();
const open = transportsOpener();
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function tryHost(
  faults: EmbeddedFleetOptions["faults"],
  connectRetries?: number,
): Promise<{ readonly said: unknown; readonly connections: number }> {
  const fleet = await startFleet({ ...(faults === undefined ? {} : { faults }) });
  const [host] = hostsOf(fleet);
  const transports = await open([host!], {
    knownHostsFiles: [fleet.knownHostsPath],
    ...(connectRetries === undefined ? {} : { connectRetries }),
  });
  const said = await visit(transports, host!).catch((thrown: unknown) => thrown);
  return { said, connections: fleet.hosts[0]!.stats.connections };
}

test.each([
  ["before it says anything", 0, "out"],
  ["amid the key exchange", 500, "in"],
  ["before login is complete", 1_300, "in"],
] as const)("severed %s, twice: the third try is through", async (_when, bytes, direction) => {
  const { said, connections } = await tryHost(() => ({ kind: "dropAfterBytes", bytes, direction, times: 2 }));
  expect(said).toBe("here\n");
  expect(connections).toBe(3);
});

test("severed every time: as many tries as were asked for", async () => {
  const { said, connections } = await tryHost(() => ({ kind: "dropAfterBytes", bytes: 500 }), 1);
  expect(said).toMatchObject({
    code: "CONNECT_FAILED",
    message: expect.stringMatching(/^web01 \(127\.0\.0\.1:\d+\)/),
  });
  expect(connections).toBe(2);
});

test.each([
  ["no key accepted", "rejectAuth", "AUTH_FAILED"],
  ["another host key", "wrongHostKey", "HOST_KEY_CHANGED"],
] as const)("%s: not tried again", async (_what, kind, code) => {
  const { said, connections } = await tryHost(() => ({ kind }), 5);
  expect(said).toMatchObject({ code });
  expect(connections).toBe(1);
});

/** A server that takes no more logins for so many connections, and then stops listening. */
async function busyServer(
  drop: (socket: Socket) => void,
): Promise<{ readonly port: number; readonly count: () => number }> {
  let count = 0;
  const server = createServer((socket) => {
    count++;
    socket.on("error", () => {});
    drop(socket);
  });
  servers.push(server);
  await once(server.listen(0, "127.0.0.1"), "listening");
  return { port: (server.address() as { readonly port: number }).port, count: () => count };
}

test.each([
  ["closes without a word", (socket: Socket) => socket.end()],
  ["says that it is busy", (socket: Socket) => socket.end("Exceeded MaxStartups\r\n")],
])("a server that %s is given more patience", async (_what, drop) => {
  const fleet = await startFleet();
  const { port, count } = await busyServer(drop);
  const host = makeHost("busy", { address: "127.0.0.1", port, privateKeyFile: fleet.privateKeyPath });
  const transports = await open([host], { hostKeys: "off", connectRetries: 1 });
  await expect(visit(transports, host)).rejects.toMatchObject({ code: "CONNECT_FAILED" });
  expect(count()).toBe(7);
});

test("waiting for the next try ends when it is cancelled", async () => {
  const { port, count } = await busyServer((socket) => socket.end());
  const fleet = await startFleet();
  const host = makeHost("busy", { address: "127.0.0.1", port, privateKeyFile: fleet.privateKeyPath });
  const { endpoint, transport } = (await open([host], { hostKeys: "off" })).of(host);
  const cancel = new AbortController();
  const connecting = transport.connect(endpoint, cancel.signal);
  connecting.catch(() => {});
  await expect.poll(count).toBeGreaterThan(1);
  cancel.abort();
  await expect(connecting).rejects.toMatchObject({ code: "CANCELLED" });
});
