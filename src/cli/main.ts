#!/usr/bin/env node
import * as fs from "node:fs";
import { isatty } from "node:tty";
import { Script } from "node:vm";
import { cacheDirectory, openOwnFiles } from "../system/own-files.ts";
import { type CompileScript, openProgram } from "./load.ts";

/** Set by the build: the SHA-256 of the program, in hexadecimal. */
declare const __PROGRAM_HASH__: string;

/** V8's compiled code of earlier starts: compiling takes half the time of a short command. */
const files = openOwnFiles(fs, cacheDirectory(), "code");
const KEPT_FILES = 24;
/** The sum takes every 64th word of code: disks lose blocks. */
const SUMMED = 64;

const args = process.argv.slice(2);
const code = openCode(cacheFilesOf(args));
const program = openProgram(__dirname, (specifier) => import(specifier), code.compile);
// A look alone: the option may be another program's, to which a greeting does no harm.
if (args.some((arg) => /^--persist(=|$)/.test(arg))) program.load("early.js").greetEarly(start);
else start();

function start(): void {
  program.load("program.js").main();
  code.keepAtExit();
}

/** Open the compiled code of the same command's earlier starts, and that of others for what is missing there. */
function openCode([own, ...others]: readonly [string, ...string[]]): {
  readonly compile: CompileScript;
  keepAtExit(): void;
} {
  const kept = readCode(own);
  const lent = kept === undefined ? firstOf(others) : undefined;
  const scripts = new Map<string, Script>();
  let isComplete = true;
  // V8 forgets the code that ran at the beginning of a long run. Code that was kept under other flags is refused.
  const setForgetting = (forgets: boolean): void => {
    const { setFlagsFromString } = require("node:v8") as typeof import("node:v8");
    setFlagsFromString(forgets ? "--flush-bytecode" : "--no-flush-bytecode");
  };
  return {
    compile: (name, source, options) => {
      const cachedData = kept?.get(name) ?? lent?.get(name);
      if (!isComplete) setForgetting(true);
      const script = new Script(source, { ...options, ...(cachedData === undefined ? {} : { cachedData }) });
      scripts.set(name, script);
      isComplete &&= kept?.has(name) === true && script.cachedDataRejected !== true;
      if (!isComplete) setForgetting(false);
      return script;
    },
    keepAtExit: () => {
      // Only at the end has V8 compiled what the command uses; one that was refused has used little.
      process.once("exit", (status) => {
        if (isComplete || status === 1) return;
        setForgetting(true);
        const all = new Map(kept);
        for (const [name, script] of scripts) all.set(name, script.createCachedData());
        files.write(own, joined(all), KEPT_FILES);
      });
    },
  };
}

/**
 * Join the code of scripts to the content of a file: a line of JSON with the sum of the code, and the name and length of
 * each script's; then the code.
 */
function joined(scripts: ReadonlyMap<string, Buffer>): Buffer {
  const code = Buffer.concat([...scripts.values()]);
  const lengths = [...scripts].map(([name, data]) => [name, data.length]);
  const line = JSON.stringify([sumOf(code), lengths]);
  // The code begins where words do: a sum of bytes takes five times as long.
  return Buffer.concat([Buffer.from(`${line.padEnd(4 * Math.ceil((line.length + 1) / 4) - 1)}\n`), code]);
}

/** Read a file of {@link joined}; undefined if it is not there, or damaged. */
function readCode(file: string): ReadonlyMap<string, Buffer> | undefined {
  const content = files.read(file);
  if (content === undefined) return undefined;
  const scripts = new Map<string, Buffer>();
  let at = content.indexOf("\n") + 1;
  try {
    const [sum, lengths] = JSON.parse(content.toString("latin1", 0, at)) as [number, [string, number][]];
    if (sum !== sumOf(content.subarray(at))) return undefined;
    for (const [name, length] of lengths) {
      scripts.set(name, content.subarray(at, at + length));
      at += length;
    }
  } catch {
    return undefined;
  }
  return at === content.length ? scripts : undefined;
}

/**
 * Sum up code, to tell it from the rest that a crash or a bad disk leaves of it: V8 looks at the beginning alone, and a gap
 * would end the process. A word in 256 bytes takes a hundredth of the time of all.
 */
function sumOf(code: Buffer): number {
  const { buffer, byteOffset, length } = code.byteOffset % 4 === 0 ? code : Buffer.concat([code]);
  const words = new Int32Array(buffer, byteOffset, Math.floor(length / 4));
  let sum = length;
  for (let at = 0; at < words.length; at += SUMMED) sum = (Math.imul(sum, 31) + words[at]!) | 0;
  return sum;
}

/** Read the first of these files that is there. */
function firstOf(names: readonly string[]): ReadonlyMap<string, Buffer> | undefined {
  for (const name of names) {
    const found = readCode(name);
    if (found !== undefined) return found;
  }
  return undefined;
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
