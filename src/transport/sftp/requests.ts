import type { Writable } from "node:stream";
import { VolleyError } from "../../core/errors.ts";
import { SftpError } from "./error.ts";
import { MalformedSftpError, SftpReader } from "./reader.ts";
import { readReply, type SftpReply } from "./reply.ts";
import { encodeInit } from "./request.ts";

/** Requests in flight, and their replies. */
export interface SftpRequests {
  /** The server's greeting. */
  readonly version: Promise<Extract<SftpReply, { type: "version" }>>;
  /** Sends a request made with its id; the reply is of any type but `version`. Fails with what ended the session. */
  send(encode: (id: number) => Buffer): Promise<Exclude<SftpReply, { type: "version" }>>;
  /** Takes what the server sends. */
  receive(chunk: Buffer): void;
  /** Ends it: what is in flight, and what comes, fails with this. */
  fail(error: VolleyError): void;
  /** What ended it. */
  readonly failure: VolleyError | undefined;
}

type Reply = Exclude<SftpReply, { type: "version" }>;

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: unknown): void;
}

/** Greets a server and matches its replies with requests. What it may not send ends it all, and calls `onFailure`. */
export function createRequests(
  host: string,
  stdin: Writable,
  onFailure: (error: VolleyError) => void,
): SftpRequests {
  const reader = new SftpReader();
  const waiting = new Map<number, Waiting>();
  let nextId = 0;
  let failure: VolleyError | undefined;
  let isGreeted = false;
  let resolveVersion!: (version: Extract<SftpReply, { type: "version" }>) => void;
  let rejectVersion!: (error: unknown) => void;
  const version = new Promise<Extract<SftpReply, { type: "version" }>>((resolve, reject) => {
    resolveVersion = resolve;
    rejectVersion = reject;
  });
  version.catch(() => {});

  const fail = (error: VolleyError): void => {
    if (failure !== undefined) return;
    failure = error;
    rejectVersion(error);
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
    onFailure(error);
  };
  const take = (reply: SftpReply): void => {
    if (reply.type === "version") {
      if (isGreeted) throw new MalformedSftpError("a second greeting");
      isGreeted = true;
      return resolveVersion(reply);
    }
    const waiter = isGreeted ? waiting.get(reply.id) : undefined;
    if (waiter === undefined) throw new MalformedSftpError("a reply to what was not asked");
    waiting.delete(reply.id);
    waiter.resolve(reply);
  };
  stdin.write(encodeInit());

  return {
    version,
    get failure() {
      return failure;
    },
    send: (encode) => {
      const reply = new Promise<Reply>((resolve, reject) => {
        if (failure !== undefined) return reject(failure);
        while (waiting.has(nextId)) nextId = (nextId + 1) >>> 0;
        const id = nextId;
        nextId = (nextId + 1) >>> 0;
        const message = encode(id);
        waiting.set(id, { resolve, reject });
        stdin.write(message);
      });
      return reply;
    },
    receive: (chunk) => {
      if (failure !== undefined) return;
      try {
        for (const message of reader.push(chunk)) take(readReply(message));
      } catch (thrown) {
        fail(
          thrown instanceof MalformedSftpError ? notSftp(host, thrown, isGreeted) : internal(host, thrown),
        );
      }
    },
    fail,
  };
}

/** What to do where something else than SFTP comes first: sshd starts its sftp-server by the login shell. */
export const PROFILE_HINT =
  "does a profile on the host, such as ~/.bashrc, print something? It must not for shells that are not interactive";

/** What a server sent that SFTP does not allow. */
export function notSftp(host: string, { message }: MalformedSftpError, isGreeted: boolean): VolleyError {
  if (isGreeted) return new SftpError(5, `${host}: what its SFTP server sends is no SFTP: ${message}`);
  return new VolleyError("SFTP_UNAVAILABLE", `${host}: what came is no SFTP: ${message}`, {
    hint: PROFILE_HINT,
  });
}

function internal(host: string, thrown: unknown): VolleyError {
  return new VolleyError("INTERNAL", `${host}: ${String(thrown)}`, { cause: thrown });
}
