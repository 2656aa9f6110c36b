import { VolleyError } from "../core/errors.ts";
import { lineWord } from "./line-word.ts";
import type { Shells } from "./shell.ts";

/** Runs a script to its end, and gives what it printed. Fails with `CONNECTION_LOST`. */
export async function runScript(shells: Shells, script: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const run = await shells.run(`echo ok; eval ${lineWord(script)}`, (stream, bytes) => {
    if (stream === "stdout") chunks.push(bytes);
  });
  run.end();
  const exit = await run.exit;
  if (exit.kind === "lost")
    throw new VolleyError("CONNECTION_LOST", `the connection went while the host was asked: ${exit.reason}`);
  return Buffer.concat(chunks);
}
