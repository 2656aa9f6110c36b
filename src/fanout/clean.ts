import { quote } from "../core/unix/shell.ts";

// The files that Volley keeps in an account of a host: scripts that list and remove them, and the list as data.

/** A kind of files that Volley keeps on a host. */
export interface KeptFiles {
  readonly kind: KeptKind;
  /** Number of files or directories of the kind. */
  readonly count: number;
  readonly kib: number;
}

/** The kinds: directories below `~/.cache/volley`. Handlers that a failed run left, and a Node that people put there, stay. */
const KINDS = ["bundles", "compiled", "pull", "runs", "runtimes", "tmp"] as const;

/** A kind in {@link KINDS}. */
export type KeptKind = (typeof KINDS)[number];

/** Printed in place of a list by a host on which a bundle runs. */
const BUSY = "busy";

/** A runtime's directory, and the part of an archive that is being sent. */
const RUNTIMES = `grep -E '/[0-9a-f]{64}$|/[.][0-9a-f]{64}[.]'`;

/**
 * The lines that set `$c`, and end the script where the account has a bundle at work, or has got a part of a file within
 * the last minute. The pattern does not describe itself.
 */
const BEGIN = `c="$HOME/.cache/volley"
for p in $(grep -ls 'volley/bundles/[0-9a-f]*[.]run' /proc/[0-9]*/cmdline); do tr '\\0' ' ' 2>/dev/null <"$p" | grep -qF "$c/bundles/" && { echo ${BUSY}; exit 0; }; done
[ -z "$(find "$c/bundles" "$c/runtimes" -maxdepth 1 -name '.*' -mmin -1 2>/dev/null | grep -E '[.](part|tmp)$')" ] || { echo ${BUSY}; exit 0; }`;

function perDirectory(directories: readonly string[], commands: string): string {
  if (directories.length === 0) return "";
  return `for d in ${directories.map(quote).join(" ")}; do find "$d" -mindepth 1 -maxdepth 1 2>/dev/null | ${RUNTIMES} | while IFS= read -r f; do ${commands}; done; done`;
}

/** Return the script that lists the files. `directories`: where runtimes may be beside the account's cache. */
export function listScript(directories: readonly string[]): string {
  return `${BEGIN}
for k in ${KINDS.join(" ")}; do [ -d "$c/$k" ] && echo "$k $(ls -A "$c/$k" | wc -l) $(du -sk "$c/$k" | cut -f1)"; done
${perDirectory(directories, 'echo "runtimes 1 $(du -sk "$f" | cut -f1)"')}
exit 0`;
}

/** Return the script that removes the files, and says nothing. */
export function removeScript(directories: readonly string[]): string {
  return `${BEGIN}
for k in ${KINDS.join(" ")}; do rm -rf "$c/$k" || exit 1; done
rm -f "$c"/lock-*
${perDirectory(directories, 'rm -rf "$f"')}
rmdir "$c" 2>/dev/null
exit 0`;
}

/** Read the output of one of the scripts; undefined from a host with a bundle at work. Other lines are passed over. */
export function parseKept(output: string): readonly KeptFiles[] | undefined {
  const lines = output.split("\n").map((line) => line.trim());
  if (lines.includes(BUSY)) return undefined;
  const found = new Map<KeptKind, KeptFiles>();
  for (const line of lines) {
    const [, name, count, kib] = /^(\w+) +(\d+) +(\d+)$/.exec(line) ?? [];
    const kind = KINDS.find((each) => each === name);
    if (kind === undefined) continue;
    const before = found.get(kind) ?? { count: 0, kib: 0 };
    found.set(kind, { kind, count: before.count + Number(count), kib: before.kib + Number(kib) });
  }
  return [...found.values()].filter(({ count }) => count > 0);
}
