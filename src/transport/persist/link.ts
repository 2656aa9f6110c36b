import { type ChildProcess, spawn } from "node:child_process";
import { connect, type Socket } from "node:net";
import { describeError } from "../../core/errors.ts";
import { onFrames, sendMessage } from "./frames.ts";
import { hungError } from "./hung.ts";
import {
  checkDirectory,
  isProof,
  makePersistNonce,
  preparePlace,
  proofOf,
  readKey,
  socketPath,
} from "./place.ts";
import {
  type LoanRequest,
  PERSIST_PROTOCOL,
  type PersistAnswer,
  type PersistRequest,
  tolerant,
} from "./protocol.ts";

/** Time for the background process to answer. */
export const ANSWER_MS = 4_000;
/** A process that could not be used is not tried again for so long: the other hosts need not wait as well. */
const FAILED_MS = 30_000;

/** The background process, as its clients find it. */
export interface BackgroundPlace {
  readonly directory: string;
  readonly version: string;
  /** The command that starts the background process, which says `ready` on its standard output, or why it cannot be. */
  readonly command: readonly string[];
  /** Tells this command line from others: see `ahead.ts`. Default: nothing is started ahead. */
  readonly words?: string;
  /** A socket that was opened before, or why none can be. Default: the first is opened now. */
  readonly early?: Promise<Talk | undefined> | undefined;
  /** Called with the reason when the process could not be started. */
  onStartFailed?(why: string): void;
  /** Time for the process to greet, in milliseconds. Default: 4 s. */
  readonly answerMs?: number;
}

/** The way to the background process. */
export interface BackgroundLink {
  /**
   * Connect, for one request. Undefined where there was no background process: one is starting, for later requests.
   * Fails where the process cannot be used.
   */
  open(): Promise<Talk | undefined>;
  /** Ask a process that is starting to connect to a host and keep the connection. Without effect on any other. */
  keep(request: LoanRequest): void;
  /** Resolve once it is known whether the process can be used; with the reason where it cannot. */
  readonly reached: Promise<string | undefined>;
  /** Close what was opened ahead. */
  close(): void;
}

/** Make a {@link BackgroundLink}, and begin to connect at once. */
export function openLink(place: BackgroundPlace): BackgroundLink {
  let started: ChildProcess | undefined;
  let isStarting = false;
  let hasFailed = false;
  const start = (): void => {
    isStarting = true;
    started = startBackground(place, (why) => {
      isStarting = false;
      if (why === undefined) return;
      // The reason is told once.
      hasFailed = true;
      place.onStartFailed?.(why);
    });
  };
  const openOne = async (): Promise<Talk | undefined> => {
    // Nobody need wait until the process has started.
    if (isStarting) return undefined;
    const { directory, answerMs, words } = place;
    const path = socketPath(directory, place.version);
    preparePlace(directory);
    try {
      return await openTalk({ directory, path, answerMs, words });
    } catch (thrown) {
      if (!isAbsent(thrown)) throw thrown;
      if (!isStarting && !hasFailed) start();
      return undefined;
    }
  };
  let failure: Error | undefined;
  const fail = (thrown: unknown): never => {
    if (failure === undefined) {
      failure = thrown as Error;
      const forget = (): void => {
        failure = undefined;
      };
      setTimeout(forget, FAILED_MS).unref();
    }
    throw failure;
  };
  const openFirst = async (): Promise<Talk | undefined> => usable(await place.early) ?? (await openOne());
  let ahead: Promise<Talk | undefined> | undefined = openFirst().catch(fail);
  const reached = ahead.then(
    (talk) => {
      // Nothing waits for it until a host is connected to.
      talk?.socket.unref();
      return undefined;
    },
    (thrown: Error) => describeError(thrown),
  );
  return {
    reached,
    open: async () => {
      const mine = ahead;
      ahead = undefined;
      if (failure !== undefined) throw failure;
      const early = await mine?.catch(() => undefined);
      // A program may ask long after the process has begun, or has ended.
      const talk = usable(early) ?? (await openOne().catch(fail));
      talk?.socket.ref();
      return talk;
    },
    keep: (request) => {
      const stdin = started?.stdin as Socket | undefined;
      if (stdin?.writable === true) sendMessage(stdin, request);
    },
    close: () => {
      started?.stdin?.end();
      ahead?.then(
        (talk) => talk?.socket.destroy(),
        () => {},
      );
    },
  };
}

/** Return a socket unless the other end has closed it. */
function usable(talk: Talk | undefined): Talk | undefined {
  return talk?.socket.destroyed === false ? talk : undefined;
}

/** A socket to a background process that has proved to be this user's. */
export interface Talk {
  readonly socket: Socket;
  readonly path: string;
  onAnswer: (answer: PersistAnswer) => void;
  ask(request: Omit<PersistRequest, "proof">): void;
}

/**
 * Connect to the background process, and have it prove that it can read the directory's key. Fails with an
 * error that {@link isAbsent} knows where there is none, and with `TIMEOUT` where it does not answer.
 */
export async function openTalk({
  directory,
  path,
  answerMs = ANSWER_MS,
  words,
}: {
  readonly directory: string;
  readonly path: string;
  readonly answerMs?: number | undefined;
  readonly words?: string | undefined;
}): Promise<Talk> {
  checkDirectory(directory);
  const key = readKey(directory);
  const socket = tolerant(connect(path));
  const nonce = makePersistNonce();
  return await new Promise<Talk>((resolve, reject) => {
    const timer = setTimeout(() => fail(hungError(path)), answerMs);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const onEnd = (): void =>
      fail(Object.assign(new Error("the background process closed the socket"), { code: "ECONNRESET" }));
    // EAGAIN: a process that hangs has as many clients waiting as the kernel allows.
    const onError = (error: NodeJS.ErrnoException): void =>
      fail(error.code === "EAGAIN" ? hungError(path) : error);
    socket.once("error", onError).once("close", onEnd);
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
    sendMessage(socket, { type: "hello", protocol: PERSIST_PROTOCOL, nonce, words });
  });
}

/** Return whether an error says that no background process is there, or that it has just ended. */
export function isAbsent(thrown: unknown): boolean {
  return ["ENOENT", "ECONNREFUSED", "ECONNRESET", "EPIPE"].includes(
    (thrown as NodeJS.ErrnoException).code ?? "",
  );
}

/** The background process gets no more of a client's environment, which may hold passwords. */
const ENVIRONMENT = [
  ...["HOME", "PATH", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR"],
  ...["XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "LOCALDOMAIN", "RES_OPTIONS", "HOSTALIASES"],
];

/** The line that the background process says when it listens; any other line is the reason why it does not. */
export const READY = "ready";

/**
 * Start the background process; it takes requests from its standard input, and is not waited for. `onStarted` gets the
 * reason where the process cannot keep connections.
 */
function startBackground(
  { command: [program, ...args] }: BackgroundPlace,
  onStarted: (why: string | undefined) => void,
): ChildProcess {
  const env = Object.fromEntries(ENVIRONMENT.map((name) => [name, process.env[name]]));
  const child = spawn(program!, args, { cwd: "/", env, detached: true, stdio: ["pipe", "pipe", "ignore"] });
  let said = "";
  child.once("error", (error) => onStarted(error.message));
  child.stdin.on("error", () => {});
  child.stdout
    .setEncoding("utf8")
    .on("data", (chunk: string) => {
      said += chunk;
      if (said.trim() === READY) onStarted(undefined);
    })
    .once("end", () => {
      const line = said.trim();
      if (line !== READY)
        onStarted(line === "" ? "the background process ended as soon as it was started" : line);
    });
  child.unref();
  for (const stream of [child.stdin, child.stdout]) (stream as unknown as Socket).unref();
  return child;
}
