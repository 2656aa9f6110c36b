import { createInterface } from "node:readline/promises";
import type { UnknownHostKey } from "../controller/prepare/reach.ts";

/** Shows host keys that are not known and asks, once for all of them, whether to trust them. */
export async function askHostKeys(keys: readonly UnknownHostKey[]): Promise<boolean> {
  if (process.stdin.isTTY !== true) return false;
  const files = [...new Set(keys.map(({ file }) => file))].join(", ");
  const what = keys.length === 1 ? "this key" : `these ${keys.length} keys`;
  process.stderr.write(`${formatHostKeys(keys)}\n`);
  const reader = createInterface({ input: process.stdin, output: process.stderr, terminal: true });
  const stop = new AbortController();
  reader.once("SIGINT", () => stop.abort());
  try {
    const answer = await reader.question(`Trust ${what}, and add to ${files}? [y/N] `, {
      signal: stop.signal,
    });
    return /^y(es)?$/i.test(answer.trim());
  } catch {
    process.stderr.write("\n");
    return false;
  } finally {
    reader.close();
  }
}

/** One line per key: the host, its name in known_hosts where that differs, type and fingerprint. */
export function formatHostKeys(keys: readonly UnknownHostKey[]): string {
  const rows = keys.map(({ host, name, type, fingerprint }) => [
    host,
    name === host ? "" : name,
    type,
    fingerprint,
  ]);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .filter((cell) => cell !== "")
      .join("  "),
  );
  const title =
    keys.length === 1 ? "The key of 1 host is not known:" : `The keys of ${keys.length} hosts are not known:`;
  return [title, ...lines.map((line) => `  ${line}`)].join("\n");
}
