import { readlinkSync } from "node:fs";
import { join } from "node:path";

/** Links of one path. A path with more leads in a circle. */
const MAX_LINKS = 40;

/**
 * Resolve the links in a path below `root` as the kernel does after chroot(2): no link leads out of the root. Fails with
 * an error whose code is `ELOOP` for a path with too many links.
 */
export function resolveBelow(root: string, path: string): string {
  const ahead = path.split("/");
  let resolved: string[] = [];
  for (let links = 0; ahead.length > 0; ) {
    const part = ahead.shift()!;
    if (part === "" || part === ".") continue;
    if (part === "..") {
      resolved = resolved.slice(0, -1);
      continue;
    }
    const target = linkTarget(join(root, ...resolved, part));
    if (target === undefined) {
      resolved.push(part);
      continue;
    }
    if (++links > MAX_LINKS) throw Object.assign(new Error(`too many links in ${path}`), { code: "ELOOP" });
    if (target.startsWith("/")) resolved = [];
    ahead.unshift(...target.split("/"));
  }
  return join(root, ...resolved);
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
