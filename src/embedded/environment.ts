import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { findFault, type HostFault } from "./faults.ts";

const nodeNames = ["node", "nodejs"];

/** The PATH of a host's commands: this process's own, less its node when a fault takes it away. */
export function searchPath(root: string, hostName: string, faults: readonly HostFault[]): string {
  const path = ownSearchPath();
  const old = findFault(faults, "oldNode");
  if (old === undefined && findFault(faults, "noNode") === undefined) return path;
  const without = withoutNode(join(root, "path-without-node"), path);
  if (old === undefined) return without;
  const directory = join(root, `path-old-node-${hostName}`);
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  writeFileSync(join(directory, "node"), oldNodeScript(old.version ?? "v12.22.0"), { mode: 0o755 });
  return [directory, without].join(delimiter);
}

function ownSearchPath(): string {
  const directories = (process.env.PATH ?? "/usr/local/bin:/usr/bin:/bin").split(delimiter).filter(Boolean);
  const hasNode = directories.some((directory) => existsSync(join(directory, "node")));
  return [...directories, ...(hasNode ? [] : [dirname(process.execPath)])].join(delimiter);
}

/** Replaces the directories that hold a node by ones with links to everything else they hold. */
function withoutNode(root: string, path: string): string {
  const directories = path.split(delimiter).map((directory, index) => {
    if (!nodeNames.some((name) => existsSync(join(directory, name)))) return directory;
    const mirror = join(root, String(index));
    if (existsSync(mirror)) return mirror;
    mkdirSync(mirror, { recursive: true, mode: 0o755 });
    for (const name of readdirSync(directory)) {
      if (!nodeNames.includes(name)) symlinkSync(join(directory, name), join(mirror, name));
    }
    return mirror;
  });
  return directories.join(delimiter);
}

function oldNodeScript(version: string): string {
  const bare = version.replace(/^v/, "");
  return `#!/bin/sh
case "$1 $2" in
  "-v "* | "--version "*) echo "v${bare}" ;;
  "-p "*split* | "--print "*split*) echo "${bare.split(".")[0]}" ;;
  "-p "*versions.node* | "--print "*versions.node*) echo "${bare}" ;;
  "-p "*process.version* | "--print "*process.version*) echo "v${bare}" ;;
  "-e "*) code=$2; shift 2; exec "${process.execPath}" -e "${pretendToBe(bare)}$code" "$@" ;;
  *) echo "SyntaxError: this is Node v${bare}" >&2; exit 1 ;;
esac
`;
}

/** JavaScript that has the code after it believe in another version; without an apostrophe or a quote. */
function pretendToBe(version: string): string {
  const define = (object: string, name: string, value: string): string =>
    `Object.defineProperty(${object}, \`${name}\`, { value: \`${value}\` });`.replaceAll("`", "\\`");
  return define("process.versions", "node", version) + define("process", "version", `v${version}`);
}
