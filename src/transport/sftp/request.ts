import { textToBytes } from "../../core/lossless-text.ts";
import type { FileAttributes } from "../file-session.ts";
import { ATTRIBUTE, MESSAGE } from "./protocol.ts";

/** A field of a request, encoded. */
export type Field = Buffer;

/** A 32-bit number. */
export function uint32Field(value: number): Field {
  const field = Buffer.allocUnsafe(4);
  field.writeUInt32BE(value >>> 0);
  return field;
}

/** A 64-bit number, of a whole number up to 2^53. */
export function uint64Field(value: number): Field {
  const field = Buffer.allocUnsafe(8);
  writeUint64(field, value, 0);
  return field;
}

function writeUint64(target: Buffer, value: number, offset: number): void {
  target.writeUInt32BE(Math.floor(value / 2 ** 32), offset);
  target.writeUInt32BE(value % 2 ** 32, offset + 4);
}

/** Text in UTF-8 (with other bytes as they were read), or bytes, with their length in front. */
export function stringField(value: string | Uint8Array): Field {
  const bytes = typeof value === "string" ? textToBytes(value) : value;
  return Buffer.concat([uint32Field(bytes.length), bytes]);
}

/** Attributes; what is undefined is not sent. An owner takes both ids, times both times. */
export function attributesField({ size, uid, gid, mode, atime, mtime }: FileAttributes = {}): Field {
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

/** The greeting: the one request without an id. */
export function encodeInit(): Buffer {
  const message = Buffer.allocUnsafe(9);
  message.writeUInt32BE(5, 0);
  message.writeUInt8(MESSAGE.init, 4);
  message.writeUInt32BE(3, 5);
  return message;
}

/** A request with its length in front. */
export function encodeRequest(type: number, id: number, fields: readonly Field[]): Buffer {
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

/** A write, with what is written copied once: one buffer becomes full packets of SSH's. */
export function encodeWrite(id: number, handle: Uint8Array, position: number, bytes: Uint8Array): Buffer {
  const head = 9 + 4 + handle.length + 8 + 4;
  const message = Buffer.allocUnsafe(head + bytes.length);
  message.writeUInt32BE(head - 4 + bytes.length, 0);
  message.writeUInt8(MESSAGE.write, 4);
  message.writeUInt32BE(id, 5);
  message.writeUInt32BE(handle.length, 9);
  message.set(handle, 13);
  writeUint64(message, position, 13 + handle.length);
  message.writeUInt32BE(bytes.length, 21 + handle.length);
  message.set(bytes, head);
  return message;
}
