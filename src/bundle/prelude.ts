import { NO_USABLE_NODE_EXIT, NODE_PLACES, OWN_NODE_SCRIPT } from "../core/bundle.ts";
import { VERIFYING_PRELUDE } from "./signing/verify-script.ts";

/**
 * The shell script that a bundle starts with: it finds Node and gives it the bootstrap. POSIX sh, started as `sh FILE`
 * so that a `noexec` file system does not matter. Under `sudo` the home may be another account's: its Node is not run.
 *
 * NODE_EXTRA_CA_CERTS and NODE_OPTIONS are unset: the first costs 50 ms at every start of Node, and the second may hold
 * options that a bundle must not be started with.
 *
 * @param isSigned True for a bundle that gets a signature: its prelude answers `--verify` and `--require-signature`.
 */
export function preludeText(bootstrap: string, isSigned = false): string {
  if (bootstrap.includes("'"))
    throw new Error("the bootstrap holds an apostrophe: the prelude cannot quote it");
  return `#!/bin/sh
# A Volley bundle: this script, then a zip (unzip -l shows it). Run it as: sh FILE --help
${isSigned ? VERIFYING_PRELUDE : ""}unset NODE_OPTIONS NODE_EXTRA_CA_CERTS
for n in ${NODE_PLACES}; do
  ${OWN_NODE_SCRIPT}
  [ -n "$n" ] && command -v "$n" >/dev/null 2>&1 && exec "$n" -e '${bootstrap.trim()}' -- "$0" "$@"
done
echo "volley: no Node found on this machine (PATH is $PATH); install Node 18 or newer, or set VOLLEY_NODE to one" >&2
exit ${NO_USABLE_NODE_EXIT}
`;
}
