import type { ServerChannel } from "ssh2";
import { createChannelWriter } from "./channel-writer.ts";
import { encodeVersion, extensions } from "./sftp-extensions.ts";
import { handleRequests } from "./sftp-handle-requests.ts";
import { pathRequests } from "./sftp-path-requests.ts";
import { MalformedMessageError, messageType, readMessage, splitMessages } from "./sftp-protocol.ts";
import type { SftpContext, SftpSession } from "./sftp-session.ts";
import { encodeError, encodeStatus, statusCode } from "./sftp-status.ts";

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
