import type { Socket } from "node:net";
import type { Readable } from "node:stream";

// The framing between a client and the background process: one byte of type, four of length, the payload.

/** The types of frames. `json` holds a request or an answer, and all others belong to a channel. */
export const FRAME = {
  json: 1,
  stdin: 2,
  stdinEnd: 3,
  stdout: 4,
  stdoutEnd: 5,
  stderr: 6,
  stderrEnd: 7,
  /** Columns and rows of the terminal, four bytes each. */
  size: 8,
} as const;

export type FrameType = (typeof FRAME)[keyof typeof FRAME];

const HEAD_BYTES = 5;
/** Larger data are cut into several frames; a larger frame is a breach of the protocol. */
const MAX_FRAME_BYTES = 4 << 20;
const PIECE_BYTES = 256 << 10;

/** Write a message as one frame. */
export function sendMessage(socket: Socket, message: object): void {
  writeFrame(socket, FRAME.json, Buffer.from(JSON.stringify(message)));
}

/** Write data in frames. Returns false when the socket's buffer is full; `done` is called when all was handed over. */
export function sendData(
  socket: Socket,
  type: FrameType,
  data: Buffer,
  done?: (error?: Error | null) => void,
): boolean {
  for (let from = 0; from + PIECE_BYTES < data.length; from += PIECE_BYTES)
    writeFrame(socket, type, data.subarray(from, from + PIECE_BYTES));
  const rest = data.length === 0 ? 0 : Math.floor((data.length - 1) / PIECE_BYTES) * PIECE_BYTES;
  return writeFrame(socket, type, data.subarray(rest), done);
}

function writeFrame(
  socket: Socket,
  type: FrameType,
  payload: Buffer,
  done?: (error?: Error | null) => void,
): boolean {
  const head = Buffer.allocUnsafe(HEAD_BYTES);
  head.writeUInt8(type, 0);
  head.writeUInt32BE(payload.length, 1);
  socket.cork();
  socket.write(head);
  const hasRoom = socket.write(payload, done);
  socket.uncork();
  return hasRoom;
}

/** Takes the frames of one end. */
export interface FrameListener {
  /** A message; its shape is the receiver's to check. */
  message(message: Readonly<Record<string, unknown>>): void;
  /** A frame of a channel. */
  data(type: FrameType, payload: Buffer): void;
}

/** Call the listener with each frame that arrives. A breach of the protocol destroys the socket with an error. */
export function onFrames(socket: Readable, listener: FrameListener): void {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let wantedBytes = HEAD_BYTES;
  socket.on("data", (chunk: Buffer) => {
    held.push(chunk);
    heldBytes += chunk.length;
    if (heldBytes < wantedBytes) return;
    let bytes = held.length === 1 ? chunk : Buffer.concat(held);
    while (bytes.length >= HEAD_BYTES && !socket.destroyed) {
      const length = bytes.readUInt32BE(1);
      if (length > MAX_FRAME_BYTES) return void socket.destroy(new Error("the frame is too large"));
      wantedBytes = HEAD_BYTES + length;
      if (bytes.length < wantedBytes) break;
      const type = bytes.readUInt8(0) as FrameType;
      const payload = bytes.subarray(HEAD_BYTES, wantedBytes);
      bytes = bytes.subarray(wantedBytes);
      wantedBytes = HEAD_BYTES;
      if (type !== FRAME.json) listener.data(type, payload);
      else {
        const message = readMessage(payload);
        if (message === undefined) return void socket.destroy(new Error("the message is no JSON object"));
        listener.message(message);
      }
    }
    held = [bytes];
    heldBytes = bytes.length;
  });
}

function readMessage(payload: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const message: unknown = JSON.parse(payload.toString("utf8"));
    return typeof message === "object" && message !== null ? { ...message } : undefined;
  } catch {
    return undefined;
  }
}
