import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { writeReason } from "../../core/unix/user-file.ts";
import { makeDirectories } from "../../system/directories.ts";
import type { FanOutListener, HostResult } from "./fan-out.ts";

// The outputs of many hosts: equal ones folded, long ones kept on disk, and all of them in a directory.

/** Hosts on which a command had the same outcome and output. */
export interface FoldedHosts {
  readonly hosts: readonly string[];
  /** The result of the first of them. */
  readonly result: HostResult;
  readonly stdout: KeptOutput;
  readonly stderr: KeptOutput;
}

/** Groups hosts with the same output, and keeps each output once. */
export interface Fold {
  readonly listener: FanOutListener;
  /** The groups, largest first; equal ones by the name of their first host. */
  groups(): readonly FoldedHosts[];
  close(): Promise<void>;
}

/** Make a {@link Fold}; outputs beyond 16 KiB are kept on disk until it is closed. */
export function createFold(): Fold {
  const store = createOutputStore();
  const working = new Map<string, { readonly stdout: OutputKeeper; readonly stderr: OutputKeeper }>();
  const groups = new Map<string, Omit<FoldedHosts, "hosts"> & { readonly hosts: string[] }>();
  const keepersOf = (host: string) => {
    const keepers = working.get(host) ?? { stdout: store.keeper(), stderr: store.keeper() };
    working.set(host, keepers);
    return keepers;
  };
  return {
    listener: {
      output: (host, stream, chunk) => keepersOf(host)[stream].add(chunk),
      end: async (result) => {
        const keepers = keepersOf(result.host);
        working.delete(result.host);
        const stdout = await keepers.stdout.finish();
        const stderr = await keepers.stderr.finish();
        const key = JSON.stringify([result.outcome, result.exit, stdout.digest, stderr.digest]);
        const group = groups.get(key);
        if (group === undefined) {
          groups.set(key, { hosts: [result.host], result, stdout, stderr });
          return;
        }
        group.hosts.push(result.host);
        await stdout.discard();
        await stderr.discard();
      },
    },
    groups: () =>
      [...groups.values()].sort(
        (one, other) =>
          other.hosts.length - one.hosts.length || compareNames(firstOf(one.hosts), firstOf(other.hosts)),
      ),
    close: () => store.close(),
  };
}

let collator: Intl.Collator | undefined;

/** Compare by number where names have numbers. To make a collator takes 10 ms, which a single host need not wait for. */
function compareNames(one: string, other: string): number {
  if (one === other) return 0;
  collator ??= new Intl.Collator("en", { numeric: true });
  return collator.compare(one, other);
}

function firstOf(hosts: readonly string[]): string {
  return hosts.reduce((first, host) => (compareNames(host, first) < 0 ? host : first));
}

/** A host's output, kept to show later. */
export interface KeptOutput {
  readonly bytes: number;
  /** Equal for equal bytes. */
  readonly digest: string;
  /** Read it from its beginning. */
  read(): AsyncIterable<Buffer>;
  /** Return it as text; undefined when it is longer than `maxBytes`, or not UTF-8. */
  text(maxBytes: number): Promise<string | undefined>;
  discard(): Promise<void>;
}

/** Collects output until it ends. */
interface OutputKeeper {
  /** Add a chunk; wait for a returned promise. Rejects when the disk is full. */
  add(chunk: Buffer): Promise<void> | undefined;
  finish(): Promise<KeptOutput>;
}

/** A store for output too long for memory. */
interface OutputStore {
  keeper(): OutputKeeper;
  /** Remove all files. */
  close(): Promise<void>;
}

const IN_MEMORY_BYTES = 16 * 1024;

/** Make a store; its directory, which only this user can read, is made for the first long output. */
function createOutputStore(): OutputStore {
  let directory: Promise<string> | undefined;
  let files = 0;
  const openFile = async (): Promise<{ readonly path: string; readonly handle: FileHandle }> => {
    directory ??= mkdtemp(join(tmpdir(), "volley-output-"));
    const path = join(await directory, String(++files));
    return { path, handle: await open(path, "wx", 0o600) };
  };
  return {
    keeper: () => createKeeper(openFile),
    close: async () => {
      if (directory !== undefined) await rm(await directory, { recursive: true, force: true });
    },
  };
}

function createKeeper(
  openFile: () => Promise<{ readonly path: string; readonly handle: FileHandle }>,
): OutputKeeper {
  const hash = createHash("sha256");
  let bytes = 0;
  let memory: Buffer[] = [];
  let file: Awaited<ReturnType<typeof openFile>> | undefined;
  let writing: Promise<void> | undefined;
  const write = async (chunks: readonly Buffer[]): Promise<void> => {
    file ??= await openFile();
    for (const chunk of chunks) await file.handle.writeFile(chunk);
  };
  return {
    add: (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
      if (bytes <= IN_MEMORY_BYTES) {
        // A copy, because a chunk is a view of a larger packet.
        memory.push(Buffer.from(chunk));
        return undefined;
      }
      const chunks = [...memory, chunk];
      memory = [];
      writing = (writing ?? Promise.resolve()).then(() => write(chunks));
      return writing;
    },
    finish: async () => {
      await writing;
      await file?.handle.close();
      return keptOutput(bytes, hash.digest("hex"), Buffer.concat(memory), file?.path);
    },
  };
}

function keptOutput(bytes: number, digest: string, memory: Buffer, path: string | undefined): KeptOutput {
  async function* read(): AsyncGenerator<Buffer> {
    if (path === undefined) yield memory;
    else yield* createReadStream(path) as AsyncIterable<Buffer>;
  }
  return {
    bytes,
    digest,
    read,
    text: async (maxBytes) => {
      if (bytes > maxBytes) return undefined;
      const chunks = [];
      for await (const chunk of read()) chunks.push(chunk);
      const all = Buffer.concat(chunks);
      return isUtf8(all) ? all.toString("utf8") : undefined;
    },
    discard: async () => {
      if (path !== undefined) await rm(path, { force: true });
    },
  };
}

/** A directory for the output of all hosts. */
export interface OutDirectory {
  readonly listener: FanOutListener;
  close(): Promise<void>;
}

/** Name of the table of results: host, outcome, exit code or signal, milliseconds. */
export const STATUS_FILE = "exit-status.tsv";

/**
 * Write `HOST.out` and, if needed, `HOST.err` into a directory as output arrives, and a line for each host into
 * `exit-status.tsv` when it ends. Replaces the files of an earlier run for these hosts. Fails with `USAGE`.
 */
export async function openOutDirectory(path: string): Promise<OutDirectory> {
  const status = await openStatus(path);
  const files = new Map<string, Promise<FileHandle>>();
  const fileOf = (host: string, suffix: "out" | "err"): string => join(path, `${fileNameOf(host)}.${suffix}`);
  const open_ = (file: string): Promise<FileHandle> => {
    const opening = files.get(file) ?? open(file, "w");
    files.set(file, opening);
    return opening;
  };
  const closeFile = async (file: string): Promise<void> => {
    const handle = await files.get(file);
    files.delete(file);
    await handle?.close();
  };
  return {
    listener: {
      output: async (host, stream, chunk) => {
        const handle = await open_(fileOf(host, stream === "stdout" ? "out" : "err"));
        await handle.writeFile(chunk);
      },
      end: async (result) => {
        const [out, err] = [fileOf(result.host, "out"), fileOf(result.host, "err")];
        if (result.exit !== undefined) await open_(out);
        else await rm(out, { force: true });
        if (!files.has(err)) await rm(err, { force: true });
        await closeFile(out);
        await closeFile(err);
        await status.writeFile(statusLine(result));
      },
    },
    close: async () => {
      for (const file of [...files.keys()]) await closeFile(file);
      await status.close();
    },
  };
}

/** Return a single path component for any host name. */
export function fileNameOf(host: string): string {
  return host.replace(/[/\\\p{Cc}]|^\.+$/gu, "_");
}

async function openStatus(path: string): Promise<FileHandle> {
  try {
    makeDirectories(path);
    return await open(join(path, STATUS_FILE), "w");
  } catch (cause) {
    throw new VolleyError("USAGE", `cannot write in ${path}: ${writeReason(cause)}`, { cause });
  }
}

function statusLine({ host, outcome, exit, elapsedMs }: HostResult): string {
  const code = exit?.kind === "exited" ? String(exit.code) : exit?.kind === "signalled" ? exit.signal : "";
  return `${host}\t${outcome}\t${code}\t${Math.round(elapsedMs)}\n`;
}
