import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A loopback port that is ours, whether somebody listens on it or not. */
export interface HeldPort {
  readonly port: number;
  release(): void;
}

/**
 * Holds a free port of 127.0.0.1 on which nobody listens, so that connecting to it is refused. A port that was only
 * closed again would be given to whoever asks for a free one next. Who asks for this port by number may listen on it.
 */
export async function holdPort(): Promise<HeldPort> {
  const listener = createServer();
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const client = connect(port, "127.0.0.1");
  const [held] = (await once(listener, "connection")) as [Socket];
  // The kernel keeps a port from being handed out as long as a connection, even without its listener, is bound to it.
  const both = [client, held];
  for (const socket of both) {
    socket.on("error", () => {});
    socket.unref();
  }
  listener.close();
  return {
    port,
    release: () => {
      for (const socket of both) socket.destroy();
    },
  };
}
