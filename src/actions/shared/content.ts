import { createHash } from "node:crypto";
import { type Asset, INLINE_ASSET_BYTES } from "../../core/asset.ts";
import type { Diff } from "../../core/result.ts";
import type { Content, ReadSystem, Stat } from "../../core/system.ts";
import { textToBytes } from "../../core/values/bytes.ts";

/** Content too large to hold in memory; it can be streamed any number of times. */
export interface StreamedContent {
  /** Bytes. */
  readonly size: number;
  /** Hex digest. Default: that of the streamed bytes. */
  checksum?(algorithm: string): Promise<string>;
  /** The file of the machine itself that has this content. */
  readonly copyOf?: string;
  stream(): AsyncIterable<Uint8Array>;
}

/** The wanted content of a file. */
export type FileContent = string | Uint8Array | StreamedContent;

const CHECKSUM_ALGORITHM = "sha256";

/** Tell whether content is a {@link StreamedContent}. */
export function isStreamed(content: FileContent): content is StreamedContent {
  return typeof content !== "string" && !(content instanceof Uint8Array);
}

/** Convert content to the form that a System writes. */
export function toContent(content: FileContent): Content {
  if (!isStreamed(content)) return content;
  return content.copyOf === undefined ? content.stream() : { copyOf: content.copyOf };
}

/** Return an asset's content: in memory when small, else streamed. */
export async function assetContent(asset: Asset): Promise<FileContent> {
  return asset.size <= INLINE_ASSET_BYTES ? asset.read() : asset;
}

/** Return a file's content for another file: in memory when small, else compared by checksum. */
export async function systemContent(system: ReadSystem, path: string, stat: Stat): Promise<FileContent> {
  if (stat.size <= INLINE_ASSET_BYTES) return system.readFile(path);
  return {
    size: stat.size,
    copyOf: path,
    checksum: (algorithm) => system.checksum(path, algorithm),
    stream: async function* () {
      yield await system.readFile(path);
    },
  };
}

/** Return content as bytes. */
async function gather(content: FileContent): Promise<Uint8Array> {
  if (typeof content === "string") return textToBytes(content);
  if (content instanceof Uint8Array) return content;
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.stream()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Return content for a diff, without reading content too long to show. */
export async function gatherForDiff(content: FileContent): Promise<Uint8Array | "unshown"> {
  return isStreamed(content) && content.size > MAX_DIFF_BYTES ? "unshown" : gather(content);
}

/** Tell whether a file of a size has the streamed content. */
export async function sameAsStreamed(
  system: ReadSystem,
  path: string,
  size: number,
  content: StreamedContent,
): Promise<boolean> {
  if (size !== content.size) return false;
  const wanted = content.checksum?.(CHECKSUM_ALGORITHM) ?? hashStream(content.stream());
  return (await wanted) === (await system.checksum(path, CHECKSUM_ALGORITHM));
}

async function hashStream(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash(CHECKSUM_ALGORITHM);
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest("hex");
}

/** A diff shows no content longer than this, in bytes. */
export const MAX_DIFF_BYTES = 100_000;

/** Decode UTF-8; null for invalid bytes. A byte order mark stays part of the text. */
function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** Decode bytes for a diff; undefined for binary or too long content. */
function shownText(bytes: Uint8Array): string | undefined {
  if (bytes.length > MAX_DIFF_BYTES || bytes.includes(0)) return undefined;
  return decodeUtf8(bytes) ?? undefined;
}

/** Return the content part of a Diff; null means no file. Binary content, or content longer than {@link MAX_DIFF_BYTES}, is `binary`. */
export function contentDiff(
  before: Uint8Array | "unshown" | null,
  after: Uint8Array | "unshown" | null,
): Pick<Diff, "before" | "after" | "binary"> {
  const show = (bytes: Uint8Array | "unshown" | null): string | null | undefined =>
    bytes === null ? null : bytes === "unshown" ? undefined : shownText(bytes);
  const [old, now] = [show(before), show(after)];
  if (old === undefined || now === undefined)
    return { binary: true, ...(old === null ? { before: null } : {}) };
  return { before: old, after: now };
}
