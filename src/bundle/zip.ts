import { ZipArchive } from "archiver";

/** One file of a zip. */
export interface ZipEntry {
  readonly name: string;
  readonly content: Buffer;
  /** Permission bits. */
  readonly mode: number;
  /** True when the content is compressed already. */
  readonly packed?: boolean;
}

/** The earliest time a zip can hold: the same for every entry, so that the same input gives the same bytes. */
const EPOCH = new Date("1980-01-01T00:00:00Z");

const END_OF_DIRECTORY_BYTES = 22;
const ENTRY_HEADER_BYTES = 46;

/** Zips entries, sorted by name, and puts `prefix` before them in such a way that zip readers still open the whole. */
export async function zipBehind(prefix: Buffer, entries: readonly ZipEntry[]): Promise<Buffer> {
  const archive = new ZipArchive({ zlib: { level: 9 } });
  const chunks: Buffer[] = [prefix];
  const done = new Promise<void>((resolve, reject) => {
    archive.on("data", (chunk: Buffer) => chunks.push(chunk));
    archive.once("end", resolve);
    archive.once("error", reject);
  });
  const sorted = [...entries].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, content, mode, packed = false } of sorted) {
    archive.append(content, { name, mode, date: EPOCH, store: packed });
  }
  await archive.finalize();
  await done;
  const whole = Buffer.concat(chunks);
  shiftOffsets(whole, prefix.length);
  return whole;
}

/** Offsets in a zip count from its first byte; here they must count from the file's. */
function shiftOffsets(whole: Buffer, by: number): void {
  const end = whole.length - END_OF_DIRECTORY_BYTES;
  const directory = whole.readUInt32LE(end + 16) + by;
  whole.writeUInt32LE(directory, end + 16);
  for (let at = directory; at < end; ) {
    whole.writeUInt32LE(whole.readUInt32LE(at + 42) + by, at + 42);
    at +=
      ENTRY_HEADER_BYTES +
      whole.readUInt16LE(at + 28) +
      whole.readUInt16LE(at + 30) +
      whole.readUInt16LE(at + 32);
  }
}
