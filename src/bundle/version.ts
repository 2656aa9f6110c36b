import { createRequire } from "node:module";

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
