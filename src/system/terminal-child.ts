import { type ChildProcess, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";

/** A local process on a terminal of its own. */
export interface TerminalChild {
  readonly child: ChildProcess;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  resize(columns: number, rows: number): void;
}

/** Options for starting a process on a terminal. */
export interface TerminalChildOptions {
  readonly columns: number;
  readonly rows: number;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/**
 * Run a line of sh on a pseudo-terminal of util-linux's `script`, because Node cannot make one. The terminal's name
 * arrives on a pipe of its own: `stty` then sets the terminal's size, which sends SIGWINCH to the processes there.
 */
export function spawnOnTerminal(line: string, options: TerminalChildOptions): TerminalChild {
  const { columns, rows, env, cwd } = options;
  const start = `stty cols ${columns} rows ${rows}; tty >&3; exec 3>&-; ${line}`;
  const child = spawn("script", ["-qfec", start, "/dev/null"], {
    stdio: ["pipe", "pipe", "pipe", "pipe"],
    // script runs the line with $SHELL.
    env: { ...env, SHELL: "/bin/sh" },
    ...(cwd === undefined ? {} : { cwd }),
    detached: true,
  });
  let name = "";
  let wanted: readonly [columns: number, rows: number] | undefined;
  let applying = false;
  // Run one stty at a time: of two at the same time, the earlier could set its size last.
  const apply = (): void => {
    if (!name.endsWith("\n") || wanted === undefined || applying) return;
    const [width, height] = wanted;
    wanted = undefined;
    const args = ["-F", name.trim(), "cols", String(width), "rows", String(height)];
    applying = true;
    const applied = (): void => {
      applying = false;
      apply();
    };
    spawn("stty", args, { stdio: "ignore" }).once("error", applied).once("close", applied);
  };
  const [stdin, stdout, stderr, namePipe] = child.stdio as unknown as [
    Writable,
    Readable,
    Readable,
    Readable | undefined,
  ];
  namePipe
    ?.on("error", () => {})
    .on("data", (chunk: Buffer) => {
      name += chunk.toString("latin1");
      apply();
    });
  stdin.on("error", () => {});
  return {
    child,
    stdin,
    stdout,
    stderr,
    resize: (width, height) => {
      wanted = [width, height];
      apply();
    },
  };
}
