import { partName, type RunPart } from "../../agent/run-store.ts";
import {
  type Become,
  becomeCommand,
  isTalked,
  keepsOwnCopy,
  needsTerminal,
  sayWord,
} from "../../core/become.ts";
import {
  BUNDLE_CACHE,
  CLEAR_SCRIPT,
  CORRUPT,
  NO_CACHE_EXIT,
  NO_USABLE_NODE_EXIT,
  nameScript,
  ownCopyScript,
  takeOverScript,
  temporaryPath,
  UNKNOWN_RUN_EXIT,
  USE_SCRIPT,
  wholeScript,
} from "../../core/bundle.ts";

import { quote } from "../../core/shell-quote.ts";

import { keepAliveScript } from "./keep-alive-script.ts";

export { CORRUPT, quote, temporaryPath };

/** What the launching script says on standard output when there is no bundle to start. */
export const ABSENT = "volley:absent";

/** What it says when, besides, nothing there could start one. */
export const NO_NODE = "volley:nonode";

/** Exit codes of the launching script. */
export const LAUNCH_EXITS = {
  noNode: NO_USABLE_NODE_EXIT,
  noCache: NO_CACHE_EXIT,
  unknownRun: UNKNOWN_RUN_EXIT,
} as const;

/** Whom to start a bundle as. */
export interface LaunchAs {
  readonly become: Become;
  /** Tells what is said on the way from what else is printed. */
  readonly nonce: string;
  /** Of the bundle, in bytes. */
  readonly bytes: number;
}

/** Whether words are said before the bundle's `hello`: see {@link isTalked}. */
export function isLaunchTalked(become: Become): boolean {
  return isTalked(become) || keepsOwnCopy(become);
}

/**
 * The command that starts a bundle when the host has it whole, and says `volley:absent` when not, with the directory made
 * for it; what an upload with the nonce `left` has left behind is removed. A user that keeps its own copy asks for it
 * with a word instead. Where the host may decline, it says `volley:nonode` when it has no Node to start a bundle with.
 */
export function launchCommand(
  id: string,
  as: LaunchAs | null,
  { left, mayDecline = false }: { readonly left?: string | undefined; readonly mayDecline?: boolean } = {},
): string {
  const remove = left === undefined ? "" : `rm -f "$HOME/${temporaryPath(id, left)}"\n`;
  if (as !== null && keepsOwnCopy(as.become)) {
    const { nonce, bytes } = as;
    return inShell(`${remove}${goOnAs(as, ownCopyScript(id, nonce, bytes, begin("$f", id)))}`, as);
  }
  return inShell(
    `${remove}f="$HOME/${BUNDLE_CACHE}/${id}.run"
${wholeScript(id)} || { ${mayDecline ? DECLINE : ""}${CLEAR_SCRIPT}; umask 077; mkdir -p "$HOME/${BUNDLE_CACHE}" || exit ${LAUNCH_EXITS.noCache}; echo ${ABSENT}; exit 0; }
${USE_SCRIPT}
${startScript((bundle) => begin(bundle, id), as)}`,
    as,
  );
}

/** As the prelude looks for one; asked only where a bundle would have to be sent. */
const DECLINE = `s=; for n in "$VOLLEY_NODE" "$HOME/.cache/volley/node/bin/node" node nodejs /usr/local/bin/node /opt/node/bin/node; do case $n in "$HOME/.cache/"*) [ -O "$HOME/.cache/volley" ] || continue;; esac; [ -n "$n" ] && command -v "$n" >/dev/null 2>&1 && { case $("$n" -v 2>/dev/null) in v1[89].*|v[2-9][0-9].*|v[1-9][0-9][0-9].*) s=1;; esac; break; }; done; [ -n "$s" ] || { echo ${NO_NODE}; exit 0; }; `;

/** The command that checks what was sent, gives it its name and starts it; it says `volley:corrupt` when it did not arrive whole. */
export function verifyAndLaunchCommand(id: string, nonce: string, as: LaunchAs | null): string {
  return inShell(
    `${nameScript(id, nonce)}
${takeOverScript(id)}
${startScript((bundle) => begin(bundle, id), as)}`,
    as,
  );
}

/** The command that gives the events of a host's part of a run from a sequence number on, from the process that carries it out or its journal. */
export function attachCommand(id: string, as: LaunchAs | null, { run, host }: RunPart, from: number): string {
  const attach = (bundle: string): string =>
    `exec sh "${bundle}" --attach ${quote(run)} ${from} ${quote(partName(host))}`;
  const find = `f="$HOME/${BUNDLE_CACHE}/${id}.run"
${wholeScript(id)} || exit ${LAUNCH_EXITS.unknownRun}
${USE_SCRIPT}`;
  if (as === null || !keepsOwnCopy(as.become)) return inShell(`${find}\n${startScript(attach, as)}`, as);
  return inShell(goOnAs(as, `${find}\n${sayWord(as.nonce, "ready")}; ${attach("$f")}`), as);
}

/** The command that removes a bundle sent in part. */
export function discardCommand(id: string, nonce: string): string {
  return inShell(`rm -f "$HOME/${temporaryPath(id, nonce)}"`);
}

/** Has a bundle carry out a job, and outlive the login where it can. */
function begin(bundle: string, id: string): string {
  const start = `sh "${bundle}" --target ${id}`;
  // Not in place of this shell there: sudo, which is ended with the login, passes the signal on to what it has started.
  return `${keepAliveScript()}\n[ -z "$k" ] || { $k ${start}; exit; }\nexec ${start}`;
}

/** Starts `$f`, by a line of shell that is told its name, as root where it is to be. */
function startScript(start: (bundle: string) => string, as: LaunchAs | null): string {
  if (as === null) return start("$f");
  const say = isTalked(as.become) ? `${sayWord(as.nonce, "ready")}; ` : "";
  return goOnAs(as, `${say}${start("$0")}`, `"$f"`);
}

/** Goes on with a script as another user. */
function goOnAs({ become, nonce }: LaunchAs, script: string, words?: string): string {
  const begin = become.method !== "sudo" && isTalked(become) ? `${sayWord(nonce, "begin")}\n` : "";
  return `${begin}${becomeCommand(become, nonce, script, words)}`;
}

/**
 * A script for sh, which is what a connection starts; a terminal, where there must be one, is told to pass bytes on as
 * they are.
 */
function inShell(script: string, as: LaunchAs | null = null): string {
  const raw = as !== null && needsTerminal(as.become) ? "stty raw -echo\n" : "";
  return `${raw}${script}`;
}
