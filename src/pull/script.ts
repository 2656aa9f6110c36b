import { FUNCTIONS, PROOF } from "../bundle/signing/verify-script.ts";
import { DOWNLOAD_LIMITS } from "./download.ts";

/**
 * The script that pulls without Node: `sh pull.sh URL ALLOWED_SIGNERS [IDENTITY [ARGUMENT…]]` fetches a bundle by curl or
 * wget, verifies it by ssh-keygen, keeps it, and starts it with the arguments. A file that is unchanged is not fetched
 * again where there is curl. The kept bundle is exchanged only for one that is proved: of two pulls at a time each runs
 * a proved one. Exit code 1 and one line on standard error for a refusal, else the bundle's.
 */
export const PULL_SCRIPT = `#!/bin/sh
# Let this machine provision itself by a signed Volley bundle:
#   sh FILE URL ALLOWED_SIGNERS [IDENTITY [ARGUMENT...]]
# Needs curl or wget, and OpenSSH's ssh-keygen, 8.2 or newer. An empty IDENTITY is that of any allowed signer; the
# arguments are the bundle's, such as --local web1 --check. The script takes older bundles that were signed once, too.
${FUNCTIONS}[ $# -ge 2 ] || volley_no "usage: sh $0 URL ALLOWED_SIGNERS [IDENTITY [ARGUMENT...]]"
url=$1 signers=$2 signer=$3
shift 2
[ $# -eq 0 ] || shift
# Messages show neither the login nor the query of a URL.
rest=\${url#*://}
at=\${rest%%[/?]*}
shown=\${url%%://*}://\${at##*@}\${rest#"$at"}
shown=\${shown%%\\?*}
case $url in https://* | http://* | file:///*) ;; *) volley_no "$shown is no URL of a bundle";; esac
[ -n "$HOME" ] || { HOME=/root; export HOME; }
id=$(printf %s "$url" | cksum | tr ' ' -)
d=$HOME/.cache/volley/pull/$id
f=$d/bundle.run
p=$d/$$.part
(umask 077; mkdir -p "$d") || volley_no "cannot make $d"
trap 'rm -f "$p"' EXIT
trap 'exit 130' INT TERM HUP
find "$d" -name '*.part' -mtime +1 -exec rm -f {} +
volley_get() (
umask 077
ulimit -f ${DOWNLOAD_LIMITS.bytes / 512} 2>/dev/null
if command -v curl >/dev/null; then
set -- -fsSL --netrc-optional --proto =https,http,file --proto-redir =https -m ${DOWNLOAD_LIMITS.totalMs / 1_000} -R -o "$p"
[ ! -f "$f" ] || set -- "$@" -z "$f"
curl "$@" "$url"
elif command -v wget >/dev/null; then wget -q -T ${DOWNLOAD_LIMITS.silentMs / 1_000} -O "$p" "$url"
else volley_no "curl and wget are missing here"
fi
)
g=$(volley_get 2>&1) || {
c=$?
# wget says nothing.
[ -n "$g" ] || g="wget ended with exit code $c"
# curl goes on with advice.
g=\${g##*volley: }
volley_no "cannot download $shown: \${g%%
*}"
}
b=$p
[ -s "$p" ] || b=$f
[ -f "$b" ] || volley_no "cannot download $shown: it is empty"
volley_own "$b" && volley_own "$signers" || exit 1
out=$(volley_verify "$b" "$signers" "$signer" 2>&1) && expr "$out" : ${PROOF} >/dev/null || volley_no "$shown \${out#"volley: $b "}"
[ "$b" = "$f" ] || mv -f "$p" "$f" || volley_no "cannot write $f"
trap - EXIT INT TERM HUP
exec sh "$f" "$@"
`;
