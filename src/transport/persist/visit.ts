import { isVolleyError } from "../../core/errors.ts";
import { hungError, killHung } from "./hung.ts";
import { ANSWER_MS, isAbsent, openTalk } from "./link.ts";
import { socketsIn } from "./place.ts";
import type { KeptConnection, PersistAnswer, PersistRequest, StopRequest } from "./protocol.ts";

// The questions of `volley persist` to the background processes of all versions of Volley.

/** List the connections that a user's background processes keep. Fails with `TIMEOUT` where one does not answer. */
export async function listKept(directory: string): Promise<readonly KeptConnection[]> {
  const answers = await visitAll(directory, { type: "list" });
  return answers
    .flatMap((answer) => (answer.type === "listed" ? answer.kept : []))
    .sort((one, other) => one.host.localeCompare(other.host));
}

/** The effect of {@link stopKept}. */
interface Stopped {
  /** The hosts whose connections were closed. */
  readonly hosts: readonly string[];
  /** The processes that did not answer, and were killed. */
  readonly killed: readonly number[];
}

/**
 * Close connections, those of all hosts by default. Of all, a process that does not answer is killed; otherwise, or where
 * it is not sure which one that is, this fails with `TIMEOUT`.
 */
export async function stopKept(directory: string, hosts?: readonly string[]): Promise<Stopped> {
  const killed: number[] = [];
  const request: StopRequest = { type: "stop", ...(hosts === undefined ? {} : { hosts }) };
  const answers = await visitAll(directory, request, async (path) => {
    if (hosts !== undefined) throw hungError(path, "volley persist stop, without hosts, ends it");
    killed.push(await killHung(path));
  });
  return { hosts: answers.flatMap((answer) => (answer.type === "stopped" ? answer.hosts : [])), killed };
}

async function visitAll(
  directory: string,
  request: Omit<Exclude<PersistRequest, { type: "loan" }>, "proof">,
  onHung?: (path: string) => Promise<void>,
): Promise<readonly PersistAnswer[]> {
  const visits = socketsIn(directory).map(async (path) => {
    try {
      return await visit(directory, path, request);
    } catch (thrown) {
      if (isAbsent(thrown)) return undefined;
      if (onHung === undefined || !isVolleyError(thrown) || thrown.code !== "TIMEOUT") throw thrown;
      await onHung(path);
      return undefined;
    }
  });
  const settled = await Promise.allSettled(visits);
  const answers = settled.map((each) => {
    if (each.status === "rejected") throw each.reason;
    return each.value;
  });
  return answers.filter((answer) => answer !== undefined);
}

/** Ask one background process. Fails as {@link openTalk} does. */
async function visit(
  directory: string,
  path: string,
  request: Omit<Exclude<PersistRequest, { type: "loan" }>, "proof">,
): Promise<PersistAnswer> {
  const talk = await openTalk({ directory, path });
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<PersistAnswer>((resolve, reject) => {
      timer = setTimeout(() => reject(hungError(path)), ANSWER_MS);
      talk.onAnswer = resolve;
      const gone = Object.assign(new Error("the background process has ended"), { code: "ECONNRESET" });
      talk.socket.once("close", () => reject(gone));
      talk.ask(request);
    });
  } finally {
    clearTimeout(timer);
    // The background process says so by closing the socket, at its very end.
    talk.socket.destroy();
  }
}
