import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

let version: string | undefined;

/** Volley's own version, from its package.json. */
export function volleyVersion(): string {
  version ??= readVersion();
  return version;
}

function readVersion(): string {
  const require = createRequire(import.meta.url);
  // Chunks lie at differing depths below the package.
  for (const candidate of ["../../package.json", "../package.json", "../../../package.json"]) {
    try {
      const manifest = require(candidate) as { readonly name?: string; readonly version?: string };
      if (manifest.name === "volley" && manifest.version !== undefined) return manifest.version;
    } catch {
      // Not at this depth.
    }
  }
  return "0.0.0";
}

/** Return the file of the command `volley` of this package, which a program starts in a process of its own. */
export function volleyProgram(): string {
  // Chunks lie at differing depths below dist, and the source beside it.
  const candidates = ["./main.js", "./cli/main.js", "../cli/main.js", "../../dist/cli/main.js"].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  return candidates.find((path) => existsSync(path)) ?? candidates[1]!;
}
