import { readFileSync } from "node:fs";
import { lchown, link, lutimes, rename, statfs } from "node:fs/promises";
import type { ServerChannel } from "ssh2";
import { findPasswd } from "../core/unix/users.ts";
import {
  encodeMessage,
  MAX_DATA_BYTES,
  MAX_MESSAGE_BYTES,
  MalformedSftpError,
  MESSAGE,
  readFields,
  SFTP_VERSION,
  SftpReader,
  STATUS,
  stringField,
  uint64Field,
} from "../transport/sftp/codec.ts";
import { createChannelWriter } from "./commands.ts";
import { oneName, realPath, requests, setAttributes } from "./sftp-requests.ts";
import {
  type Answer,
  errorStatus,
  findFile,
  findHandle,
  OK,
  type RequestHandler,
  resolvePath,
  resolveWritable,
  type SftpContext,
  type SftpSession,
  statusOf,
  systemError,
} from "./sftp-session.ts";

/**
 * Serve SFTP version 3 on a channel until its end, as OpenSSH's sftp-server does: requests are carried out one after
 * the other, so a client may send writes, a close and a rename without waiting for replies in between.
 *
 * ssh2's own server half announces no extensions and has no backpressure, so this one works on the bare channel.
 */
export async function serveSftp(
  channel: ServerChannel,
  context: SftpContext,
  closed: AbortSignal,
): Promise<void> {
  const session: SftpSession = { context, handles: new Map(), nextHandle: 0 };
  const writer = createChannelWriter(channel, closed);
  const reader = new SftpReader();
  channel.on("error", () => {});
  let exitCode = 0;
  try {
    for await (const chunk of channel) {
      for (const message of reader.push(chunk as Buffer)) {
        if (closed.aborted) return;
        await writer.write(await answer(message, session));
      }
    }
  } catch {
    // The client broke the protocol, or the channel broke: sftp-server, too, gives up.
    exitCode = 255;
  } finally {
    await closeAll(session);
    channel.exit(exitCode);
    channel.end();
  }
}

async function answer(message: Buffer, session: SftpSession): Promise<Buffer> {
  const fields = readFields(message);
  const type = fields.byte();
  const id = fields.uint32();
  if (type === MESSAGE.init) return encodeGreeting();
  const answered = await carryOut();
  return encodeMessage(answered.type, id, answered.fields);

  async function carryOut(): Promise<Answer> {
    try {
      const handler = type === MESSAGE.extended ? EXTENSIONS[fields.text()]?.handle : requests[type];
      if (handler === undefined) return statusOf(STATUS.unsupported, "Operation unsupported");
      return await handler(fields, session);
    } catch (error) {
      if (error instanceof MalformedSftpError) throw error;
      return errorStatus(error);
    }
  }
}

/** Encode the greeting: the version and the names of the extensions. */
function encodeGreeting(): Buffer {
  const fields = Object.entries(EXTENSIONS).flatMap(([name, { version }]) => [
    stringField(name),
    stringField(version),
  ]);
  return encodeMessage(MESSAGE.version, SFTP_VERSION, fields);
}

async function closeAll({ handles }: SftpSession): Promise<void> {
  const files = [...handles.values()].map((handle) =>
    handle.kind === "file" ? handle.file.close() : undefined,
  );
  handles.clear();
  await Promise.allSettled(files);
}

interface Extension {
  readonly version: string;
  readonly handle: RequestHandler;
}

/** Open handles that sftp-server says it allows. */
const MAX_HANDLES = 1_000;

/** OpenSSH's extensions of SFTP (its PROTOCOL document, section 4), by name. */
const EXTENSIONS: Readonly<Record<string, Extension>> = {
  "posix-rename@openssh.com": {
    version: "1",
    async handle(fields, session) {
      const from = resolveWritable(session, fields.text());
      await rename(from, resolveWritable(session, fields.text()));
      return OK;
    },
  },
  "statvfs@openssh.com": {
    version: "2",
    handle: (fields, session) => fileSystemOf(resolvePath(session, fields.text())),
  },
  "fstatvfs@openssh.com": {
    version: "2",
    handle: (fields, session) => fileSystemOf(findHandle(session, fields.bytes()).path),
  },
  "hardlink@openssh.com": {
    version: "1",
    async handle(fields, session) {
      const existing = resolvePath(session, fields.text());
      await link(existing, resolveWritable(session, fields.text()));
      return OK;
    },
  },
  "fsync@openssh.com": {
    version: "1",
    async handle(fields, session) {
      await findFile(session, fields.bytes()).file.sync();
      return OK;
    },
  },
  "lsetstat@openssh.com": {
    version: "1",
    async handle(fields, session) {
      const path = resolveWritable(session, fields.text());
      await setAttributes(fields.attributes(), {
        truncate: () => Promise.reject(systemError("EINVAL")),
        // Linux cannot set the mode of a link.
        chmod: () => Promise.reject(systemError("ENOTSUP")),
        utimes: (atime, mtime) => lutimes(path, atime, mtime),
        chown: (uid, gid) => lchown(path, uid, gid),
      });
      return OK;
    },
  },
  "limits@openssh.com": {
    version: "1",
    async handle() {
      const limits = [MAX_MESSAGE_BYTES, MAX_DATA_BYTES, MAX_DATA_BYTES, MAX_HANDLES];
      return { type: MESSAGE.extendedReply, fields: limits.map(uint64Field) };
    },
  },
  "expand-path@openssh.com": {
    version: "1",
    async handle(fields, session) {
      const path = fields.text().replace(/^~([^/]*)/, (_all, user: string) => homeOf(user, session));
      return oneName(await realPath(resolvePath(session, path)));
    },
  },
};

/** Return a user's home: the host's for the login user, this machine's for others. */
function homeOf(user: string, { context }: SftpSession): string {
  if (user === "") return context.home;
  const entry = findPasswd(readFileSync("/etc/passwd", "utf8"), user);
  if (entry === undefined) throw systemError("ENOENT");
  return entry.home;
}

async function fileSystemOf(path: string): Promise<Answer> {
  const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(path);
  const [fileSystemId, flags, longestName] = [0, 0, 255];
  const values = [bsize, bsize, blocks, bfree, bavail, files, ffree, ffree, fileSystemId, flags, longestName];
  return { type: MESSAGE.extendedReply, fields: values.map(uint64Field) };
}
