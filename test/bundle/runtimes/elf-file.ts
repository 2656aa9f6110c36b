import type { RuntimeArch } from "../../../src/core/runtimes.ts";

/** The parts of an ELF file. */
export interface ElfParts {
  readonly arch?: RuntimeArch;
  readonly interpreter?: string;
  readonly soname?: string;
  readonly needed?: readonly string[];
  /** Versions by library; a version that ends in `?` may be missing. */
  readonly requires?: Readonly<Record<string, readonly string[]>>;
  /** Versions; the library's own name comes first, as linkers write it. */
  readonly defines?: readonly string[];
}

const BASE = 0x400000;
const MACHINES: Readonly<Record<RuntimeArch, number>> = { x64: 62, arm64: 183 };
const SECTION_BYTES = 64;
const SECTIONS = 3;

/** Make a file in ELF's format, which no machine could execute: headers, dynamic section, symbol versions, sections. */
export function makeElf({
  arch = "x64",
  interpreter,
  soname,
  needed = [],
  requires = {},
  defines = [],
}: ElfParts): Buffer {
  let strings = "\0";
  const text = (value: string): number => {
    const at = strings.length;
    strings += `${value}\0`;
    return at;
  };
  const libraries = Object.entries(requires);
  const verneed = Buffer.concat(
    libraries.map(([library, versions], index) => {
      const head = Buffer.alloc(16);
      head.writeUInt16LE(1, 0);
      head.writeUInt16LE(versions.length, 2);
      head.writeUInt32LE(text(library), 4);
      head.writeUInt32LE(16, 8);
      head.writeUInt32LE(index === libraries.length - 1 ? 0 : 16 + 16 * versions.length, 12);
      return Buffer.concat([
        head,
        ...versions.map((version, at) => {
          const aux = Buffer.alloc(16);
          aux.writeUInt16LE(version.endsWith("?") ? 2 : 0, 4);
          aux.writeUInt32LE(text(version.replace(/\?$/, "")), 8);
          aux.writeUInt32LE(at === versions.length - 1 ? 0 : 16, 12);
          return aux;
        }),
      ]);
    }),
  );
  const own = defines.length === 0 ? [] : [soname ?? "self", ...defines];
  const verdef = Buffer.concat(
    own.map((version, index) => {
      const record = Buffer.alloc(28);
      record.writeUInt16LE(1, 0);
      record.writeUInt16LE(index === 0 ? 1 : 0, 2);
      record.writeUInt32LE(20, 12);
      record.writeUInt32LE(index === own.length - 1 ? 0 : 28, 16);
      record.writeUInt32LE(text(version), 20);
      return record;
    }),
  );
  const neededAt = needed.map(text);
  const sonameAt = soname === undefined ? undefined : text(soname);
  const program = Buffer.from(`${interpreter ?? ""}\0`);
  const headers = interpreter === undefined ? 2 : 3;
  const start = 64 + headers * 56;
  const place = [program, Buffer.from(strings, "latin1"), verneed, verdef];
  const offsets = place.map((_, index) =>
    place.slice(0, index).reduce((sum, { length }) => sum + length, start),
  );
  const entries: [tag: number, value: number][] = [
    ...neededAt.map((at): [number, number] => [1, at]),
    ...(sonameAt === undefined ? [] : [[14, sonameAt] as [number, number]]),
    [5, BASE + offsets[1]!],
    ...(verneed.length === 0 ? [] : [[0x6ffffffe, BASE + offsets[2]!] as [number, number]]),
    ...(verdef.length === 0 ? [] : [[0x6ffffffc, BASE + offsets[3]!] as [number, number]]),
    [0, 0],
  ];
  const dynamic = Buffer.alloc(16 * entries.length);
  for (const [index, [tag, value]] of entries.entries()) {
    dynamic.writeBigUInt64LE(BigInt(tag), 16 * index);
    dynamic.writeBigUInt64LE(BigInt(value), 16 * index + 8);
  }
  const dynamicAt = offsets[3]! + verdef.length;
  const end = dynamicAt + dynamic.length;
  const segment = (type: number, offset: number, bytes: number): Buffer => {
    const header = Buffer.alloc(56);
    header.writeUInt32LE(type, 0);
    header.writeBigUInt64LE(BigInt(offset), 8);
    header.writeBigUInt64LE(BigInt(BASE + offset), 16);
    header.writeBigUInt64LE(BigInt(bytes), 32);
    return header;
  };
  const head = Buffer.alloc(64);
  head.write("\x7fELF\x02\x01\x01", "latin1");
  head.writeUInt16LE(3, 16);
  head.writeUInt16LE(MACHINES[arch], 18);
  head.writeBigUInt64LE(64n, 32);
  head.writeBigUInt64LE(BigInt(end), 40);
  for (const [at, value] of [
    [52, 64],
    [54, 56],
    [56, headers],
    [58, SECTION_BYTES],
    [60, SECTIONS],
    [62, SECTIONS - 1],
  ] as const)
    head.writeUInt16LE(value, at);
  return Buffer.concat([
    head,
    ...(interpreter === undefined ? [] : [segment(3, offsets[0]!, program.length)]),
    segment(1, 0, end),
    segment(2, dynamicAt, dynamic.length),
    ...place,
    dynamic,
    Buffer.alloc(SECTION_BYTES * SECTIONS, 0xee),
  ]);
}
