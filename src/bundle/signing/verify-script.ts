import { BEGIN, COLUMNS, END, MAX_ARMOR_BYTES, NAMESPACE } from "./format.ts";

// The verification in POSIX sh: what ssh-keygen's messages mean, the functions, and the two scripts made of them, one for
// the prelude of signed bundles and one to be kept on hosts. Both need OpenSSH's ssh-keygen, 8.2 or newer, and the tools
// of coreutils or busybox.

/**
 * The reasons to refuse a bundle, by words of ssh-keygen's messages, the most telling ones first. Each goes on after the
 * bundle's name.
 */
export const REASONS: readonly (readonly [reason: string, ...words: readonly string[]])[] = [
  [
    "cannot be verified: this ssh-keygen is too old, OpenSSH 8.2 or newer is needed",
    ...["unknown option", "illegal option", "nrecognized option", "invalid option", "nsupported operation"],
  ],
  ["was changed after it was signed", "incorrect signature"],
  [
    "has a signature that was made for something else than Volley's bundles",
    "signature: namespace does not match",
  ],
  [
    "is signed by a key that the allowed signers do not let sign bundles",
    "not permitted for use in signature namespace",
  ],
  ["is signed by a key or certificate that has expired", "has expired", "invalid: expired"],
  ["is signed by a key or certificate that is not valid yet", "not yet valid"],
  [
    "is signed by a certificate that is not valid now, or names none of the allowed signers",
    "no valid principals",
  ],
  [
    "is not signed by an allowed signer, and ssh-keygen cannot read one of their lines",
    ...["bad options", "invalid key", "missing key"],
  ],
  ["is not signed by an allowed signer", "rincipal matched", "ould not verify signature"],
  ["has a damaged signature", "invalid format", "incomplete message"],
];

/**
 * The functions. `volley_verify FILE ALLOWED_SIGNERS [IDENTITY]` prints who signed a bundle, or on standard error why the
 * bundle is refused; only a proof prints to standard output, so that callers can ask for the words as well as for the
 * status. `volley_own FILE` fails where others than root and the user could put another file in the place of one.
 *
 * The armor found at the end of the file is only a guess. The guess is written anew in its one form, and must then be
 * the end of the file, byte for byte.
 */
export const FUNCTIONS = `volley_no() { printf 'volley: %s\\n' "$*" >&2; exit 1; }
volley_verify() (
f=$1 a=$2 i=$3 LC_ALL=C IFS='
'
export LC_ALL
set -f
case $f in -*) f=./$f;; esac
[ -f "$f" ] && [ -r "$f" ] || volley_no "cannot read $f"
[ -f "$a" ] && [ -r "$a" ] || volley_no "cannot read the allowed signers $a"
command -v ssh-keygen >/dev/null || volley_no "$f cannot be verified: ssh-keygen is missing here (package openssh-client, 8.2 or newer)"
for c in head tail tr fold wc od; do command -v "$c" >/dev/null || volley_no "$f cannot be verified: $c is missing here"; done
t=$(tail -c ${MAX_ARMOR_BYTES} "$f" | tr -d '\\000')
case $t in *'${BEGIN}
'*) ;; *) volley_no "$f is not signed";; esac
b=\${t##*${BEGIN}}
b=$(printf %s "\${b%%${END.slice(0, 8)}*}" | tr -d '\\n')
d=\${b%%=*}
s="${BEGIN}
$(printf %s "$b" | fold -w ${COLUMNS})
${END}"
l=$((\${#s} + 2))
n=$(($(wc -c <"$f") - l - 2))
case $b:$d:$((\${#d} % 4))\${b#"$d"} in
U1NIU0lHAAAAAQA*:*[!A-Za-z0-9+/]*:*) false;;
U1NIU0lHAAAAAQA*:0 | U1NIU0lHAAAAAQA*[AQgw]:2== | U1NIU0lHAAAAAQA*[AEIMQUYcgkosw048]:3=) [ "$(tail -c $((l + 2)) "$f" | od -An -v -tx1)" = "$({ printf "\\\\$(printf %o $((l % 256)))\\\\$(printf %o $((l / 256)))"; printf '\\n%s\\n' "$s"; } | od -An -v -tx1)" ];;
*) false;;
esac || volley_no "$f has a damaged signature"
k() { ssh-keygen -Y "$@" -f "$a" -s /dev/fd/3 3<<S
$s
S
}
p=$i
[ -n "$p" ] || p=$(k find-principals 2>/dev/null) || g=$(k find-principals 2>&1)
for i in $p; do
g=$(head -c "$n" "$f" | k verify -n ${NAMESPACE} -I "$i" 2>&1) && case $g in *'Good "${NAMESPACE}" signature for '"$i with "*' key SHA256:'*)
g=\${g##*'Good "${NAMESPACE}" signature for '"$i with "}
printf '%s: signed by %s with %s\\n' "$f" "$i" "\${g%%
*}"
exit 0;;
esac
done
case $g in
${REASONS.map(([reason, ...words]) => `${words.map((some) => `*"${some}"*`).join(" | ")}) g="${reason}";;`).join("\n")}
*) g="is refused: ssh-keygen says: \${g%%
*}";;
esac
volley_no "$f $g"
)
volley_own() (
p=$1
[ -f "$p" ] || volley_no "there is no file \${p:-of allowed signers}"
case $p in /*) ;; *) p=$(pwd -P)/\${p#./};; esac
r=$(readlink -f "$p")
[ "$p" = "$r" ] || volley_no "$1 is reached by a link: name it \${r:-by its path}"
while :; do
[ "$p" = "$(find "$p" -prune \\( -user 0 -o -user "$(id -u)" \\) \\( ! -perm -020 ! -perm -002 -o -type d -perm -1000 \\))" ] || volley_no "others than root and you can write to $p, and so exchange $1"
[ "$p" != / ] || break
p=\${p%/*}
p=\${p:-/}
done
)
`;

/** The words without which nothing is verified. */
export const PROOF = "'.* key SHA256:'";

/**
 * The part of a signed bundle's prelude that answers `--verify`, and that verifies before anything is started where
 * `--require-signature` is given. One changed byte must not make a refusal a success, so no exit code of a refusal
 * depends on one number: `expr` ends the script, or an argument stays there that no runner takes.
 */
export const VERIFYING_PRELUDE = `${FUNCTIONS}m= a= i= o=
for x do
shift
y=$o$x o=
case $y in
--verify | --require-signature | --signer) o=$y=;;
--verify=* | --require-signature=*) set -- "$@" --unverified; m=$m\${y%%=*} a=\${y#*=};;
--signer=?*) i=\${y#*=};;
--signer=) volley_no "--signer needs an identity";;
*) set -- "$@" "$x";;
esac
done
case $o:$m:$i in
::) ;;
:*--v*:*)
out=$(volley_verify "$0" "$a" "$i")
printf %s "\${out:+$out
}"
exec expr "$out" : ${PROOF} >/dev/null;;
:*--r*:*)
out=$(volley_verify "$0" "$a" "$i" && volley_own "$0" && volley_own "$a") || out=
printf %s "\${out:+$out
}"
case $out in
*" key SHA256:"*) for x do
shift
[ "$x" = --unverified ] || set -- "$@" "$x"
done;;
*) exec false;;
esac;;
::*) volley_no "--signer goes with --verify or --require-signature";;
*) volley_no "\${o%=} needs a value";;
esac
`;

/**
 * The script that verifies a bundle from outside, before any byte of the bundle is run: `sh verify.sh FILE
 * ALLOWED_SIGNERS [IDENTITY]`. `sh verify.sh --run FILE ALLOWED_SIGNERS IDENTITY ARGUMENT…` then runs the bundle with
 * the arguments, provided that nobody else can exchange it meanwhile; an empty IDENTITY is that of any allowed signer.
 * Exit code 0 and one line on standard output when verified, else 1 and one line on standard error.
 */
export const VERIFY_SCRIPT = `#!/bin/sh
# Verify the signature of a Volley bundle, and with --run start it then:
#   sh FILE [--run] BUNDLE ALLOWED_SIGNERS [IDENTITY [ARGUMENT...]]
${FUNCTIONS}run=
[ "$1" != --run ] || { run=1; shift; }
[ $# -ge 2 ] || volley_no "usage: sh $0 [--run] BUNDLE ALLOWED_SIGNERS [IDENTITY [ARGUMENT...]]"
file=$1 signers=$2 signer=$3
shift 2
[ $# -eq 0 ] || shift
[ -z "$run" ] || { volley_own "$file" && volley_own "$signers"; } || exit 1
out=$(volley_verify "$file" "$signers" "$signer") && expr "$out" : ${PROOF} >/dev/null || exit 1
printf '%s\\n' "$out"
[ -z "$run" ] || exec sh "$file" "$@"
`;
