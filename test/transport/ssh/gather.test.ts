import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { expect, it } from "vitest";
import { gatherWrites } from "../../../src/transport/ssh/gather.ts";

it("sends what is written in one turn at once, in order, and all of it before the end", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const { port } = server.address() as { readonly port: number };
  const socket = gatherWrites(connect({ host: "127.0.0.1", port }));
  const [peer] = await accepted;
  const chunks: Buffer[] = [];
  peer.on("data", (chunk: Buffer) => chunks.push(chunk));
  const ended = once(peer, "end");
  socket.write("a");
  socket.write(Buffer.from("b"));
  await new Promise((resolve) => socket.write("c", resolve));
  expect(socket.writableCorked).toBe(0);
  socket.write("d");
  socket.end("e");
  await ended;
  expect(Buffer.concat(chunks).toString()).toBe("abcde");
  expect(chunks.length).toBeLessThanOrEqual(2);
  socket.destroy();
  server.close();
});
