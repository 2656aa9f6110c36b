import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { matchesPattern } from "./pattern.ts";

/** The files an absolute path with `*` and `?` in it stands for, sorted; none when there are none (glob(7)). */
export function globFiles(pattern: string): readonly string[] {
  let found = ["/"];
  for (const part of pattern.split("/").filter((name) => name !== "")) {
    found = found.flatMap((directory) => {
      if (!/[*?]/.test(part)) return [join(directory, part)].filter((path) => existsSync(path));
      return listDirectory(directory)
        .filter((name) => (part.startsWith(".") || !name.startsWith(".")) && matchesPattern(part, name))
        .sort()
        .map((name) => join(directory, name));
    });
  }
  return found.filter((path) => statSync(path).isFile());
}

function listDirectory(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
