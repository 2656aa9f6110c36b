import { createHash } from "node:crypto";
import { volleyVersion } from "../../bundle/this-package.ts";
import { isVolleyError } from "../../core/errors.ts";
import { openTalk, type Talk } from "../../transport/persist/link.ts";
import { persistDirectory, socketPath } from "../../transport/persist/place.ts";

let talk: Promise<Talk | undefined> | undefined;

/**
 * Greet the background process, if there is one, and then go on to load the program: meanwhile that process finds out
 * whether the hosts are there, and starts what the same command line asked for before.
 */
export function greetEarly(goOn: () => void): void {
  talk = greet();
  // Without a host to connect to, nobody asks for it.
  talk.catch(() => {});
  // The greeting goes out in the event loop's next turn, which loading would put off.
  setImmediate(goOn);
}

async function greet(): Promise<Talk | undefined> {
  try {
    const directory = persistDirectory();
    const path = socketPath(directory, volleyVersion());
    const opened = await openTalk({ directory, path, words: wordsOfCommand() });
    // Nothing waits for it until a host is connected to.
    opened.socket.unref();
    return opened;
  } catch (thrown) {
    // A process that does not answer is not waited for a second time.
    if (isVolleyError(thrown) && thrown.code === "TIMEOUT") throw thrown;
    // The command itself finds out why, if it keeps connections.
    return undefined;
  }
}

/** Take the socket of {@link greetEarly}. Fails with `TIMEOUT` where the process does not answer. */
export function takeEarly(): Promise<Talk | undefined> | undefined {
  const taken = talk;
  talk = undefined;
  return taken;
}

/** Tell this process's command line from others; see `transport/persist/ahead.ts`. */
export function wordsOfCommand(): string {
  const words = JSON.stringify([process.cwd(), ...process.argv.slice(2)]);
  return createHash("sha256").update(words).digest("hex");
}
