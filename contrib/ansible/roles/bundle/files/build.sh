# sh -c build.sh volley COMMAND...: makes a bundle with `volley bundle`, and prints its SHA-256 and its file. Two
# playbooks at once may build: the file is known by its hash.
set -e
umask 077
d=${XDG_CACHE_HOME:-$HOME/.cache}/volley/ansible
mkdir -p "$d"
t=$d/.$$.tmp
trap 'rm -f "$t"' EXIT
"$@" -o "$t" >&2
hash=$(sha256sum "$t" 2>/dev/null || shasum -a 256 "$t" 2>/dev/null || openssl dgst -r -sha256 "$t")
id=${hash%% *}
mv -f "$t" "$d/$id.run"
# Keep the five used last, and those that another playbook may be about to send.
ls -t "$d"/*.run | tail -n +6 | while read -r old; do find "$old" -mmin +60 -exec rm -f {} +; done
find "$d" -name '.*.tmp' -mtime +1 -exec rm -f {} +
echo "$id"
echo "$d/$id.run"
