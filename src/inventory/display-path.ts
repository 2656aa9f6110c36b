import { isAbsolute, relative } from "node:path";

/** A path as people are shown it: relative to the working directory where it lies below it, else as it is. */
export function displayPath(path: string, cwd: string): string {
  const below = relative(cwd, path);
  if (below === "") return ".";
  return below === ".." || below.startsWith("../") || isAbsolute(below) ? path : below;
}
