import { Option } from "commander";
import { VolleyError } from "../core/errors.ts";
import { fileReason } from "../core/unix/user-file.ts";

/** Ways to show a run. */
const OUTPUTS = ["auto", "ink", "plain", "json"];

/** Make `-o, --output`, with more ways to show the result where a command has some. */
export function outputOption(description = "how to show it", kinds: readonly string[] = OUTPUTS): Option {
  return new Option("-o, --output <kind>", description).choices(kinds).default("auto");
}

/** Return the kind of output asked for, or `plain`, with a note on stderr, where `ink` lacks a terminal. */
export function shownAs<Kind extends string>(output: Kind): Kind | "plain" {
  if (output !== "ink" || process.stdout.isTTY === true) return output;
  process.stderr.write("volley: --output ink needs a terminal; plain lines follow\n");
  return "plain";
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Call a handler for each SIGINT, SIGTERM and SIGHUP; returns the function that removes it. */
export function onSignals(handler: () => void): () => void {
  for (const signal of SIGNALS) process.on(signal, handler);
  return () => {
    for (const signal of SIGNALS) process.off(signal, handler);
  };
}

/** Reasons that differ from those for reading a file. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such directory",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
};

/** Make the error that a file named by the user cannot be written: Node's own message names a temporary file. */
export function cannotWrite(path: string, cause: unknown, hint?: string): VolleyError {
  const { code = "" } = cause as NodeJS.ErrnoException;
  return new VolleyError("FILE_FAILED", `cannot write ${path}: ${REASONS[code] ?? fileReason(cause)}`, {
    cause,
    ...(hint === undefined ? {} : { hint }),
  });
}
