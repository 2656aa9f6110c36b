const LINE_FEED = 0x0a;

/**
 * Bytes as text; or, where they are not UTF-8, the line of the first that is not, counted from 1: what cannot be read
 * must not come back as something else.
 */
export function decodeUtf8(bytes: Uint8Array): { readonly text: string } | { readonly line: number } {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    // What stands for a byte that is no text is three other bytes.
    const replaced = new TextEncoder().encode(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
    const before = bytes.subarray(
      0,
      bytes.findIndex((byte, index) => byte !== replaced[index]),
    );
    return { line: before.reduce((line, byte) => line + (byte === LINE_FEED ? 1 : 0), 1) };
  }
}
