import { NO_USABLE_NODE_EXIT, NODE_PLACES, OWN_NODE_SCRIPT } from "../core/bundle.ts";
import { machineCases, RUNTIME_CACHE, type RuntimeTraits, unpackRuntimeScript } from "../core/runtimes.ts";
import { VERIFYING_PRELUDE } from "./signing/verify-script.ts";

/**
 * The shell script that a bundle starts with: it finds Node and gives it the bootstrap. POSIX sh, started as `sh FILE`
 * so that a `noexec` file system does not matter. Under `sudo` the home may be another account's: its Node is not run.
 *
 * NODE_EXTRA_CA_CERTS and NODE_OPTIONS are unset: the first costs 50 ms at every start of Node, and the second may hold
 * options that a bundle must not be started with.
 *
 * @param isSigned True for a bundle that gets a signature: its prelude answers `--verify` and `--require-signature`.
 * @param runtimes The runtimes that the bundle holds, of which the one for the machine is unpacked once.
 */
export function preludeText(
  bootstrap: string,
  {
    isSigned = false,
    runtimes = [],
  }: { readonly isSigned?: boolean; readonly runtimes?: readonly RuntimeTraits[] } = {},
): string {
  if (bootstrap.includes("'"))
    throw new Error("the bootstrap holds an apostrophe: the prelude cannot quote it");
  return `#!/bin/sh
# A Volley bundle: this script, then a zip (unzip -l shows it). Run it as: sh FILE --help
${isSigned ? VERIFYING_PRELUDE : ""}unset NODE_OPTIONS NODE_EXTRA_CA_CERTS
${runtimes.length === 0 ? "" : ownRuntimeScript(runtimes)}for n in ${NODE_PLACES}; do
  ${OWN_NODE_SCRIPT}
  [ -n "$n" ] && command -v "$n" >/dev/null 2>&1 && exec "$n" -e '${bootstrap.trim()}' -- "$0" "$@"
done
echo "volley: no Node found on this machine (PATH is $PATH); install Node 18 or newer, or set VOLLEY_NODE to one" >&2
exit ${NO_USABLE_NODE_EXIT}
`;
}

/** The bytes that stand for a runtime's place in the file until it is known. */
const OFFSET_DIGITS = 12;

/** Return the text of a runtime's place in the file: of the same length for every place. */
function offsetText({ arch }: Pick<RuntimeTraits, "arch">, offset: number | undefined): string {
  return `o=${offset ?? arch}`.padEnd(OFFSET_DIGITS);
}

/** Write the place of a runtime's archive into a bundle, whose prelude has kept room for it. */
export function writeOffset(bundle: Buffer, runtime: Pick<RuntimeTraits, "arch">, offset: number): void {
  const at = bundle.indexOf(offsetText(runtime, undefined));
  bundle.write(offsetText(runtime, offset), at, "latin1");
}

/**
 * Set VOLLEY_NODE to the bundle's own runtime, unless it is set. The runtime is unpacked to the account's cache, or to
 * `$VOLLEY_RUNTIME_DIR`, when it is not there yet. A machine that cannot use it goes on with a Node of its own.
 */
function ownRuntimeScript(runtimes: readonly RuntimeTraits[]): string {
  const cases = machineCases(
    runtimes,
    (runtime) => `i=${runtime.id} b=${runtime.bytes} ${offsetText(runtime, undefined)}`,
  );
  const fail = (why: string): string => `echo "volley: the Node of this bundle ${why}" >&2; exit 1`;
  const unpack = unpackRuntimeScript({
    damaged: fail("is damaged: copy or build the file again"),
    unusable: (reason) =>
      `case ${reason} in space) ${fail("cannot be unpacked to $r: is the disk full?")};; noexec) ${fail("cannot be started from $r, which is mounted noexec: set VOLLEY_RUNTIME_DIR to another directory")};; *) ${fail("cannot be started here: $e")};; esac`,
  });
  // An empty root has no device that takes what nobody reads; Node and its children need one.
  return `[ -e /dev/null ] || { mkdir -p /dev; mknod -m 666 /dev/null c 1 3; } 2>&-
[ -n "$VOLLEY_NODE" ] || {
[ -n "$HOME" ] || export HOME=/root
i=; case $(uname -m) in ${cases} *) echo "volley: this bundle holds Node for ${runtimes.map(({ arch }) => arch).join(" and ")}, not for $(uname -m)" >&2;; esac
r=\${VOLLEY_RUNTIME_DIR:-$HOME/${RUNTIME_CACHE}}
n="$r/$i/node"
[ -z "$i" ] || { [ -x "$n" ] && [ -O "$n" ]; } || (
for t in tail head gzip tar; do command -v $t >/dev/null || { ${fail("cannot be unpacked: $t is missing here")}; }; done
(umask 077; mkdir -p "$r") && [ -O "$r" ] || { ${fail("cannot be kept in $r, which is not yours")}; }
a="$r/.$i.$$.part"
(umask 077; tail -c +$((o + 1)) "$0" | head -c "$b" >"$a") || { rm -f "$a"; ${fail("cannot be unpacked to $r: is the disk full?")}; }
${unpack}
) || i=
[ -z "$i" ] || export VOLLEY_NODE="$n"
}
`;
}
