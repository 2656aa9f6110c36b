import { partName, type RunPart } from "../../agent/journal.ts";
import {
  BUNDLE_CACHE,
  CLEAR_SCRIPT,
  CORRUPT,
  ENDS_WITH_LOGIN,
  NODE_PLACES,
  nameScript,
  OWN_NODE_SCRIPT,
  ownCopyScript,
  takeOverScript,
  temporaryPath,
  USE_SCRIPT,
  wholeScript,
} from "../../core/bundle.ts";
import {
  answerFaults,
  chooseScript,
  DESCRIBE_SCRIPT,
  DESCRIPTION,
  makeRuntimesScript,
  type RuntimeTraits,
  receiveRuntimeScript,
  runtimeDirectoryScript,
  UNUSABLE,
  unpackRuntimeScript,
  useRuntimeScript,
} from "../../core/runtimes.ts";
import { quote } from "../../core/unix/shell.ts";
import {
  askForPart,
  type Become,
  becomeCommand,
  isTalked,
  keepsOwnCopy,
  needsTerminal,
  sayWord,
} from "../../core/unix/users.ts";
import { ABSENT, INSTALLED, LAUNCH_EXITS, NO_NODE, type NodeLook } from "./answers.ts";
import type { Script } from "./state.ts";

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

/** Where Node may come from on a host that has none. */
export interface NodeSource {
  /** The runtimes that may be sent there. */
  readonly runtimes: readonly RuntimeTraits[];
  /** The directory of runtimes. Default: the cache of the user who runs them. */
  readonly directory?: string | undefined;
}

/** Options of {@link launchCommand}. */
export interface LaunchOptions extends NodeSource {
  /** The nonce of an upload whose remains are removed. */
  readonly left?: string | undefined;
  /** Print {@link NO_NODE} and a description of the host where there is no usable Node. Default: leave that to the bundle. */
  readonly look?: NodeLook | undefined;
  /** A runtime that a user who keeps its own copy is to ask for. Default: none is sent. */
  readonly bring?: RuntimeTraits | undefined;
}

/**
 * Return the command that starts a bundle when the host has it whole, and otherwise makes its directory and prints
 * `volley:absent`. A user that keeps its own copy asks for bundle and runtime in the dialogue.
 */
export function launchCommand(
  id: string,
  as: LaunchAs | null,
  { left, look, bring, runtimes, directory }: LaunchOptions = { runtimes: [] },
): string {
  const remove = left === undefined ? "" : `rm -f "$HOME/${temporaryPath(id, left)}"\n`;
  const use = useRuntimeScript(runtimes, directory);
  if (as !== null && keepsOwnCopy(as.become)) {
    const { nonce, bytes } = as;
    const decline =
      look === undefined
        ? ""
        : `${findNode(look === "version" ? "1" : "")}
${declineScript({ runtimes, directory })}`;
    const take =
      bring === undefined
        ? `${use}\n${decline}`
        : `${runtimeDirectoryScript(directory)}
${receiveRuntimeScript(bring, askForPart(nonce, "$s"))}
${unpackRuntimeScript(answerFaults(CORRUPT))}
export VOLLEY_NODE="$n"
`;
    return inShell(
      `${remove}${goOnAs(as, `${take}${ownCopyScript(id, nonce, bytes, begin("$f", id))}`)}`,
      as,
    );
  }
  const makePlace = `${CLEAR_SCRIPT}; umask 077; mkdir -p "$HOME/${BUNDLE_CACHE}" || exit ${LAUNCH_EXITS.noCache}`;
  const decline =
    look === undefined
      ? ""
      : `[ -z "$w" ] && v=${look === "version" ? "1" : ""} || v=1
${findNode("$v")}
${declineScript({ runtimes, directory }, `${makePlace}\n`)}`;
  return inShell(
    `${remove}f="$HOME/${BUNDLE_CACHE}/${id}.run"
${use}
w=; ${wholeScript(id)} || w=absent
${decline}[ -z "$w" ] || { ${makePlace}; echo ${ABSENT}; exit 0; }
${USE_SCRIPT}
${startScript((bundle) => begin(bundle, id), as)}`,
    as,
  );
}

/**
 * The lines that describe the host where `$n` is empty, and end: there is no usable Node. `makePlace` is carried out
 * before, where a runtime may follow.
 */
function declineScript({ runtimes, directory }: NodeSource, makePlace = ""): string {
  return `[ -n "$n" ] || { ${runtimeDirectoryScript(directory)}; ${DESCRIBE_SCRIPT}${chooseScript(runtimes)}
[ -z "$i" ] || { ${makePlace}${makeRuntimesScript(directory)}
}
echo ${NO_NODE} ${DESCRIPTION}; exit 0; }
`;
}

/** An upload that was sent to temporary names. */
export interface Sent {
  readonly nonce: string;
  /** True when the upload had the bundle. */
  readonly bundle: boolean;
  /** The runtime that the upload had. */
  readonly runtime: RuntimeTraits | undefined;
}

/** Return the command that verifies an upload, renames it and starts the bundle, or prints `volley:corrupt` or {@link UNUSABLE}. */
export function verifyAndLaunchCommand(
  id: string,
  { nonce, bundle, runtime }: Sent,
  as: LaunchAs | null,
  { runtimes, directory }: NodeSource = { runtimes: [] },
): string {
  return inShell(
    `${nameScript(id, nonce)}
${bundle ? takeOverScript(id) : USE_SCRIPT}
${
  runtime === undefined
    ? useRuntimeScript(runtimes, directory)
    : `${runtimeDirectoryScript(directory)}; i=${runtime.id}
a="$r/.$i.part"
${unpackRuntimeScript(answerFaults(CORRUPT))}
export VOLLEY_NODE="$n"`
}
${startScript((file) => begin(file, id), as)}`,
    as,
  );
}

/**
 * Return the command that tells the events of a host's part of a run from a sequence number on: from the process that
 * carries it out, or from its journal.
 */
export function attachCommand(
  id: string,
  as: LaunchAs | null,
  part: RunPart,
  from: number,
  { runtimes, directory }: NodeSource = { runtimes: [] },
): string {
  const attach = (bundle: string): string => `exec sh "${bundle}" ${attachWords(part, from)}`;
  const find = `${useRuntimeScript(runtimes, directory)}
f="$HOME/${BUNDLE_CACHE}/${id}.run"
${wholeScript(id)} || exit ${LAUNCH_EXITS.unknownRun}
${USE_SCRIPT}`;
  if (as === null || !keepsOwnCopy(as.become)) return inShell(`${find}\n${startScript(attach, as)}`, as);
  return inShell(goOnAs(as, `${find}\n${sayWord(as.nonce, "ready")}; ${attach("$f")}`), as);
}

/** Return the words that have a bundle tell the events of a host's part. */
function attachWords({ run, host }: RunPart, from: number): string {
  return `--attach ${quote(run)} ${from} ${quote(partName(host))}`;
}

/** Time for another program to let go of apt's lock. */
const LOCK_SECONDS = 120;

/** Install Node by the host's package manager. Another program may hold apt's lock, as at the boot of a fresh machine. */
const INSTALL_SCRIPT = `if command -v apt-get >/dev/null; then export DEBIAN_FRONTEND=noninteractive; i="apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=${LOCK_SECONDS} install nodejs"; $i || { apt-get -qq update && $i; }
elif command -v dnf >/dev/null; then dnf -q -y install nodejs
elif command -v yum >/dev/null; then yum -q -y install nodejs
elif command -v zypper >/dev/null; then zypper -q -n install nodejs
elif command -v apk >/dev/null; then apk add -q nodejs
elif command -v pacman >/dev/null; then pacman -Sy --noconfirm --needed nodejs
else echo "no package manager that Volley knows is there"; false; fi`;

/** The lines that run a script, pass its output on to standard error, and answer with its exit code and its last line. */
function reportInstall(script: string): string {
  return `o=$({ ${script}; } </dev/null 2>&1); c=$?
[ -z "$o" ] || printf '%s\\n' "$o" >&2
printf '%s %s\\n' ${INSTALLED} "$c \${o##*
}"`;
}

/** Return the command that has root install Node by the host's package manager, and then prints {@link INSTALLED}. */
function installCommand(as: LaunchAs | null): string {
  if (as === null)
    return inShell(
      reportInstall(
        `if [ "$(id -u)" = 0 ]; then ${INSTALL_SCRIPT}; else sudo -n -H sh -c ${quote(INSTALL_SCRIPT)}; fi`,
      ),
    );
  const say = isLaunchTalked(as.become) ? `${sayWord(as.nonce, "ready")}; ` : "";
  return inShell(goOnAs(as, `${say}${reportInstall(INSTALL_SCRIPT)}`), as);
}

/** The common ground of the commands of a session. */
export interface CommandContext {
  /** The bundle's id. */
  readonly id: string;
  /** The place of a carried bundle on this machine. Default: the bundle is sent. */
  readonly file?: string | undefined;
  readonly part: RunPart;
  readonly node: NodeSource;
  /** Return the nonce of the upload with a number. */
  nonceOf(upload: number): string;
}

/** Return the command of a script of a session. */
export function commandOf(
  script: Exclude<Script, { is: "direct" }>,
  as: LaunchAs | null,
  { id, file, part, node, nonceOf }: CommandContext,
): string {
  // A carried bundle is on this machine, and never sent: no other script follows.
  if (file !== undefined) {
    const begun = script.is === "attach" ? `exec sh "$f" ${attachWords(part, script.from)}` : begin("$f", id);
    return `f=${quote(file)}\n${begun}`;
  }
  switch (script.is) {
    case "launch": {
      const left = script.left === undefined ? undefined : nonceOf(script.left);
      return launchCommand(id, as, { left, look: script.look, bring: script.bring, ...node });
    }
    case "verify":
      return verifyAndLaunchCommand(id, { ...script.upload, nonce: nonceOf(script.upload.number) }, as, node);
    case "attach":
      return attachCommand(id, as, part, script.from, node);
    case "install":
      return installCommand(as);
  }
}

/** Return the command that removes an upload. */
export function discardCommand(id: string, nonce: string): string {
  return inShell(`rm -f "$HOME/${temporaryPath(id, nonce)}"`);
}

/**
 * Set `$n` to the Node that the prelude would start, or to nothing. The version is looked at where `version` is a text
 * for the shell that is not empty: that takes a start of Node.
 */
function findNode(version: string): string {
  return `p= n=; for n in ${NODE_PLACES}; do ${OWN_NODE_SCRIPT}; [ -n "$n" ] && command -v "$n" >/dev/null 2>&1 && { p=$n; break; }; done
n=$p; [ -z "$n" ] || [ -z "${version}" ] || case $("$n" -v 2>/dev/null) in v1[89].*|v[2-9][0-9].*|v[1-9][0-9][0-9].*) ;; *) n=;; esac`;
}

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
  // The other user gets none of this one's environment.
  const node = '[ -z "$1" ] || export VOLLEY_NODE="$1"\n';
  return goOnAs(as, `${node}${say}${start("$0")}`, `"$f" "$VOLLEY_NODE"`);
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
