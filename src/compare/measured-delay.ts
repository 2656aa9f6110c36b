import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { ProxySet } from "./proxy.ts";
import { median } from "./statistics.ts";

const PINGS = 9;

/** The median round trip, in milliseconds, of one byte through a proxy that adds `roundTripMs`, to this very process. */
export async function measureRoundTrip(roundTripMs: number): Promise<number> {
  const echo = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  const proxies = new ProxySet();
  proxies.roundTripMs = roundTripMs;
  try {
    echo.listen(0, "127.0.0.1");
    await once(echo, "listening");
    const port = await proxies.open({ address: "127.0.0.1", port: (echo.address() as AddressInfo).port });
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    const times: number[] = [];
    // The first has to wait for the handshake.
    for (let ping = 0; ping <= PINGS; ping++) {
      const startedMs = performance.now();
      socket.write(".");
      await once(socket, "data");
      if (ping > 0) times.push(performance.now() - startedMs);
    }
    socket.destroy();
    return median(times)!;
  } finally {
    proxies.close();
    echo.close();
  }
}
