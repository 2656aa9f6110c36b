import { isAbsent, openTalk } from "./link.ts";
import { socketsIn } from "./place.ts";
import type { KeptConnection, PersistAnswer, PersistRequest, StopRequest } from "./protocol.ts";

// The questions of `volley persist` to the background processes of all versions of Volley.

/** List the connections that a user's background processes keep. */
export async function listKept(directory: string): Promise<readonly KeptConnection[]> {
  const answers = await visitAll(directory, { type: "list" });
  return answers
    .flatMap((answer) => (answer.type === "listed" ? answer.kept : []))
    .sort((one, other) => one.host.localeCompare(other.host));
}

/** Close connections, those of all hosts by default. Returns the hosts. */
export async function stopKept(directory: string, hosts?: readonly string[]): Promise<readonly string[]> {
  const request: StopRequest = { type: "stop", ...(hosts === undefined ? {} : { hosts }) };
  const answers = await visitAll(directory, request);
  return answers.flatMap((answer) => (answer.type === "stopped" ? answer.hosts : []));
}

async function visitAll(
  directory: string,
  request: Omit<Exclude<PersistRequest, { type: "loan" }>, "proof">,
): Promise<readonly PersistAnswer[]> {
  const answers: PersistAnswer[] = [];
  for (const path of socketsIn(directory)) {
    try {
      const talk = await openTalk({ directory, path });
      answers.push(
        await new Promise<PersistAnswer>((resolve, reject) => {
          talk.onAnswer = resolve;
          talk.socket.once("close", () => reject(new Error("the background process gave no answer")));
          talk.ask(request);
        }),
      );
      // The background process says so by closing the socket, at its very end.
      talk.socket.destroy();
    } catch (thrown) {
      if (!isAbsent(thrown)) throw thrown;
    }
  }
  return answers;
}
