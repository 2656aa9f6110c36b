import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { expect, test } from "vitest";
import { holdPort } from "../../src/embedded/host-server.ts";

async function listen(port: number): Promise<Server> {
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}

test("a held port refuses, is given to nobody who asks for any, and to who asks for it", async () => {
  const held = await holdPort();
  const others: Server[] = [];
  try {
    const refused = connect(held.port, "127.0.0.1");
    await expect(once(refused, "connect")).rejects.toMatchObject({ code: "ECONNREFUSED" });
    for (let index = 0; index < 200; index++) others.push(await listen(0));
    expect(others.map((server) => (server.address() as AddressInfo).port)).not.toContain(held.port);
    const own = await listen(held.port);
    others.push(own);
    const client = connect(held.port, "127.0.0.1");
    await once(client, "connect");
    client.destroy();
  } finally {
    held.release();
    for (const server of others) server.close();
  }
});
