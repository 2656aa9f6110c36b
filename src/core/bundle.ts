import { sayWord } from "./unix/users.ts";
import type { Vars } from "./values/vars.ts";
import type { VaultedValue } from "./values/vaulted.ts";

/** The version of the bundle's layout. A runner only meets bundles of its own version. */
export const BUNDLE_FORMAT = 1;

/** Return whether a file that is to be run is no playbook, by its name, and so can only be a bundle. */
export function isBundleFile(file: string): boolean {
  return !/\.(?:[cm]?[jt]sx?|ya?ml|json)$/i.test(file);
}

/** A bundle's description of itself: the entry `manifest.json`. */
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
  /** The time, ISO 8601, at which a bundle was made that was then signed; absent from others. */
  readonly signedAt?: string;
  /** The hosts a bundle made to be carried is for; absent from one sent by a run. */
  readonly hosts?: Readonly<Record<string, CarriedHost>>;
}

/** The part of the inventory that a carried bundle holds for one host. */
export interface CarriedHost {
  readonly groups: readonly string[];
  readonly vars: Vars;
  readonly extraVars?: Vars;
  readonly plays: readonly number[];
  readonly inventoryGroups?: Readonly<Record<string, readonly string[]>>;
  readonly hostVars: Readonly<Record<string, Vars>>;
  /** Secret texts among the vars, to be masked. */
  readonly secrets?: readonly string[];
  /** Values of the playbook that are encrypted with Ansible Vault, in clear. */
  readonly vaulted?: readonly VaultedValue[];
  /** The places that set the vars which hold templates, for error messages. */
  readonly sources?: Readonly<Record<string, { readonly file: string; readonly line?: number }>>;
}

/** Return the name of an asset's entry in a bundle. `role` is the role's directory. */
export function assetEntry(role: string, path: string): string {
  return `assets/${role}/${path}`;
}

/** The name, as of a part, of the templates that were compiled when the bundle was built: see `template/precompiled.ts`. */
export const PRECOMPILED = "precompiled";

/** Exit code of a bundle that finds no usable Node. */
export const NO_USABLE_NODE_EXIT = 97;

/** Exit code of a bundle asked to attach to a run that the host does not know. */
export const UNKNOWN_RUN_EXIT = 95;

/** The directory of bundles on a host, relative to the home of the user who runs them; of the login user for root. */
export const BUNDLE_CACHE = ".cache/volley/bundles";

/** The word a launch script writes to standard output when the bundle it received is not whole. */
export const CORRUPT = "volley:corrupt";

/** Exit code of a launch script that cannot keep a bundle. */
export const NO_CACHE_EXIT = 96;

/** The words of a shell's `for` that name the places of Node on a host, in their order. */
export const NODE_PLACES =
  '"$VOLLEY_NODE" "$HOME/.cache/volley/node/bin/node" node nodejs /usr/local/bin/node /opt/node/bin/node';

/** In a loop over {@link NODE_PLACES}, skip a Node that others may have put into the cache. The name of the loop's variable is `n`. */
export const OWN_NODE_SCRIPT = 'case $n in "$HOME/.cache/"*) [ -O "$HOME/.cache/volley" ] || continue;; esac';

/** The environment variable set for a bundle whose host ends processes with the login. */
export const ENDS_WITH_LOGIN = "VOLLEY_ENDS";

const KEPT_BUNDLES = 5;

/** Return the temporary name a bundle is uploaded to, relative to the home. */
export function temporaryPath(id: string, nonce: string): string {
  return `${BUNDLE_CACHE}/.${id}.${nonce}.tmp`;
}

/** Set `$d`, `$f` and `$t`: the directory, a bundle in it, and the bundle's name during the upload. */
export function nameScript(id: string, nonce: string): string {
  return `d="$HOME/${BUNDLE_CACHE}" f="$HOME/${BUNDLE_CACHE}/${id}.run" t="$HOME/${temporaryPath(id, nonce)}"`;
}

/** Note the use of the bundle `$f`: the bundles used least recently are removed first. */
export const USE_SCRIPT = 'touch -c "$f" 2>/dev/null';

/**
 * Remove a directory that stands in the place of a bundle, because no rename replaces it. A file is left alone: another
 * start of the same bundle may just have put a whole bundle there, and be about to run it.
 */
export const CLEAR_SCRIPT = '[ ! -d "$f" ] || rm -rf "$f"';

/** Return the shell command that prints the SHA-256 of a file. */
export function hashOf(file: string): string {
  return `sha256sum ${file} 2>/dev/null || shasum -a 256 ${file} 2>/dev/null || openssl dgst -r -sha256 ${file}`;
}

/** Return the shell condition that `$f` is the whole bundle: a disk may have lost a part, or another user may have put another file there. */
export function wholeScript(id: string): string {
  return `{ [ -f "$f" ] && case $({ ${hashOf('"$f"')}; } 2>/dev/null) in ${id}*) ;; *) false;; esac; }`;
}

/**
 * Rename `$t` to `$f` when it is whole, and remove the bundles used least recently, except those a process still reads.
 * The brackets keep `grep` from finding its own command line.
 */
export function takeOverScript(id: string): string {
  return `s=$(${hashOf('"$t"')}) || exit ${NO_CACHE_EXIT}
case "$s" in ${id}*) [ -d "$f" ] && exit ${NO_CACHE_EXIT}; mv -f "$t" "$f" || exit ${NO_CACHE_EXIT};; *) rm -f "$t"; echo ${CORRUPT}; exit 0;; esac
ls -t "$d"/*.run | tail -n +${KEPT_BUNDLES + 1} | while read -r o; do n=\${o##*/}; grep -qs "\${n%.run}[.]run" /proc/[0-9]*/cmdline || rm -f "$o" "$o".*; done
find "$d" -name ".*.tmp" -mtime +1 -exec rm -f {} +`;
}

/** Start the user's own bundle `$f` by the shell command `start`. Without a bundle the script asks for one by a word, and reads it from standard input. */
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
