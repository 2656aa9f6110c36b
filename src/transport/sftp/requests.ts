import type { Writable } from "node:stream";
import { VolleyError } from "../../core/errors.ts";
import { UNSAFE } from "../../core/values/characters.ts";
import type { DirectoryEntry } from "../transport.ts";
import {
  encodeMessage,
  type FileAttributes,
  MalformedSftpError,
  MESSAGE,
  readFields,
  SFTP_VERSION,
  type SftpFields,
  SftpReader,
  STATUS,
} from "./codec.ts";

/** A server's message, decoded. */
type SftpReply =
  | { readonly type: "version"; readonly version: number; readonly extensions: ReadonlyMap<string, string> }
  | { readonly type: "status"; readonly id: number; readonly status: number; readonly text: string }
  | { readonly type: "handle"; readonly id: number; readonly handle: Buffer }
  | { readonly type: "data"; readonly id: number; readonly bytes: Buffer }
  | { readonly type: "name"; readonly id: number; readonly entries: readonly DirectoryEntry[] }
  | { readonly type: "attributes"; readonly id: number; readonly attributes: FileAttributes }
  /** The reply to an extension, which defines its fields. */
  | { readonly type: "extended"; readonly id: number; readonly fields: SftpFields };

/** The server's greeting. */
type Greeting = Extract<SftpReply, { type: "version" }>;

/** The answer to one request. */
export type Reply = Exclude<SftpReply, Greeting>;

/** Requests in flight, and their replies. */
export interface SftpRequests {
  /** Resolves with the server's greeting. */
  readonly greeting: Promise<Greeting>;
  /** Send a request. Fails with the error that ended the session. */
  send(type: number, fields: readonly Uint8Array[]): Promise<Reply>;
  /** Take a chunk that the server sent. */
  receive(chunk: Buffer): void;
  /** End the session: every request in flight, and every later one, fails with this error. */
  fail(error: VolleyError): void;
  /** The error that ended the session. */
  readonly failure: VolleyError | undefined;
}

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: unknown): void;
}

/** Greet a server and match its replies with requests. A message that the protocol forbids ends the session. */
export function createRequests(host: string, stdin: Writable, onFailure: () => void): SftpRequests {
  const reader = new SftpReader();
  const waiting = new Map<number, Waiting>();
  let nextId = 0;
  let failure: VolleyError | undefined;
  let isGreeted = false;
  let resolveGreeting!: (greeting: Greeting) => void;
  let rejectGreeting!: (error: unknown) => void;
  const greeting = new Promise<Greeting>((resolve, reject) => {
    resolveGreeting = resolve;
    rejectGreeting = reject;
  });
  greeting.catch(() => {});

  const fail = (error: VolleyError): void => {
    if (failure !== undefined) return;
    failure = error;
    rejectGreeting(error);
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
    onFailure();
  };
  const take = (reply: SftpReply): void => {
    if (reply.type === "version") {
      if (isGreeted) throw new MalformedSftpError("a second greeting");
      isGreeted = true;
      return resolveGreeting(reply);
    }
    const waiter = isGreeted ? waiting.get(reply.id) : undefined;
    if (waiter === undefined) throw new MalformedSftpError("a reply without a request");
    waiting.delete(reply.id);
    waiter.resolve(reply);
  };
  stdin.write(encodeMessage(MESSAGE.init, SFTP_VERSION, []));

  return {
    greeting,
    get failure() {
      return failure;
    },
    send: (type, fields) =>
      new Promise((resolve, reject) => {
        if (failure !== undefined) return reject(failure);
        while (waiting.has(nextId)) nextId = (nextId + 1) >>> 0;
        const id = nextId;
        nextId = (nextId + 1) >>> 0;
        const message = encodeMessage(type, id, fields);
        waiting.set(id, { resolve, reject });
        stdin.write(message);
      }),
    receive: (chunk) => {
      if (failure !== undefined) return;
      try {
        for (const message of reader.push(chunk)) take(readReply(message));
      } catch (thrown) {
        fail(
          thrown instanceof MalformedSftpError
            ? notSftp(host, thrown.message, isGreeted)
            : new VolleyError("INTERNAL", `${host}: ${String(thrown)}`, { cause: thrown }),
        );
      }
    },
    fail,
  };
}

/** The hint for other text in place of SFTP: sshd starts its sftp-server by the login shell. */
const PROFILE_HINT =
  "does a profile on the host, such as ~/.bashrc, print something? It must not for shells that are not interactive";

/** Return the error for bytes that SFTP does not allow. */
export function notSftp(host: string, why: string, isGreeted: boolean): VolleyError {
  if (isGreeted)
    return new SftpError(STATUS.badMessage, `${host}: the SFTP server breaks the protocol: ${why}`);
  return new VolleyError("SFTP_UNAVAILABLE", `${host}: the answer is not SFTP: ${why}`, {
    hint: PROFILE_HINT,
  });
}

/** Longest handle that a server may give, in bytes (section 6.3 of the draft). */
const MAX_HANDLE_BYTES = 256;

/** Decode one message of a server, without its length. Throws {@link MalformedSftpError}. */
export function readReply(message: Buffer): SftpReply {
  const fields = readFields(message);
  const type = fields.byte();
  if (type === MESSAGE.version) return readGreeting(fields);
  const id = fields.uint32();
  if (type === MESSAGE.status) {
    const status = fields.uint32();
    // Some servers leave out the text, or the language that follows it.
    return { type: "status", id, status, text: fields.left() === 0 ? "" : fields.text() };
  }
  if (type === MESSAGE.extendedReply) return { type: "extended", id, fields };
  const reply = readBody(type, id, fields);
  if (fields.left() > 0) throw new MalformedSftpError("a message with bytes after its end");
  return reply;
}

function readBody(type: number, id: number, fields: SftpFields): Reply {
  switch (type) {
    case MESSAGE.handle: {
      const handle = Buffer.from(fields.bytes());
      if (handle.length > MAX_HANDLE_BYTES) throw new MalformedSftpError("a handle that is too long");
      return { type: "handle", id, handle };
    }
    case MESSAGE.data:
      return { type: "data", id, bytes: fields.bytes() };
    case MESSAGE.attributes:
      return { type: "attributes", id, attributes: fields.attributes() };
    case MESSAGE.name:
      return { type: "name", id, entries: readEntries(fields) };
    default:
      throw new MalformedSftpError(`a message of type ${type}`);
  }
}

function readGreeting(fields: SftpFields): Greeting {
  const version = fields.uint32();
  const extensions = new Map<string, string>();
  while (fields.left() > 0) extensions.set(fields.text(), fields.text());
  return { type: "version", version, extensions };
}

function readEntries(fields: SftpFields): readonly DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  for (let left = fields.uint32(); left > 0; left--) {
    const name = fields.text();
    // The long name, a line like that of `ls -l`, is for people.
    fields.bytes();
    entries.push({ name, attributes: fields.attributes() });
  }
  return entries;
}

/** `SFTP_FAILED` with the status that the server gave. */
export class SftpError extends VolleyError {
  /** The protocol's status code; see {@link STATUS}. */
  readonly status: number;
  /** The server's own text, in one line; empty where there is none. */
  readonly said: string;

  constructor(status: number, message: string, hint?: string, said = "") {
    super("SFTP_FAILED", message, hint === undefined ? {} : { hint });
    this.status = status;
    this.said = said;
  }
}

/** Return the status code of an error; undefined when the server did not refuse. */
export function sftpStatus(thrown: unknown): number | undefined {
  return thrown instanceof SftpError ? thrown.status : undefined;
}

/** Most characters of a server's text that a message repeats. */
const SAID_KEPT = 200;
/** Texts with which servers say nothing. */
const EMPTY_WORDS = /^(success|failure|error|unknown error|)$/i;

/** The meaning of each status, for servers whose text says no more. */
const MEANINGS: Readonly<Record<number, string>> = {
  [STATUS.endOfFile]: "end of file",
  [STATUS.noSuchFile]: "no such file or directory",
  [STATUS.permissionDenied]: "permission denied",
  [STATUS.failure]: "the host refused it without a reason",
  [STATUS.badMessage]: "the host did not accept the request (a name too long?)",
  [STATUS.noConnection]: "no connection",
  [STATUS.connectionLost]: "connection lost",
  [STATUS.unsupported]: "the host's SFTP server cannot do that",
};

const HINTS: Readonly<Record<number, string>> = {
  [STATUS.permissionDenied]: "log in as a user who may, or use --become",
};

const UNSAFE_RUN = new RegExp(`${UNSAFE.source}+`, UNSAFE.flags);

/** Return the error of a refusal, such as `web01: cannot write /srv/a: permission denied`. */
export function refused(host: string, what: string, status: number, text: string): SftpError {
  // The host's text reaches terminals.
  const said = text.replace(UNSAFE_RUN, " ").trim().slice(0, SAID_KEPT);
  const meaning = MEANINGS[status] ?? `status ${status}`;
  const isEmpty = EMPTY_WORDS.test(said) || said.toLowerCase() === meaning;
  const reason = isEmpty || status !== STATUS.failure ? meaning : lowerFirst(said);
  const isFull = /no space left/i.test(said);
  return new SftpError(
    status,
    `${host}: cannot ${what}: ${reason}`,
    isFull ? "free some room on the host" : HINTS[status],
    said,
  );
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
