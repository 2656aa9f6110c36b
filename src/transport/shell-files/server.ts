// A file server for hosts without an SFTP server, such as most containers: a script for sh, with dd, stat and the like.

/** Return the first line of the server's output, in the place of an SFTP server's greeting. */
export function greetingLine(hasProc: boolean): string {
  return `volley-files ${hasProc ? "with" : "without"} proc\n`;
}

/** The file descriptors for open files: sh has single digits alone, of which the first four are taken. */
export const DESCRIPTORS: readonly number[] = [4, 5, 6, 7, 8, 9];

/** The format of stat(1) for the fields of a file: mode in hexadecimal, owner, group, size, and the times of access and change. */
export const STAT_FORMAT = "%f %u %g %s %X %Y";

/**
 * The script. An SFTP client's first message, 9 bytes, is passed over. After that each line of the input is a line of
 * shell; `$n`, which the first line sets, is the client's nonce. Each line's output ends with a line of `\n`, the nonce,
 * `!` and the text of the error, which is empty for success.
 *
 * - `r COMMAND`: carry out a command or one of the functions from `g` on. A program takes one process, a function one more.
 * - `o FD HOW UMASK PATH`, `c FD`: open and close a descriptor. `HOW` is a redirection, or `x` for a new file.
 * - `d FD BYTES`, `w FD BYTES`: read, and write what follows the line.
 * - `m UMASK PATH`, `v FROM TO`, `z PATH...`: make a directory, rename, and write to the disk.
 * - `g FD BYTES` and `s FD BYTES` pass bytes over.
 * - `l DIRECTORY`: list; each entry is a line of nonce, `:`, {@link STAT_FORMAT} and name, so a name may hold newlines.
 *
 * Where `dd` cannot fill its block from a pipe, bytes are written one by one.
 */
export const SHELL_FILES_SCRIPT = `command -v dd >/dev/null 2>&1 && stat -c %f / >/dev/null 2>&1 || exit 127
LC_ALL=C; export LC_ALL; N='
'
dd bs=1 count=9 >/dev/null 2>&1
T=; mv --help 2>&1 | grep -q -e -T && T=-T
B=1; dd bs=1 count=0 iflag=fullblock </dev/null >/dev/null 2>&1 && B=
t(){ printf '\\n%s!%s\\n' "$n" "\${e%%"$N"*}"; }
r(){ { e=$("$@" 2>&1 >&3 3>&-) && e= || e=\${e:-Failure}; } 3>&1; t; }
U=$(umask)
u(){ x=$((0$U|0$1)); umask "0$((x>>6&7))$((x>>3&7))$((x&7))"; }
o(){ e=; u "$3"; h=$2
case $h in x) h='>'; set -C;; '+') h='<>'; [ -e "$4" ] || e="No such file or directory";; esac
[ -n "$e" ] || eval "command exec $1$h\\"\\$4\\"" 2>/dev/null || { if [ "$2" = x ] && { [ -e "$4" ] || [ -L "$4" ]; }; then e="File exists"; else e=$( (eval ": $h\\"\\$4\\"") 2>&1); e=\${e:-Failure}; fi; }
set +C; umask "$U"; t; }
c(){ eval "exec $1>&-"; e=; t; }
d(){ { e=$(dd bs="$2" count=1 <&"$1" 2>&1 >&3 3>&-) && e= || e=\${e:-Failure}; } 3>&1; t; }
w(){ if [ -n "$B" ]; then e=$(dd bs=1 count="$2" 2>&1 >&"$1"); else e=$(dd bs="$2" count=1 iflag=fullblock 2>&1 >&"$1"); fi && e= || e=\${e:-Failure}; t; }
m(){ u "$1"; r mkdir "$2"; umask "$U"; }
v(){ if [ -d "$2" ] || [ -L "$2" ]; then r i "$1" "$2"; else r mv -f "$1" "$2"; fi; }
z(){ sync "$@" >/dev/null 2>&1; e=; t; }
g(){ dd bs=1 skip="$2" count=0 <&"$1"; }
s(){ dd bs=1 seek="$2" count=0 >&"$1"; }
l(){ ls -d "$1/." >/dev/null && cd "$1" && { [ -r . ] || { echo "$1: Permission denied" >&2; return 1; }; } || return
set --; for f in ./* ./.[!.]* ./..?*; do set -- "$@" "$f"; [ $# -lt 200 ] || { stat -c "$n:${STAT_FORMAT} %n" "$@" 2>/dev/null; set --; }; done
[ $# = 0 ] || stat -c "$n:${STAT_FORMAT} %n" "$@" 2>/dev/null; :; }
i(){ if [ -d "$2" ] && [ -n "$T" ] && mv -f -T "$1" "$2" 2>/dev/null; then :; elif [ -L "$2" ]; then rm -f "$2" && mv -f "$1" "$2"; elif [ -d "$1" ]; then rmdir "$2" && mv "$1" "$2"; else echo "$2: Is a directory" >&2; return 1; fi; }
y(){ if [ -e "$2" ] || [ -L "$2" ]; then echo "$2: File exists" >&2; return 1; fi; ln -s -- "$1" "$2"; }
k(){ if [ -e "$2" ] || [ -L "$2" ]; then echo "$2: File exists" >&2; return 1; fi; ln "$1" "$2"; }
a(){ touch -c -a -d "@$1" "$3" 2>/dev/null && touch -c -m -d "@$2" "$3" || touch -c -d "@$2" "$3"; }
f(){ stat -f -c '%S %b %a %c %d' "$1" && if [ -w "$1" ] || [ "$(id -u)" != 0 ]; then echo rw; else echo ro; fi; }
h(){ eval "e=~$1"; case $e in /*) printf %s "$e";; *) echo "$1: not found" >&2; return 1;; esac; }
if [ -e /proc/self/fd/0 ]; then printf %s '${greetingLine(true)}'; else printf %s '${greetingLine(false)}'; fi
while IFS= read -r i; do eval "$i"; done`;
