/** Make an entry of a table of partitions; `start` and `sectors` count sectors of 512 bytes. */
export function mbrEntry(type: number, start: number, sectors: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes[4] = type;
  bytes.writeUInt32LE(start, 8);
  bytes.writeUInt32LE(sectors, 12);
  return bytes;
}

/** The parts of a table of partitions, by their offsets in an image; the table stands in this sector. */
export function mbrTable(
  sector: number,
  ...entries: readonly Buffer[]
): Readonly<Record<number, string | Buffer>> {
  return {
    ...Object.fromEntries(entries.map((each, index) => [sector * 512 + 446 + index * 16, each])),
    [sector * 512 + 510]: "\x55\xaa",
  };
}
