import { createHash } from "node:crypto";
import { type Asset, INLINE_ASSET_BYTES } from "../../core/asset.ts";
import type { Content, ReadSystem, Stat } from "../../core/system.ts";
import { textToBytes } from "../../core/text.ts";
import { MAX_DIFF_BYTES } from "../files/text.ts";

/** Content too large to be held: read piece by piece, as often as needed. */
export interface StreamedContent {
  /** Bytes. */
  readonly size: number;
  /** Hex digest; by default of what `stream` gives. */
  checksum?(algorithm: string): Promise<string>;
  /** The file of the machine itself that it is. */
  readonly copyOf?: string;
  stream(): AsyncIterable<Uint8Array>;
}

/** What a file should contain. */
export type FileContent = string | Uint8Array | StreamedContent;

const CHECKSUM_ALGORITHM = "sha256";

/** Whether content is a {@link StreamedContent}. */
export function isStreamed(content: FileContent): content is StreamedContent {
  return typeof content !== "string" && !(content instanceof Uint8Array);
}

/** Content as a System writes it. */
export function toContent(content: FileContent): Content {
  if (!isStreamed(content)) return content;
  return content.copyOf === undefined ? content.stream() : { copyOf: content.copyOf };
}

/** An asset's content: whole when it is small, else streamed. */
export async function assetContent(asset: Asset): Promise<FileContent> {
  return asset.size <= INLINE_ASSET_BYTES ? asset.read() : asset;
}

/** A file's content as what another file should contain: whole when it is small, else compared by checksum. */
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

/** Content as bytes; streamed content is gathered. */
async function gather(content: FileContent): Promise<Uint8Array> {
  if (typeof content === "string") return textToBytes(content);
  if (content instanceof Uint8Array) return content;
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.stream()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Content as a diff can show it: without reading what is too long to be shown. */
export async function gatherForDiff(content: FileContent): Promise<Uint8Array | "unshown"> {
  return isStreamed(content) && content.size > MAX_DIFF_BYTES ? "unshown" : gather(content);
}

/** Whether a file of that size has the streamed content. */
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
