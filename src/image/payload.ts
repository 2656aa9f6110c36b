import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { dearmor, readPublicKey, takeApart } from "../bundle/signing/format.ts";
import { withPrivateDirectory } from "../bundle/signing/ssh-keygen.ts";
import { verifyBundle } from "../bundle/signing/verify.ts";
import { VERIFY_SCRIPT } from "../bundle/signing/verify-script.ts";
import { type CarryOptions, carryBundle } from "../controller/prepare/carry.ts";
import { VolleyError } from "../core/errors.ts";
import type { RuntimeTraits } from "../core/runtimes.ts";
import { PAYLOAD, runnerScript } from "./first-boot.ts";

/** Ingredients of a payload: a bundle that is carried, and the way to start it. */
export interface PayloadOptions extends Omit<CarryOptions, "inventory" | "limit" | "signingKey"> {
  readonly inventory: readonly string[];
  /** A pattern that selects exactly one host. */
  readonly limit: string;
  /** The signature that the machine is to require, undefined for none. */
  readonly signing: PayloadSigning | undefined;
  /** Wait for the network before the bundle is started. Default false. */
  readonly waitsForNetwork?: boolean;
  /** Attempts of one start. Default 3. */
  readonly attempts?: number;
}

/** The key that signs a payload's bundle, and the signers that the machine allows. */
export interface PayloadSigning {
  /** A key as {@link CarryOptions.signingKey} takes it. */
  readonly key: string;
  /** Text of an allowed-signers file. Default: the public half of the key, for bundles alone. */
  readonly signers?: string;
}

/** A file of a payload. */
export interface PayloadFile {
  readonly name: string;
  readonly content: Buffer;
  readonly mode: number;
}

/** All that a machine gets to provision itself at its first boot, but for the runner's own start. */
export interface Payload {
  /** The host's name in the inventory. */
  readonly host: string;
  /** The playbook's file name. */
  readonly playbook: string;
  readonly bundle: { readonly id: string; readonly bytes: Buffer };
  /** The runtimes in the bundle. */
  readonly runtimes: readonly RuntimeTraits[];
  /** Text of the allowed-signers file; undefined for a bundle without a signature. */
  readonly signers: string | undefined;
  /** The files that go into one directory on the machine, the runner among them. */
  readonly files: readonly PayloadFile[];
}

/**
 * Build the payload for one host. Fails as {@link carryBundle} and `signBundle` do, with `USAGE` unless the limit selects
 * one host, and with `SIGNATURE_REFUSED` where the allowed signers do not allow the key.
 */
export async function makePayload(options: PayloadOptions): Promise<Payload> {
  const { signing, waitsForNetwork, attempts, ...carried } = options;
  const { id, bytes, hosts, runtimes } = await carryBundle({
    ...carried,
    ...(signing === undefined ? {} : { signingKey: signing.key }),
  });
  const [host, ...others] = hosts;
  if (host === undefined || others.length > 0)
    throw new VolleyError("USAGE", `-l ${options.limit} selects ${hosts.length} hosts`, {
      hint: "an image is made for one: name one host with -l",
    });
  const playbook = basename(options.playbook);
  const signers =
    signing === undefined ? undefined : await settleSigners(bytes, { ...signing, name: playbook });
  const runner = runnerScript({
    ...{ host, bundleId: id, isSigned: signers !== undefined },
    ...(waitsForNetwork === undefined ? {} : { waitsForNetwork }),
    ...(attempts === undefined ? {} : { attempts }),
  });
  const file = (name: string, content: string | Buffer, mode = 0o600): PayloadFile => ({
    ...{ name, mode },
    content: Buffer.from(content),
  });
  return {
    ...{ host, playbook, bundle: { id, bytes }, runtimes, signers },
    files: [
      file(PAYLOAD.bundle, bytes),
      ...(signers === undefined
        ? []
        : [file(PAYLOAD.verifier, VERIFY_SCRIPT), file(PAYLOAD.signers, signers)]),
      file(PAYLOAD.runner, runner, 0o700),
    ],
  };
}

/** Return the text of allowed signers that is known to allow the bundle's signer: a machine would refuse the bundle later. */
async function settleSigners(
  bundle: Buffer,
  { name, key, signers: given }: PayloadSigning & { readonly name: string },
): Promise<string> {
  const signers = given ?? ownSigners(bundle, name, key);
  await withPrivateDirectory(async (directory) => {
    const file = join(directory, PAYLOAD.signers);
    writeFileSync(file, signers, { mode: 0o600 });
    await verifyBundle(bundle, { name, allowedSigners: file });
  });
  return signers;
}

/** Allow the key of a bundle's signature, which the signature names, to sign bundles. */
function ownSigners(bundle: Buffer, name: string, key: string): string {
  const publicKey = readPublicKey(dearmor(takeApart(bundle, name).armor)!)!;
  if (/-cert-v\d+@openssh\.com /.test(publicKey))
    throw new VolleyError("USAGE", `${key} is a certificate: the machine needs to know its authority`, {
      hint: "name a file of allowed signers with --signers, with a cert-authority line",
    });
  return `volley namespaces="volley" ${publicKey}\n`;
}
