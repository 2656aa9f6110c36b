/*
 * The first JavaScript of a bundle: runs as `node -e`, given the bundle's path, and finds the runner in the zip.
 * Old versions of Node must understand this file, if only to be told that they are too old. Minified, the file must
 * hold no apostrophe, because the prelude quotes it with apostrophes.
 */
import { crc32 } from "../../core/values/bytes.ts";
import { openOwnFiles } from "../../system/own-files.ts";
import type { BundleReader } from "../parts.ts";

const MINIMUM_NODE = 18;
const NO_USABLE_NODE = 97;
/** Where what V8 makes of code is kept, below `~/.cache/volley`, and how many files of it: of some five playbooks. */
const CODE = "compiled";
const KEPT_CODE = 20;
/** The end record of a bundle lies in so many bytes at its end; see MAX_ARMOR_BYTES in bundle/signing/format.ts. */
const TAIL_BYTES = 16_384;

interface Entry {
  readonly method: number;
  readonly compressed: number;
  readonly size: number;
  readonly checksum: number;
  readonly offset: number;
  readonly mode: number;
}

if (Number(process.versions.node.split(".")[0]) < MINIMUM_NODE) {
  console.error(
    `volley: Node ${process.version} (${process.execPath}) is too old; Node ${MINIMUM_NODE} or newer is needed`,
  );
  process.exit(NO_USABLE_NODE);
} else {
  start();
}

function start(): void {
  const fs = require("fs") as typeof import("node:fs");
  const zlib = require("zlib") as typeof import("node:zlib");
  const vm = require("vm") as typeof import("node:vm");
  const file = require("path").resolve(process.argv[1]) as string;
  // A bundle that is carried by hand caches nothing.
  const isKept = /^--(target|attach|system)$/.test(process.argv[2] || "");
  const home = process.env.HOME || (require("os") as typeof import("node:os")).homedir();
  const cached = openOwnFiles(fs, `${home}/.cache/volley`, CODE);
  const checksumOf = (zlib as { readonly crc32?: typeof crc32 }).crc32 || crc32;
  const entries = new Map<string, Entry>();
  const unpacked: Record<string, string | undefined> = {};
  const compiled: {
    readonly script: InstanceType<typeof vm.Script>;
    readonly cache: string;
  }[] = [];
  const fail = (thrown: unknown): void => {
    const error = thrown as Partial<Error>;
    // Node would print the whole minified line of the error.
    console.error(`volley: ${error.name === "VolleyError" ? error.message : error.stack || thrown}`);
    process.exit(1);
  };
  const onStray = (thrown: unknown): void => {
    // A run that has begun ends by itself, and tells of the error; see engine/handle.ts.
    if (process.listenerCount("unhandledRejection") === 1) fail(thrown);
  };
  process.on("uncaughtException", onStray);
  process.on("unhandledRejection", onStray);
  const damaged = (): Error =>
    Object.assign(new Error(`${file} is damaged or incomplete: send or build it again`), {
      name: "VolleyError",
      code: "BUNDLE_INVALID",
    });
  const descriptor = fs.openSync(file, "r");

  const bytesAt = (offset: number, length: number): Buffer => {
    const bytes = Buffer.alloc(length);
    fs.readSync(descriptor, bytes, 0, length, offset);
    return bytes;
  };

  const size = fs.fstatSync(descriptor).size;
  // The signature of a signed bundle stands behind the end record.
  const tail = bytesAt(Math.max(0, size - TAIL_BYTES), TAIL_BYTES + 22);
  const end = tail.lastIndexOf("PK\u0005\u0006");
  const directoryLength = tail.readUInt32LE(end + 12);
  const directoryAt = tail.readUInt32LE(end + 16);
  if (directoryAt + directoryLength + 22 + tail.readUInt16LE(end + 20) !== size) throw damaged();
  const directory = bytesAt(directoryAt, directoryLength);
  for (let at = 0; at < directory.length; ) {
    if (directory.length - at < 46 || directory.readUInt32LE(at) !== 0x02014b50) throw damaged();
    const nameLength = directory.readUInt16LE(at + 28);
    entries.set(directory.toString("utf8", at + 46, at + 46 + nameLength), {
      method: directory.readUInt16LE(at + 10),
      checksum: directory.readUInt32LE(at + 16),
      compressed: directory.readUInt32LE(at + 20),
      size: directory.readUInt32LE(at + 24),
      mode: directory.readUInt16LE(at + 40),
      offset: directory.readUInt32LE(at + 42),
    });
    at += 46 + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }

  const read = (name: string): Buffer | undefined => {
    const entry = entries.get(name);
    if (entry === undefined) return undefined;
    if (entry.offset + 30 + entry.compressed > size) throw damaged();
    const header = bytesAt(entry.offset, 30);
    const from = entry.offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
    let bytes = bytesAt(from, entry.compressed);
    try {
      if (entry.method !== 0)
        bytes = zlib.inflateRawSync(bytes, { maxOutputLength: Math.max(1, entry.size) });
    } catch (_corrupt) {
      throw damaged();
    }
    if (checksumOf(bytes) !== entry.checksum) throw damaged();
    return bytes;
  };

  const bundle: BundleReader = {
    file,
    names: Array.from(entries.keys()),
    size: (name) => {
      const entry = entries.get(name);
      return entry?.size;
    },
    mode: (name) => {
      const entry = entries.get(name);
      return entry === undefined ? 0 : entry.mode & 0o777;
    },
    read,
    load: (name, imports) => {
      let source = unpacked[name];
      if (source === undefined) {
        // Volley's own parts are packed with Brotli, a tenth smaller than in a zip, and the runner with others.
        const packed = read(`${name}.br`);
        if (packed === undefined) throw damaged();
        try {
          const text = zlib.brotliDecompressSync(packed).toString("utf8");
          const pieces = imports === undefined ? text.split("\0") : [text];
          source = pieces[0] as string;
          for (let at = 1; at < pieces.length; at += 2) unpacked[pieces[at] as string] = pieces[at + 1];
        } catch (_corrupt) {
          throw damaged();
        }
      }
      const hash = (require("crypto") as typeof import("node:crypto")).createHash("sha256");
      // V8 looks at no more than the source's length.
      const cache = `${hash.update(source).digest("hex")}.${process.version}-${process.arch}`;
      const cachedData = isKept ? cached.read(cache) : undefined;
      const wrapper = "(function(exports,require,module){";
      const script = new vm.Script(`${wrapper}${source}\n})`, {
        filename: `volley/${name}`,
        // So that positions in stacks are those of the entry, which the controller holds a map of.
        columnOffset: -wrapper.length,
        // Never spread: esbuild's helper for old versions of Node takes 400 bytes of every bundle.
        cachedData,
      });
      if (isKept && (cachedData === undefined || script.cachedDataRejected === true))
        compiled.push({ script, cache });
      const module = { exports: {} };
      const run = script.runInThisContext() as (
        exports: object,
        require: (id: string) => unknown,
        module: object,
      ) => void;
      run(
        module.exports,
        (id) => (imports !== undefined && Object.hasOwn(imports, id) ? imports[id] : require(id)),
        module,
      );
      return module.exports;
    },
    keepCompiled: () => {
      compiled.forEach((one) => {
        cached.write(one.cache, one.script.createCachedData(), KEPT_CODE);
      });
    },
  };

  process.on("exit", () => fs.closeSync(descriptor));
  try {
    (bundle.load("runner.js") as { main(bundle: BundleReader, argv: readonly string[]): void }).main(
      bundle,
      process.argv.slice(2),
    );
  } catch (thrown) {
    fail(thrown);
  }
}
