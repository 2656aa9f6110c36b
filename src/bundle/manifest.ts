import { inflateRawSync } from "node:zlib";
import { BUNDLE_FORMAT, type Manifest } from "../core/bundle.ts";
import { VolleyError } from "../core/errors.ts";
import { isRecord } from "../core/values/value.ts";
import { MAX_ARMOR_BYTES } from "./signing/format.ts";

const ENTRY = "manifest.json";
const END_RECORD = "PK\u0005\u0006";
const END_RECORD_BYTES = 22;
const ENTRY_RECORD = 0x02014b50;
const ENTRY_RECORD_BYTES = 46;
const LOCAL_HEADER_BYTES = 30;
/** The largest manifest that is read, unpacked, in bytes: it holds the vars of the bundle's hosts. */
const MAX_MANIFEST_BYTES = 64 * 1024 * 1024;

/**
 * Read the manifest of a carried bundle, running nothing of it. Fails with `BUNDLE_INVALID` for bytes that are no such
 * bundle, or one of another version's format.
 *
 * @param name The bundle's name in messages.
 */
export function readManifest(bytes: Buffer, name: string): Manifest {
  const content = entryOf(bytes);
  let manifest: unknown;
  try {
    manifest = content === undefined ? undefined : JSON.parse(content.toString("utf8"));
  } catch {
    // Not JSON.
  }
  if (!isRecord(manifest) || !Array.isArray(manifest.plays))
    throw new VolleyError("BUNDLE_INVALID", `${name} is not a bundle of Volley's, or is damaged`, {
      hint: "volley bundle makes one",
    });
  if (manifest.format !== BUNDLE_FORMAT)
    throw new VolleyError("BUNDLE_INVALID", `${name} was made by another version of Volley`);
  return manifest as unknown as Manifest;
}

/** Find the entry by the zip's directory, unpacked; undefined where there is none. */
function entryOf(bytes: Buffer): Buffer | undefined {
  try {
    // The signature of a signed bundle stands behind the end record.
    const from = Math.max(0, bytes.length - MAX_ARMOR_BYTES - END_RECORD_BYTES);
    const end = from + bytes.subarray(from).lastIndexOf(END_RECORD, undefined, "latin1");
    if (end < from) return undefined;
    for (let at = bytes.readUInt32LE(end + 16); at < end && bytes.readUInt32LE(at) === ENTRY_RECORD; ) {
      const nameBytes = bytes.readUInt16LE(at + 28);
      const nameAt = at + ENTRY_RECORD_BYTES;
      if (bytes.toString("utf8", nameAt, nameAt + nameBytes) === ENTRY) return contentOf(bytes, at);
      at = nameAt + nameBytes + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
    }
  } catch {
    // Offsets that lead out of the file, or content that cannot be unpacked.
  }
  return undefined;
}

function contentOf(bytes: Buffer, at: number): Buffer {
  const header = bytes.readUInt32LE(at + 42);
  const from =
    header + LOCAL_HEADER_BYTES + bytes.readUInt16LE(header + 26) + bytes.readUInt16LE(header + 28);
  const packed = bytes.subarray(from, from + bytes.readUInt32LE(at + 20));
  const isStored = bytes.readUInt16LE(at + 10) === 0;
  return isStored ? packed : inflateRawSync(packed, { maxOutputLength: MAX_MANIFEST_BYTES });
}
