import { type FileHandle, mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { StringDecoder } from "node:string_decoder";
import { VolleyError } from "../../core/errors.ts";
import { fileNameOf } from "../exec/out-directory.ts";
import type { TerminalSize } from "./emulator.ts";

/** A recording of a host's terminal. */
export interface Recording {
  readonly path: string;
  /** Record a chunk; resolves when it is written. */
  output(chunk: Buffer): Promise<void>;
  resize(size: TerminalSize): void;
  /** Close the recording; rejects when a part could not be written. */
  close(): Promise<void>;
}

/** Options of {@link startRecording}. */
export interface RecordingOptions extends TerminalSize {
  readonly host: string;
  readonly directory: string;
  /** Return milliseconds since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

const MAX_TRIES = 10_000;

/**
 * Start an asciicast of version 2 (docs.asciinema.org): `HOST.cast`, or `HOST-2.cast` and so on if that exists. The
 * file holds output, not input, and only its owner can read it. Fail with `USAGE`.
 */
export async function startRecording(options: RecordingOptions): Promise<Recording> {
  const { host, directory, columns, rows, now = Date.now } = options;
  const { path, handle } = await create(directory, fileNameOf(host));
  const startedAt = now();
  const decoder = new StringDecoder("utf8");
  let writing: Promise<void> = Promise.resolve();
  let failure: unknown;
  const write = (value: unknown): void => {
    writing = writing
      .then(() => handle.appendFile(`${JSON.stringify(value)}\n`))
      .catch((thrown: unknown) => {
        failure ??= thrown;
      });
  };
  const event = (code: "o" | "r", data: string): void => write([(now() - startedAt) / 1_000, code, data]);
  write({
    version: 2,
    width: columns,
    height: rows,
    timestamp: Math.floor(startedAt / 1_000),
    title: host,
    env: { TERM: "xterm-256color" },
  });
  return {
    path,
    output: (chunk) => {
      const text = decoder.write(chunk);
      if (text !== "") event("o", text);
      return writing;
    },
    resize: (size) => event("r", `${size.columns}x${size.rows}`),
    close: async () => {
      await writing;
      await handle.close();
      if (failure !== undefined) throw failure;
    },
  };
}

async function create(
  directory: string,
  name: string,
): Promise<{ readonly path: string; readonly handle: FileHandle }> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (let number = 1; number < MAX_TRIES; number++) {
      const path = join(directory, `${name}${number === 1 ? "" : `-${number}`}.cast`);
      try {
        return { path, handle: await open(path, "ax", 0o600) };
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
      }
    }
  } catch (cause) {
    throw new VolleyError("USAGE", `cannot record in ${directory}: ${(cause as Error).message}`, { cause });
  }
  throw new VolleyError("USAGE", `cannot record in ${directory}: there are too many recordings of ${name}`);
}
