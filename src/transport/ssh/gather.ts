import type { Socket } from "node:net";

/**
 * Have a socket send all that is written to it in one turn of the event loop at once. ssh2 writes each packet by itself,
 * often several in a turn; each would be a system call here, and a wake-up on the host.
 */
export function gatherWrites(socket: Socket): Socket {
  const write = socket.write.bind(socket) as (...given: readonly unknown[]) => boolean;
  let isGathering = false;
  const release = (): void => {
    isGathering = false;
    socket.uncork();
  };
  socket.write = ((...given: readonly unknown[]) => {
    if (!isGathering) {
      isGathering = true;
      socket.cork();
      process.nextTick(release);
    }
    return write(...given);
  }) as Socket["write"];
  return socket;
}
