import { readFileSync } from "node:fs";
import { link, rename, statfs } from "node:fs/promises";
import { setLinkAttributes } from "./sftp-attributes.ts";
import { encodeName, realPath } from "./sftp-path-requests.ts";
import {
  encodeMessage,
  maxDataBytes,
  maxMessageBytes,
  messageType,
  stringField,
  uint32Field,
  uint64Field,
} from "./sftp-protocol.ts";
import { findFile, findHandle, type RequestHandler, resolvePath, resolveWritable } from "./sftp-session.ts";
import { encodeOk, systemError } from "./sftp-status.ts";

interface Extension {
  readonly version: string;
  readonly handle: RequestHandler;
}

/** OpenSSH's extensions of SFTP (its PROTOCOL document, section 4), by name. */
export const extensions: Readonly<Record<string, Extension>> = {
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
export function encodeVersion(): Buffer {
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
