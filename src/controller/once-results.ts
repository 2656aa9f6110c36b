import * as fs from "node:fs";
import { dirname, join } from "node:path";

/** Whole results of tasks that one host of a batch does, for the code of the others: apart from the run's log. */
export interface OnceResults {
  /** Takes one in; undefined: the host has no more of it. */
  keep(host: string, task: number, whole: string | undefined): void;
  of(host: string, task: number): string | undefined;
  /** Removes them: the run has ended. */
  remove(): void;
}

/** Where they are kept for a controller that picks the run up, mode 0600. */
export function onceFileOf(directory: string, run: string): string {
  return join(directory, `${run}.results`);
}

/** Opens the results of a run; without a file they are held in memory only. */
export function openOnceResults(file: string | undefined): OnceResults {
  const results = new Map<string, string>();
  const keyOf = (host: string, task: number): string => `${task} ${host}`;
  if (file !== undefined && fs.existsSync(file)) {
    for (const line of fs.readFileSync(file, "utf8").split("\n")) {
      try {
        const [host, task, whole] = JSON.parse(line) as [string, number, string];
        results.set(keyOf(host, task), whole);
      } catch {
        // An empty line, or one that was cut off.
      }
    }
  }
  return {
    keep: (host, task, whole) => {
      if (whole === undefined) return;
      results.set(keyOf(host, task), whole);
      if (file === undefined) return;
      try {
        fs.mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
        // A controller that was killed as it wrote has left a line without an end.
        fs.appendFileSync(file, `\n${JSON.stringify([host, task, whole])}\n`, { mode: 0o600 });
      } catch {
        // A full disk, or a home that may not be written to: only another controller would need it.
      }
    },
    of: (host, task) => results.get(keyOf(host, task)),
    remove: () => {
      if (file !== undefined) fs.rmSync(file, { force: true });
    },
  };
}
