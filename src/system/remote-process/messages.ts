import type { SerializedError } from "../../core/errors.ts";

/** A request to a System in another process: one JSON object a line. */
export type SystemRequest =
  | { readonly id: number; readonly call: SystemCall; readonly args: readonly unknown[] }
  /** The next piece of a file being written; null after the last. `broken`: the content broke off, drop the file. */
  | { readonly id: number; readonly piece: Uint8Array | null; readonly broken?: boolean }
  /** End the process that a `run` or `query` started. */
  | { readonly id: number; readonly abort: true };

/** A reply of the System. */
export type SystemReply =
  /** The first reply, before any request. */
  | { readonly ready: SystemUser }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: SerializedError }
  | { readonly id: number; readonly stream: "stdout" | "stderr"; readonly text: string };

/** The user that a System acts as. */
export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
  readonly env: Readonly<Record<string, string>>;
}

/** The methods of a System that a request can call. */
export const SYSTEM_CALLS = [
  "stat",
  "lstat",
  "readFile",
  "readText",
  "readIfExists",
  "checksum",
  "list",
  "readLink",
  "realPath",
  "workingDirectory",
  "which",
  "query",
  "writeFile",
  "makeDirectory",
  "chmod",
  "chown",
  "symlink",
  "link",
  "rename",
  "remove",
  "setTimes",
  "temporaryDirectory",
  "run",
] as const;

export type SystemCall = (typeof SYSTEM_CALLS)[number];

/** The argument that makes a bundle serve a System. */
export const SYSTEM_ARGUMENT = "--system";

const BYTES = "$bytes";
const UNDEFINED = "$undefined";

/** Encode a message as one line; bytes and undefined values survive. */
export function encodeMessage(message: SystemRequest | SystemReply): string {
  return `${JSON.stringify(plain(message))}\n`;
}

/** Decode a line; undefined for one that is no message. */
export function decodeMessage<Message extends SystemRequest | SystemReply>(
  line: string,
): Message | undefined {
  try {
    const value: unknown = JSON.parse(line, (_key, inner: unknown) => revive(inner));
    return typeof value === "object" && value !== null ? (value as Message) : undefined;
  } catch {
    return undefined;
  }
}

function plain(value: unknown): unknown {
  if (value === undefined) return { [UNDEFINED]: true };
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) {
    const { buffer, byteOffset, byteLength } = value;
    return { [BYTES]: Buffer.from(buffer, byteOffset, byteLength).toString("base64") };
  }
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

/** A reviver cannot return `undefined`, which would remove the key, so {@link absent} restores it one level above. */
function revive(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const bytes = (value as Readonly<Record<string, unknown>>)[BYTES];
  if (typeof bytes === "string") return Buffer.from(bytes, "base64");
  if (Array.isArray(value)) return value.map(absent);
  for (const [key, inner] of Object.entries(value))
    if (isUndefined(inner)) (value as Record<string, unknown>)[key] = undefined;
  return value;
}

function absent(value: unknown): unknown {
  return isUndefined(value) ? undefined : value;
}

function isUndefined(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    (value as Readonly<Record<string, unknown>>)[UNDEFINED] === true
  );
}
