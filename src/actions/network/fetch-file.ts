import { createHash, getHashes, randomBytes } from "node:crypto";
import { posix } from "node:path";
import type { ActionContext } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Stat, System, Written } from "../../core/system.ts";
import {
  applyAttributes,
  type FileAttributes,
  inspectAttributes,
  NEW_FILE_MODE,
} from "../shared/attributes.ts";
import { parentOf } from "../shared/paths.ts";
import { makeBackup } from "../shared/write-file.ts";
import type { DownloadResponse } from "./download.ts";

/** The file that receives an answer's body. */
interface StoreRequest extends FileAttributes {
  readonly path: string;
  readonly checksum?: Checksum | undefined;
  readonly backup: boolean;
}

/** The outcome of {@link storeBody}. */
interface Stored {
  /** False when the file had the same content already. */
  readonly replaced: boolean;
  readonly written?: Written;
  /** Bytes. */
  readonly size: number;
  readonly sha1: string;
  readonly backup?: string;
}

/**
 * Write an answer's body beside its file, check it, set the attributes, then replace the file. The
 * temporary file is removed when the body fails its check or equals the file.
 */
export async function storeBody(
  response: DownloadResponse,
  request: StoreRequest,
  system: System,
  context: ActionContext,
): Promise<Stored> {
  const { path, checksum } = request;
  const before = await system.lstat(path);
  const temporary = posix.join(parentOf(path), `.volley-download-${randomBytes(6).toString("hex")}`);
  const sha1 = createHash("sha1");
  const checked = checksum === undefined ? undefined : createHash(checksum.algorithm);
  let size = 0;
  let broken: unknown;
  const body = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of response.body) {
        sha1.update(chunk);
        checked?.update(chunk);
        size += chunk.length;
        yield chunk;
      }
    } catch (thrown) {
      broken = thrown;
      throw thrown;
    }
  };
  try {
    try {
      await system.writeFile(temporary, body(), { mode: 0o600 });
    } catch (thrown) {
      // The download's own error says more than the error of writing.
      throw broken ?? thrown;
    }
    const found = checked?.digest("hex");
    if (checksum !== undefined && found !== checksum.hex) {
      throw new VolleyError(
        "ACTION_FAILED",
        `${response.url.href} is not what it should be: its ${checksum.algorithm} is ${found}, not ${checksum.hex}`,
      );
    }
    const digest = sha1.digest("hex");
    if (before?.type === "file" && before.size === size && (await system.checksum(path, "sha1")) === digest)
      return { replaced: false, size, sha1: digest };
    await dress(temporary, before, request, system, context);
    const backup = request.backup ? await makeBackup(system, path) : undefined;
    const { mode, uid, gid } = (await system.lstat(temporary))!;
    const written = await system.writeFile(path, { copyOf: temporary }, { mode, uid, gid });
    return { replaced: true, written, size, sha1: digest, ...(backup === undefined ? {} : { backup }) };
  } finally {
    await system.remove(temporary);
  }
}

async function dress(
  path: string,
  before: Stat | null,
  wanted: FileAttributes,
  system: System,
  context: ActionContext,
): Promise<void> {
  if (before?.type === "file" && (before.uid !== system.uid || before.gid !== system.gid))
    await system.chown(path, before.uid, before.gid);
  await system.chmod(path, before?.type === "file" ? before.mode : NEW_FILE_MODE);
  const attributes = await inspectAttributes(system, path, await system.lstat(path), wanted, context);
  if (attributes !== null) await applyAttributes(attributes, system);
}

/** The digest that a file must have. */
export interface Checksum {
  /** Name in node:crypto. */
  readonly algorithm: string;
  /** In lower case. */
  readonly hex: string;
}

/** Resolve `sha256:HEX`, or `sha256:URL` of a list of checksums that names the file. Fails with `ACTION_FAILED`. */
export async function resolveChecksum(
  given: string,
  names: readonly string[],
  readList: (url: string) => Promise<string>,
): Promise<Checksum> {
  const [, algorithm = "", value = ""] = /^([A-Za-z0-9-]+):(.+)$/.exec(given.trim()) ?? [];
  const name = algorithm.toLowerCase().replace(/^sha-/, "sha");
  if (!getHashes().includes(name))
    throw new VolleyError("ACTION_FAILED", `cannot check ${given}: write it as sha256:HEX or sha256:URL`);
  const isUrl = /^https?:\/\//.test(value);
  const hex = isUrl ? findInList(await readList(value), names) : value.replace(/\s/g, "");
  if (hex === null)
    throw new VolleyError("ACTION_FAILED", `${value} has no checksum for ${names.join(" or ")}`);
  if (!/^[0-9a-f]+$/i.test(hex))
    throw new VolleyError("ACTION_FAILED", `${given} is not a hexadecimal checksum`);
  return { algorithm: name, hex: hex.toLowerCase() };
}

/** Find a checksum in the output of `sha256sum`, in its `--tag` form, or in a file that holds nothing else. */
function findInList(list: string, names: readonly string[]): string | null {
  const lines = list.split(/\r?\n/).filter((line) => line.trim() !== "");
  const only = lines.length === 1 ? /^\s*([0-9a-fA-F]{32,})\s*$/.exec(lines[0] ?? "")?.[1] : undefined;
  if (only !== undefined) return only;
  for (const line of lines) {
    const plain = /^\\?([0-9a-fA-F]{32,})\s+\*?(?:\.\/)?(.+?)\s*$/.exec(line);
    const tagged = /^\S+ \((?:\.\/)?(.+)\) = ([0-9a-fA-F]{32,})\s*$/.exec(line);
    const [hex, name] = plain ? [plain[1], plain[2]] : [tagged?.[2], tagged?.[1]];
    if (hex !== undefined && name !== undefined && names.includes(name)) return hex;
  }
  return null;
}
