/** Bytes that are not UTF-8, as they stand in text: U+DC80 to U+DCFF alone, as Python's `surrogateescape` has it. */
const ESCAPED = /[\udc80-\udcff]/u;
const ESCAPED_OR_TEXT = /[\udc80-\udcff]|[^\udc80-\udcff]+/gu;

/** ASCII, one character of UTF-8 (RFC 3629, section 4), or a byte that is none; of text with one character a byte. */
const SEQUENCE =
  /[\0-\x7f]+|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|([\x80-\xff])/g;

/**
 * Bytes as text that {@link textToBytes} turns back into the very same bytes: UTF-8, with each byte that is none as one
 * character of its own. A byte order mark stays part of the text.
 */
export function bytesToText(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = buffer.toString();
  // Bytes that are no UTF-8 have become this character, which a text may also hold itself.
  if (!text.includes("\ufffd")) return text;
  return buffer
    .toString("latin1")
    .replace(SEQUENCE, (whole, invalid: string | undefined) =>
      invalid === undefined
        ? Buffer.from(whole, "latin1").toString()
        : String.fromCharCode(0xdc00 + invalid.charCodeAt(0)),
    );
}

/** Text as bytes: UTF-8, with what {@link bytesToText} made of other bytes as these. */
export function textToBytes(text: string): Buffer {
  if (isUtf8(text)) return Buffer.from(text);
  const parts = text.match(ESCAPED_OR_TEXT) ?? [];
  return Buffer.concat(
    parts.map((part) => (isUtf8(part) ? Buffer.from(part) : Buffer.from([part.charCodeAt(0) - 0xdc00]))),
  );
}

/** False for text that stands for bytes which are not UTF-8. */
export function isUtf8(text: string): boolean {
  return !ESCAPED.test(text);
}

/** A path as the file system is given it. */
export function nativePath(path: string): string | Buffer {
  return isUtf8(path) ? path : textToBytes(path);
}

let table: Uint32Array | undefined;

/**
 * Calculate the CRC-32 of zip archives (ISO 3309). node:zlib has its own only from Node 20.15 on. The syntax of this file
 * must be one that esbuild can lower for the oldest Node that a bundle's bootstrap may meet.
 */
export function crc32(bytes: Uint8Array): number {
  table ??= Uint32Array.from({ length: 256 }, (_, index) => {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value;
  });
  let crc = 0xffffffff;
  for (let at = 0; at < bytes.length; at++) crc = (crc >>> 8) ^ table[(crc ^ bytes[at]!) & 255]!;
  return ~crc >>> 0;
}
