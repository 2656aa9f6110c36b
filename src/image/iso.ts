import { VolleyError } from "../core/errors.ts";

// ISO 9660 (ECMA-119) with Joliet: the few files of a seed, in the root directory of a volume. ISO 9660 alone allows only
// names such as USER_DAT; Joliet holds the same directory once more, with names of up to 64 characters.

const SECTOR = 2048;
/** The first sector that the standard gives a meaning; those before are for boot loaders. */
const FIRST_DESCRIPTOR = 16;
/** Sectors in front of the files: descriptors of both directories and of the end, four path tables, two directories. */
const FIRST_FILE = FIRST_DESCRIPTOR + 3 + 4 + 2;
const MAX_NAME = 64;
/** The largest file whose length fits into a directory record. */
const MAX_BYTES = 0xffff_ffff;

/** A file of the volume. */
export interface IsoFile {
  readonly name: string;
  readonly content: Buffer;
}

/**
 * Make the image of a volume with some files in its root directory. Equal files give equal bytes: the volume has no
 * dates. Linux, the BSDs, macOS and Windows show the names as given; readers without Joliet show `FILE0.;1` and on.
 *
 * @param label The volume's name: at most 16 characters.
 * @param files At most some twenty, which is what one sector of a directory holds. Fails with `USAGE` for a file of 4 GiB
 *   or more.
 */
export function makeIso(label: string, files: readonly IsoFile[]): Buffer {
  const large = files.find(({ content }) => content.length > MAX_BYTES);
  if (large !== undefined)
    throw new VolleyError("USAGE", `${large.name} has 4 GiB or more, too much for a file of an ISO image`);
  let sector = FIRST_FILE;
  const places = files.map(({ content }) => {
    const place = { sector, bytes: content.length };
    sector += sectorsOf(content.length);
    return place;
  });
  const image = Buffer.alloc(sector * SECTOR);
  const at = (index: number): Buffer => image.subarray(index * SECTOR, (index + 1) * SECTOR);

  const volumes = [
    { names: files.map((_file, index) => Buffer.from(`FILE${index}.;1`, "latin1")), isJoliet: false },
    { names: files.map(({ name }) => ucs2(name)), isJoliet: true },
  ];
  for (const [index, { names, isJoliet }] of volumes.entries()) {
    const tables = FIRST_DESCRIPTOR + 3 + 2 * index;
    const directory = FIRST_DESCRIPTOR + 3 + 4 + index;
    writeDescriptor(at(FIRST_DESCRIPTOR + index), { label, isJoliet, tables, directory, sectors: sector });
    writePathTables(at(tables), at(tables + 1), directory);
    const entries = names.map((name, file) => ({ name, ...places[file]! }));
    writeDirectory(at(directory), directory, entries);
  }
  const end = at(FIRST_DESCRIPTOR + 2);
  end.writeUInt8(255, 0);
  end.write("CD001\x01", 1, "latin1");
  for (const [index, { content }] of files.entries()) content.copy(image, places[index]!.sector * SECTOR);
  return image;
}

function sectorsOf(bytes: number): number {
  return Math.ceil(bytes / SECTOR);
}

/** Encode text as Joliet has it, big-endian. */
function ucs2(text: string): Buffer {
  if (text.length > MAX_NAME) throw new Error(`${text} is too long for Joliet`);
  return Buffer.from(text, "utf16le").swap16();
}

/** A volume descriptor: primary (ISO 9660's own names) or supplementary (Joliet's). */
interface Volume {
  readonly label: string;
  readonly isJoliet: boolean;
  /** The sector of the little-endian path table; the big-endian one is the next. */
  readonly tables: number;
  readonly directory: number;
  readonly sectors: number;
}

/** The bytes of a path table that holds the root directory alone. */
const PATH_TABLE_BYTES = 10;

function writeDescriptor(to: Buffer, { label, isJoliet, tables, directory, sectors }: Volume): void {
  const space = isJoliet ? ucs2(" ") : Buffer.from(" ");
  const text = (offset: number, length: number, value = ""): void => {
    // A field of an odd length ends with half a character: a zero stays there.
    const whole = length - (length % space.length);
    to.fill(space, offset, offset + whole);
    (isJoliet ? ucs2(value) : Buffer.from(value, "latin1")).copy(to, offset, 0, whole);
  };
  to.writeUInt8(isJoliet ? 2 : 1, 0);
  to.write("CD001\x01", 1, "latin1");
  text(8, 32);
  text(40, 32, label);
  writeBoth32(to, 80, sectors);
  // UCS-2 level 3: all characters.
  if (isJoliet) to.write("%/E", 88, "latin1");
  writeBoth16(to, 120, 1);
  writeBoth16(to, 124, 1);
  writeBoth16(to, 128, SECTOR);
  writeBoth32(to, 132, PATH_TABLE_BYTES);
  to.writeUInt32LE(tables, 140);
  to.writeUInt32BE(tables + 1, 148);
  writeRecord(to, 156, { name: Buffer.from([0]), sector: directory, bytes: SECTOR, isDirectory: true });
  // Volume set, publisher, preparer and application; the files of copyright, abstract and bibliography.
  for (const offset of [190, 318, 446, 574]) text(offset, 128);
  for (const offset of [702, 739, 776]) text(offset, 37);
  for (const offset of [813, 830, 847, 864]) to.write("0".repeat(16), offset, "latin1");
  to.writeUInt8(1, 881);
}

function writePathTables(little: Buffer, big: Buffer, directory: number): void {
  for (const table of [little, big]) table.writeUInt8(1, 0);
  little.writeUInt32LE(directory, 2);
  little.writeUInt16LE(1, 6);
  big.writeUInt32BE(directory, 2);
  big.writeUInt16BE(1, 6);
}

/** An entry of a directory. */
interface Entry {
  readonly name: Buffer;
  readonly sector: number;
  readonly bytes: number;
  readonly isDirectory?: boolean;
}

function writeDirectory(to: Buffer, directory: number, files: readonly Entry[]): void {
  const own = { sector: directory, bytes: SECTOR, isDirectory: true };
  // The standard asks for entries in the order of their names; `.` and `..` are one byte, 0 and 1.
  const entries = [
    { ...own, name: Buffer.from([0]) },
    { ...own, name: Buffer.from([1]) },
    ...files.toSorted((a, b) => a.name.compare(b.name)),
  ];
  let offset = 0;
  for (const entry of entries) offset += writeRecord(to, offset, entry);
}

/** Write a directory record and return its length. */
function writeRecord(
  to: Buffer,
  offset: number,
  { name, sector, bytes, isDirectory = false }: Entry,
): number {
  const length = 33 + name.length + ((name.length + 1) % 2);
  if (offset + length > to.length) throw new Error("the files do not fit into one sector of a directory");
  to.writeUInt8(length, offset);
  writeBoth32(to, offset + 2, sector);
  writeBoth32(to, offset + 10, bytes);
  to.writeUInt8(isDirectory ? 2 : 0, offset + 25);
  writeBoth16(to, offset + 28, 1);
  to.writeUInt8(name.length, offset + 32);
  name.copy(to, offset + 33);
  return length;
}

function writeBoth16(to: Buffer, offset: number, value: number): void {
  to.writeUInt16LE(value, offset);
  to.writeUInt16BE(value, offset + 2);
}

function writeBoth32(to: Buffer, offset: number, value: number): void {
  to.writeUInt32LE(value, offset);
  to.writeUInt32BE(value, offset + 4);
}
