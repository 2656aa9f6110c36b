import { closeSync, openSync, writeFileSync } from "node:fs";

/** A file that lines are added to, in pieces of 8 KiB; on a full disk it ends where the space did. */
export interface LineFile {
  write(line: string): void;
  /** Writes what has been held back so far: it is the system's then, and outlives this process. */
  save(): void;
  /** Writes what is left; nothing can be added any more. */
  close(): void;
}

const HELD_CHARACTERS = 8_192;

/**
 * Opens a file to add lines to, for its owner alone to read. pino's own destination would wait for the disk at each
 * flush and once more at the end, which a run of half a second notices. Fails when the file cannot be opened.
 */
export function openLineFile(file: string): LineFile {
  const descriptor = openSync(file, "a", 0o600);
  let held = "";
  let isWritable = true;
  const save = (): void => {
    if (held === "" || !isWritable) return;
    try {
      writeFileSync(descriptor, held);
    } catch {
      isWritable = false;
    }
    held = "";
  };
  return {
    write: (line) => {
      if (!isWritable) return;
      held += line;
      if (held.length >= HELD_CHARACTERS) save();
    },
    save,
    close: () => {
      save();
      isWritable = false;
      closeSync(descriptor);
    },
  };
}
