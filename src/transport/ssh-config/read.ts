import * as fs from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import type SshConfigParser from "ssh-config";
import { VolleyError } from "../../core/errors.ts";
import { printable } from "../../core/printable.ts";
import { globFiles } from "./glob-files.ts";
import type { WrittenOption } from "./options.ts";

/** A part of an ssh_config file: an option, or options that hold on a condition. */
export type ConfigNode =
  | ({ readonly kind: "option" } & WrittenOption)
  | { readonly kind: "section"; readonly condition: Condition; readonly nodes: readonly ConfigNode[] };

/** When a section holds. */
export type Condition =
  | { readonly kind: "always" }
  | { readonly kind: "host"; readonly patterns: readonly string[] }
  | { readonly kind: "match"; readonly criteria: readonly string[]; readonly file: string };

const MAX_INCLUDES = 16;
/** Files that each include the next twice would be read two to the power of sixteen times. */
const MAX_FILES = 1_000;

/** Which files to read: one, none, or those ssh reads. */
export type SshConfigChoice = string | "none" | undefined;

/**
 * Reads ssh_config(5) files with what they include: `file` only, or `~/.ssh/config` and `/etc/ssh/ssh_config`. Fails
 * with `USAGE` when one cannot be read or understood.
 */
export async function readSshConfig(choice: SshConfigChoice): Promise<readonly ConfigNode[]> {
  if (choice === "none") return [];
  const own = join(homedir(), ".ssh");
  if (choice !== undefined) {
    if (!fs.existsSync(choice)) throw new VolleyError("USAGE", `there is no ssh_config file ${choice}`);
    return await readFile(choice, { directory: own, depth: 0, count: { files: 0 } });
  }
  const mine = join(own, "config");
  const files = [
    [mine, own],
    ["/etc/ssh/ssh_config", "/etc/ssh"],
  ] as const;
  const nodes: ConfigNode[] = [];
  for (const [file, directory] of files) {
    if (!fs.existsSync(file)) continue;
    if (file === mine) refuseOthersFile(file);
    nodes.push(...(await readFile(file, { directory, depth: 0, count: { files: 0 } })));
  }
  return nodes;
}

/** ssh refuses it too: whoever can write it can run programs as its owner. */
function refuseOthersFile(file: string): void {
  const { uid, mode } = fs.statSync(file);
  if ((uid === 0 || uid === process.getuid?.()) && (mode & 0o022) === 0) return;
  throw new VolleyError("USAGE", `others than its owner can write ${file}`, { hint: `chmod go-w ${file}` });
}

async function readFile(file: string, from: Omit<Place, "file">): Promise<readonly ConfigNode[]> {
  if (++from.count.files > MAX_FILES) {
    throw new VolleyError("USAGE", `more than ${MAX_FILES} files are included`, { location: { file } });
  }
  // Loaded only where there is a file to parse.
  const { default: SshConfig } = await import("ssh-config");
  let lines: SshConfigParser;
  try {
    lines = SshConfig.parse(fs.readFileSync(file, "utf8"));
  } catch (thrown) {
    throw new VolleyError("USAGE", `cannot read it: ${printable((thrown as Error).message)}`, {
      location: { file },
    });
  }
  return await toNodes(lines, { ...from, file });
}

interface Place {
  readonly file: string;
  /** What relative includes are relative to. */
  readonly directory: string;
  readonly depth: number;
  /** Read so far, each as often as it is included. */
  readonly count: { files: number };
}

async function toNodes(lines: SshConfigParser, place: Place): Promise<readonly ConfigNode[]> {
  const nodes: ConfigNode[] = [];
  for (const line of lines) {
    if (!("param" in line)) continue;
    const name = line.param.toLowerCase();
    const words = wordsOf(line.value);
    if (name === "include") nodes.push(...(await include(words, place)));
    else if ((name === "host" || name === "match") && "config" in line) {
      const condition: Condition =
        name === "host"
          ? { kind: "host", patterns: words }
          : { kind: "match", criteria: words, file: place.file };
      nodes.push({ kind: "section", condition, nodes: await toNodes(line.config, place) });
    } else if (name !== "") nodes.push({ kind: "option", name, words });
  }
  return nodes;
}

/** A section of its own: a Host line in the included file ends with that file. */
async function include(
  patterns: readonly string[],
  { file, directory, depth, count }: Place,
): Promise<readonly ConfigNode[]> {
  if (depth >= MAX_INCLUDES) {
    throw new VolleyError("USAGE", `more than ${MAX_INCLUDES} files include each other`, {
      location: { file },
    });
  }
  const nodes: ConfigNode[] = [];
  for (const pattern of patterns) {
    const home = pattern.replace(/^~(?=\/)/, homedir());
    for (const found of globFiles(isAbsolute(home) ? home : join(directory, home))) {
      const inner = await readFile(found, { directory, depth: depth + 1, count });
      nodes.push({ kind: "section", condition: { kind: "always" }, nodes: inner });
    }
  }
  return nodes;
}

type Value = string | readonly { readonly val: string }[];

function wordsOf(value: Value): readonly string[] {
  return typeof value === "string" ? [value] : value.map(({ val }) => val);
}
