import type { ProcessOptions, ProcessResult } from "../core/system.ts";
import { octal, ownerOf, type ResolvedWrite } from "./write.ts";

/** Content up to so many bytes is written by a shell where round trips are slow. */
export const SHELL_WRITE_BYTES = 64 << 10;

/** Round trips from here on are slow: three of them take longer than the shell's programs take to start. */
export const SLOW_ROUND_TRIP_MS = 8;

/** mv(1) would move a file into a directory that is there. */
const SCRIPT = `umask 077; set -C
[ ! -d "$1" ] || [ -L "$1" ] || exit 1
trap 'rm -f "$2"' EXIT
cat >"$2" || exit 1
[ -z "$4" ] || chown "$4" "$2" || exit 1
if [ -n "$5" ] && [ -f "$1" ] && [ ! -L "$1" ]; then
a=$(getfacl -csnp "$1" 2>/dev/null)
[ -z "$a" ] || printf '%s\\n' "$a" | setfacl --set-file=- "$2" 2>/dev/null
fi
chmod "$3" "$2" && mv -f "$2" "$1" && trap - EXIT`;

/**
 * Writes a small file as {@link writeAtomically} does, in one round trip; false when it did not come to that, for
 * whatever reason: writing it over SFTP then tells which.
 */
export async function writeByShell(
  run: (argv: readonly string[], options: ProcessOptions) => Promise<ProcessResult>,
  resolved: ResolvedWrite,
  content: string | Uint8Array,
  keepsAcl: boolean,
): Promise<boolean> {
  const { path, temporary } = resolved;
  const given = [path, temporary, octal(resolved), ownerOf(resolved), keepsAcl ? "acl" : ""];
  const argv = ["sh", "-c", SCRIPT, "sh", ...given];
  const { code } = await run(argv, { input: content });
  return code === 0;
}
