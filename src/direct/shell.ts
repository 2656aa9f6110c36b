import { randomBytes } from "node:crypto";
import { isVolleyError, VolleyError } from "../core/errors.ts";
import type { ReadSystem } from "../core/system.ts";
import { quote } from "../core/unix/shell.ts";
import { textToBytes } from "../core/values/bytes.ts";
import type { RemoteExit, RemoteProcess, Sessions, SessionWait } from "../transport/transport.ts";

/** Starts a script for `sh` on a host as some user; resolves once it reads its standard input. */
export type StartScript = (script: string) => Promise<RemoteProcess>;

/** Takes the output of a command. */
type OnBytes = (stream: "stdout" | "stderr", bytes: Buffer) => void;

/** A line of shell that runs on a host. */
interface ShellRun {
  /** The first line of the output, which is not passed on; undefined when the process ended without a line. */
  readonly word: Promise<string | undefined>;
  /** The process group; undefined when the process ended before it named its group. */
  readonly group: Promise<number | undefined>;
  readonly exit: Promise<RemoteExit>;
  /** Write to the standard input. */
  write(input: string): void;
  /** Write to the standard input, and end it. */
  end(input?: string | Uint8Array): void;
  /** Pass a stream on to the standard input, to its end. */
  readFrom(stream: NodeJS.ReadableStream): void;
  /** Read no more output until a stream has taken what was written to it. */
  waitFor(stream: NodeJS.WritableStream): void;
}

/** Options for running a line. */
interface ShellRunOptions {
  /** The event to wait for where no session is free. Default: `ended`. */
  readonly wait?: SessionWait;
  /** The line runs as long as the connection, and sends the signals that it reads: lines of a name and a process group. Default: false. */
  readonly holds?: boolean;
}

/** Runs lines of shell as one user of a host. */
export interface Shells {
  /** Start a line, whose first output must be one line for Volley. */
  run(line: string, onBytes: OnBytes, options?: ShellRunOptions): Promise<ShellRun>;
  /** Send a signal to a process group; where no session is free, the session that stays sends it, as its own user. */
  signal(name: "TERM" | "KILL", group: number): Promise<void>;
  close(): void;
}

/** A started shell. */
interface Shell {
  readonly process: RemoteProcess;
  /** Resolves when the shell has named its group, or has ended; rejects with `SESSION_REFUSED` where it was never started. */
  readonly opened: Promise<void>;
  readonly group: Promise<number | undefined>;
  begin(onBytes: OnBytes): Pick<ShellRun, "word">;
}

/**
 * Sets the shell's process group, which receives the signals. A shell that sudo or su has started does not lead its
 * group. Without /proc, the shell's own number must do.
 */
const HEAD = `volley_n='
'
{ read -r volley_1 volley_2 volley_3 volley_4 volley_g volley_r </proc/$$/stat; } 2>/dev/null || volley_g=$$`;
/** `read` takes byte by byte (POSIX): the rest of standard input is the command's. */
const TAIL = `IFS= read -r volley_1 || exit 0
eval "$volley_1"`;

/**
 * Keep one shell ready that waits for its line: a command then costs one round trip, where opening a channel and
 * starting a command cost two.
 */
export function createShells(start: StartScript, sessions: Sessions): Shells {
  let closed = false;
  let spare: Spare | undefined;

  const open = async (wait: SessionWait): Promise<Shell> => {
    const nonce = `volley-${randomBytes(8).toString("hex")}`;
    const script = `${HEAD}\necho "${nonce}:$volley_g"; echo ${nonce}: >&2\n${TAIL}`;
    const begin = async (): Promise<Shell> => {
      const shell = openShell(await start(script), nonce);
      await shell.opened;
      return shell;
    };
    return sessions.open(begin, ({ process }) => process.exit, { wait });
  };
  const prepare = (): void => {
    if (closed || spare !== undefined) return;
    // The spare shell is a convenience: where sessions are few, it is not waited for.
    const made = createSpare(open("nothing"), sessions, () => {
      if (spare === made) spare = undefined;
    });
    spare = made;
  };
  const takeSpare = async (): Promise<Shell | undefined> => {
    const taken = spare;
    spare = undefined;
    return taken?.take();
  };

  const run: Shells["run"] = async (line, onBytes, { holds = false, wait = "ended" } = {}) => {
    const shell = (await takeSpare()) ?? (await open(wait));
    const { word } = shell.begin(onBytes);
    // Never on a command line, which anybody on the host can read: it holds environments, which hold secrets.
    shell.process.stdin.write(textToBytes(`${line}\n`));
    prepare();
    const { process, group } = shell;
    if (holds) void process.exit.then(sessions.hold((text) => process.stdin.write(text)));
    return {
      word,
      group,
      exit: process.exit,
      write: (input) => void process.stdin.write(textToBytes(input)),
      end: (input) =>
        void (input === undefined
          ? process.stdin.end()
          : process.stdin.end(typeof input === "string" ? textToBytes(input) : input)),
      readFrom: (stream) => {
        stream.pipe(process.stdin);
        // A stream that breaks off has no end.
        stream.once("close", () => {
          process.stdin.end();
          process.stdout.resume();
        });
      },
      waitFor: (stream) => {
        process.stdout.pause();
        stream.once("drain", () => process.stdout.resume());
      },
    };
  };
  return {
    run,
    signal: async (name, group) => {
      try {
        const killing = await run(`echo; kill -${name} -${group} 2>/dev/null`, () => {}, { wait: "nothing" });
        killing.end();
      } catch (thrown) {
        if (!isVolleyError(thrown) || thrown.code !== "SESSION_REFUSED") throw thrown;
        sessions.tellHolder(`${name} ${group}\n`);
      }
    },
    close: () => {
      closed = true;
      spare?.end();
      spare = undefined;
    },
  };
}

/** A shell that waits for its line. */
interface Spare {
  /** Take the shell; undefined when it could not be started, or has ended. */
  take(): Promise<Shell | undefined>;
  end(): void;
}

function createSpare(opening: Promise<Shell>, sessions: Sessions, onGone: () => void): Spare {
  let state: "waiting" | "taken" | "gone" = "waiting";
  let forget = (): void => {};
  const leave = (): void => {
    if (state !== "waiting") return;
    state = "gone";
    forget();
    onGone();
  };
  const end = (): void => {
    leave();
    // A shell that was taken meanwhile is in use.
    if (state === "gone")
      void opening.then(
        ({ process }) => process.stdin.end(),
        () => {},
      );
  };
  opening.then(({ process }) => {
    if (state === "waiting") forget = sessions.idle(end);
    void process.exit.then(leave);
  }, leave);
  return {
    take: async () => {
      if (state !== "waiting") return undefined;
      state = "taken";
      forget();
      return opening.catch(() => undefined);
    },
    end,
  };
}

/** Split a shell's output: the profile's output, the group, the first line, and then the command's output. */
function openShell(process: RemoteProcess, nonce: string): Shell {
  const { stdin, stdout, stderr, exit } = process;
  let onBytes: OnBytes | undefined;
  let tellGroup!: (group: number | undefined) => void;
  let tellWord!: (word: string | undefined) => void;
  const group = new Promise<number | undefined>((resolve) => {
    tellGroup = resolve;
  });
  const word = new Promise<string | undefined>((resolve) => {
    tellWord = resolve;
  });
  const out = createGate(`${nonce}:`, (bytes) => onBytes?.("stdout", bytes), [
    (line) => tellGroup(Number(line.slice(nonce.length + 1))),
    (line) => tellWord(line),
  ]);
  const err = createGate(`${nonce}:`, (bytes) => onBytes?.("stderr", bytes), [() => {}]);
  stdin.on("error", () => {});
  stdout.on("data", out);
  stderr.on("data", err);
  void exit.then(() => {
    tellGroup(undefined);
    tellWord(undefined);
  });
  const opened = group.then(async (told) => {
    const how = told === undefined ? await exit : undefined;
    if (how?.kind === "lost" && how.refused === true) throw new VolleyError("SESSION_REFUSED", how.reason);
  });
  opened.catch(() => {});
  return {
    process,
    opened,
    group,
    begin: (given) => {
      onBytes = given;
      return { word };
    },
  };
}

/** Drop the output before a mark, pass the lines from the mark on to `lines`, one each, and the rest to `pass`. */
function createGate(
  mark: string,
  pass: (bytes: Buffer) => void,
  lines: readonly ((line: string) => void)[],
): (bytes: Buffer) => void {
  let held: Buffer | undefined = Buffer.alloc(0);
  let at = 0;
  return (bytes) => {
    if (held === undefined) return pass(bytes);
    held = Buffer.concat([held, bytes]);
    while (at < lines.length) {
      const from: number = at === 0 ? held.indexOf(mark) : 0;
      const end: number = from < 0 ? -1 : held.indexOf(10, from);
      if (end < 0) {
        // A profile that never stops printing must not fill the memory.
        if (from < 0 && held.length > 1 << 16) held = held.subarray(-mark.length);
        return;
      }
      lines[at]!(held.toString("utf8", from, end));
      at++;
      held = held.subarray(end + 1);
    }
    const rest = held;
    held = undefined;
    if (rest.length > 0) pass(rest);
  };
}

/** Return a word for a shell that reads one line: newlines come from a variable, which {@link HEAD} sets. */
export function lineWord(text: string): string {
  if (text.includes("\0")) throw new VolleyError("PROCESS_FAILED", "a command cannot hold a NUL");
  if (!text.includes("\n")) return quote(text);
  return text
    .split("\n")
    .map((line) => (line === "" ? "" : quote(line)))
    .join('"$volley_n"');
}

/** Run a script to its end, and return its output. Fails with `CONNECTION_LOST`. */
export async function runScript(shells: Shells, script: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const run = await shells.run(`echo ok; eval ${lineWord(script)}`, (stream, bytes) => {
    if (stream === "stdout") chunks.push(bytes);
  });
  run.end();
  const exit = await run.exit;
  if (exit.kind === "lost")
    throw new VolleyError("CONNECTION_LOST", `the connection went while the host was asked: ${exit.reason}`);
  return Buffer.concat(chunks);
}

/** The user of a System, and the user's environment. */
export interface HostUser {
  readonly uid: number;
  readonly gid: number;
  readonly umask: number;
  readonly home: string;
  /** See {@link ReadSystem.workingDirectory}. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Prints the user: ids, umask, home, working directory, then the environment, which may hold anything but a NUL. */
const SCRIPT = `id -u; id -g; umask; echo "$HOME"; ([ -r . ] && [ -x . ] || cd "$HOME" 2>/dev/null || cd /; pwd -P); env -0 2>/dev/null || cat /proc/$$/environ`;

const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Return the search path of commands: the user's own PATH, then the system's. */
export function searchPath({ env }: Pick<HostUser, "env">): string {
  const all = `${env.PATH ?? ""}:${SYSTEM_PATH}`.split(":").filter((directory) => directory.startsWith("/"));
  return [...new Set(all)].join(":");
}

/** Start shells as a user of a host, and ask them for the user. */
export async function openShells(
  start: StartScript,
  sessions: Sessions,
): Promise<{ readonly shells: Shells; readonly user: HostUser }> {
  const shells = createShells(start, sessions);
  const text = (await runScript(shells, SCRIPT)).toString("utf8");
  const [uid = "", gid = "", umask = "", home = "", directory = "", ...rest] = text.split("\n");
  if (!/^\d+$/.test(uid) || !/^\d+$/.test(gid)) {
    throw new VolleyError(
      "CONNECT_FAILED",
      "the host does not say who is logged in: it has no id command, or its shell is none",
    );
  }
  const env = Object.fromEntries(
    rest
      .join("\n")
      .split("\0")
      .flatMap((entry) => {
        const equals = entry.indexOf("=");
        return equals > 0 ? [[entry.slice(0, equals), entry.slice(equals + 1)]] : [];
      }),
  );
  return {
    shells,
    user: {
      uid: Number(uid),
      gid: Number(gid),
      umask: Number.parseInt(umask, 8) || 0,
      home: home.startsWith("/") ? home : "/",
      directory: directory.startsWith("/") ? directory : "/",
      env,
    },
  };
}
