import type { FileType } from "../../core/system.ts";
import { bytesToText, textToBytes } from "../../core/values/bytes.ts";

/** Message types of SFTP version 3 (draft-ietf-secsh-filexfer-02, section 3). */
export const MESSAGE = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  openDirectory: 11,
  readDirectory: 12,
  remove: 13,
  makeDirectory: 14,
  removeDirectory: 15,
  realPath: 16,
  stat: 17,
  rename: 18,
  readLink: 19,
  symlink: 20,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attributes: 105,
  extended: 200,
  extendedReply: 201,
} as const;

/** Status codes (section 7 of the draft). */
export const STATUS = {
  ok: 0,
  endOfFile: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  noConnection: 6,
  connectionLost: 7,
  unsupported: 8,
} as const;

/** Flags for opening a file; a sum of them is valid. */
export const OPEN = { read: 1, write: 2, append: 4, create: 8, truncate: 16, exclusive: 32 } as const;

/** Flags that announce which attributes follow. */
const ATTRIBUTE = { size: 1, owner: 2, permissions: 4, times: 8, extended: 0x80000000 } as const;

/** The version of the protocol that client and server speak. */
export const SFTP_VERSION = 3;

/** Largest message that either side sends, in bytes without its length; OpenSSH has the same limit. */
export const MAX_MESSAGE_BYTES = 256 << 10;

/** Largest read or write in bytes: a message less the room for its head. */
export const MAX_DATA_BYTES = MAX_MESSAGE_BYTES - 1_024;

/** Attributes of a file; a server leaves out the ones it does not know. */
export interface FileAttributes {
  /** Type and permission bits as in stat(2). */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Bytes. */
  readonly size?: number;
  /** Seconds since 1970: SFTP version 3 has no finer times. */
  readonly atime?: number;
  readonly mtime?: number;
}

const TYPE_BITS = 0o170000;
const TYPES: readonly (readonly [bits: number, type: FileType])[] = [
  [0o100000, "file"],
  [0o040000, "directory"],
  [0o120000, "link"],
  [0o010000, "fifo"],
  [0o140000, "socket"],
  [0o060000, "block"],
  [0o020000, "character"],
];

/** Return the type in a mode of stat(2); undefined for an unknown one. */
export function fileType(mode: number | undefined): FileType | undefined {
  return mode === undefined ? undefined : TYPES.find(([bits]) => bits === (mode & TYPE_BITS))?.[1];
}

/** Bytes that the protocol does not allow; a session cannot continue after them. */
export class MalformedSftpError extends Error {
  override readonly name = "MalformedSftpError";
}

/** Most bytes of the first unexpected line that a message quotes. */
const QUOTED_BYTES = 40;

/** Cuts a stream into messages without their length. Holds at most one incomplete message, 256 KiB. */
export class SftpReader {
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  #anyRead = false;

  /** Return the messages that this chunk completes. Throws {@link MalformedSftpError} on an impossible length. */
  push(chunk: Buffer): readonly Buffer[] {
    if (chunk.length > 0) this.#chunks.push(chunk);
    this.#heldBytes += chunk.length;
    const messages: Buffer[] = [];
    while (this.#heldBytes >= 4) {
      const length = this.#peekLength();
      if (length === 0 || length > MAX_MESSAGE_BYTES) throw this.#impossible(length);
      if (this.#heldBytes < 4 + length) break;
      messages.push(this.#take(4 + length).subarray(4));
      this.#anyRead = true;
    }
    return messages;
  }

  #peekLength(): number {
    const first = this.#chunks[0]!;
    return (first.length >= 4 ? first : this.#joined()).readUInt32BE();
  }

  #take(bytes: number): Buffer {
    const first = this.#chunks[0]!;
    const whole = first.length >= bytes ? first : this.#joined();
    this.#heldBytes -= bytes;
    if (whole.length === bytes) this.#chunks.shift();
    else this.#chunks[0] = whole.subarray(bytes);
    return whole.subarray(0, bytes);
  }

  /** Called only when a length or a message is complete, so each byte is copied at most twice. */
  #joined(): Buffer {
    const whole = Buffer.concat(this.#chunks);
    this.#chunks = [whole];
    return whole;
  }

  #impossible(length: number): MalformedSftpError {
    if (this.#anyRead) return new MalformedSftpError(`a message of ${length} bytes`);
    // Most often these bytes are a line that a shell's profile prints.
    const text = this.#joined()
      .subarray(0, QUOTED_BYTES)
      .toString("latin1")
      .split(/[\r\n]/)[0]!;
    return new MalformedSftpError(`it begins with ${JSON.stringify(text.replace(/[^\x20-\x7e]/g, "?"))}`);
  }
}

/** Reads the fields of one message in their order; throws {@link MalformedSftpError} past its end. */
export interface SftpFields {
  byte(): number;
  uint32(): number;
  /** Above 2^53 the nearest number that JavaScript has. */
  uint64(): number;
  bytes(): Buffer;
  text(): string;
  attributes(): FileAttributes;
  /** Return how many bytes are left to read. */
  left(): number;
}

/** Return a reader of one message's fields; `message` comes without its length. */
export function readFields(message: Buffer): SftpFields {
  let position = 0;
  const take = (length: number): number => {
    const start = position;
    if (length > message.length - start) throw new MalformedSftpError("a message that ends too early");
    position += length;
    return start;
  };
  const uint32 = (): number => message.readUInt32BE(take(4));
  const uint64 = (): number => {
    const high = uint32();
    return high * 2 ** 32 + uint32();
  };
  const bytes = (): Buffer => {
    const length = uint32();
    const start = take(length);
    return message.subarray(start, start + length);
  };
  const attributes = (): FileAttributes => {
    const flags = uint32();
    const result = {
      ...(flags & ATTRIBUTE.size ? { size: uint64() } : {}),
      ...(flags & ATTRIBUTE.owner ? { uid: uint32(), gid: uint32() } : {}),
      ...(flags & ATTRIBUTE.permissions ? { mode: uint32() } : {}),
      ...(flags & ATTRIBUTE.times ? { atime: uint32(), mtime: uint32() } : {}),
    };
    // Reading stops at the end of the message, however large the count is.
    if (flags & ATTRIBUTE.extended) for (let left = uint32() * 2; left > 0; left--) bytes();
    return result;
  };
  return {
    byte: () => message.readUInt8(take(1)),
    uint32,
    uint64,
    bytes,
    text: () => bytesToText(bytes()),
    attributes,
    left: () => message.length - position,
  };
}

/**
 * Encode a message with its length in front. Each message has a 32-bit number after its type: the request's id, or the
 * version in the two greetings. `fields` are copied once.
 */
export function encodeMessage(type: number, id: number, fields: readonly Uint8Array[]): Buffer {
  const bytes = fields.reduce((sum, field) => sum + field.length, 0);
  const message = Buffer.allocUnsafe(9 + bytes);
  message.writeUInt32BE(5 + bytes, 0);
  message.writeUInt8(type, 4);
  message.writeUInt32BE(id, 5);
  let position = 9;
  for (const field of fields) {
    message.set(field, position);
    position += field.length;
  }
  return message;
}

/** Encode a 32-bit number. */
export function uint32Field(value: number): Buffer {
  const field = Buffer.allocUnsafe(4);
  field.writeUInt32BE(value >>> 0);
  return field;
}

/** Encode a whole number as 64 bits; exact up to 2^53. */
export function uint64Field(value: number): Buffer {
  const field = Buffer.allocUnsafe(8);
  field.writeUInt32BE(Math.floor(value / 2 ** 32), 0);
  field.writeUInt32BE(value % 2 ** 32, 4);
  return field;
}

/** Encode text (UTF-8, with other bytes as they were read) or bytes, with their length in front. */
export function stringField(value: string | Uint8Array): Buffer {
  const bytes = typeof value === "string" ? textToBytes(value) : value;
  return Buffer.concat([uint32Field(bytes.length), bytes]);
}

/** Encode attributes; undefined ones are not sent. The owner needs both ids; `atime` defaults to `mtime`. */
export function attributesField({ size, uid, gid, mode, atime, mtime }: FileAttributes = {}): Buffer {
  const owner = uid === undefined || gid === undefined ? undefined : [uid, gid];
  const times = mtime === undefined ? undefined : [atime ?? mtime, mtime];
  const flags =
    (size === undefined ? 0 : ATTRIBUTE.size) |
    (owner === undefined ? 0 : ATTRIBUTE.owner) |
    (mode === undefined ? 0 : ATTRIBUTE.permissions) |
    (times === undefined ? 0 : ATTRIBUTE.times);
  return Buffer.concat([
    uint32Field(flags),
    ...(size === undefined ? [] : [uint64Field(size)]),
    ...(owner ?? []).map(uint32Field),
    ...(mode === undefined ? [] : [uint32Field(mode)]),
    ...(times ?? []).map((time) => uint32Field(Math.trunc(time))),
  ]);
}
