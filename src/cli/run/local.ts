import type { Command } from "commander";
import { isBundleFile } from "../../core/bundle.ts";
import { VolleyError } from "../../core/errors.ts";
import type { RunFlags } from "./options.ts";

// `volley run --local`: the options that go with it, and bundles instead of playbooks.

/** Options about connections, by the names of their values. */
const CONNECTION_OPTIONS = new Set([
  ...["user", "privateKey", "askPass", "passwordFile", "passwordFd", "connection", "connectTimeout"],
  ...["connectRetries", "sshCommonArgs", "sshExtraArgs", "sftpExtraArgs", "scpExtraArgs", "sshConfig"],
  ...["hostKeys", "knownHosts", "forwardAgent", "transport", "queue"],
]);

/** The options that a run of bundles has: the rest is settled when a bundle is made. */
const BUNDLE_OPTIONS = new Set([
  ...["local", "limit", "check", "diff", "tags", "skipTags", "resume", "verbose", "output", "timing", "web"],
]);

/** Return whether an inventory is named, by a flag or the environment. */
export function namesInventory({ inventory }: Pick<RunFlags, "inventory">): boolean {
  return inventory !== undefined || (process.env.VOLLEY_INVENTORY ?? "") !== "";
}

/** Refuse options about connections: there is none. Fails with `USAGE`. */
export function refuseConnections(command: Command): void {
  const isLocal = command.opts<RunFlags>().connection === "local";
  const wrong = givenOptions(
    command,
    (name) => CONNECTION_OPTIONS.has(name) && !(name === "connection" && isLocal),
  );
  if (wrong.length > 0)
    throw new VolleyError("USAGE", `--local works without a connection: leave out ${wrong.join(", ")}`);
}

/** Return the flags that the command line has, of the options whose value's name is asked for. */
function givenOptions(command: Command, isAsked: (name: string) => boolean): readonly string[] {
  const given = new Map<string, string>();
  for (const option of command.options) {
    const name = option.attributeName();
    if (command.getOptionValueSource(name) !== "cli" || !isAsked(name) || given.has(name)) continue;
    given.set(name, option.long ?? option.flags);
  }
  return [...given.values()];
}

/** A bundle that is carried out on this machine. */
interface BundleHere {
  readonly file: string;
  /** The file name of its playbook. */
  readonly playbook: string;
}

/**
 * Look at the bundles that are carried out on this machine. Fails with `USAGE`, `BUNDLE_INVALID` or `PATTERN_UNKNOWN`: a
 * bundle that is missing, or for other hosts, is told before the first one is run.
 */
export async function readBundlesHere(
  files: readonly string[],
  { limit }: RunFlags,
  command: Command,
): Promise<readonly BundleHere[]> {
  const playbook = files.find((file) => !isBundleFile(file));
  if (playbook !== undefined)
    throw new VolleyError("USAGE", `${playbook} is a playbook, and the other files are bundles`, {
      hint: "start one volley run for each kind",
    });
  const wrong = givenOptions(command, (name) => !BUNDLE_OPTIONS.has(name));
  if (wrong.length > 0)
    throw new VolleyError("USAGE", `a bundle has its hosts and vars in it: leave out ${wrong.join(", ")}`, {
      hint: "sh FILE --help shows what else a bundle can be given",
    });
  const [{ readManifest }, { hostInBundle, readBundle }] = await Promise.all([
    import("../../bundle/manifest.ts"),
    import("../../bundle/carried.ts"),
  ]);
  return files.map((file) => {
    const manifest = readManifest(readBundle(file), file);
    hostInBundle(manifest, { bundle: file, option: "-l", asked: limit });
    return { file, playbook: manifest.playbook };
  });
}
