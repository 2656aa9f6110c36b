import { type FileHandle, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { FanOutListener, HostResult } from "./fan-out.ts";

/** A directory for the output of all hosts. */
export interface OutDirectory {
  readonly listener: FanOutListener;
  close(): Promise<void>;
}

/** Name of the table of results: host, outcome, exit code or signal, milliseconds. */
export const STATUS_FILE = "exit-status.tsv";

/**
 * Write `HOST.out` and, if needed, `HOST.err` into a directory as output arrives, and a line for each host into
 * `exit-status.tsv` when it ends. Replaces the files of an earlier run for these hosts. Fails with `USAGE`.
 */
export async function openOutDirectory(path: string): Promise<OutDirectory> {
  const status = await openStatus(path);
  const files = new Map<string, Promise<FileHandle>>();
  const fileOf = (host: string, suffix: "out" | "err"): string => join(path, `${fileNameOf(host)}.${suffix}`);
  const open_ = (file: string): Promise<FileHandle> => {
    const opening = files.get(file) ?? open(file, "w");
    files.set(file, opening);
    return opening;
  };
  const closeFile = async (file: string): Promise<void> => {
    const handle = await files.get(file);
    files.delete(file);
    await handle?.close();
  };
  return {
    listener: {
      output: async (host, stream, chunk) => {
        const handle = await open_(fileOf(host, stream === "stdout" ? "out" : "err"));
        await handle.writeFile(chunk);
      },
      end: async (result) => {
        const [out, err] = [fileOf(result.host, "out"), fileOf(result.host, "err")];
        if (result.exit !== undefined) await open_(out);
        else await rm(out, { force: true });
        if (!files.has(err)) await rm(err, { force: true });
        await closeFile(out);
        await closeFile(err);
        await status.writeFile(statusLine(result));
      },
    },
    close: async () => {
      for (const file of [...files.keys()]) await closeFile(file);
      await status.close();
    },
  };
}

/** Return a single path component for any host name. */
export function fileNameOf(host: string): string {
  return host.replace(/[/\\\p{Cc}]|^\.+$/gu, "_");
}

async function openStatus(path: string): Promise<FileHandle> {
  try {
    await mkdir(path, { recursive: true });
    return await open(join(path, STATUS_FILE), "w");
  } catch (cause) {
    throw new VolleyError("USAGE", `cannot write in ${path}: ${(cause as Error).message}`, { cause });
  }
}

function statusLine({ host, outcome, exit, elapsedMs }: HostResult): string {
  const code = exit?.kind === "exited" ? String(exit.code) : exit?.kind === "signalled" ? exit.signal : "";
  return `${host}\t${outcome}\t${code}\t${Math.round(elapsedMs)}\n`;
}
