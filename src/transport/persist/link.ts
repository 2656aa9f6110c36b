import { spawn } from "node:child_process";
import { connect, type Socket } from "node:net";
import { VolleyError } from "../../core/errors.ts";
import { onFrames, sendMessage } from "./frames.ts";
import {
  checkDirectory,
  isProof,
  makePersistNonce,
  preparePlace,
  proofOf,
  readKey,
  socketPath,
} from "./place.ts";
import { PERSIST_PROTOCOL, type PersistAnswer, type PersistRequest, tolerant } from "./protocol.ts";

/** The background process must listen, and greet, within these times. */
const START_MS = 5_000;
const ANSWER_MS = 4_000;

/** The background process, as its clients find it. */
export interface BackgroundPlace {
  readonly directory: string;
  readonly version: string;
  /** The command that starts the background process, and says `ready` on its standard output once it listens. */
  readonly command: readonly string[];
  /** Time for the process to greet, in milliseconds. Default: 4 s. */
  readonly answerMs?: number;
}

/** The way to the background process. */
export interface BackgroundLink {
  /** Connect, for one request. Starts the background process where there is none. Fails where it cannot be used. */
  open(): Promise<Talk>;
  /** Resolve once the process was reached for the first time; with the reason where it cannot be used. */
  readonly reached: Promise<string | undefined>;
  /** Close what was opened ahead. */
  close(): void;
}

/** Make a {@link BackgroundLink}, and begin to connect at once: the process needs time to start. */
export function openLink(place: BackgroundPlace): BackgroundLink {
  let starting: Promise<void> | undefined;
  const openOne = async (): Promise<Talk> => {
    const { directory, answerMs } = place;
    const path = socketPath(directory, place.version);
    preparePlace(directory);
    try {
      return await openTalk({ directory, path, answerMs });
    } catch (thrown) {
      if (!isAbsent(thrown)) throw thrown;
      starting ??= startBackground(place);
      await starting;
      return await openTalk({ directory, path, answerMs });
    }
  };
  let failure: Error | undefined;
  const fail = (thrown: unknown): never => {
    failure ??= thrown as Error;
    throw failure;
  };
  let ahead: Promise<Talk> | undefined = openOne().catch(fail);
  const reached = ahead.then(
    ({ socket }) => {
      // Nothing waits for it until a host is connected to.
      socket.unref();
      return undefined;
    },
    (thrown: Error) => thrown.message,
  );
  return {
    reached,
    open: async () => {
      const mine = ahead;
      ahead = undefined;
      // The other hosts need not wait as long.
      if (failure !== undefined) throw failure;
      const talk = await (mine ?? openOne().catch(fail));
      talk.socket.ref();
      return talk;
    },
    close: () => {
      ahead?.then(
        ({ socket }) => socket.destroy(),
        () => {},
      );
    },
  };
}

/** A socket to a background process that has proved to be this user's. */
export interface Talk {
  readonly socket: Socket;
  readonly path: string;
  onAnswer: (answer: PersistAnswer) => void;
  ask(request: Omit<PersistRequest, "proof">): void;
}

/**
 * Connect to the background process, and have it prove that it can read the directory's key. Fails with `ENOENT` or
 * `ECONNREFUSED` where there is none.
 */
export async function openTalk({
  directory,
  path,
  answerMs = ANSWER_MS,
}: {
  readonly directory: string;
  readonly path: string;
  readonly answerMs?: number | undefined;
}): Promise<Talk> {
  checkDirectory(directory);
  const key = readKey(directory);
  const socket = tolerant(connect(path));
  const nonce = makePersistNonce();
  return await new Promise<Talk>((resolve, reject) => {
    const timer = setTimeout(() => fail(new Error("the background process does not answer")), answerMs);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const onEnd = (): void => fail(new Error("the background process closed the socket"));
    socket.once("error", fail).once("close", onEnd);
    let talk: Talk | undefined;
    onFrames(socket, {
      message: (message) => {
        if (talk !== undefined) return talk.onAnswer(message as unknown as PersistAnswer);
        const { protocol, version: other, nonce: theirs, proof } = message;
        if (message.type !== "hello" || protocol !== PERSIST_PROTOCOL)
          return fail(new Error(`the background process is of another Volley (${String(other)})`));
        if (!isProof(proof, proofOf(key, "background", [nonce, String(theirs)])))
          return fail(new Error("the background process cannot prove that it is this user's"));
        clearTimeout(timer);
        socket.off("close", onEnd);
        const own = proofOf(key, "client", [nonce, String(theirs)]);
        talk = {
          socket,
          path,
          onAnswer: () => {},
          ask: (request) => sendMessage(socket, { ...request, proof: own }),
        };
        resolve(talk);
      },
      data: () => void socket.destroy(),
    });
    sendMessage(socket, { type: "hello", protocol: PERSIST_PROTOCOL, nonce });
  });
}

/** Return whether an error says that no background process is there. */
export function isAbsent(thrown: unknown): boolean {
  return ["ENOENT", "ECONNREFUSED"].includes((thrown as NodeJS.ErrnoException).code ?? "");
}

/** The background process gets no more of a client's environment, which may hold passwords. */
const ENVIRONMENT = [
  ...["HOME", "PATH", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR"],
  ...["XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "LOCALDOMAIN", "RES_OPTIONS", "HOSTALIASES"],
];

/** The line that the background process says when it listens; any other line is the reason why it does not. */
export const READY = "ready";

/** Start the background process and wait until it listens. Several that are started at once settle who stays. */
function startBackground({ command: [program, ...args] }: BackgroundPlace): Promise<void> {
  return new Promise((resolve, reject) => {
    const env = Object.fromEntries(ENVIRONMENT.map((name) => [name, process.env[name]]));
    const child = spawn(program!, args, {
      cwd: "/",
      env,
      detached: true,
      stdio: ["ignore", "pipe", "ignore"],
    });
    let said = "";
    const settle = (how: () => void): void => {
      clearTimeout(timer);
      child.stdout.destroy();
      child.unref();
      how();
    };
    const fail = (why: string): void =>
      settle(() => reject(new VolleyError("USAGE", `the background process cannot be started: ${why}`)));
    const timer = setTimeout(() => fail(`it did not answer within ${START_MS / 1_000} s`), START_MS);
    child.once("error", (error) => fail(error.message));
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      said += chunk;
      const [line] = said.split("\n", 1);
      if (said.length === line!.length) return;
      if (line === READY) settle(resolve);
      else fail(line!);
    });
    child.stdout.once("end", () => fail("it ended"));
  });
}
