import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** A line before a port of this machine that can be cut without either end being told. */
export interface Cutter {
  readonly port: number;
  /** Pass no more bytes on, of connections to come either. */
  cut(): void;
  /** Pass on what has arrived meanwhile, and all that comes. */
  join(): void;
  close(): Promise<void>;
}

/** Start a line before a port. */
export async function startCutter(target: number): Promise<Cutter> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const listener = createServer({ noDelay: true }, (near) => {
    const far = connect({ port: target, host: "127.0.0.1", noDelay: true });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("data", (chunk: Buffer) => to.write(chunk));
      if (isCut) from.pause();
      from.on("error", () => {});
      from.once("close", () => {
        sockets.delete(from);
        to.destroySoon();
      });
    }
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as { readonly port: number };
  return {
    port,
    cut: () => {
      isCut = true;
      for (const socket of sockets) socket.pause();
    },
    join: () => {
      isCut = false;
      for (const socket of sockets) socket.resume();
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
