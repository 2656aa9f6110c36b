import { VolleyError } from "../../core/errors.ts";

// DER of ITU-T X.690, as far as keys, requests and certificates have it.

/** A value with its tag. */
export interface DerNode {
  readonly tag: number;
  readonly content: Buffer;
  /** The value with tag and length. */
  readonly whole: Buffer;
}

/** Write a value: its tag, and the parts of its content. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const digits: number[] = [];
  for (let rest = content.length; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  const length = content.length < 128 ? [content.length] : [0x80 | digits.length, ...digits];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
export const octets = (content: Uint8Array): Buffer => der(0x04, content);
export const bits = (content: Uint8Array, unused = 0): Buffer => der(0x03, Buffer.from([unused]), content);
export const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text));
export const TRUE = der(0x01, Buffer.from([0xff]));
export const NULL = der(0x05);

/** Write a number of 0 or more, given by its bytes. */
export function integer(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const rest = bytes.subarray(start);
  return der(0x02, ...(rest.length === 0 || rest[0]! >= 0x80 ? [Buffer.from([0])] : []), rest);
}

export const small = (value: number): Buffer => integer(Buffer.from([value]));

/** Write an object identifier. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((value) => {
    const groups = [value % 128];
    for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left % 128) | 0x80);
    return groups;
  });
  return der(0x06, Buffer.from(bytes));
}

/** Read the content of an object identifier. */
export function readOid(content: Uint8Array): string {
  const values: number[] = [];
  let value = 0;
  for (const byte of content) {
    value = value * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    values.push(value);
    value = 0;
  }
  const [first = 0, ...rest] = values;
  const top = Math.min(2, Math.floor(first / 40));
  return [top, first - top * 40, ...rest].join(".");
}

/** Write a time: with two digits of the year up to 2049 (RFC 5280, 4.1.2.5). */
export function time(date: Date): Buffer {
  const text = `${date.toISOString().replace(/[-:T]|\.\d+/g, "")}`;
  const isShort = date.getUTCFullYear() < 2050;
  return der(isShort ? 0x17 : 0x18, Buffer.from(isShort ? text.slice(2) : text));
}

/** Read a time. */
export function readTime({ tag, content }: DerNode): Date {
  const text = content.toString("latin1");
  const full = tag === 0x17 ? `${Number(text.slice(0, 2)) < 50 ? "20" : "19"}${text}` : text;
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full) ?? [];
  return new Date(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
}

/** Read the values that lie one behind the other. Fails with `ACTION_FAILED`. */
export function readDer(bytes: Buffer): readonly DerNode[] {
  const nodes: DerNode[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]!;
    let length = bytes[at + 1] ?? 0;
    let start = at + 2;
    if (length >= 0x80) {
      const count = length & 0x7f;
      length = count > 4 || count === 0 ? Number.NaN : bytes.readUIntBE(start, count);
      start += count;
    }
    const end = start + length;
    if (!(end <= bytes.length)) throw new VolleyError("ACTION_FAILED", "this is no DER");
    nodes.push({ tag, content: bytes.subarray(start, end), whole: bytes.subarray(at, end) });
    at = end;
  }
  return nodes;
}

/** Read the values within one. */
export function within(node: DerNode | undefined): readonly DerNode[] {
  return node === undefined ? [] : readDer(node.content);
}

/** Write bytes as PEM. */
export function pem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

/** Read the first value of PEM; undefined for other content. */
export function readPem(text: string, label: RegExp): Buffer | undefined {
  const found = /-----BEGIN ([A-Z0-9 ]+)-----([^-]+)-----END \1-----/.exec(text);
  return found === null || !label.test(found[1]!) ? undefined : Buffer.from(found[2]!, "base64");
}
