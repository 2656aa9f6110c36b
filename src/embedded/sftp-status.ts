import { getSystemErrorMap } from "node:util";
import { encodeMessage, messageType, stringField, uint32Field } from "./sftp-protocol.ts";

/** Status codes of SFTP version 3 (draft-ietf-secsh-filexfer-02, section 7). */
export const statusCode = {
  ok: 0,
  endOfFile: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  unsupported: 8,
} as const;

/** A status reply. */
export function encodeStatus(id: number, code: number, message: string): Buffer {
  return encodeMessage(
    messageType.status,
    uint32Field(id),
    uint32Field(code),
    stringField(message),
    stringField(""),
  );
}

/** The reply to a request that succeeded and has nothing to return. */
export function encodeOk(id: number): Buffer {
  return encodeStatus(id, statusCode.ok, "Success");
}

/** The status reply for an error of the file system, coded as OpenSSH's sftp-server does. */
export function encodeError(id: number, error: unknown): Buffer {
  const code = errorCode(error);
  return encodeStatus(id, statusOf(code), describe(code) ?? "Failure");
}

/** An error as the operating system would report it, such as `ENOSPC`. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: ${describe(code) ?? code}`), { code });
}

/** The operating system's name for what went wrong, or the empty string. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function statusOf(code: string): number {
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
    case "EBADF":
    case "ELOOP":
      return statusCode.noSuchFile;
    case "EPERM":
    case "EACCES":
    case "EFAULT":
      return statusCode.permissionDenied;
    case "ENAMETOOLONG":
    case "EINVAL":
      return statusCode.badMessage;
    case "ENOSYS":
      return statusCode.unsupported;
    default:
      return statusCode.failure;
  }
}

function describe(code: string): string | undefined {
  for (const [name, message] of getSystemErrorMap().values()) {
    if (name === code) return message.charAt(0).toUpperCase() + message.slice(1);
  }
  return undefined;
}
