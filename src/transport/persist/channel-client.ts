import { connect, type Socket } from "node:net";
import { Duplex, Readable, Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { VolleyError } from "../../core/errors.ts";
import type { RemoteExit, RemoteProcess } from "../transport.ts";
import { FRAME, onFrames, sendData, sendMessage } from "./frames.ts";
import { asVolleyError, type ChannelRequest, type PersistAnswer, tolerant } from "./protocol.ts";

/** Bytes that wait for their reader before the host is held up: as much as ssh2's window of a channel. */
const WINDOW_BYTES = 2 << 20;

/** Open a channel of a loan. Fails as the connection's own would, and with `CONNECTION_LOST`. */
export function openChannel(
  path: string,
  host: string,
  request: Omit<ChannelRequest, "type">,
  closed: Promise<string | undefined>,
): Promise<RemoteProcess> {
  const socket = tolerant(connect({ path, allowHalfOpen: true }));
  sendMessage(socket, { type: "channel", ...request });
  void closed.then(() => socket.destroy());
  return new Promise((resolve, reject) => {
    let told: RemoteExit | undefined;
    const stdout = outputOf(socket, () => told);
    const stderr = outputOf(socket, () => told);
    const stdin = inputOf(socket);
    const exit = exitOf(socket, [stdout, stderr], () => told, closed);
    const onAnswer = (answer: PersistAnswer): void => {
      if (answer.type === "failed") return reject(asVolleyError(answer.error));
      if (answer.type === "opened") {
        const resize = (columns: number, rows: number): void => {
          const size = Buffer.alloc(8);
          size.writeUInt32BE(columns, 0);
          size.writeUInt32BE(rows, 4);
          if (!socket.destroyed) sendData(socket, FRAME.size, size);
        };
        return resolve({ stdin, stdout, stderr, exit, ...(answer.isResizable ? { resize } : {}) });
      }
      if (answer.type !== "exit") return;
      told = answer.exit;
      for (const stream of [stdout, stderr]) if (!stream.readableEnded) stream.push(null);
      stdin.destroy();
      socket.end();
    };
    onFrames(socket, {
      message: (message) => onAnswer(message as unknown as PersistAnswer),
      data: (type, payload) => {
        if (type === FRAME.stdout) stdout.push(payload);
        else if (type === FRAME.stderr) stderr.push(payload);
        else if (type === FRAME.stdoutEnd) stdout.push(null);
        else if (type === FRAME.stderrEnd) stderr.push(null);
        if ([stdout, stderr].some((each) => each.readableLength >= WINDOW_BYTES)) socket.pause();
      },
    });
    socket.once("close", () =>
      reject(new VolleyError("CONNECTION_LOST", `${host}: the background process closed the channel`)),
    );
  });
}

/** The process's output; a reader that closes it closes the channel. */
function outputOf(socket: Socket, told: () => RemoteExit | undefined): Readable {
  return new Readable({
    highWaterMark: WINDOW_BYTES,
    read: () => socket.resume(),
    destroy: (error, done) => {
      // Drop the data that still arrives.
      socket.resume();
      if (told() === undefined) socket.end();
      done(error);
    },
  });
}

function inputOf(socket: Socket): Writable {
  const stdin = new Writable({
    write: (chunk: Buffer, _encoding, done) => void sendData(socket, FRAME.stdin, chunk, done),
    final: (done) => void sendData(socket, FRAME.stdinEnd, Buffer.alloc(0), done),
  });
  // A failed write to an ended process is no error: `exit` reports the end.
  stdin.on("error", () => {});
  return stdin;
}

async function exitOf(
  socket: Socket,
  outputs: readonly Readable[],
  told: () => RemoteExit | undefined,
  closed: Promise<string | undefined>,
): Promise<RemoteExit> {
  const cut = await new Promise<string | undefined>((resolve) => {
    socket.once("close", () => resolve(undefined));
    void closed.then((reason) => resolve(reason ?? "the connection was closed"));
  });
  const exit = told();
  for (const stream of outputs) if (exit === undefined) stream.destroy();
  if (exit === undefined)
    return { kind: "lost", reason: cut ?? "the connection went before the process ended" };
  // Output that nobody reads, and that has nothing in it, has no end to wait for.
  const read = outputs.filter((stream) => stream.readableFlowing !== null || stream.readableLength > 0);
  await Promise.allSettled(read.map((stream) => finished(stream, { writable: false })));
  return exit;
}

/** Return a process's input and output as one stream. */
export function streamOf({ stdin, stdout, stderr, exit }: RemoteProcess): Duplex {
  stderr.resume();
  const stream = new Duplex({
    read: () => void stdout.resume(),
    // The end of the stream tells what a failed write would.
    write: (chunk: Buffer, _encoding, done) => void stdin.write(chunk, () => done()),
    final: (done) => void stdin.end(() => done()),
    destroy: (error, done) => {
      stdin.end();
      stdout.destroy();
      done(error);
    },
  });
  stdout.on("data", (chunk: Buffer) => {
    if (!stream.push(chunk)) stdout.pause();
  });
  stdout.once("end", () => stream.push(null));
  void exit.then(({ kind }) => (kind === "lost" ? stream.destroy() : stream.end()));
  return stream;
}
