import type { Socket } from "node:net";
import type { Duplex, Readable } from "node:stream";
import type { RemoteProcess } from "../transport.ts";
import { FRAME, type FrameListener, sendData, sendMessage } from "./frames.ts";
import type { Loan } from "./pool.ts";
import { type ChannelRequest, plainError } from "./protocol.ts";

/** A client's sockets all close within this time when it ends. */
const ALONE_MS = 100;

/**
 * Open a channel of a loan, and carry its streams over a socket until either side ends. Returns the listener for the
 * frames that follow the request, some of which may arrive before the host has answered.
 */
export function serveChannel(
  socket: Socket,
  loan: Loan,
  open: ChannelRequest["open"],
): FrameListener["data"] {
  let process: RemoteProcess | undefined;
  const early: Parameters<FrameListener["data"]>[] = [];
  const take: FrameListener["data"] = (type, payload) => {
    if (process === undefined) early.push([type, payload]);
    else if (type === FRAME.stdinEnd) process.stdin.end();
    else if (type === FRAME.stdin && !process.stdin.write(payload)) {
      socket.pause();
      process.stdin.once("drain", () => socket.resume());
    } else if (type === FRAME.size) process.resize?.(payload.readUInt32BE(0), payload.readUInt32BE(4));
  };
  const begin = (opened: RemoteProcess): void => {
    process = opened;
    carry(socket, opened);
    const end = (): void => {
      opened.stdin.end();
      opened.stdout.resume();
      opened.stderr.resume();
    };
    loan.watch({ end, ended: opened.exit });
    const abandon = (): void => {
      end();
      // Where the client has closed this channel alone, the host's process is to learn that. The end of a client closes
      // all of its sockets, in any order, and the loan then waits for the process.
      setTimeout(() => {
        if (!loan.isReleased()) opened.stdout.destroy();
      }, ALONE_MS).unref();
    };
    socket.once("end", abandon).once("close", abandon);
    void opened.exit.then((exit) => {
      socket.off("end", abandon).off("close", abandon);
      if (!socket.destroyed) sendMessage(socket, { type: "exit", exit });
      socket.end();
    });
    for (const [type, payload] of early.splice(0)) take(type, payload);
  };
  const opening = async (): Promise<RemoteProcess> => {
    if (open.is === "forward") return processOf(await loan.channels.forward(open.address, open.port));
    return await loan.start(open);
  };
  opening().then(
    (opened) => {
      if (!socket.destroyed)
        sendMessage(socket, { type: "opened", isResizable: opened.resize !== undefined });
      begin(opened);
    },
    (thrown: unknown) => {
      if (!socket.destroyed) sendMessage(socket, { type: "failed", error: plainError(thrown) });
      socket.end();
    },
  );
  return take;
}

/** Send what a process says, as fast as the client takes it. */
function carry(socket: Socket, { stdout, stderr }: RemoteProcess): void {
  const outputs = [stdout, stderr];
  const pass = (stream: Readable, type: typeof FRAME.stdout | typeof FRAME.stderr): void => {
    stream.on("data", (chunk: Buffer) => {
      if (socket.destroyed || sendData(socket, type, chunk)) return;
      for (const each of outputs) each.pause();
    });
    const end = type === FRAME.stdout ? FRAME.stdoutEnd : FRAME.stderrEnd;
    stream.once("end", () => {
      if (!socket.destroyed) sendData(socket, end, Buffer.alloc(0));
    });
    stream.on("error", () => {});
  };
  pass(stdout, FRAME.stdout);
  pass(stderr, FRAME.stderr);
  const goOn = (): void => {
    for (const each of outputs) if (!each.destroyed) each.resume();
  };
  socket.on("drain", goOn).once("close", goOn);
}

/** A forwarded stream as a process without an exit code. */
function processOf(stream: Duplex): RemoteProcess {
  const exit = new Promise<Awaited<RemoteProcess["exit"]>>((resolve) => {
    stream.once("close", () => resolve({ kind: "exited", code: 0 }));
  });
  stream.on("error", () => {});
  const stderr = (stream as Duplex & { readonly stderr: Readable }).stderr;
  return { stdin: stream, stdout: stream, stderr, exit };
}
