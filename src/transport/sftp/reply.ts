import { bytesToText } from "../../core/lossless-text.ts";
import type { DirectoryEntry, FileAttributes } from "../file-session.ts";
import { ATTRIBUTE, MAX_HANDLE_BYTES, MESSAGE } from "./protocol.ts";
import { MalformedSftpError } from "./reader.ts";

/** What a server answers, decoded. */
export type SftpReply =
  | { readonly type: "version"; readonly version: number; readonly extensions: ReadonlyMap<string, string> }
  | { readonly type: "status"; readonly id: number; readonly status: number; readonly text: string }
  | { readonly type: "handle"; readonly id: number; readonly handle: Buffer }
  | { readonly type: "data"; readonly id: number; readonly bytes: Buffer }
  | { readonly type: "name"; readonly id: number; readonly entries: readonly DirectoryEntry[] }
  | { readonly type: "attributes"; readonly id: number; readonly attributes: FileAttributes }
  /** The reply to an extension, which alone knows what is in it. */
  | { readonly type: "extended"; readonly id: number; readonly fields: SftpFields };

/** Reads the fields of a message in their order; throws {@link MalformedSftpError} past its end. */
export interface SftpFields {
  byte(): number;
  uint32(): number;
  /** Above 2^53 the nearest number there is. */
  uint64(): number;
  bytes(): Buffer;
  text(): string;
  attributes(): FileAttributes;
  /** Bytes not read yet. */
  left(): number;
}

/** A reader of one message's fields. */
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
    // A count that cannot be ends with the message.
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

/** Decodes one message of a server's, without its length. Throws {@link MalformedSftpError}. */
export function readReply(message: Buffer): SftpReply {
  const fields = readFields(message);
  const type = fields.byte();
  if (type === MESSAGE.version) return readVersion(fields);
  const id = fields.uint32();
  if (type === MESSAGE.status) {
    const status = fields.uint32();
    // Some servers leave the text out, or the language that follows it.
    return { type: "status", id, status, text: fields.left() === 0 ? "" : fields.text() };
  }
  if (type === MESSAGE.extendedReply) return { type: "extended", id, fields };
  const reply = readBody(type, id, fields);
  if (fields.left() > 0) throw new MalformedSftpError("a message with something behind its end");
  return reply;
}

function readBody(type: number, id: number, fields: SftpFields): SftpReply {
  switch (type) {
    case MESSAGE.handle: {
      const handle = Buffer.from(fields.bytes());
      if (handle.length > MAX_HANDLE_BYTES) throw new MalformedSftpError("a handle that is too long");
      return { type: "handle", id, handle };
    }
    case MESSAGE.data:
      return { type: "data", id, bytes: fields.bytes() };
    case MESSAGE.attributes:
      return { type: "attributes", id, attributes: fields.attributes() };
    case MESSAGE.name:
      return { type: "name", id, entries: readEntries(fields) };
    default:
      throw new MalformedSftpError(`a message of type ${type}`);
  }
}

function readVersion(fields: SftpFields): SftpReply {
  const version = fields.uint32();
  const extensions = new Map<string, string>();
  while (fields.left() > 0) extensions.set(fields.text(), fields.text());
  return { type: "version", version, extensions };
}

function readEntries(fields: SftpFields): readonly DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  for (let left = fields.uint32(); left > 0; left--) {
    const name = fields.text();
    // The long name, as of `ls -l`, is for people.
    fields.bytes();
    entries.push({ name, attributes: fields.attributes() });
  }
  return entries;
}
