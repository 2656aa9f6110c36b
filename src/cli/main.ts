#!/usr/bin/env node
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { isatty } from "node:tty";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";
import { cacheDirectory, openOwnFiles } from "../system/own-files.ts";

/** Set by the build: the SHA-256 of the program, in hexadecimal. */
declare const __PROGRAM_HASH__: string;

/** V8's compiled code of earlier starts: compiling takes half the time of a short command. */
const code = openOwnFiles(fs, cacheDirectory(), "code");
const KEPT_FILES = 24;

launch(join(dirname(fileURLToPath(import.meta.url)), "volley.cjs"));

/** Run the program, with the code that V8 compiled for the same command before. */
function launch(file: string): void {
  const [cacheFile, ...others] = cacheFilesOf(process.argv.slice(2));
  // The build makes the program pure ASCII: latin1 needs no decoding, and half the memory.
  const source = fs.readFileSync(file, "latin1");
  const own = code.read(cacheFile);
  const cachedData = own ?? first(others);
  const require = createRequire(file);
  const parameters = "exports, require, module, __filename, __dirname, volleyImport";
  const script = new Script(`(function (${parameters}) {${source}\n})`, {
    filename: file,
    ...(cachedData === undefined ? {} : { cachedData }),
  });
  // V8 would forget the code that ran at the beginning of a long run. Code that was kept under other flags is refused.
  const keep = own === undefined ? (require("node:v8") as typeof import("node:v8")) : undefined;
  keep?.setFlagsFromString("--no-flush-bytecode");
  const run = script.runInThisContext() as (...values: readonly unknown[]) => void;
  const module = { exports: {} as typeof import("./program.ts") };
  const importHere = (specifier: string): Promise<unknown> => import(specifier);
  run.call(module.exports, module.exports, require, module, file, dirname(file), importHere);
  module.exports.main();
  if (own !== undefined && script.cachedDataRejected !== true) return;
  // Only at the end has V8 compiled what the command uses; one that was refused has used little.
  process.once("exit", (status) => {
    if (status === 1) return;
    keep?.setFlagsFromString("--flush-bytecode");
    code.write(cacheFile, script.createCachedData(), KEPT_FILES);
  });
}

/**
 * Name the cache file by command, since each uses other parts of the program, by whether it draws on a terminal, and by
 * Node's version, since V8 refuses another version's code. Files that have much of the same code follow.
 */
function cacheFilesOf([command, ...args]: readonly string[]): readonly [string, ...string[]] {
  const isHelp = args.some((arg) => arg === "--help" || arg === "-h");
  const name = command !== undefined && !isHelp && /^[a-z_]{1,20}$/.test(command) ? command : "help";
  const key = `${__PROGRAM_HASH__.slice(0, 16)}-${process.version}-${process.arch}`;
  // The help has most of the code that every command begins with.
  const plain = [`${key}-${name}`, `${key}-help`] as const;
  return name !== "help" && isatty(1) ? [`${key}-${name}-screen`, ...plain] : plain;
}

/** Read the first of these files that is there. */
function first(names: readonly string[]): Buffer | undefined {
  for (const name of names) {
    const found = code.read(name);
    if (found !== undefined) return found;
  }
  return undefined;
}
