import { readFileSync } from "node:fs";
import { link, rename, statfs } from "node:fs/promises";
import type { ServerChannel } from "ssh2";
import { createChannelWriter } from "./commands.ts";
import {
  encodeMessage,
  MalformedMessageError,
  maxDataBytes,
  maxMessageBytes,
  messageType,
  readMessage,
  splitMessages,
  stringField,
  uint32Field,
  uint64Field,
} from "./sftp-protocol.ts";
import { encodeName, handleRequests, pathRequests, realPath, setLinkAttributes } from "./sftp-requests.ts";
import {
  encodeError,
  encodeOk,
  encodeStatus,
  findFile,
  findHandle,
  type RequestHandler,
  resolvePath,
  resolveWritable,
  type SftpContext,
  type SftpSession,
  statusCode,
  systemError,
} from "./sftp-session.ts";

const requests = { ...handleRequests, ...pathRequests };

/**
 * Serves SFTP version 3 on a channel until its end, as OpenSSH's sftp-server does: requests are carried out one after
 * the other, so a client may send writes, a close and a rename without waiting for replies in between.
 *
 * ssh2's own server half announces no extensions and has no backpressure, hence this one on the bare channel.
 */
export async function serveSftp(
  channel: ServerChannel,
  context: SftpContext,
  closed: AbortSignal,
): Promise<void> {
  const session: SftpSession = { context, handles: new Map(), nextHandle: 0 };
  const writer = createChannelWriter(channel, closed);
  channel.on("error", () => {});
  let exitCode = 0;
  try {
    for await (const message of splitMessages(channel)) {
      if (closed.aborted) break;
      await writer.write(await answer(message, session));
    }
  } catch {
    // What the client sent is no SFTP, or the channel broke: sftp-server, too, gives up.
    exitCode = 255;
  } finally {
    await closeAll(session);
    channel.exit(exitCode);
    channel.end();
  }
}

async function answer(message: Buffer, session: SftpSession): Promise<Buffer> {
  const fields = readMessage(message);
  const type = fields.byte();
  const id = fields.uint32();
  if (type === messageType.init) return encodeVersion();
  try {
    const handler = type === messageType.extended ? extensions[fields.text()]?.handle : requests[type];
    if (handler === undefined) return encodeStatus(id, statusCode.unsupported, "Operation unsupported");
    return await handler(id, fields, session);
  } catch (error) {
    if (error instanceof MalformedMessageError) throw error;
    return encodeError(id, error);
  }
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

/** OpenSSH's extensions of SFTP (its PROTOCOL document, section 4), by name. */
const extensions: Readonly<Record<string, Extension>> = {
  "posix-rename@openssh.com": {
    version: "1",
    async handle(id, fields, session) {
      const from = resolveWritable(session, fields.text());
      await rename(from, resolveWritable(session, fields.text()));
      return encodeOk(id);
    },
  },
  "statvfs@openssh.com": {
    version: "2",
    handle: (id, fields, session) => encodeFileSystem(id, resolvePath(session, fields.text())),
  },
  "fstatvfs@openssh.com": {
    version: "2",
    handle: (id, fields, session) => encodeFileSystem(id, findHandle(session, fields.bytes()).path),
  },
  "hardlink@openssh.com": {
    version: "1",
    async handle(id, fields, session) {
      const existing = resolvePath(session, fields.text());
      await link(existing, resolveWritable(session, fields.text()));
      return encodeOk(id);
    },
  },
  "fsync@openssh.com": {
    version: "1",
    async handle(id, fields, session) {
      await findFile(session, fields.bytes()).file.sync();
      return encodeOk(id);
    },
  },
  "lsetstat@openssh.com": {
    version: "1",
    async handle(id, fields, session) {
      await setLinkAttributes(resolveWritable(session, fields.text()), fields.attributes());
      return encodeOk(id);
    },
  },
  "limits@openssh.com": {
    version: "1",
    async handle(id) {
      const maxHandles = 1000;
      const limits = [maxMessageBytes, maxDataBytes, maxDataBytes, maxHandles];
      return encodeMessage(messageType.extendedReply, uint32Field(id), ...limits.map(uint64Field));
    },
  },
  "expand-path@openssh.com": {
    version: "1",
    async handle(id, fields, session) {
      const path = fields.text().replace(/^~([^/]*)/, (_all, user: string) => homeOf(user, session));
      return encodeName(id, await realPath(resolvePath(session, path)));
    },
  },
};

/** Users other than whoever is logged in are this machine's. */
function homeOf(user: string, { context }: Parameters<RequestHandler>[2]): string {
  if (user === "") return context.home;
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((each) => each.startsWith(`${user}:`));
  if (line === undefined) throw systemError("ENOENT");
  return line.split(":")[5]!;
}

/** The reply to INIT: version 3 and the names of the extensions. */
function encodeVersion(): Buffer {
  const fields = Object.entries(extensions).flatMap(([name, { version }]) => [
    stringField(name),
    stringField(version),
  ]);
  return encodeMessage(messageType.version, uint32Field(3), ...fields);
}

async function encodeFileSystem(id: number, path: string): Promise<Buffer> {
  const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(path);
  const [fileSystemId, flags, longestName] = [0, 0, 255];
  const values = [bsize, bsize, blocks, bfree, bavail, files, ffree, ffree, fileSystemId, flags, longestName];
  return encodeMessage(messageType.extendedReply, uint32Field(id), ...values.map(uint64Field));
}
