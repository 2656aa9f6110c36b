import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Event } from "../../core/events.ts";
import { isControlled, parseEvents, readRecord } from "./records.ts";

const CHUNK_BYTES = 256 * 1024;

/**
 * Yield the events of a run's log, and those that are written to it later, until the run has ended, its controller is
 * gone, or `signal` aborts. `everyMs` is the time between two looks at the file.
 */
export async function* followEvents(
  run: string,
  file: string,
  { everyMs, signal }: { readonly everyMs: number; readonly signal: AbortSignal },
): AsyncGenerator<Event> {
  const handle = await open(file, "r");
  try {
    let rest: Buffer = Buffer.alloc(0);
    for (let isLast = false; !signal.aborted; ) {
      const bytes = Buffer.concat([rest, await readOn(handle)]);
      // A line is written in one piece, but may be read in two.
      const end = bytes.lastIndexOf("\n") + 1;
      rest = bytes.subarray(end);
      for (const event of parseEvents(bytes.toString("utf8", 0, end))) {
        yield event;
        if (event.type === "run:end") return;
      }
      if (isLast) return;
      // Read once more: the controller may have written before its end.
      isLast = !isGoingOn(run, file);
      if (!isLast) await sleep(everyMs, undefined, { signal }).catch(() => {});
    }
  } finally {
    await handle.close();
  }
}

/** Read from the file's position to its end. */
async function readOn(handle: FileHandle): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (;;) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, null);
    if (bytesRead === 0) return Buffer.concat(chunks);
    chunks.push(buffer.subarray(0, bytesRead));
  }
}

function isGoingOn(run: string, file: string): boolean {
  try {
    return isControlled(readRecord(dirname(file), run));
  } catch {
    // A file of events that has no record.
    return false;
  }
}
