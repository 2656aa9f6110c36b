import { VolleyError } from "../../core/errors.ts";
import { bytesToText } from "../../core/values/bytes.ts";

/** An entry of a zip archive's central directory. */
export interface ZipEntry {
  /** Directories end with `/`. */
  readonly name: string;
  /** Bytes, unpacked. */
  readonly size: number;
  readonly crc32: number;
  readonly isLink: boolean;
  /** Permission bits; undefined when the archive was not made on Unix. */
  readonly mode?: number;
  readonly mtimeMs: number;
}

const END = 0x06054b50;
const END_64_LOCATOR = 0x07064b50;
const ENTRY = 0x02014b50;
const END_BYTES = 22;
const MADE_ON_UNIX = 3;
const LINK = 0o120000;
const FORMAT = 0o170000;

/** Read a zip archive's central directory (PKWARE's APPNOTE, section 4.3). Fails with `ACTION_FAILED`. */
export function listZip(archive: Buffer, name: string): readonly ZipEntry[] {
  const end = findEnd(archive);
  if (end < 0) throw new VolleyError("ACTION_FAILED", `${name} is not a zip archive, or is incomplete`);
  let count = archive.readUInt16LE(end + 10);
  let at = archive.readUInt32LE(end + 16);
  if (
    (count === 0xffff || at === 0xffffffff) &&
    end >= 20 &&
    archive.readUInt32LE(end - 20) === END_64_LOCATOR
  ) {
    const end64 = Number(archive.readBigUInt64LE(end - 12));
    count = Number(archive.readBigUInt64LE(end64 + 32));
    at = Number(archive.readBigUInt64LE(end64 + 48));
  }
  const entries: ZipEntry[] = [];
  for (; count > 0; count--) {
    if (at + 46 > archive.length || archive.readUInt32LE(at) !== ENTRY)
      throw new VolleyError("ACTION_FAILED", `${name} is damaged: its list of files ends early`);
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((offset) =>
      archive.readUInt16LE(at + offset),
    );
    const next = at + 46 + nameBytes! + extraBytes! + commentBytes!;
    const attributes = archive.readUInt32LE(at + 38) >>> 16;
    const isUnix = archive[at + 5] === MADE_ON_UNIX && attributes !== 0;
    entries.push({
      name: bytesToText(archive.subarray(at + 46, at + 46 + nameBytes!)),
      size: archive.readUInt32LE(at + 24),
      crc32: archive.readUInt32LE(at + 16),
      isLink: isUnix && (attributes & FORMAT) === LINK,
      // unzip never sets setuid, setgid or sticky unless asked with -K.
      ...(isUnix ? { mode: attributes & 0o777 } : {}),
      mtimeMs: dosTime(archive.readUInt16LE(at + 14), archive.readUInt16LE(at + 12)),
    });
    at = next;
  }
  return entries;
}

function findEnd(archive: Buffer): number {
  const lowest = Math.max(0, archive.length - END_BYTES - 0xffff);
  for (let at = archive.length - END_BYTES; at >= lowest; at--)
    if (archive.readUInt32LE(at) === END) return at;
  return -1;
}

function dosTime(date: number, time: number): number {
  return new Date(
    (date >> 9) + 1980,
    ((date >> 5) & 15) - 1,
    date & 31,
    time >> 11,
    (time >> 5) & 63,
    (time & 31) * 2,
  ).getTime();
}
