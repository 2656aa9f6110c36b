import { sayWord } from "./become.ts";
import type { Vars } from "./json.ts";

/** The version of the bundle's layout; a runner only ever meets its own. */
export const BUNDLE_FORMAT = 1;

/** What a bundle says of itself: its entry `manifest.json`. */
export interface Manifest {
  readonly format: number;
  /** Volley's version. */
  readonly volley: string;
  /** The playbook's file name. */
  readonly playbook: string;
  readonly plays: readonly {
    readonly name: string;
    readonly hosts: string;
    readonly roles: readonly string[];
  }[];
  /** The hosts a bundle made to be carried is for; absent from one sent by a run. */
  readonly hosts?: Readonly<Record<string, CarriedHost>>;
}

/** What a carried bundle knows of one host. */
export interface CarriedHost {
  readonly groups: readonly string[];
  readonly vars: Vars;
  readonly plays: readonly number[];
  readonly inventoryGroups?: Readonly<Record<string, readonly string[]>>;
  readonly hostVars: Readonly<Record<string, Vars>>;
  /** Texts among the vars that must never be told. */
  readonly secrets?: readonly string[];
  /** Where those of the vars are set that hold templates, for errors to say. */
  readonly sources?: Readonly<Record<string, { readonly file: string; readonly line?: number }>>;
}

/** The name of an asset's entry in a bundle; a role is known by its directory. */
export function assetEntry(role: string, path: string): string {
  return `assets/${role}/${path}`;
}

/** Exit code of a bundle that finds no usable Node. */
export const NO_USABLE_NODE_EXIT = 97;

/** Exit code of a bundle asked for a run its host knows nothing of. */
export const UNKNOWN_RUN_EXIT = 95;

/** Where bundles are kept on a host, relative to the home of the user who runs them, or of the login user for root. */
export const BUNDLE_CACHE = ".cache/volley/bundles";

/** What a launching script says on standard output when what it was sent is not whole. */
export const CORRUPT = "volley:corrupt";

/** Exit code of a launching script that cannot keep a bundle. */
export const NO_CACHE_EXIT = 96;

/** The variable that is set for a bundle that the host ends with the login. */
export const ENDS_WITH_LOGIN = "VOLLEY_ENDS";

const KEPT_BUNDLES = 5;

/** The temporary name a bundle is sent to, relative to the home. */
export function temporaryPath(id: string, nonce: string): string {
  return `${BUNDLE_CACHE}/.${id}.${nonce}.tmp`;
}

/** Sets `$d`, `$f` and `$t`: the directory, a bundle in it, and the name it has while it is sent. */
export function nameScript(id: string, nonce: string): string {
  return `d="$HOME/${BUNDLE_CACHE}" f="$HOME/${BUNDLE_CACHE}/${id}.run" t="$HOME/${temporaryPath(id, nonce)}"`;
}

/** Notes that the bundle `$f` is used: those that were not for longest go first. */
export const USE_SCRIPT = 'touch -c "$f" 2>/dev/null';

/**
 * Removes what stands where a bundle is to be sent and cannot be replaced. Anything else is left: another start of the
 * same bundle may have put a whole one there just now, and be about to run it.
 */
export const CLEAR_SCRIPT = '[ ! -d "$f" ] || rm -rf "$f"';

/** The SHA-256 of a file of this name, as text of the shell, and what follows it. */
function hashOf(file: string): string {
  return `sha256sum ${file} 2>/dev/null || shasum -a 256 ${file} 2>/dev/null || openssl dgst -r -sha256 ${file}`;
}

/** The condition that `$f` is the bundle, whole: a disk may have lost a part of it, and anybody may have put another there. */
export function wholeScript(id: string): string {
  return `{ [ -f "$f" ] && case $({ ${hashOf('"$f"')}; } 2>/dev/null) in ${id}*) ;; *) false;; esac; }`;
}

/**
 * Gives `$t` its name `$f` when it is whole, and removes the bundles that were used least lately, but for those that a
 * process there still reads from. In brackets, the name is not that of the `grep` that looks for it.
 */
export function takeOverScript(id: string): string {
  return `s=$(${hashOf('"$t"')}) || exit ${NO_CACHE_EXIT}
case "$s" in ${id}*) [ -d "$f" ] && exit ${NO_CACHE_EXIT}; mv -f "$t" "$f" || exit ${NO_CACHE_EXIT};; *) rm -f "$t"; echo ${CORRUPT}; exit 0;; esac
ls -t "$d"/*.run | tail -n +${KEPT_BUNDLES + 1} | while read -r o; do n=\${o##*/}; grep -qs "\${n%.run}[.]run" /proc/[0-9]*/cmdline || rm -f "$o" "$o".*; done
find "$d" -name ".*.tmp" -mtime +1 -exec rm -f {} +`;
}

/** Starts a bundle `$f` of this user's own by a line of shell, asking for it with a word where it has none; it then comes on standard input. */
export function ownCopyScript(id: string, nonce: string, bytes: number, start: string): string {
  return `${nameScript(id, nonce)}
if ${wholeScript(id)}; then ${USE_SCRIPT}; ${sayWord(nonce, "ready")}; else
${CLEAR_SCRIPT}
(umask 077; mkdir -p "$d") || exit ${NO_CACHE_EXIT}
${sayWord(nonce, "want")}; (umask 077; head -c ${bytes} >"$t") || exit ${NO_CACHE_EXIT}
${takeOverScript(id)}
fi
${start}`;
}
