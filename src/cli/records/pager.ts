import { spawn } from "node:child_process";
import { once } from "node:events";
import { createTextWriter } from "../../reporter/reporter.ts";

/**
 * Show a text on stdout: on a terminal in `$PAGER` (default: `less`, which leaves a short text on the screen), elsewhere,
 * or where there is no such program, as it is.
 */
export async function showPaged(text: string, isWanted: boolean): Promise<void> {
  const { stdout, env } = process;
  const pager = env.PAGER ?? "less";
  if (!isWanted || stdout.isTTY !== true || env.TERM === "dumb" || ["", "cat"].includes(pager.trim()))
    return writeWhole(text);
  const child = spawn("/bin/sh", ["-c", `exec ${pager}`], {
    stdio: ["pipe", "inherit", "inherit"],
    // As git does: colours, no pager for less than a screen, and nothing cleared at the end.
    env: { LESS: "FRX", ...env },
  });
  // Ctrl-C is the pager's.
  const ignore = (): void => {};
  process.on("SIGINT", ignore);
  child.stdin.on("error", ignore);
  child.stdin.end(text);
  try {
    const [code] = (await once(child, "exit")) as [number | null];
    // sh has said that there is no such program.
    if (code === 127 || code === 126) await writeWhole(text);
  } finally {
    process.off("SIGINT", ignore);
  }
}

async function writeWhole(text: string): Promise<void> {
  const writer = createTextWriter(process.stdout);
  writer.write(text);
  await writer.flush();
}
