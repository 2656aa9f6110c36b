import { VolleyError } from "../../core/errors.ts";
import type { RuntimeArch } from "../../core/runtimes.ts";

// Programs and libraries of Linux as elf(5) describes them: ELF of 64 bits, least significant byte first. All that is
// read here is what the dynamic loader reads.

/** The traits of a program or library, and its needs from others. */
export interface Elf {
  /** The machine that its code is for; undefined for one that there are no runtimes for. */
  readonly arch: RuntimeArch | undefined;
  /** The path of the loader that starts the program; undefined for a library. */
  readonly interpreter: string | undefined;
  /** The name under which a library is looked for. */
  readonly soname: string | undefined;
  /** The names of the libraries that it needs. */
  readonly needed: readonly string[];
  /** The versions that it needs of libraries, such as `GLIBC_2.28` of `libc.so.6`. */
  readonly requires: readonly { readonly library: string; readonly version: string }[];
  /** The versions that a library has. */
  readonly defines: ReadonlySet<string>;
}

/** Offsets of fields in the ELF header. */
const HEADER = { type: 16, machine: 18, phoff: 32, shoff: 40, phentsize: 54, phnum: 56, shnum: 60 } as const;
const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
/** `e_machine` in elf.h: EM_X86_64 and EM_AARCH64. */
const MACHINES: Readonly<Record<number, RuntimeArch>> = { 62: "x64", 183: "arm64" };
const PT = { load: 1, dynamic: 2, interp: 3 } as const;
const DT = { needed: 1, strtab: 5, soname: 14 } as const;
const DT_VERSIONS = { defined: 0x6ffffffc, needed: 0x6ffffffe } as const;
/** The flag of the definition that is the library's own name. */
const VER_FLG_BASE = 1;
/** The flag of a version that may be missing. */
const VER_FLG_WEAK = 2;
/** More than any library has: a damaged file must not keep a loop going. */
const MAX_RECORDS = 10_000;
const MAX_TEXT_BYTES = 4_096;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly bytes: number;
}

/** Read a program or library. Fails with `RUNTIME_FAILED` for a file that is none, or is cut. */
export function readElf(whole: Buffer, name: string): Elf {
  return guarded(name, () => {
    const segments = readSegments(whole, name);
    const file = loadedPart(whole, segments);
    const arch = MACHINES[file.readUInt16LE(HEADER.machine)];
    const interp = segments.find(({ type }) => type === PT.interp);
    const interpreter = interp === undefined ? undefined : textAt(file, interp.offset);
    const none = {
      arch,
      interpreter,
      soname: undefined,
      needed: [],
      requires: [],
      defines: new Set<string>(),
    };
    const dynamic = segments.find(({ type }) => type === PT.dynamic);
    if (dynamic === undefined) return none;
    const entries = readDynamic(file, dynamic);
    const numberOf = (tag: number): number | undefined => entries.find((entry) => entry.tag === tag)?.value;
    const strtab = numberOf(DT.strtab);
    if (strtab === undefined) return none;
    const strings = offsetOf(segments, strtab);
    const follow = chainReader(file);
    const text = (at: number): string => textAt(file, strings + at);
    const chain = (tag: number, step: number): readonly number[] => {
      const address = numberOf(tag);
      return address === undefined ? [] : follow(offsetOf(segments, address), step);
    };
    const soname = numberOf(DT.soname);
    return {
      ...none,
      soname: soname === undefined ? undefined : text(soname),
      needed: entries.filter(({ tag }) => tag === DT.needed).map(({ value }) => text(value)),
      // Elf64_Verneed and its Elf64_Vernaux.
      requires: chain(DT_VERSIONS.needed, 12).flatMap((at) =>
        follow(at + file.readUInt32LE(at + 8), 12)
          .filter((aux) => (file.readUInt16LE(aux + 4) & VER_FLG_WEAK) === 0)
          .map((aux) => ({
            library: text(file.readUInt32LE(at + 4)),
            version: text(file.readUInt32LE(aux + 8)),
          })),
      ),
      // Elf64_Verdef; the first Elf64_Verdaux has its name.
      defines: new Set(
        chain(DT_VERSIONS.defined, 16)
          .filter((at) => (file.readUInt16LE(at + 2) & VER_FLG_BASE) === 0)
          .map((at) => text(file.readUInt32LE(at + file.readUInt32LE(at + 12)))),
      ),
    };
  });
}

/**
 * Cut off what no loader reads: symbols, debug information and the table of sections, which stand behind the last byte
 * of any segment. Works for every machine, as `sstrip` of ELFkickers does. Fails with `RUNTIME_FAILED` for a file that
 * is no ELF file, or is cut.
 */
export function stripElf(file: Buffer, name: string): Buffer {
  return guarded(name, () => {
    const stripped = Buffer.from(loadedPart(file, readSegments(file, name)));
    stripped.writeBigUInt64LE(0n, HEADER.shoff);
    // e_shnum and e_shstrndx.
    stripped.writeUInt32LE(0, HEADER.shnum);
    return stripped;
  });
}

/** Read the program headers, and make sure that the file has all that they and the table of sections speak of. */
function readSegments(file: Buffer, name: string): readonly Segment[] {
  if (file.length < HEADER_BYTES || file.toString("latin1", 0, 4) !== "\x7fELF")
    throw new VolleyError("RUNTIME_FAILED", `${name} is no program or library of Linux`);
  if (file[4] !== 2 || file[5] !== 1)
    throw new VolleyError("RUNTIME_FAILED", `${name} is not for a little-endian machine of 64 bits`);
  const count = file.readUInt16LE(HEADER.phnum);
  const start = numberAt(file, HEADER.phoff);
  if (file.readUInt16LE(HEADER.phentsize) !== PROGRAM_HEADER_BYTES || count === 0)
    throw new VolleyError("RUNTIME_FAILED", `${name} is nothing that a loader could start`);
  const segments = Array.from({ length: count }, (_, index) => {
    const at = start + index * PROGRAM_HEADER_BYTES;
    return {
      type: file.readUInt32LE(at),
      offset: numberAt(file, at + 8),
      address: numberAt(file, at + 16),
      bytes: numberAt(file, at + 32),
    };
  });
  const sections = numberAt(file, HEADER.shoff);
  const sectionsEnd =
    sections === 0 ? 0 : sections + file.readUInt16LE(HEADER.shnum) * file.readUInt16LE(HEADER.shnum - 2);
  if (Math.max(sectionsEnd, ...segments.map(({ offset, bytes }) => offset + bytes)) > file.length)
    throw new RangeError("cut");
  return segments;
}

/** Return a file without all that stands behind its segments and program headers. */
function loadedPart(file: Buffer, segments: readonly Segment[]): Buffer {
  const headersEnd = numberAt(file, HEADER.phoff) + segments.length * PROGRAM_HEADER_BYTES;
  return file.subarray(
    0,
    Math.max(HEADER_BYTES, headersEnd, ...segments.map(({ offset, bytes }) => offset + bytes)),
  );
}

function readDynamic(file: Buffer, { offset, bytes }: Segment): readonly { tag: number; value: number }[] {
  const entries: { tag: number; value: number }[] = [];
  for (let at = offset; at + 16 <= offset + bytes; at += 16) {
    const tag = Number(file.readBigInt64LE(at));
    if (tag === 0) break;
    entries.push({ tag, value: Number(file.readBigUInt64LE(at + 8)) });
  }
  return entries;
}

/** Make a reader of chains of records, each of which has, `step` bytes from its begin, the distance to the next. */
function chainReader(file: Buffer): (first: number, step: number) => readonly number[] {
  let records = 0;
  return (first, step) => {
    const found: number[] = [];
    for (let at = first; ; ) {
      if (++records > MAX_RECORDS) throw new RangeError("too many records");
      const distance = file.readUInt32LE(at + step);
      found.push(at);
      if (distance === 0) return found;
      at += distance;
    }
  };
}

/** Return the offset in the file of an address in memory. */
function offsetOf(segments: readonly Segment[], address: number): number {
  const segment = segments.find(
    (one) => one.type === PT.load && address >= one.address && address < one.address + one.bytes,
  );
  if (segment === undefined) throw new RangeError("an address outside of the file");
  return address - segment.address + segment.offset;
}

function textAt(file: Buffer, at: number): string {
  const end = file.subarray(0, at + MAX_TEXT_BYTES).indexOf(0, at);
  if (at >= file.length || end < 0) throw new RangeError("a text without an end");
  return file.toString("utf8", at, end);
}

function numberAt(file: Buffer, at: number): number {
  const value = file.readBigUInt64LE(at);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new RangeError("a number too large");
  return Number(value);
}

/** Turn what a read outside of the file throws into an error for a person. */
function guarded<Found>(name: string, read: () => Found): Found {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
    throw new VolleyError("RUNTIME_FAILED", `${name} is damaged, or a part of it is missing`, {
      cause: thrown,
    });
  }
}
