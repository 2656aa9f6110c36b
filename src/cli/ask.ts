import { createInterface } from "node:readline";
import { Writable } from "node:stream";

/** Asks at the terminal, without showing what is typed. */
export async function askPassphrase(prompt: string): Promise<string | null> {
  if (process.stdin.isTTY !== true) return null;
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: silent, terminal: true });
  // Only now does the terminal no longer echo by itself.
  process.stderr.write(prompt);
  try {
    return await new Promise<string | null>((resolve) => {
      reader.question("", resolve);
      reader.once("close", () => resolve(null));
    });
  } finally {
    reader.close();
    process.stderr.write("\n");
  }
}
