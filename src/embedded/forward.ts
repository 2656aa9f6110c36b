import { connect, isIPv4 } from "node:net";
import type { Connection } from "ssh2";

/** Serves direct-tcpip channels (RFC 4254 section 7.2), to loopback addresses only. */
export function forwardTcp(connection: Connection, closed: AbortSignal): void {
  connection.on("tcpip", (accept, reject, { destIP, destPort }) => {
    if (!isLoopback(destIP)) return reject();
    const socket = connect({ host: destIP, port: destPort, noDelay: true });
    const onClosed = (): void => void socket.destroy();
    closed.addEventListener("abort", onClosed, { once: true });
    socket.once("close", () => closed.removeEventListener("abort", onClosed));
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      const channel = accept();
      if (closed.aborted || channel === undefined) return onClosed();
      // What the client sent before it closed the channel is still delivered.
      channel.on("error", onClosed).on("close", () => socket.destroySoon());
      socket.on("error", () => channel.close());
      socket.pipe(channel).pipe(socket);
    });
  });
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}
