import type { IsoFile } from "../../src/image/iso.ts";

// A reader of ISO 9660 and Joliet, by the standard, for the images that tests make: it checks as it reads.

const SECTOR = 2_048;

interface IsoVolume {
  readonly label: string;
  readonly files: readonly IsoFile[];
}

/** Read both directories of an image. Throws where a field is not as ECMA-119 has it. */
export function readIso(image: Buffer): { readonly primary: IsoVolume; readonly joliet: IsoVolume } {
  const [primary, joliet, end] = [16, 17, 18].map((sector) => sectorAt(image, sector));
  check(primary![0] === 1 && joliet![0] === 2 && end![0] === 255, "types of descriptors");
  check(joliet!.toString("latin1", 88, 91) === "%/E", "escape sequence of Joliet");
  return { primary: readVolume(image, primary!, false), joliet: readVolume(image, joliet!, true) };
}

function readVolume(image: Buffer, descriptor: Buffer, isJoliet: boolean): IsoVolume {
  check(descriptor.toString("latin1", 1, 7) === "CD001\x01", "identifier");
  check(both(descriptor, 80, 4) * SECTOR === image.length, "size of the volume");
  check(both(descriptor, 128, 2) === SECTOR, "size of a block");
  const text = (bytes: Buffer): string =>
    isJoliet ? Buffer.from(bytes).swap16().toString("utf16le") : bytes.toString("latin1");
  const root = readRecord(descriptor, 156);
  check(root.isDirectory && descriptor[156] === 34, "record of the root");
  const little = sectorAt(image, descriptor.readUInt32LE(140));
  const big = sectorAt(image, descriptor.readUInt32BE(148));
  check(little.readUInt32LE(2) === root.sector && big.readUInt32BE(2) === root.sector, "path tables");

  const directory = sectorAt(image, root.sector);
  const records: ReturnType<typeof readRecord>[] = [];
  for (let at = 0; directory[at]! > 0; at += directory[at]!) records.push(readRecord(directory, at));
  const [own, parent, ...files] = records;
  check(own!.name.equals(Buffer.from([0])) && parent!.name.equals(Buffer.from([1])), "names of . and ..");
  check(own!.sector === root.sector && parent!.sector === root.sector, "places of . and ..");
  check(
    files.every(({ name }, index) => index === 0 || name.compare(files[index - 1]!.name) > 0),
    "order of entries",
  );
  return {
    label: text(descriptor.subarray(40, 72)).trimEnd(),
    files: files.map(({ name, sector, bytes }) => ({
      name: text(name),
      content: image.subarray(sector * SECTOR, sector * SECTOR + bytes),
    })),
  };
}

function readRecord(from: Buffer, at: number) {
  const record = from.subarray(at, at + from[at]!);
  check(record.length % 2 === 0, "length of a record");
  return {
    sector: both(record, 2, 4),
    bytes: both(record, 10, 4),
    isDirectory: record[25] === 2,
    name: record.subarray(33, 33 + record[32]!),
  };
}

function sectorAt(image: Buffer, sector: number): Buffer {
  return image.subarray(sector * SECTOR, (sector + 1) * SECTOR);
}

/** A number that is there in both byte orders. */
function both(from: Buffer, at: number, size: 2 | 4): number {
  const little = from.readUIntLE(at, size);
  check(from.readUIntBE(at + size, size) === little, `both byte orders at ${at}`);
  return little;
}

function check(isRight: boolean, what: string): void {
  if (!isRight) throw new Error(`not an ISO image: ${what}`);
}
