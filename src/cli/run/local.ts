import { resolve } from "node:path";
import type { Command } from "commander";
import { VolleyError } from "../../core/errors.ts";
import { readBundle } from "../verify.ts";
import type { RunFlags } from "./options.ts";

// `volley run --local`: the options that go with it, and bundles instead of playbooks.

/** Options about connections, by the names of their values. */
const CONNECTION_OPTIONS = new Set([
  ...["user", "privateKey", "askPass", "passwordFile", "passwordFd", "connection", "connectTimeout"],
  ...["connectRetries", "sshCommonArgs", "sshExtraArgs", "sftpExtraArgs", "scpExtraArgs", "sshConfig"],
  ...["hostKeys", "knownHosts", "forwardAgent", "transport"],
]);

/** The options that a bundle's own command line has, too. */
const BUNDLE_OPTIONS = new Set([
  ...["local", "limit", "check", "diff", "tags", "skipTags", "verbose", "output"],
]);

/** Return whether a file that is to be run is no playbook, by its name, and so can only be a bundle. */
export function isBundleFile(file: string): boolean {
  return !/\.(?:[cm]?[jt]sx?|ya?ml|json)$/i.test(file);
}

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

/** Carry out bundles on this machine, one after the other, up to the first that fails. Returns the exit code. */
export async function runBundlesHere(
  files: readonly string[],
  flags: RunFlags,
  command: Command,
): Promise<number> {
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
  const { output } = flags;
  if (output !== "auto" && output !== "plain" && output !== "json")
    throw new VolleyError("USAGE", `a bundle shows its run as plain or json, not as ${output}`);
  const [{ readManifest }, { hostInBundle, runBundle }] = await Promise.all([
    import("../../bundle/manifest.ts"),
    import("../../pull/carried.ts"),
  ]);
  // A file that is missing is told before the first one is run.
  const manifests = files.map((file) => readManifest(readBundle(file), file));
  for (const [index, file] of files.entries()) {
    const host = hostInBundle(manifests[index]!, { bundle: file, option: "-l", asked: flags.limit });
    const exitCode = await runBundle(resolve(file), [...argumentsOf(flags), "--local", host]);
    if (exitCode !== 0) return exitCode;
  }
  return 0;
}

function argumentsOf({ check, diff, tags, skipTags, verbose, output }: RunFlags): readonly string[] {
  return [
    ...(check === true ? ["--check"] : []),
    ...(diff === true ? ["--diff"] : []),
    ...(tags ?? []).map((tag) => `--tags=${tag}`),
    ...(skipTags ?? []).map((tag) => `--skip-tags=${tag}`),
    ...((verbose ?? 0) > 0 ? ["--verbose"] : []),
    ...(output === "json" ? ["--output=json"] : []),
  ];
}
