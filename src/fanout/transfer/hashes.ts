import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { isVolleyError } from "../../core/errors.ts";
import { createLineSplitter } from "../../system/output.ts";
import type { RemoteProcess } from "../../transport/transport.ts";

/** The reason why a host computes no hashes: no program for it, no session granted for it, or a process that does not answer. */
export type NoHashes = "program" | "sessions" | "silence";

/** SHA-256 of files on a host, computed by a program there. */
export interface RemoteHasher {
  /** Return the hash of a whole file of so many bytes, in hex; undefined when the host cannot. `path` is absolute. */
  whole(path: string, bytes: number): Promise<string | undefined>;
  /** Return the hash of the first `bytes` of a file. */
  prefix(path: string, bytes: number): Promise<string | undefined>;
  /** The user id of the hashing process, once it has answered; undefined where unknown. */
  readonly userId: number | undefined;
  /** The reason for no hashes, once known. */
  readonly cannot: NoHashes | undefined;
  close(): void;
}

/** The first line of the script; output of a profile or ~/.ssh/rc may come before it. */
const GREETING = "volley-hash";
const GREETED = new RegExp(`${GREETING}(?: (none|\\d{1,10}))?$`);
const GREETING_MS = 15_000;
const MAX_NOISE = 64 << 10;
/** Size from which a file gets a process of its own. */
const LARGE_BYTES = 4 << 20;
const BATCH_FILES = 128;
const BATCH_BYTES = 32 << 10;
const MAX_HELD = 1 << 20;

/**
 * A shell loop that reads requests: `w`, paths and a dot for whole files, which one process reads; `f` and a path for a
 * large file; `b` and an escaped path for a file with a line feed in its name; a number and a path for the beginning of a
 * file. Each answer is hashes and a dot. Large amounts go to openssl where the host has it: openssl uses the processor's
 * SHA instructions and is six times as fast as Debian's sha256sum.
 */
export const HASH_SCRIPT = [
  `o="openssl dgst -sha256 -r";h=;for c in sha256sum "shasum -a 256" "$o";do command -v \${c%% *} >/dev/null 2>&1&&{ h=$c;break;};done`,
  `[ -n "$h" ]||{ echo ${GREETING} none;exit 0;};[ "$(echo x|$o 2>/dev/null|wc -c)" -gt 64 ]||o=$h;echo ${GREETING} $(id -u)`,
  `while IFS= read -r n;do case $n in`,
  `w)set --;while IFS= read -r p&&[ "$p" != . ];do set -- "$@" "$p";done;$h "$@" 2>/dev/null;;`,
  `f)IFS= read -r p;[ -r "$p" ]&&$o <"$p";;`,
  `b)IFS= read -r p;p=$(printf %b. "$p");p=\${p%.};[ -r "$p" ]&&$o <"$p";;`,
  `*)IFS= read -r p;[ -r "$p" ]&&head -c "$n" <"$p"|$o;;`,
  `esac;echo .;done`,
].join("\n");

interface Wanted {
  readonly path: string;
  /** The kind of request: a small file, a large one, one with a line feed in its name, or a number of bytes. */
  readonly what: "w" | "f" | "b" | number;
  resolve(hash: string | undefined): void;
}

/** Make a hasher that starts the loop with the first request. Any failure means only that the host computes no hashes. */
export function createRemoteHasher(start: () => Promise<RemoteProcess>): RemoteHasher {
  const queue: Wanted[] = [];
  let process: RemoteProcess | undefined;
  let state: "new" | "starting" | "idle" | "busy" | "gone" = "new";
  let batch: readonly Wanted[] = [];
  let hashes = new Map<string, string>();
  let timer: NodeJS.Timeout | undefined;
  let userId: number | undefined;
  let cannot: NoHashes | undefined;
  let noise = 0;

  const giveUp = (why: NoHashes): void => {
    if (state === "gone") return;
    state = "gone";
    cannot = why;
    clearTimeout(timer);
    process?.stdin.end();
    process?.stdout.resume();
    for (const { resolve } of [...batch, ...queue.splice(0)]) resolve(undefined);
    batch = [];
  };
  const next = (): void => {
    if (queue.length === 0 || process === undefined) {
      state = "idle";
      return;
    }
    state = "busy";
    hashes = new Map();
    batch = nextBatch(queue);
    const [first] = batch;
    process.stdin.write(
      first!.what === "w"
        ? `w\n${batch.map(({ path }) => `${path}\n`).join("")}.\n`
        : `${first!.what}\n${first!.what === "b" ? first!.path.replaceAll("\\", "\\\\").replaceAll("\n", "\\n") : first!.path}\n`,
    );
  };
  const takeLine = (line: string): void => {
    if (state === "starting") {
      const greeted = GREETED.exec(line);
      noise += line.length + 1;
      if (greeted === null) return noise > MAX_NOISE ? giveUp("silence") : undefined;
      clearTimeout(timer);
      const [, id] = greeted;
      if (id === "none") return giveUp("program");
      if (id !== undefined) userId = Number(id);
      return next();
    }
    if (state !== "busy") return giveUp("silence");
    const [, hash, name] = /^([0-9a-f]{64}) [ *](.*)$/.exec(line) ?? [];
    if (hash !== undefined) {
      if (hashes.size < batch.length) hashes.set(batch[0]!.what === "w" ? name! : batch[0]!.path, hash);
      return;
    }
    if (line !== ".") return;
    const answered = batch;
    batch = [];
    for (const { path, resolve } of answered) resolve(hashes.get(path));
    next();
  };
  const lines = createLineSplitter(takeLine, {
    maxLength: MAX_HELD,
    onTooLong: () => {
      giveUp("silence");
      return "drop";
    },
  });
  const begin = async (): Promise<void> => {
    state = "starting";
    try {
      process = await start();
    } catch (thrown) {
      return giveUp(isVolleyError(thrown) && thrown.code === "SESSION_REFUSED" ? "sessions" : "silence");
    }
    // The transfer may have ended meanwhile.
    if ((state as string) === "gone") return void process.stdin.end();
    timer = setTimeout(() => giveUp("silence"), GREETING_MS);
    process.stdin.on("error", () => {});
    process.stderr.resume();
    process.stdout.on("data", (chunk: Buffer) => {
      if (state !== "gone") lines.push(chunk);
    });
    void process.exit.then((exit) =>
      giveUp(exit.kind === "lost" && exit.refused === true ? "sessions" : "silence"),
    );
  };
  const ask = (path: string, what: Wanted["what"]): Promise<string | undefined> => {
    if (state === "gone") return Promise.resolve(undefined);
    return new Promise((resolve) => {
      queue.push({ path, what, resolve });
      if (state === "new") void begin();
      else if (state === "idle") next();
    });
  };
  return {
    whole: (path, bytes) => {
      if (path.includes("\n")) return ask(path, "b");
      // sha256sum prints a name with a backslash in another form.
      return ask(path, bytes >= LARGE_BYTES || path.includes("\\") ? "f" : "w");
    },
    // The loop has no request for the beginning of a file with a line feed in its name: such a file is sent anew.
    prefix: (path, bytes) => (path.includes("\n") ? Promise.resolve(undefined) : ask(path, bytes)),
    get userId() {
      return userId;
    },
    get cannot() {
      return cannot;
    },
    close: () => giveUp("silence"),
  };
}

/** Take as many whole files as one process hashes, or one other request. */
function nextBatch(queue: Wanted[]): readonly Wanted[] {
  let bytes = 0;
  let count = 0;
  for (const { path, what } of queue) {
    bytes += Buffer.byteLength(path);
    if (what !== "w" || count === BATCH_FILES || (count > 0 && bytes > BATCH_BYTES)) break;
    count++;
  }
  return queue.splice(0, Math.max(1, count));
}

/** SHA-256 of local files; each file is read once for all hosts. */
export interface LocalHashes {
  /** Return the hash of the first `bytes` of a file, in hex. */
  of(path: string, bytes: number): Promise<string>;
}

const CHUNK_BYTES = 1 << 20;

/** Make a cache of hashes, which also joins concurrent requests for one file. */
export function createLocalHashes(): LocalHashes {
  const known = new Map<string, Promise<string>>();
  return {
    of: (path, bytes) => {
      const key = `${bytes} ${path}`;
      const hash = known.get(key) ?? hashFile(path, bytes);
      known.set(key, hash);
      return hash;
    },
  };
}

/** Return the SHA-256 of the first `bytes` of a file, or of a shorter file, in hex. */
export async function hashFile(path: string, bytes: number): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(path, "r");
  try {
    await updateHash(hash, file, bytes);
    return hash.digest("hex");
  } finally {
    await file.close();
  }
}

/** Add the first `bytes` of an open file to a hash. */
export async function updateHash(hash: Hash, file: FileHandle, bytes: number): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(CHUNK_BYTES, bytes)));
  for (let position = 0; position < bytes; ) {
    const wanted = Math.min(buffer.length, bytes - position);
    const { bytesRead } = await file.read(buffer, 0, wanted, position);
    if (bytesRead === 0) return;
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}
