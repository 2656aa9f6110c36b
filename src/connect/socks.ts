import type { Socket } from "node:net";

/** The address that a SOCKS client wants to be connected to, and the two answers to it. */
export interface SocksRequest {
  readonly address: string;
  readonly port: number;
  granted(): void;
  refused(): void;
}

const VERSION = 5;
const NO_LOGIN = 0;
const NO_METHOD = 0xff;
const CONNECT = 1;
const REPLY = { granted: 0, refused: 5, noCommand: 7, noAddress: 8 } as const;
/** The longest request: a name of 255 bytes. */
const MAX_BYTES = 4 + 1 + 255 + 2;
/** For a client to say what it wants. */
const PATIENCE_MS = 30_000;

/**
 * Take a client's greeting and request (RFC 1928): no login, CONNECT alone. Undefined: the client was refused, or went away.
 * Names are resolved by the host.
 */
export async function acceptSocks(socket: Socket): Promise<SocksRequest | undefined> {
  socket.setTimeout(PATIENCE_MS, () => socket.destroy());
  const greeting = await readMessage(socket, greetingLength);
  if (greeting === undefined || greeting[0] !== VERSION) return refuse(socket);
  const mayConnect = greeting.subarray(2).includes(NO_LOGIN);
  socket.write(Buffer.from([VERSION, mayConnect ? NO_LOGIN : NO_METHOD]));
  if (!mayConnect) return refuse(socket);
  const request = await readMessage(socket, requestLength);
  if (request === undefined || request[0] !== VERSION) return refuse(socket);
  socket.setTimeout(0);
  if (request[1] !== CONNECT) return refuse(socket, REPLY.noCommand);
  const address = addressOf(request);
  if (address === undefined) return refuse(socket, REPLY.noAddress);
  return {
    address,
    port: request.readUInt16BE(request.length - 2),
    granted: () => void socket.write(replyOf(REPLY.granted)),
    refused: () => void refuse(socket, REPLY.refused),
  };
}

function refuse(socket: Socket, code?: number): undefined {
  if (code === undefined) socket.end();
  else socket.end(replyOf(code));
  return undefined;
}

/** The address that the server is bound to is of no use to the client, and left out. */
function replyOf(code: number): Buffer {
  return Buffer.from([VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0]);
}

function greetingLength(bytes: Buffer): number | undefined {
  // Another protocol's beginning is no greeting, however long: the client need not be waited for.
  if (bytes[0] !== VERSION) return bytes.length;
  return bytes.length < 2 ? undefined : 2 + bytes[1]!;
}

function requestLength(bytes: Buffer): number | undefined {
  if (bytes.length < 5) return undefined;
  const address = { 1: 4, 3: 1 + bytes[4]!, 4: 16 }[bytes[3]!];
  // An unknown type of address has no known length: the answer says so.
  return address === undefined ? 5 : 4 + address + 2;
}

function addressOf(request: Buffer): string | undefined {
  switch (request[3]) {
    case 1:
      return request.subarray(4, 8).join(".");
    case 3:
      return request.toString("latin1", 5, 5 + request[4]!);
    case 4: {
      const groups = Array.from({ length: 8 }, (_, index) =>
        request.readUInt16BE(4 + 2 * index).toString(16),
      );
      return groups.join(":");
    }
    default:
      return undefined;
  }
}

/** Read a message whose length its beginning tells; what follows stays for the next reader. */
function readMessage(
  socket: Socket,
  lengthOf: (bytes: Buffer) => number | undefined,
): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    let seen = Buffer.alloc(0);
    const stop = (message: Buffer | undefined): void => {
      socket.off("readable", onReadable).off("end", onEnd).off("close", onEnd);
      resolve(message);
    };
    const onEnd = (): void => stop(undefined);
    const onReadable = (): void => {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) {
        seen = Buffer.concat([seen, chunk as Buffer]);
        const length = lengthOf(seen);
        if (length === undefined || seen.length < length) {
          if (seen.length > MAX_BYTES) return stop(undefined);
          continue;
        }
        if (seen.length > length) socket.unshift(seen.subarray(length));
        return stop(seen.subarray(0, length));
      }
    };
    socket.on("readable", onReadable).once("end", onEnd).once("close", onEnd);
    onReadable();
  });
}
