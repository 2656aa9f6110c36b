import { NO_USABLE_NODE_EXIT, UNKNOWN_RUN_EXIT } from "../core/manifest.ts";

/** What the launching script says on standard output instead of starting the bundle. */
export const ABSENT = "volley:absent";
export const CORRUPT = "volley:corrupt";

/** Exit codes of the launching script. */
export const LAUNCH_EXITS = {
  noNode: NO_USABLE_NODE_EXIT,
  noCache: 96,
  unknownRun: UNKNOWN_RUN_EXIT,
} as const;

/** Where bundles are kept on a host, relative to the login user's home. */
const CACHE = ".cache/volley/bundles";
const KEPT_BUNDLES = 5;

/** Quotes a word for a POSIX shell. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The temporary name a bundle is sent to, relative to the home. */
export function temporaryPath(id: string, nonce: string): string {
  return `${CACHE}/.${id}.${nonce}.tmp`;
}

/**
 * The command that starts a bundle when the host has it, and says `volley:absent` when not, with the directory made
 * for it; what an upload with the nonce `left` has left behind is removed.
 */
export function launchCommand(id: string, become: string | null, left?: string): string {
  const remove = left === undefined ? "" : `rm -f "$HOME/${temporaryPath(id, left)}"\n`;
  return inShell(`${remove}f="$HOME/${CACHE}/${id}.run"
[ -f "$f" ] || { umask 077; mkdir -p "$HOME/${CACHE}" || exit ${LAUNCH_EXITS.noCache}; echo ${ABSENT}; exit 0; }
${startScript(id, become)}`);
}

/** The command that checks what was sent, gives it its name and starts it; it says `volley:corrupt` when it did not arrive whole. */
export function verifyAndLaunchCommand(id: string, nonce: string, become: string | null): string {
  return inShell(`d="$HOME/${CACHE}" f="$HOME/${CACHE}/${id}.run" t="$HOME/${temporaryPath(id, nonce)}"
s=$(sha256sum "$t" 2>/dev/null || shasum -a 256 "$t" 2>/dev/null || openssl dgst -r -sha256 "$t") || exit ${LAUNCH_EXITS.noCache}
case "$s" in ${id}*) mv -f "$t" "$f" || exit ${LAUNCH_EXITS.noCache};; *) rm -f "$t"; echo ${CORRUPT}; exit 0;; esac
ls -t "$d"/*.run | tail -n +${KEPT_BUNDLES + 1} | while read -r o; do rm -f "$o" "$o".*; done
find "$d" -name ".*.tmp" -mtime +1 -exec rm -f {} +
${startScript(id, become)}`);
}

/** The command that gives the events of a run from a sequence number on, from the process that carries it out or its journal. */
export function attachCommand(id: string, become: string | null, run: string, from: number): string {
  return inShell(`f="$HOME/${CACHE}/${id}.run"
[ -f "$f" ] || exit ${LAUNCH_EXITS.unknownRun}
${startScript(id, become, `--attach ${quote(run)} ${from}`)}`);
}

/** The command that removes a bundle sent in part. */
export function discardCommand(id: string, nonce: string): string {
  return inShell(`rm -f "$HOME/${temporaryPath(id, nonce)}"`);
}

/** Starts `$f` as the user to become, with what it is to do. */
function startScript(id: string, become: string | null, task = `--target ${id}`): string {
  if (become === null) return `exec sh "$f" ${task}`;
  if (become === "root") return `exec sudo -n -H -- sh "$f" ${task}`;
  // Another user than root cannot read the login user's home: it keeps a copy of its own, handed over as an open file.
  const copy = `umask 077; f="$HOME/${CACHE}/${id}.run"; [ -f "$f" ] || { mkdir -p "$HOME/${CACHE}" && cat >"$f.$$" && mv "$f.$$" "$f"; }`;
  const user = quote(become);
  return `sudo -n -H -u ${user} -- sh -c ${quote(copy)} <"$f" || exit 1
exec sudo -n -H -u ${user} -- sh -c ${quote(`exec sh "$HOME/${CACHE}/${id}.run" ${task}`)}`;
}

/** Whatever the user's login shell is, the script is for sh. */
function inShell(script: string): string {
  return `sh -c ${quote(script)}`;
}
