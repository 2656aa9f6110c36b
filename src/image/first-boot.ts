import { hashOf } from "../core/bundle.ts";
import { quote } from "../core/unix/shell.ts";

// The script that provisions a machine at its first boot, and the files in which the script keeps its result.

/**
 * The directory on a machine that holds the script, its bundle and its state: in itself, or in a directory for each
 * installation of `volley image install`.
 */
export const STATE_DIRECTORY = "/var/lib/volley/first-boot";

/** The files of the script's state, beside the script. */
export const STATE = {
  /** The stamp: the id of the bundle that provisioned the machine. */
  done: "done",
  /** The exit code of the last attempt that failed, and the last lines of its standard error. Absent once provisioned. */
  failed: "failed",
  /** The host's name in the inventory. */
  host: "host",
  /** The number of attempts of the last start. */
  attempts: "attempts",
  /** The events of the last attempt, as `--output json` prints them. */
  result: "result.jsonl",
} as const;

/** The names of the files beside the script. */
export const PAYLOAD = {
  runner: "run.sh",
  bundle: "site.run",
  verifier: "verify.sh",
  signers: "allowed_signers",
  /** Brings the bundle; only of a payload that comes without. */
  fetcher: "fetch.sh",
} as const;

/** Attempts of one start of the script. */
export const DEFAULT_ATTEMPTS = 3;
/** Pause before the second attempt, in seconds. Each further pause is twice as long. */
const FIRST_PAUSE_SECONDS = 10;
const LONGEST_PAUSE_SECONDS = 300;
/** Time after which the script goes on without a default route. */
const NETWORK_SECONDS = 120;
/** Time for another run on the machine to end. */
const LOCK_SECONDS = 600;
const KEPT_ERROR_LINES = 20;

/** Settings of {@link runnerScript}. */
export interface RunnerOptions {
  /** The host's name in the inventory. */
  readonly host: string;
  readonly bundleId: string;
  /** True where the bundle is started only once its signature is verified. */
  readonly isSigned: boolean;
  /** Wait up to 120 s for a default route. Default false. */
  readonly waitsForNetwork?: boolean;
  /** Default {@link DEFAULT_ATTEMPTS}. */
  readonly attempts?: number;
  /** The pause before the second attempt, in seconds. Default 10. */
  readonly pauseSeconds?: number;
  /** The directory of the state. Default: that of the script. */
  readonly state?: string;
  /** The directory of the kernel's tables of routes. Default /proc/net. */
  readonly routes?: string;
}

/**
 * Return the script, in POSIX sh. The script finds the bundle beside itself, or has it fetched by the script that is
 * there for it, verifies it, and runs it with lines for people on standard output and events in a file. Exit code 0 once the machine is provisioned by this bundle, now or
 * earlier; else that of the last attempt.
 *
 * Exit codes that the next attempt could not change end the script at once: 1 of a refused signature, a damaged bundle
 * or wrong usage, 97 of a machine without Node, 130 of an interruption.
 */
export function runnerScript(options: RunnerOptions): string {
  const { host, bundleId, isSigned, waitsForNetwork = false, attempts = DEFAULT_ATTEMPTS } = options;
  const { pauseSeconds = FIRST_PAUSE_SECONDS, state, routes = "/proc/net" } = options;
  const args = `--local ${quote(host)} --wait ${LOCK_SECONDS} --events "$s/${STATE.result}"`;
  const run = isSigned
    ? `sh "$d/${PAYLOAD.verifier}" --run "$d/${PAYLOAD.bundle}" "$d/${PAYLOAD.signers}" '' ${args}`
    : `whole "$d/${PAYLOAD.bundle}" && sh "$d/${PAYLOAD.bundle}" ${args}`;
  return `#!/bin/sh
# Provision this machine once, by the Volley bundle beside this script.
# volley image result shows how that ended.
case $0 in */*) d=\${0%/*};; *) d=.;; esac
d=$(cd "$d" && pwd -P) || exit 1
s=${state === undefined ? "$d" : quote(state)}
id=${bundleId}
umask 077
PATH=\${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
case $HOME in '' | /) HOME=/root;; esac
export PATH HOME
say() { echo "volley: $*"; }
fetched() { [ ! -f "$d/${PAYLOAD.fetcher}" ] || sh "$d/${PAYLOAD.fetcher}"; }

[ "$(cat "$s/${STATE.done}" 2>/dev/null)" != "$id" ] || exit 0
mkdir -p "$s" && chmod 700 "$s" || exit 1
rm -f "$s/${STATE.done}" "$s/${STATE.failed}"
echo ${quote(host)} >"$s/${STATE.host}"
${isSigned ? "" : WHOLE_FUNCTION}${waitsForNetwork ? networkScript(routes) : ""}stopped=
trap 'stopped=1' INT TERM HUP
n=1 pause=${pauseSeconds}
while :; do
  echo "$n" >"$s/${STATE.attempts}"
  say "provisioning "${quote(host)}" (attempt $n of ${attempts})"
  rm -f "$s/${STATE.result}"
  { fetched && ${run}; } 2>"$s/errors"
  code=$?
  cat "$s/errors" >&2
  if [ "$code" -eq 0 ]; then
    rm -f "$s/errors"
    echo "$id" >"$s/${STATE.done}.new" && mv -f "$s/${STATE.done}.new" "$s/${STATE.done}" || exit 1
    say "this machine is provisioned"
    exit 0
  fi
  case $code in 1 | 97 | 130) break;; esac
  [ -z "$stopped" ] && [ "$n" -lt ${attempts} ] || break
  say "the attempt ended with exit code $code; another one follows in $pause s"
  sleep "$pause"
  [ -z "$stopped" ] || break
  n=$((n + 1)) pause=$((pause * 2))
  [ "$pause" -le ${LONGEST_PAUSE_SECONDS} ] || pause=${LONGEST_PAUSE_SECONDS}
done
{ echo "$code"; tail -n ${KEPT_ERROR_LINES} "$s/errors"; } >"$s/${STATE.failed}"
rm -f "$s/errors"
say "this machine is not provisioned (exit code $code)"
exit "$code"
`;
}

/** Cards and disks lose bytes. Where no tool can tell, the bundle is started all the same. */
const WHOLE_FUNCTION = `whole() {
  h=$({ ${hashOf('"$1"')}; } 2>/dev/null)
  case $h in '' | "$id"*) return 0;; esac
  echo "volley: $1 is damaged: its SHA-256 is not $id" >&2
  return 1
}
`;

/** Wait for a default route of IPv4 or IPv6: `network-online.target` is systemd's alone. */
function networkScript(routes: string): string {
  const zeros = "0".repeat(32);
  return `r=${quote(routes)}
online() {
  while read -r i to rest; do [ "$to" != 00000000 ] || return 0; done <"$r/route"
  while read -r to rest; do
    case "$to $rest" in "${zeros} 00 "*" lo") ;; "${zeros} 00 "*) return 0;; esac
  done <"$r/ipv6_route"
  return 1
}
w=0
until online 2>/dev/null; do
  [ "$w" -lt ${NETWORK_SECONDS} ] || { say "no network after ${NETWORK_SECONDS} s: going on without"; break; }
  [ "$w" -gt 0 ] || say "waiting for the network"
  w=$((w + 1))
  sleep 1
done
`;
}
