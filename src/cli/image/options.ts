import { readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { VolleyError } from "../../core/errors.ts";
import type { RuntimeArch } from "../../core/runtimes.ts";
import { fileReason } from "../../core/unix/user-file.ts";
import type { PayloadOptions, PayloadSigning } from "../../image/payload.ts";
import {
  addExtraVarsOption,
  addInventoryOptions,
  addSecretOptions,
  type ExtraVarsFlags,
  type InventoryFlags,
  inventoryPaths,
  positiveInteger,
  type SecretFlags,
  secretOptions,
} from "../options.ts";
import { ansibleSettings, inventoriesOf, isAnsiblePlaybook, settleSources } from "../run/options.ts";
import { expandLimit } from "../run/runs.ts";
import { parseArchs } from "../runtime.ts";
import { askPassphrase, expandHome, printWarning } from "../terminal.ts";
import { signOption } from "../verify.ts";

// Options that the commands of `volley image` share. Every command line loads this file, so it imports nothing heavy.

/** Flags about the bundle that an image gets, and about the way it is started. */
export interface PayloadFlags extends InventoryFlags, ExtraVarsFlags, SecretFlags {
  readonly withSecrets?: boolean;
  readonly sign?: string;
  readonly unsigned?: boolean;
  readonly signers?: string;
  readonly network?: boolean;
  readonly attempts?: number;
}

/** Flags about the Node that goes along. */
export interface RuntimeFlags {
  readonly withRuntime?: boolean;
  readonly arch?: readonly RuntimeArch[];
}

/** Add the options of {@link PayloadFlags}. */
export function addPayloadOptions(command: Command): Command {
  return addSecretOptions(addExtraVarsOption(addInventoryOptions(command)))
    .option("--with-secrets", "let the bundle hold the secrets of its host, in clear")
    .addOption(signOption())
    .option("--unsigned", "put a bundle there without a signature, and require none")
    .option(
      "--signers <file>",
      "the signers that the machine allows, see ssh-keygen(1) (default: the key of --sign)",
    )
    .option("--network", "wait for the network before provisioning")
    .addOption(
      new Option(
        "--attempts <number>",
        "attempts of one boot, with growing pauses between them (default: 3)",
      ).argParser(positiveInteger),
    );
}

/** Add the options of {@link RuntimeFlags}. */
export function addRuntimeOptions(command: Command): Command {
  return command
    .option("--with-runtime", "let the bundle hold Node, for a machine that has none (about 40 MB)")
    .option("--arch <name>", "its architecture, x64 or arm64 (default: x64)", parseArchs);
}

/** Return the architectures of {@link RuntimeFlags}. Fails with `USAGE`. */
export function runtimeArchs({ withRuntime = false, arch }: RuntimeFlags): readonly RuntimeArch[] {
  if (arch !== undefined && !withRuntime)
    throw new VolleyError("USAGE", "--arch says which Node --with-runtime puts into the bundle: give both");
  return withRuntime ? (arch ?? ["x64"]) : [];
}

/** Turn the flags into options of `makePayload`. Fails with `USAGE`. */
export async function payloadOptions(
  playbook: string,
  flags: PayloadFlags,
  runtimes: readonly RuntimeArch[],
): Promise<PayloadOptions> {
  const { extraVars, withSecrets, network, attempts } = flags;
  const signing = signingOf(flags);
  if (flags.limit === undefined)
    throw new VolleyError("USAGE", "an image is made for one host", { hint: "name the host with -l" });
  const settings = await ansibleSettings([playbook]);
  const settled = settleSources(flags, settings);
  return {
    ...{ playbook, cwd: process.cwd(), runtimes, signing, ask: askPassphrase, warn: printWarning },
    secrets: secretOptions(settled),
    inventory: inventoriesOf(settled, inventoryPaths, isAnsiblePlaybook(playbook)),
    limit: (await expandLimit(flags.limit)) ?? flags.limit,
    ...(extraVars === undefined ? {} : { extraVars }),
    ...(settings === undefined ? {} : { ansible: settings }),
    ...(withSecrets === undefined ? {} : { withSecrets }),
    ...(network === undefined ? {} : { waitsForNetwork: network }),
    ...(attempts === undefined ? {} : { attempts }),
  };
}

function signingOf({ sign, unsigned = false, signers }: PayloadFlags): PayloadSigning | undefined {
  if (sign === undefined && !unsigned)
    throw new VolleyError("USAGE", "an image gets a signed bundle, and no key was named", {
      hint: "give --sign KEY, or --unsigned for a bundle that anyone may exchange",
    });
  if (sign !== undefined && unsigned)
    throw new VolleyError("USAGE", "--sign and --unsigned contradict each other: give one of them");
  if (sign === undefined) {
    if (signers !== undefined)
      throw new VolleyError("USAGE", "--signers are those of a signed bundle: give --sign KEY, too");
    return undefined;
  }
  return { key: expandHome(sign), ...(signers === undefined ? {} : { signers: readSigners(signers) }) };
}

function readSigners(path: string): string {
  try {
    return readFileSync(expandHome(path), "utf8");
  } catch (thrown) {
    throw new VolleyError("USAGE", `cannot read the allowed signers ${path}: ${fileReason(thrown)}`, {
      cause: thrown,
    });
  }
}
