import { hashOf } from "../core/bundle.ts";
import { shownUrl } from "../core/shown-url.ts";
import { quote } from "../core/unix/shell.ts";
import { PAYLOAD } from "./first-boot.ts";

/** The label of the volume that cloud-init's datasource NoCloud reads. */
export const SEED_LABEL = "cidata";
/** Time limit to connect, and to wait for the next bytes, in seconds. */
const STALLED_SECONDS = 60;

/** The place of a bundle that a machine fetches: a URL, or the volume that brought the machine its user-data. */
export type BundleSource = { readonly url: string } | "volume";

/**
 * Return the script, in POSIX sh, that brings the bundle to its place beside the script. Nothing of the bundle is run:
 * its SHA-256 has to be the one named here. Exit code 0 once the bundle is there, 97 where the machine lacks a program,
 * and 3 of all that another attempt may change.
 */
export function fetchScript(source: BundleSource, bundleId: string): string {
  return `#!/bin/sh
# Bring the Volley bundle of this machine: from ${source === "volume" ? "the volume that holds the user-data" : shownUrl(new URL(source.url))}
case $0 in */*) d=\${0%/*};; *) d=.;; esac
f=$d/${PAYLOAD.bundle} p=$d/.${PAYLOAD.bundle}.part
no() { c=$1; shift; rm -f "$p"; echo "volley: $*" >&2; exit "$c"; }
whole() { case $({ ${hashOf('"$1"')}; } 2>/dev/null) in ${bundleId}*) ;; *) return 1;; esac; }
umask 077
[ ! -f "$f" ] || ! whole "$f" || exit 0
{ ${hashOf("/dev/null")}; } >/dev/null 2>&1 || no 97 "the bundle cannot be verified: sha256sum is missing here"
${source === "volume" ? VOLUME_SCRIPT : urlScript(source.url)}
whole "$p" || no 3 "the bundle was fetched, but its SHA-256 is not ${bundleId}: is another one there?"
mv -f "$p" "$f" || exit 3
`;
}

function urlScript(url: string): string {
  const python = `import shutil, sys, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1], timeout=${STALLED_SECONDS}) as r, open(sys.argv[2], "wb") as f: shutil.copyfileobj(r, f)
except Exception as e: sys.exit("volley: %s" % e)`;
  return `u=${quote(url)}
has() { command -v "$1" >/dev/null 2>&1; }
if has curl; then curl -fsSL --connect-timeout ${STALLED_SECONDS} --speed-limit 1 --speed-time ${STALLED_SECONDS} -o "$p" "$u"
elif has wget; then wget -q -T ${STALLED_SECONDS} -O "$p" "$u"
elif has python3; then python3 -c '${python}' "$u" "$p"
else no 97 "the bundle cannot be fetched: curl, wget or python3 is needed here"
fi || no 3 "cannot fetch the bundle from "${quote(shownUrl(new URL(url)))}`;
}

/** NoCloud has the files of a volume in a directory of the machine, too. */
const VOLUME_SCRIPT = `rm -f "$p"
for v in /var/lib/cloud/seed/nocloud /var/lib/cloud/seed/nocloud-net; do
  [ ! -f "$v/${PAYLOAD.bundle}" ] || cp "$v/${PAYLOAD.bundle}" "$p" || no 3 "cannot copy the bundle from $v"
done
[ -f "$p" ] || for v in /dev/disk/by-label/${SEED_LABEL} /dev/disk/by-label/${SEED_LABEL.toUpperCase()} $(blkid -L ${SEED_LABEL}) $(blkid -L ${SEED_LABEL.toUpperCase()}); do
  [ -e "$v" ] && mkdir -p "$d/.volume" && mount -o ro "$v" "$d/.volume" || continue
  cp "$d/.volume/${PAYLOAD.bundle}" "$p"
  umount "$d/.volume"
  [ ! -f "$p" ] || break
done 2>/dev/null
rmdir "$d/.volume" 2>/dev/null
[ -f "$p" ] || no 3 "there is no volume ${SEED_LABEL} with the bundle here"`;
