import { expect, test } from "vitest";
import { openEarlyConnections } from "../../../src/controller/prepare/early.ts";
import { createLocalTransport } from "../../../src/transport/local.ts";
import type { Connection, Endpoint, Transport } from "../../../src/transport/transport.ts";

const endpoint: Endpoint = {
  host: "web01",
  address: "web01",
  port: 22,
  user: "deploy",
  privateKeyFile: undefined,
};

/** The local transport, and the connections that it was asked for. `slowly`: none comes about before it is aborted. */
function recorded({ slowly = false } = {}) {
  const local = createLocalTransport();
  const asked: { readonly signal: AbortSignal; readonly connection: Promise<Connection> }[] = [];
  const transport: Transport = {
    connect: (to, signal) => {
      const connection = slowly
        ? new Promise<Connection>((_, reject) => {
            signal.addEventListener("abort", () => reject(new Error("aborted")), { once: true });
          })
        : local.connect(to, signal);
      asked.push({ signal, connection });
      return connection;
    },
    close: () => local.close(),
  };
  return { transport, asked };
}

const { signal } = new AbortController();

test("the first to connect takes the connection that was begun, the next gets another", async () => {
  const { transport, asked } = recorded();
  const early = openEarlyConnections();
  const way = early.begin({ endpoint, transport });
  expect(asked).toHaveLength(1);
  const first = await way.transport.connect(way.endpoint, signal);
  expect(first).toBe(await asked[0]!.connection);
  const next = await way.transport.connect(way.endpoint, signal);
  expect(asked).toHaveLength(2);
  expect(next).not.toBe(first);
  early.close();
  expect(asked[0]!.signal.aborted).toBe(false);
});

test("whoever takes a connection can interrupt it", async () => {
  const { transport, asked } = recorded({ slowly: true });
  const way = openEarlyConnections().begin({ endpoint, transport });
  const interrupted = new AbortController();
  const connecting = way.transport.connect(way.endpoint, interrupted.signal);
  interrupted.abort();
  await expect(connecting).rejects.toThrow("aborted");
  expect(asked).toHaveLength(1);
});

test("connections that nobody takes are ended", async () => {
  const open = recorded();
  const slow = recorded({ slowly: true });
  const early = openEarlyConnections();
  early.begin({ endpoint, transport: open.transport });
  early.begin({ endpoint: { ...endpoint, host: "web02" }, transport: slow.transport });
  early.close();
  await expect(slow.asked[0]!.connection).rejects.toThrow("aborted");
  expect(await (await open.asked[0]!.connection).closed).toBe(undefined);
});
