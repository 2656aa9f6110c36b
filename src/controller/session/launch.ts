import { randomBytes } from "node:crypto";
import { partName, type RunPart } from "../../agent/journal.ts";
import {
  BUNDLE_CACHE,
  CLEAR_SCRIPT,
  CORRUPT,
  ENDS_WITH_LOGIN,
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
import { VolleyError } from "../../core/errors.ts";
import { quote } from "../../core/unix/shell.ts";
import {
  type Become,
  becomeCommand,
  isTalked,
  keepsOwnCopy,
  needsTerminal,
  sayWord,
} from "../../core/unix/users.ts";
import type { Connection, RemoteProcess } from "../../transport/transport.ts";

/** Printed by a launch script when the host does not have the bundle. */
export const ABSENT = "volley:absent";

/** Printed instead when the host has no Node to start a bundle with. */
export const NO_NODE = "volley:nonode";

/** The words that a launch script may print instead of starting a bundle. */
export const LAUNCH_ANSWERS = [ABSENT, CORRUPT, NO_NODE] as const;

/** An answer in {@link LAUNCH_ANSWERS}. */
export type LaunchAnswer = (typeof LAUNCH_ANSWERS)[number];

/** Exit codes of launch scripts. */
export const LAUNCH_EXITS = {
  noNode: NO_USABLE_NODE_EXIT,
  noCache: NO_CACHE_EXIT,
  unknownRun: UNKNOWN_RUN_EXIT,
} as const;

/** The user to start a bundle as. */
export interface LaunchAs {
  readonly become: Become;
  /** Marks the words of the dialogue, so that other output is not taken for them. */
  readonly nonce: string;
  /** Size of the bundle in bytes. */
  readonly bytes: number;
}

/** Return whether a dialogue precedes the bundle's `hello`: about a password, or about the user's own copy. */
export function isLaunchTalked(become: Become): boolean {
  return isTalked(become) || keepsOwnCopy(become);
}

/**
 * Return the command that starts a bundle when the host has it whole, and otherwise makes its directory and prints
 * `volley:absent`. `left`: the nonce of an upload whose remains are removed. `mayDecline`: print `volley:nonode` where
 * the host has neither the bundle nor a usable Node. A user that keeps its own copy asks for the bundle in the dialogue.
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

/** Return the command that verifies an upload, renames it and starts it, or prints `volley:corrupt`. */
export function verifyAndLaunchCommand(id: string, nonce: string, as: LaunchAs | null): string {
  return inShell(
    `${nameScript(id, nonce)}
${takeOverScript(id)}
${startScript((bundle) => begin(bundle, id), as)}`,
    as,
  );
}

/**
 * Return the command that tells the events of a host's part of a run from a sequence number on: from the process that
 * carries it out, or from its journal.
 */
export function attachCommand(id: string, as: LaunchAs | null, { run, host }: RunPart, from: number): string {
  const attach = (bundle: string): string =>
    `exec sh "${bundle}" --attach ${quote(run)} ${from} ${quote(partName(host))}`;
  const find = `f="$HOME/${BUNDLE_CACHE}/${id}.run"
${wholeScript(id)} || exit ${LAUNCH_EXITS.unknownRun}
${USE_SCRIPT}`;
  if (as === null || !keepsOwnCopy(as.become)) return inShell(`${find}\n${startScript(attach, as)}`, as);
  return inShell(goOnAs(as, `${find}\n${sayWord(as.nonce, "ready")}; ${attach("$f")}`), as);
}

/** Return the command that removes an upload. */
export function discardCommand(id: string, nonce: string): string {
  return inShell(`rm -f "$HOME/${temporaryPath(id, nonce)}"`);
}

/** Looks for Node as the prelude does; asked only where the bundle would have to be sent. */
const DECLINE = `s=; for n in "$VOLLEY_NODE" "$HOME/.cache/volley/node/bin/node" node nodejs /usr/local/bin/node /opt/node/bin/node; do case $n in "$HOME/.cache/"*) [ -O "$HOME/.cache/volley" ] || continue;; esac; [ -n "$n" ] && command -v "$n" >/dev/null 2>&1 && { case $("$n" -v 2>/dev/null) in v1[89].*|v[2-9][0-9].*|v[1-9][0-9][0-9].*) s=1;; esac; break; }; done; [ -n "$s" ] || { echo ${NO_NODE}; exit 0; }; `;

/** The lines that start a bundle with a job, so that it outlives the login where the host allows that. */
function begin(bundle: string, id: string): string {
  const start = `sh "${bundle}" --target ${id}`;
  // This shell stays between sudo and the scope: sudo ends with the login, and passes the signal on to its child.
  return `${KEEP_ALIVE}\n[ -z "$k" ] || { $k ${start}; exit; }\nexec ${start}`;
}

const TRUE = "(1|y|yes|t|true|on)";
const LOGIND_FILES =
  "/etc/systemd/logind.conf /etc/systemd/logind.conf.d/*.conf /run/systemd/logind.conf.d/*.conf /usr/lib/systemd/logind.conf.d/*.conf";

/**
 * The lines that set `$k` to the command that a bundle must be started with to outlive the login. `$k` is empty except
 * on a host whose logind ends the processes of a login with it (`KillUserProcesses=yes`, logind.conf(5)). On such a
 * host the bundle runs in a scope of its own: root's in a scope of the system's manager, another user's in a scope of
 * the user's manager, if the script can reach that manager. The user's manager ends 10 s after the last login, unless
 * the user lingers; a controller that reconnects counts as a login. Other hosts run one grep.
 */
const KEEP_ALIVE = `k=; if grep -qsiE '^[[:blank:]]*KillUserProcesses[[:blank:]]*=[[:blank:]]*${TRUE}[[:blank:]]*$' ${LOGIND_FILES} && grep -qs '/user-[0-9]*[.]slice/session-' /proc/self/cgroup; then
n=$(cat /proc/self/cgroup); n=\${n##*/user-}; n=$(getent passwd "\${n%%.slice*}" | cut -d: -f1)
p=$(busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager KillUserProcesses KillExcludeUsers KillOnlyUsers 2>/dev/null) || p='b true
as 1 "root"
as 0'
case $(echo "$p" | sed -n 1p):$(echo "$p" | sed -n 2p) in "b true:"*"\\"$n\\""*) ;; "b true:"*) case $(echo "$p" | sed -n 3p) in "as 0"|*"\\"$n\\""*)
u=$(id -u) k='systemd-run --scope -q --'
[ "$u" = 0 ] || { k='systemd-run --user --scope -q --'; export XDG_RUNTIME_DIR="\${XDG_RUNTIME_DIR:-/run/user/$u}"; }
$k true </dev/null >/dev/null 2>&1 || k=
[ -n "$k" ] && { [ "$u" = 0 ] || [ -e "/var/lib/systemd/linger/$(id -un)" ]; } || export ${ENDS_WITH_LOGIN}=1
;; esac;; esac; fi`;

/** The lines that start `$f`, as another user where one is named. `start` makes them of the shell's name for the file. */
function startScript(start: (bundle: string) => string, as: LaunchAs | null): string {
  if (as === null) return start("$f");
  const say = isTalked(as.become) ? `${sayWord(as.nonce, "ready")}; ` : "";
  return goOnAs(as, `${say}${start("$0")}`, `"$f"`);
}

/** The lines that go on with a script as another user. */
function goOnAs({ become, nonce }: LaunchAs, script: string, words?: string): string {
  const begin = become.method !== "sudo" && isTalked(become) ? `${sayWord(nonce, "begin")}\n` : "";
  return `${begin}${becomeCommand(become, nonce, script, words)}`;
}

/** A script for sh, which every connection starts; on a terminal it first has bytes passed on unchanged. */
function inShell(script: string, as: LaunchAs | null = null): string {
  const raw = as !== null && needsTerminal(as.become) ? "stty raw -echo\n" : "";
  return `${raw}${script}`;
}

const PROGRESS_MS = 100;
const DISCARD_MS = 5_000;
const CHUNK_BYTES = 64 << 10;

/** Options for sending a bundle. */
interface SendOptions {
  readonly bytes: Buffer;
  readonly signal: AbortSignal;
  /** Called at the beginning, at the end, and every tenth of a second between. */
  readonly onProgress: (bytes: number, elapsedMs: number) => void;
}

/** Return the part of a temporary name that tells the uploads of one session from all others. */
export function makeNonce(): string {
  return randomBytes(6).toString("hex");
}

/** Send a bundle to a temporary name on a host. An upload that fails is removed, where the host can still be told. */
export async function sendBundle(
  connection: Connection,
  { id, nonce, bytes, signal, onProgress }: SendOptions & { readonly id: string; readonly nonce: string },
): Promise<void> {
  const tell = createProgress(bytes.length, onProgress);
  try {
    await connection.upload(bytes, temporaryPath(id, nonce), { mode: 0o600, signal, onProgress: tell });
  } catch (thrown) {
    await discard(connection, id, nonce);
    throw thrown;
  }
}

/**
 * Write a bundle to a process that waits for it on standard input. Fails with `CANCELLED`. Returns early when the
 * process ends, which its exit tells.
 */
export async function writeBundle(
  { stdin, exit }: RemoteProcess,
  { bytes, signal, onProgress }: SendOptions,
): Promise<void> {
  const tell = createProgress(bytes.length, onProgress);
  const ended = exit.then(() => "ended" as const);
  for (let from = 0; from < bytes.length; from += CHUNK_BYTES) {
    if (signal.aborted) throw new VolleyError("CANCELLED", "cancelled while the bundle was sent");
    const chunk = bytes.subarray(from, from + CHUNK_BYTES);
    const written = new Promise<"written">((resolve) => stdin.write(chunk, () => resolve("written")));
    if ((await Promise.race([written, ended])) === "ended") return;
    tell(from + chunk.length);
  }
}

function createProgress(total: number, onProgress: SendOptions["onProgress"]): (bytes: number) => void {
  const startedAt = performance.now();
  let toldAt = startedAt;
  onProgress(0, 0);
  return (bytes) => {
    const time = performance.now();
    if (bytes < total && time - toldAt < PROGRESS_MS) return;
    toldAt = time;
    onProgress(bytes, time - startedAt);
  };
}

/** Remove an upload that failed, unless the host no longer answers. */
async function discard(connection: Connection, id: string, nonce: string): Promise<void> {
  const limit = AbortSignal.timeout(DISCARD_MS);
  const late = new Promise<void>((resolve) =>
    limit.addEventListener("abort", () => resolve(), { once: true }),
  );
  const discarding = connection.exec(discardCommand(id, nonce), limit).then(
    async (process) => {
      process.stdout.resume();
      process.stderr.resume();
      await process.exit;
    },
    () => undefined,
  );
  await Promise.race([discarding, late]);
}
