import * as fs from "node:fs";
import { existsSync, readdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { isVolleyError, type SourceLocation, VolleyError } from "../../core/errors.ts";
import { matchesGlob, setGlobPieces } from "../../core/unix/shell.ts";
import { fileReason } from "../../core/unix/user-file.ts";
import { expandHome } from "./options.ts";
import { type ConfigLine, parseLine, refused } from "./parse.ts";

/** A line, or the files that it includes. */
type ConfigNode =
  | Exclude<ConfigLine, { kind: "include" }>
  | { readonly kind: "files"; readonly files: readonly ConfigFile[] }
  /** A wrong line. Its error is thrown when evaluation reaches the line: an earlier one may be wrong as well. */
  | { readonly kind: "wrong"; readonly error: VolleyError };

/** A parsed file of ssh_config(5). */
export interface ConfigFile {
  readonly nodes: readonly ConfigNode[];
  /** True for a file of the user: neither the system's file nor included by it. */
  readonly isUsers: boolean;
}

const MAX_INCLUDES = 16;
/** Limits files that each include the next one twice: they would be read 65536 times. */
const MAX_FILES = 1_000;

/** The files to read: one, none, or those of ssh. */
export type SshConfigChoice = string | "none" | undefined;

/**
 * Read ssh_config(5) files with their includes: the chosen file, or `~/.ssh/config` and `/etc/ssh/ssh_config`. Fails with
 * `USAGE` when a file cannot be read, or when others may write a file that must be safe.
 */
export function readSshConfig(choice: SshConfigChoice): readonly ConfigFile[] {
  if (choice?.toLowerCase() === "none") return [];
  if (choice !== undefined) {
    if (!fs.existsSync(choice)) throw new VolleyError("USAGE", `there is no ssh_config file ${choice}`);
    // Of ssh's own files, a directory counts as empty; one that is named is a mistake.
    if (isDirectory(choice))
      throw new VolleyError("USAGE", `cannot read the ssh_config file ${choice}: it is a directory`);
    return [readFile(choice, { isUsers: true, depth: 0, count: { files: 0 } })];
  }
  const mine = join(homedir(), ".ssh", "config");
  const system = "/etc/ssh/ssh_config";
  // As for ssh, an unreadable file counts as missing; it may be another user's.
  const files = [mine, system].filter(isReadable);
  if (files[0] === mine) refuseOthersFile(mine);
  return files.map((file) => readFile(file, { isUsers: file === mine, depth: 0, count: { files: 0 } }));
}

function isReadable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** Refuse a file that others can write, as ssh does: they could run programs as its owner. */
function refuseOthersFile(file: string, where?: SourceLocation): void {
  const { uid, mode } = fs.statSync(file);
  const location = where === undefined ? {} : { location: where };
  if (uid !== 0 && uid !== process.getuid?.())
    throw new VolleyError("USAGE", `${file} belongs to another user`, {
      ...location,
      hint: `chown it, or remove it`,
    });
  if ((mode & 0o022) === 0) return;
  throw new VolleyError("USAGE", `others than its owner can write ${file}`, {
    ...location,
    hint: `chmod go-w ${file}`,
  });
}

interface Place {
  readonly isUsers: boolean;
  readonly depth: number;
  /** Files read so far, each as often as it is included. */
  readonly count: { files: number };
}

function readFile(file: string, place: Place, where?: SourceLocation): ConfigFile {
  if (++place.count.files > MAX_FILES)
    throw new VolleyError("USAGE", `more than ${MAX_FILES} files are included`, { location: { file } });
  let text: string;
  try {
    // For ssh, a directory is an empty file.
    text = fs.statSync(file).isDirectory() ? "" : fs.readFileSync(file, "utf8");
  } catch (thrown) {
    throw new VolleyError("USAGE", `cannot read the ssh_config file ${file}: ${fileReason(thrown)}`, {
      cause: thrown,
      ...(where === undefined ? {} : { location: where }),
    });
  }
  const nodes = text
    .split("\n")
    .flatMap((written, index) => nodeOf(written, { file, line: index + 1 }, place) ?? []);
  return { nodes, isUsers: place.isUsers };
}

function nodeOf(written: string, where: SourceLocation, place: Place): ConfigNode | undefined {
  let line: ConfigLine | undefined;
  try {
    line = parseLine(written, where);
  } catch (thrown) {
    if (!isVolleyError(thrown)) throw thrown;
    return { kind: "wrong", error: thrown };
  }
  return line?.kind === "include" ? { kind: "files", files: include(line.patterns, where, place) } : line;
}

function include(patterns: readonly string[], where: SourceLocation, place: Place): readonly ConfigFile[] {
  const { isUsers, depth } = place;
  return patterns.flatMap((pattern) => {
    if (pattern.startsWith("~") && !isUsers)
      throw refused("Include: ~ has no meaning in the system's file", where);
    const path = expandHome(pattern);
    const directory = isUsers ? join(homedir(), ".ssh") : "/etc/ssh";
    return globFiles(isAbsolute(path) ? path : `${directory}/${path}`).map((file) => {
      if (depth >= MAX_INCLUDES) throw refused(`more than ${MAX_INCLUDES} files include each other`, where);
      refuseOthersFile(file, where);
      return readFile(file, { ...place, depth: depth + 1 }, where);
    });
  });
}

/** Longest path (PATH_MAX of Linux). */
const MAX_PATH = 4_096;

/** Return the files that an absolute path with `*`, `?` and `[…]` matches, sorted (glob(7)). */
function globFiles(pattern: string): readonly string[] {
  if (pattern.length > MAX_PATH) return [];
  let found = ["/"];
  for (const part of pattern.split("/").filter((name) => name !== "")) {
    found = found.flatMap((directory) => {
      if (!/[*?[\\]/.test(part)) return [join(directory, part)].filter((path) => existsSync(path));
      const pieces = setGlobPieces(part, "glob");
      return listDirectory(directory)
        .filter((name) => (part.startsWith(".") || !name.startsWith(".")) && matchesGlob(pieces, name))
        .sort()
        .map((name) => join(directory, name));
    });
  }
  return found.filter((path) => !isDirectory(path));
}

function listDirectory(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
