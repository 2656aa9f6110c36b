import { connect } from "node:net";

/** The first bytes a server says, or "" when it refuses, closes, or says nothing for a second. */
export function readBanner(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (text: string): void => {
      socket.destroy();
      resolve(text);
    };
    socket.setTimeout(1000, () => finish(""));
    socket.once("data", (chunk) => finish(chunk.toString("latin1")));
    socket.once("error", () => finish(""));
    socket.once("close", () => finish(""));
  });
}
