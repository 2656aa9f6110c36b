import { spawn } from "node:child_process";
import * as fs from "node:fs";
import type { Socket } from "node:net";
import { constants, homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { isCopy, type ProcessOptions, type ProcessResult, type System } from "../../core/system.ts";
import { bytesToText, nativePath, textToBytes } from "../../core/values/bytes.ts";
import { makeDirectories } from "../directories.ts";
import { Capture, DEFAULT_MAX_OUTPUT } from "../output.ts";
import { attempt, checksumOf, readFile, readIfExists, removeAll, statOf, writeAtomically } from "./files.ts";
import { inDirectory, itself, onItself, readLink, realPath } from "./root-paths.ts";

/** Options of a local System. */
export interface LocalSystemOptions {
  /** The directory that absolute paths are taken below: an image being built, or a test. Default `/`. */
  readonly root?: string;
  /** The directories that `which` searches; default PATH and the system's own. */
  readonly path?: string;
}

/** A System with temporary directories, which `close` removes. */
export interface ClosableSystem extends System {
  close(): void;
}

const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Create the System of the machine that this process runs on. */
export function createLocalSystem(options: LocalSystemOptions = {}): ClosableSystem {
  const { root } = options;
  const at = (path: string): string => {
    const full = path.startsWith("~/") ? join(homedir(), path.slice(2)) : path;
    if (!isAbsolute(full)) {
      throw new VolleyError("FILE_FAILED", `${path} is not an absolute path; write it from / or from ~/`);
    }
    return root === undefined ? full : join(root, full);
  };
  const searched = [...new Set(`${options.path ?? process.env.PATH ?? ""}:${SYSTEM_PATH}`.split(":"))].filter(
    isAbsolute,
  );
  const temporaryDirectories: string[] = [];
  const environment = { PATH: searched.join(":") };
  const run = (argv: readonly string[], processOptions: ProcessOptions = {}): Promise<ProcessResult> =>
    runProcess(argv, {
      ...processOptions,
      ...(processOptions.cwd === undefined ? {} : { cwd: at(processOptions.cwd) }),
      env: { ...environment, ...processOptions.env },
    });

  const changing = (what: string, path: string, change: (place: fs.PathLike) => void): void =>
    attempt(what, path, () => inDirectory(at(path), change));

  return {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    stat: async (path) => statOf(at(path), true),
    lstat: async (path) => statOf(at(path), false),
    readFile: async (path) => attempt("read", path, () => readFile(at(path))),
    readText: async (path) => attempt("read", path, () => readFile(at(path)).toString("utf8")),
    readIfExists: async (path) => readIfExists(at(path)),
    checksum: async (path, algorithm) => checksumOf(at(path), algorithm),
    list: async (path) =>
      attempt("list", path, () => {
        const directory = nativePath(at(path));
        const names = fs.readdirSync(directory);
        // Names that are no UTF-8 hold this character.
        const isOdd = names.join().includes("\ufffd");
        return (isOdd ? fs.readdirSync(directory, { encoding: "buffer" }).map(bytesToText) : names).sort();
      }),
    readLink: async (path) => attempt("read the link", path, () => readLink(at(path))),
    realPath: async (path) =>
      attempt("resolve", path, () => {
        const real = realPath(at(path));
        return root === undefined ? real : real.slice(fs.realpathSync(root).length) || "/";
      }),
    workingDirectory: async () => process.cwd(),
    which: async (command) => findCommand(command, searched),
    query: run,
    writeFile: (path, content, writeOptions = {}) =>
      writeAtomically(at(path), isCopy(content) ? { copyOf: at(content.copyOf) } : content, writeOptions),
    makeDirectory: async (path, mode) =>
      changing("make the directory", path, (place) => {
        fs.mkdirSync(place, mode === undefined ? {} : { mode: mode & 0o700 });
        // The umask cuts mkdir's mode, and mkdir cannot set setgid.
        if (mode !== undefined) itself(place, path, (made) => fs.chmodSync(made, mode));
      }),
    chmod: async (path, mode) =>
      attempt("change the mode of", path, () => onItself(at(path), (found) => fs.chmodSync(found, mode))),
    chown: async (path, uid, gid) =>
      changing("change the owner of", path, (place) => fs.lchownSync(place, uid, gid)),
    symlink: async (target, path) =>
      changing("make the link", path, (place) => fs.symlinkSync(nativePath(target), place)),
    link: async (existing, path) =>
      changing("make the link", path, (place) =>
        inDirectory(at(existing), (source) => fs.linkSync(source, place)),
      ),
    rename: async (from, to) =>
      changing("rename to", to, (place) => inDirectory(at(from), (source) => fs.renameSync(source, place))),
    remove: async (path) => attempt("remove", path, () => removeAll(at(path))),
    setTimes: async (path, atimeMs, mtimeMs) =>
      attempt("set the times of", path, () =>
        onItself(at(path), (found) => fs.utimesSync(found, atimeMs / 1000, mtimeMs / 1000)),
      ),
    temporaryDirectory: async () => {
      // Not in the world-writable /tmp, where another user could have planted the name.
      const parent = at(`${root === undefined ? homedir() : ""}/.cache/volley/tmp`);
      const made = attempt("make a directory in", parent, () => {
        makeDirectories(parent, 0o700);
        return fs.mkdtempSync(join(parent, "run-"));
      });
      temporaryDirectories.push(made);
      return root === undefined ? made : made.slice(root.length);
    },
    run,
    close: () => {
      for (const directory of temporaryDirectories.splice(0))
        fs.rmSync(directory, { recursive: true, force: true });
    },
  };
}

function findCommand(command: string, directories: readonly string[]): string | null {
  const candidates = command.includes("/")
    ? [command]
    : directories.map((directory) => join(directory, command));
  for (const candidate of candidates) {
    try {
      fs.accessSync(candidate, fs.constants.X_OK);
      if (fs.statSync(candidate).isFile()) return candidate;
    } catch {
      // Try the next directory.
    }
  }
  return null;
}

const KILL_GRACE_MS = 5_000;
const GONE_POLL_MS = 20;
/** After that long a killed process that is still in the table is a zombie. */
const KILLED_MS = 1_000;
/** After the end of a process its output counts as complete after SILENT_MS of silence, and after LAST_MS at the latest. */
const SILENT_MS = 1_000;
const LAST_MS = 5_000;

/**
 * Run a process, in a process group of its own, to its end. Timeout and abort end the whole group. A child that the
 * process leaves behind may hold its output open: it is neither ended nor waited for.
 */
function runProcess(argv: readonly string[], options: ProcessOptions = {}): Promise<ProcessResult> {
  const [command, ...args] = argv;
  if (command === undefined) throw new VolleyError("PROCESS_FAILED", "cannot run an empty command");
  const {
    cwd,
    env,
    input,
    onOutput,
    timeoutMs,
    signal,
    keepsBytes,
    maxOutput = DEFAULT_MAX_OUTPUT,
  } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(cancelled(command));
    const child = spawn(command, args, {
      ...(cwd === undefined ? {} : { cwd }),
      env: env === undefined ? process.env : mergeEnvironment(env),
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      detached: true,
    });
    const stdout = new Capture(maxOutput, onOutput && ((text) => onOutput("stdout", text)));
    const stderr = new Capture(maxOutput, onOutput && ((text) => onOutput("stderr", text)));
    let heardAt = 0;
    const outputs = [child.stdout, child.stderr].filter((stream) => stream !== null) as Socket[];
    outputs.forEach((stream, index) => {
      stream.on("data", (chunk: Buffer) => {
        heardAt = Date.now();
        [stdout, stderr][index]!.add(chunk);
      });
    });

    let stopped: VolleyError | undefined;
    let stoppedAt = 0;
    let killTimer: NodeJS.Timeout | undefined;
    const endGroup = (name: NodeJS.Signals): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, name);
      } catch {
        // The group has ended already.
      }
    };
    const stop = (reason: VolleyError): void => {
      if (stopped !== undefined) return;
      stopped = reason;
      stoppedAt = Date.now();
      endGroup("SIGTERM");
      killTimer = setTimeout(() => endGroup("SIGKILL"), KILL_GRACE_MS);
    };
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(
            () => stop(new VolleyError("TIMEOUT", `${command} took longer than ${timeoutMs / 1000} s`)),
            timeoutMs,
          );
    const onAbort = (): void => stop(cancelled(command));
    signal?.addEventListener("abort", onAbort, { once: true });
    let silence: NodeJS.Timeout | undefined;
    const release = (): void => {
      clearInterval(silence);
      clearTimeout(timer);
      clearTimeout(killTimer);
      signal?.removeEventListener("abort", onAbort);
    };

    child.once("error", (error: NodeJS.ErrnoException) => {
      release();
      reject(new VolleyError("PROCESS_FAILED", explainStart(command, cwd, error), { cause: error }));
    });
    child.once("exit", (code, signalName) => {
      const endedAt = Date.now();
      silence = setInterval(() => {
        const now = Date.now();
        if (now - Math.max(heardAt, endedAt) < SILENT_MS && now - endedAt < LAST_MS) return;
        // Read on: a closed pipe would kill the child that is left behind.
        for (const stream of outputs) stream.removeAllListeners("data").resume().unref();
        child.off("close", done);
        done(code, signalName);
      }, 100);
    });
    // Other processes of the group may take longer to end, or ignore the signal.
    const whenGone = (then: () => void): void => {
      let killed = false;
      const timer = setInterval(() => {
        const sinceMs = Date.now() - stoppedAt;
        if (hasProcesses(child.pid) && sinceMs < KILL_GRACE_MS + KILLED_MS) {
          if (sinceMs >= KILL_GRACE_MS && !killed) endGroup("SIGKILL");
          killed = sinceMs >= KILL_GRACE_MS;
          return;
        }
        clearInterval(timer);
        then();
      }, GONE_POLL_MS);
    };
    const done = (code: number | null, signalName: NodeJS.Signals | null): void => {
      release();
      if (stopped !== undefined) return whenGone(() => reject(stopped));
      resolve({
        argv,
        code: code ?? 128 + (signalName === null ? 0 : constants.signals[signalName]),
        ...(signalName === null ? {} : { signal: signalName }),
        stdout: stdout.end(keepsBytes),
        stderr: stderr.end(keepsBytes),
        ...(stdout.truncated || stderr.truncated ? { truncated: true } : {}),
      });
    };
    child.once("close", done);
    if (input !== undefined && child.stdin !== null) {
      // A process need not read its input: a closed pipe is no error.
      child.stdin.on("error", () => {});
      child.stdin.end(typeof input === "string" ? textToBytes(input) : input);
    }
  });
}

/** Return whether a process group still has a process that can be signalled. */
function hasProcesses(group: number | undefined): boolean {
  try {
    return group !== undefined && process.kill(-group, 0);
  } catch {
    return false;
  }
}

function cancelled(command: string): VolleyError {
  return new VolleyError("CANCELLED", `${command} was cancelled`);
}

function explainStart(command: string, cwd: string | undefined, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT":
      return cwd === undefined
        ? `cannot run ${command}: no such command`
        : `cannot run ${command} in ${cwd}: no such command or directory`;
    case "EACCES":
      return `cannot run ${command}: permission denied`;
    case "E2BIG":
      return `cannot run ${command}: its arguments are too long`;
    default:
      return `cannot run ${command}: ${error.message}`;
  }
}

function mergeEnvironment(changes: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  const merged: NodeJS.ProcessEnv = { ...process.env };
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) delete merged[name];
    else merged[name] = value;
  }
  return merged;
}
