import type { SerializedError } from "../../core/errors.ts";

/** What is asked of a System in another process: one JSON object a line. */
export type SystemRequest =
  | { readonly id: number; readonly call: SystemCall; readonly args: readonly unknown[] }
  /** The next piece of a file being written; null: there is no more, or, when it broke off, it is not to be kept. */
  | { readonly id: number; readonly piece: Uint8Array | null; readonly broken?: boolean }
  /** The process that runs for it is to be ended. */
  | { readonly id: number; readonly abort: true };

/** What it says. */
export type SystemReply =
  /** First of all. */
  | { readonly ready: SystemUser }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: SerializedError }
  | { readonly id: number; readonly stream: "stdout" | "stderr"; readonly text: string };

/** Who a System acts as. */
export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
  readonly env: Readonly<Record<string, string>>;
}

/** The methods of a System that can be asked for. */
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

/** How the process that serves a System is asked to be one. */
export const SYSTEM_ARGUMENT = "--system";

const BYTES = "$bytes";
const UNDEFINED = "$undefined";

/** One line; bytes and values left undefined go with it as they are. */
export function encodeMessage(message: SystemRequest | SystemReply): string {
  return `${JSON.stringify(plain(message))}\n`;
}

/** What a line says; undefined when it is none of ours. */
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

/** `undefined` cannot be what a reviver gives, which would remove the key: {@link absent} does that job. */
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

/** Calls `onLine` with each line of a stream, however long it is. */
export function onLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let pieces: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      pieces.push(chunk.subarray(from, end));
      const line = Buffer.concat(pieces).toString("utf8");
      pieces = [];
      from = end + 1;
      onLine(line);
    }
    if (from < chunk.length) pieces.push(chunk.subarray(from));
  });
}
