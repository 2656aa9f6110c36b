/** Message types of SFTP version 3 (draft-ietf-secsh-filexfer-02, section 3). */
export const messageType = {
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
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  realpath: 16,
  stat: 17,
  rename: 18,
  readlink: 19,
  symlink: 20,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attrs: 105,
  extended: 200,
  extendedReply: 201,
} as const;

/** Largest message that OpenSSH's sftp-server takes, in bytes. */
export const maxMessageBytes = 256 * 1024;

/** Largest read or write, in bytes: a message less room for its head. */
export const maxDataBytes = maxMessageBytes - 1024;

/** File attributes as SFTP version 3 knows them; times in seconds since 1970. */
export interface SftpAttributes {
  readonly size?: number;
  readonly owner?: { readonly uid: number; readonly gid: number };
  readonly mode?: number;
  readonly times?: { readonly accessed: number; readonly modified: number };
}

const attributeFlag = { size: 1, owner: 2, mode: 4, times: 8, extended: 0x80000000 } as const;

/** A message that is not what the protocol allows. */
export class MalformedMessageError extends Error {
  override readonly name = "MalformedMessageError";
}

/** Reads a message's fields in their order; throws {@link MalformedMessageError} past its end. */
export interface MessageReader {
  byte(): number;
  uint32(): number;
  uint64(): number;
  bytes(): Buffer;
  text(): string;
  attributes(): SftpAttributes;
}

/** A reader of one message without its length. */
export function readMessage(message: Buffer): MessageReader {
  let position = 0;
  const take = (length: number): number => {
    const start = position;
    position += length;
    if (position > message.length) throw new MalformedMessageError("SFTP message is too short");
    return start;
  };
  const uint32 = (): number => message.readUInt32BE(take(4));
  const uint64 = (): number => Number(message.readBigUInt64BE(take(8)));
  const bytes = (): Buffer => {
    const length = uint32();
    const start = take(length);
    return message.subarray(start, start + length);
  };
  const attributes = (): SftpAttributes => {
    const flags = uint32();
    const result = {
      ...(flags & attributeFlag.size ? { size: uint64() } : {}),
      ...(flags & attributeFlag.owner ? { owner: { uid: uint32(), gid: uint32() } } : {}),
      ...(flags & attributeFlag.mode ? { mode: uint32() } : {}),
      ...(flags & attributeFlag.times ? { times: { accessed: uint32(), modified: uint32() } } : {}),
    };
    if (flags & attributeFlag.extended) for (let left = uint32() * 2; left > 0; left -= 1) bytes();
    return result;
  };
  return {
    byte: () => message.readUInt8(take(1)),
    uint32,
    uint64,
    bytes,
    text: () => bytes().toString(),
    attributes,
  };
}

/** A complete message: its length, its type and its fields. */
export function encodeMessage(type: number, ...fields: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + fields.reduce((sum, field) => sum + field.length, 0));
  head.writeUInt8(type, 4);
  return Buffer.concat([head, ...fields]);
}

/** A 32-bit field. */
export function uint32Field(value: number): Buffer {
  const field = Buffer.allocUnsafe(4);
  field.writeUInt32BE(value >>> 0);
  return field;
}

/** A 64-bit field. */
export function uint64Field(value: number): Buffer {
  const field = Buffer.allocUnsafe(8);
  field.writeBigUInt64BE(BigInt(Math.max(0, Math.trunc(value))));
  return field;
}

/** A string or byte field, with its length before it. */
export function stringField(value: string | Buffer): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([uint32Field(bytes.length), bytes]);
}

/** The attributes field; only what is known is sent. */
export function attributesField({ size, owner, mode, times }: SftpAttributes): Buffer {
  const flags =
    (size === undefined ? 0 : attributeFlag.size) |
    (owner === undefined ? 0 : attributeFlag.owner) |
    (mode === undefined ? 0 : attributeFlag.mode) |
    (times === undefined ? 0 : attributeFlag.times);
  return Buffer.concat([
    uint32Field(flags),
    ...(size === undefined ? [] : [uint64Field(size)]),
    ...(owner === undefined ? [] : [uint32Field(owner.uid), uint32Field(owner.gid)]),
    ...(mode === undefined ? [] : [uint32Field(mode)]),
    ...(times === undefined ? [] : [uint32Field(times.accessed), uint32Field(times.modified)]),
  ]);
}

/** Cuts a byte stream into messages without their length; throws {@link MalformedMessageError} on an absurd length. */
export async function* splitMessages(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  let pending: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    while (pending.length >= 4) {
      const length = pending.readUInt32BE();
      if (length === 0 || length > maxMessageBytes) {
        throw new MalformedMessageError(`SFTP message of ${length} bytes`);
      }
      if (pending.length < 4 + length) break;
      yield pending.subarray(4, 4 + length);
      pending = pending.subarray(4 + length);
    }
  }
}
