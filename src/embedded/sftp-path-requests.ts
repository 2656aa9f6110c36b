import {
  link,
  lstat,
  mkdir,
  readlink,
  realpath,
  rename,
  rmdir,
  stat,
  symlink,
  unlink,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setAttributes, toAttributes } from "./sftp-attributes.ts";
import { attributesField, encodeMessage, messageType, stringField, uint32Field } from "./sftp-protocol.ts";
import { type RequestHandler, resolvePath, resolveWritable } from "./sftp-session.ts";
import { encodeOk, errorCode, systemError } from "./sftp-status.ts";

/** Requests that name a path. */
export const pathRequests: Readonly<Record<number, RequestHandler>> = {
  async [messageType.stat](id, fields, session) {
    const stats = await stat(resolvePath(session, fields.text()));
    return encodeMessage(messageType.attrs, uint32Field(id), attributesField(toAttributes(stats)));
  },

  async [messageType.lstat](id, fields, session) {
    const stats = await lstat(resolvePath(session, fields.text()));
    return encodeMessage(messageType.attrs, uint32Field(id), attributesField(toAttributes(stats)));
  },

  async [messageType.setstat](id, fields, session) {
    await setAttributes(resolveWritable(session, fields.text()), fields.attributes());
    return encodeOk(id);
  },

  async [messageType.remove](id, fields, session) {
    await unlink(resolveWritable(session, fields.text()));
    return encodeOk(id);
  },

  async [messageType.mkdir](id, fields, session) {
    const path = resolveWritable(session, fields.text());
    const { mode } = fields.attributes();
    await mkdir(path, { mode: (mode ?? 0o777) & 0o777 });
    return encodeOk(id);
  },

  async [messageType.rmdir](id, fields, session) {
    await rmdir(resolveWritable(session, fields.text()));
    return encodeOk(id);
  },

  async [messageType.realpath](id, fields, session) {
    return encodeName(id, await realPath(resolvePath(session, fields.text())));
  },

  async [messageType.readlink](id, fields, session) {
    return encodeName(id, await readlink(resolvePath(session, fields.text())));
  },

  async [messageType.rename](id, fields, session) {
    const from = resolveWritable(session, fields.text());
    const to = resolveWritable(session, fields.text());
    await renameToFree(from, to);
    return encodeOk(id);
  },

  async [messageType.symlink](id, fields, session) {
    // OpenSSH has the two in the order of symlink(2), not in the draft's, and clients of it follow.
    const target = fields.text();
    await symlink(target, resolveWritable(session, fields.text()));
    return encodeOk(id);
  },
};

/** The reply that carries one path. */
export function encodeName(id: number, path: string): Buffer {
  return encodeMessage(
    messageType.name,
    uint32Field(id),
    uint32Field(1),
    stringField(path),
    stringField(path),
    attributesField({}),
  );
}

/** The canonical path, whose last part need not exist. */
export async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    return join(await realpath(dirname(path)), basename(path));
  }
}

async function renameToFree(from: string, to: string): Promise<void> {
  if ((await lstat(from)).isFile()) {
    // rename(2) would replace the target; link(2) refuses to, without a gap in between.
    await link(from, to);
    await unlink(from);
    return;
  }
  const taken = await stat(to).then(
    () => true,
    () => false,
  );
  if (taken) throw systemError("EEXIST");
  await rename(from, to);
}
