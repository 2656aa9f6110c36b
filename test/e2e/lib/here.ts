import { Console } from "node:console";
import { dirname } from "node:path";
import { Writable } from "node:stream";
// esbuild works for good in the directory in which it was loaded, and a command's own is removed after its test.
import "esbuild";
import { openProgram } from "../../../src/cli/load.ts";
import { builtCli, type CliEnd } from "./cli.ts";

// The built `volley` in this process. A start of Node and of the program takes most of a command that is refused.

type Program = typeof import("../../../src/cli/program.ts");

let loaded: { readonly directory: string; readonly program: Program } | undefined;

/** Load the program as its launcher does (src/cli/main.ts), once for each build. */
async function loadBuilt(): Promise<Program> {
  const directory = dirname(await builtCli());
  if (loaded?.directory === directory) return loaded.program;
  loaded = {
    directory,
    program: openProgram(directory, (specifier) => import(specifier)).load("program.js"),
  };
  return loaded.program;
}

let last: Promise<unknown> = Promise.resolve();

/**
 * Carry out a command of the built `volley` in this process, to its end: for tests that look at what it prints, its exit
 * code and its files. The command has no standard input and no terminal, gets no signals, and begins after the one before
 * has ended. {@link volley} of cli.ts is for the end of a process.
 */
export function volleyHere(
  args: readonly string[],
  given: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
): Promise<CliEnd> {
  const end = last.then(() => carryOutHere(args, given));
  last = end.catch(() => {});
  return end;
}

async function carryOutHere(
  args: readonly string[],
  { cwd, env = {} }: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
): Promise<CliEnd> {
  const { carryOut } = await loadBuilt();
  const before = { directory: process.cwd(), exitCode: process.exitCode, env: { ...process.env } };
  const stdout = keepWritten("stdout");
  const stderr = keepWritten("stderr");
  const { console } = globalThis;
  globalThis.console = new Console(process.stdout, process.stderr);
  try {
    process.chdir(cwd);
    Object.assign(process.env, env);
    const code = await carryOut(args);
    return { code, stdout: stdout.text(), stderr: stderr.text() };
  } finally {
    stdout.restore();
    stderr.restore();
    globalThis.console = console;
    process.chdir(before.directory);
    process.exitCode = before.exitCode;
    for (const name of Object.keys(process.env)) if (!(name in before.env)) delete process.env[name];
    Object.assign(process.env, before.env);
  }
}

/** Put a stream of its own in place of one of this process: what a command listens to goes with it. */
function keepWritten(name: "stdout" | "stderr"): { text(): string; restore(): void } {
  const property = Object.getOwnPropertyDescriptor(process, name)!;
  const chunks: Buffer[] = [];
  const value = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk);
      done();
    },
  });
  Object.defineProperty(process, name, { configurable: true, enumerable: true, value });
  return {
    text: () => Buffer.concat(chunks).toString(),
    restore: () => void Object.defineProperty(process, name, property),
  };
}
