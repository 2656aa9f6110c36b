import { VolleyError } from "../../core/errors.ts";
import { STATUS } from "./codec.ts";

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

/** Return the error of a refusal, such as `web01: cannot write /srv/a: permission denied`. */
export function refused(host: string, what: string, status: number, text: string): SftpError {
  // The host's text reaches terminals.
  const said = text
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, SAID_KEPT);
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
