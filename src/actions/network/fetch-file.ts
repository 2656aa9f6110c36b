import { createHash, randomBytes } from "node:crypto";
import { posix } from "node:path";
import type { ActionContext } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Stat, System, Written } from "../../core/system.ts";
import { applyAttributes, type FileAttributes, inspectAttributes } from "../shared/attributes.ts";
import { makeBackup } from "../shared/backup.ts";
import { NEW_FILE_MODE } from "../shared/mode.ts";
import { parentOf } from "../shared/paths.ts";
import type { Checksum } from "./checksum.ts";
import type { DownloadResponse } from "./download.ts";

/** Where an answer's body is to go. */
export interface StoreRequest extends FileAttributes {
  readonly path: string;
  readonly checksum?: Checksum | undefined;
  readonly backup: boolean;
}

/** What came of it. */
export interface Stored {
  /** False when the file had that content already. */
  readonly replaced: boolean;
  readonly written?: Written;
  /** Bytes. */
  readonly size: number;
  readonly sha1: string;
  readonly backup?: string;
}

/**
 * Writes an answer's body beside the file it is for, checks it, gives it the attributes wanted, and only then puts it
 * in that file's place; nothing of it is left when it is not what it should be, or what is there already.
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
      // What broke the download says more than that the file could not be written.
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
